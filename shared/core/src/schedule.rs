//! When a plan runs by itself: expressions of EventBridge Scheduler and the zone they are read in.
//!
//! Source of the syntax: EventBridge Scheduler User Guide, "Schedule types".

use crate::failure::InvalidField;
use croner::parser::{CronParser, Seconds, Year};
use jiff::{civil::DateTime, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most schedules one plan may state.
pub const MAX_SCHEDULES: usize = 10;

/// One schedule of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// `cron(minute hour day-of-month month day-of-week year)`, `rate(number unit)` or `at(yyyy-mm-ddThh:mm:ss)`.
    ///
    /// A cron slot in the hour that daylight saving skips does not run that day; one in the doubled hour runs once.
    pub expression: String,
    /// The IANA time zone the expression is read in; the plan's own where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// Checks one schedule.
#[must_use]
pub fn validate_schedule(field: &str, schedule: &Schedule) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if let Err(problem) = check_expression(&schedule.expression) {
        problems.push(InvalidField::new(format!("{field}.expression"), problem));
    }
    if let Some(zone) = &schedule.time_zone {
        problems.extend(validate_time_zone(&format!("{field}.time_zone"), zone));
    }
    problems
}

/// Checks that `zone` is a time zone of the IANA database.
#[must_use]
pub fn validate_time_zone(field: &str, zone: &str) -> Option<InvalidField> {
    // EventBridge Scheduler knows names as they are written in the database only.
    let known = TimeZone::get(zone).is_ok_and(|found| found.iana_name() == Some(zone));
    (!known).then(|| {
        let problem = format!("{zone:?} is no time zone; give an IANA name such as UTC or Europe/Rome");
        InvalidField::new(field, problem)
    })
}

fn check_expression(expression: &str) -> Result<(), String> {
    let inside = |kind: &str| {
        expression
            .strip_prefix(kind)?
            .strip_prefix('(')?
            .strip_suffix(')')
    };
    if let Some(fields) = inside("cron") {
        check_cron(fields)
    } else if let Some(rate) = inside("rate") {
        check_rate(rate)
    } else if let Some(moment) = inside("at") {
        DateTime::strptime("%Y-%m-%dT%H:%M:%S", moment)
            .map(|_| ())
            .map_err(|_| format!("{moment:?} is no moment; at() takes yyyy-mm-ddThh:mm:ss"))
    } else {
        Err(format!(
            "{expression:?} is no schedule; give cron(...), rate(...) or at(...)"
        ))
    }
}

fn check_cron(fields: &str) -> Result<(), String> {
    let parts: Vec<&str> = fields.split_whitespace().collect();
    let [_, _, day_of_month, _, day_of_week, _] = parts.as_slice() else {
        let found = parts.len();
        return Err(format!(
            "cron({fields}) has {found} fields; it takes six: minute hour day-of-month month day-of-week year"
        ));
    };
    if (*day_of_month == "?") == (*day_of_week == "?") {
        return Err(format!(
            "cron({fields}): exactly one of day-of-month and day-of-week must be ?"
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(true)
        .sloppy_ranges(true)
        .build();
    // EventBridge has no seconds; the parser wants them in front.
    parser
        .parse(&format!("0 {}", parts.join(" ")))
        .map_err(|error| format!("cron({fields}): {error}"))?;
    Ok(())
}

fn check_rate(rate: &str) -> Result<(), String> {
    let wanted =
        "rate() takes a whole number and a unit: 1 minute, 15 minutes, 1 hour, 12 hours, 1 day, 7 days";
    let (number, unit) = rate.split_once(' ').ok_or(wanted)?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = number
        .parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| format!("{number:?} is no whole number; {wanted}"))?;
    let singular = matches!(unit, "minute" | "hour" | "day");
    let plural = matches!(unit, "minutes" | "hours" | "days");
    if number == 0 || !(singular && number == 1 || plural && number > 1) {
        return Err(format!("rate({rate}) is not allowed; {wanted}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("cron(0 2 * * ? *)", true)]
    #[case("cron(0/15 * * * ? *)", true)]
    #[case("cron(15 10 ? * 6L 2026-2030)", true)]
    #[case("cron(0 9 ? * MON#1 *)", true)]
    #[case("cron(0 18 ? * MON-FRI *)", true)]
    #[case("cron(0 8 1 * ? *)", true)]
    #[case("cron(0 8 L * ? *)", true)]
    #[case("cron(0 2 * * * *)", false)]
    #[case("cron(0 2 ? * ? *)", false)]
    #[case("cron(0 2 * * *)", false)]
    #[case("cron(61 2 * * ? *)", false)]
    #[case("cron(0 25 * * ? *)", false)]
    #[case("0 2 * * *", false)]
    #[case("rate(15 minutes)", true)]
    #[case("rate(1 hour)", true)]
    #[case("rate(1 hours)", false)]
    #[case("rate(2 hour)", false)]
    #[case("rate(+5 minutes)", false)]
    #[case("rate(0 minutes)", false)]
    #[case("rate(5 fortnights)", false)]
    #[case("at(2026-11-24T02:00:00)", true)]
    #[case("at(2026-13-24T02:00:00)", false)]
    #[case("", false)]
    fn takes_what_eventbridge_scheduler_takes(#[case] expression: &str, #[case] good: bool) {
        assert_eq!(
            check_expression(expression).is_ok(),
            good,
            "{:?}",
            check_expression(expression)
        );
    }

    #[rstest]
    #[case("Europe/Rome", true)]
    #[case("UTC", true)]
    #[case("Mars/Olympus", false)]
    #[case("", false)]
    fn knows_time_zones(#[case] zone: &str, #[case] good: bool) {
        assert_eq!(validate_time_zone("time_zone", zone).is_none(), good);
    }
}
