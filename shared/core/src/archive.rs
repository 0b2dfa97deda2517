//! The archive tier: when moving a copy there saves money, and when it costs more.
//!
//! A snapshot in the archive is stored whole, at a quarter of the standard tier's price, and for 90 days at least. In
//! the standard tier it takes only the blocks that no snapshot beside it has. So, counted in what a whole snapshot
//! costs in the standard tier in a month:
//!
//! ```text
//! standard tier:  changed share x months it still stays
//! archive tier:   0.25          x months it still stays, 3 at least
//! ```
//!
//! Source: Amazon EBS User Guide, "Archive Amazon EBS snapshots", pricing and billing.

use crate::failure::InvalidField;
use crate::retention_rule::RetentionRule;
use jiff::{Span, Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the archive charges for at least, in days.
pub const MINIMUM_DAYS: f64 = 90.0;
/// The archive's price as a share of the standard tier's.
const PRICE: f64 = 0.25;
const DAYS_IN_MONTH: f64 = 30.0;

/// Which copies go to the archive tier.
///
/// A copy there cannot be restored at once: bringing it back takes up to 72 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Archive a copy this many days after its recovery point's moment (1 to 3,650), if it then pays.
    #[schemars(range(min = 1, max = 3_650))]
    pub after_days: u32,
    /// How much of a volume changes from one kept point to the next, in percent (1 to 100): what the copy would take up
    /// in the standard tier.
    #[serde(default = "all")]
    #[schemars(range(min = 1, max = 100))]
    pub changed_percent: u32,
}

fn all() -> u32 {
    100
}

/// What a copy costs from now on in either tier, in what a whole snapshot costs in the standard tier in a month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Left where it is.
    pub standard: f64,
    /// Archived now.
    pub archive: f64,
}

/// Works out what a copy costs that stays for so many days more.
#[must_use]
pub fn costs(changed_percent: u32, days: f64) -> Costs {
    let months = days / DAYS_IN_MONTH;
    Costs {
        standard: f64::from(changed_percent) / 100.0 * months,
        archive: PRICE * months.max(MINIMUM_DAYS / DAYS_IN_MONTH),
    }
}

impl Archive {
    /// Whether a copy of `moment` that goes at `goes_at` is to be archived now. Without a date nobody knows whether it
    /// pays, and it stays.
    #[must_use]
    pub fn pays(&self, moment: Timestamp, goes_at: Option<Timestamp>, now: Timestamp) -> bool {
        let days = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() / 86_400.0;
        let Some(goes_at) = goes_at else {
            return false;
        };
        let costs = costs(self.changed_percent, days(now, goes_at));
        days(moment, now) >= f64::from(self.after_days) && costs.archive < costs.standard
    }
}

/// Checks an archive setting: it is refused where no point that the rules keep stays long enough for it to pay.
#[must_use]
pub fn validate_archive(field: &str, archive: &Archive, rules: &[RetentionRule]) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if !(1..=3_650).contains(&archive.after_days) {
        problems.push(InvalidField::new(
            format!("{field}.after_days"),
            format!("{} is not allowed; give 1 to 3650", archive.after_days),
        ));
    }
    if !(1..=100).contains(&archive.changed_percent) {
        problems.push(InvalidField::new(
            format!("{field}.changed_percent"),
            format!("{} is not allowed; give 1 to 100", archive.changed_percent),
        ));
    }
    if !problems.is_empty() {
        return problems;
    }
    let Some(longest) = longest_days(rules) else {
        return problems;
    };
    let days = (longest - f64::from(archive.after_days)).max(0.0);
    let costs = costs(archive.changed_percent, days);
    if costs.archive >= costs.standard {
        problems.push(InvalidField::new(
            field,
            format!(
                "costs more than it saves: the rules keep no point longer than {longest:.0} days, so a copy archived \
                 after {} days has {days:.0} days left. The archive stores it whole at a quarter of the price for 90 \
                 days at least: {:.2} months of a whole snapshot, against {:.2} for the {} % of it that is not in the \
                 copies beside it. Keep points longer, archive earlier, or leave archive out",
                archive.after_days, costs.archive, costs.standard, archive.changed_percent
            ),
        ));
    }
    problems
}

/// How long the most patient rule keeps a point, in days; none where no one can tell.
fn longest_days(rules: &[RetentionRule]) -> Option<f64> {
    let mut each = rules.iter().map(|rule| match rule {
        RetentionRule::Newest { .. } => None,
        RetentionRule::Hourly { count } => Some(f64::from(*count) / 24.0),
        RetentionRule::Daily { count } => Some(f64::from(*count)),
        RetentionRule::Weekly { count } => Some(f64::from(*count) * 7.0),
        RetentionRule::Monthly { count } => Some(f64::from(*count) * 365.25 / 12.0),
        RetentionRule::Yearly { count } => Some(f64::from(*count) * 365.25),
        RetentionRule::YoungerThan { age } => {
            let start = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
            let end = start.checked_add(age.parse::<Span>().ok()?).ok()?;
            Some(end.timestamp().duration_since(start.timestamp()).as_secs_f64() / 86_400.0)
        }
    });
    each.try_fold(0.0, |longest: f64, days| Some(longest.max(days?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn archive(after_days: u32, changed_percent: u32) -> Archive {
        Archive {
            after_days,
            changed_percent,
        }
    }

    #[rstest]
    #[case::a_month_of_a_changed_volume(100, 30.0, true)]
    #[case::three_weeks_are_too_short(100, 21.0, false)]
    #[case::half_changed_for_two_months(50, 60.0, true)]
    #[case::half_changed_for_a_month(50, 30.0, false)]
    #[case::a_quarter_changed_never_pays(25, 3_650.0, false)]
    fn archives_only_where_it_is_cheaper(#[case] changed: u32, #[case] days: f64, #[case] pays: bool) {
        let costs = costs(changed, days);
        assert_eq!(costs.archive < costs.standard, pays, "{costs:?}");
    }

    #[rstest]
    #[case::a_year_of_months(vec![RetentionRule::Monthly { count: 12 }], archive(30, 50), true)]
    #[case::a_week_of_days(vec![RetentionRule::Daily { count: 7 }], archive(1, 100), false)]
    #[case::little_changes(vec![RetentionRule::Yearly { count: 3 }], archive(30, 20), false)]
    #[case::nobody_knows(vec![RetentionRule::Newest { count: 3 }], archive(30, 100), true)]
    #[case::by_age(vec![RetentionRule::YoungerThan { age: "P1Y".to_owned() }], archive(30, 50), true)]
    fn a_plan_is_refused_where_archiving_costs_more(
        #[case] rules: Vec<RetentionRule>,
        #[case] archive: Archive,
        #[case] good: bool,
    ) {
        let problems = validate_archive("archive", &archive, &rules);
        assert_eq!(problems.is_empty(), good, "{problems:?}");
    }

    #[test]
    fn waits_for_its_day_and_needs_a_date() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let archive = archive(30, 100);
        assert!(archive.pays(at(0), Some(at(365)), at(30)));
        assert!(!archive.pays(at(0), Some(at(365)), at(29)));
        assert!(!archive.pays(at(0), Some(at(50)), at(30)));
        assert!(!archive.pays(at(0), None, at(30)));
    }
}
