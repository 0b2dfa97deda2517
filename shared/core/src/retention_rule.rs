//! Retention rules as a plan states them. What they decide stands in [`crate::retention`].

use crate::failure::InvalidField;
use jiff::{Span, Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most rules a plan or a replica may state.
pub const MAX_RULES: usize = 5;
const MAX_COUNT: u32 = 10_000;

/// A reason to keep a recovery point. A point stays while any rule keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "keep", rename_all = "snake_case", deny_unknown_fields)]
pub enum RetentionRule {
    /// The newest `count` recovery points.
    Newest {
        /// How many, 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        count: u32,
    },
    /// The newest point of each of the newest `count` hours that have one.
    Hourly {
        /// How many hours, 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        count: u32,
    },
    /// The newest point of each of the newest `count` days that have one, in the plan's time zone.
    Daily {
        /// How many days, 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        count: u32,
    },
    /// The newest point of each of the newest `count` ISO weeks that have one.
    Weekly {
        /// How many weeks, 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        count: u32,
    },
    /// The newest point of each of the newest `count` months that have one.
    Monthly {
        /// How many months, 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        count: u32,
    },
    /// The newest point of each of the newest `count` years that have one.
    Yearly {
        /// How many years, 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        count: u32,
    },
    /// Every point whose moment is later than now minus `age`.
    YoungerThan {
        /// An ISO 8601 duration such as `P30D`, `P1Y` or `PT36H`; calendar units count in the plan's time zone.
        age: String,
    },
}

impl fmt::Display for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (each, unit, count) = match self {
            Self::Newest { count: 1 } => return f.write_str("the newest point"),
            Self::Newest { count } => return write!(f, "the newest {count} points"),
            Self::YoungerThan { age } => return write!(f, "everything younger than {age}"),
            Self::Hourly { count } => ("an hour", "hour", count),
            Self::Daily { count } => ("a day", "day", count),
            Self::Weekly { count } => ("a week", "week", count),
            Self::Monthly { count } => ("a month", "month", count),
            Self::Yearly { count } => ("a year", "year", count),
        };
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "one point {each} for {count} {unit}{plural}")
    }
}

/// Checks a list of rules: 1 to [`MAX_RULES`] of them (`none_allowed` also lets it be empty), each keeping something.
#[must_use]
pub fn validate_rules(field: &str, rules: &[RetentionRule], none_allowed: bool) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if rules.is_empty() && !none_allowed {
        problems.push(InvalidField::new(
            field,
            format!("no retention rule; state 1 to {MAX_RULES} of them"),
        ));
    }
    if rules.len() > MAX_RULES {
        let found = rules.len();
        problems.push(InvalidField::new(
            field,
            format!("{found} retention rules; at most {MAX_RULES} are allowed"),
        ));
    }
    for (index, rule) in rules.iter().enumerate() {
        match rule {
            RetentionRule::Newest { count }
            | RetentionRule::Hourly { count }
            | RetentionRule::Daily { count }
            | RetentionRule::Weekly { count }
            | RetentionRule::Monthly { count }
            | RetentionRule::Yearly { count } => {
                if !(1..=MAX_COUNT).contains(count) {
                    problems.push(InvalidField::new(
                        format!("{field}[{index}].count"),
                        format!("{count} is not allowed; a rule keeps 1 to {MAX_COUNT} points"),
                    ));
                }
            }
            RetentionRule::YoungerThan { age } => {
                if let Err(problem) = parse_age(age) {
                    problems.push(InvalidField::new(format!("{field}[{index}].age"), problem));
                }
            }
        }
    }
    problems
}

/// Reads the age of [`RetentionRule::YoungerThan`]: positive, at most 100 years.
///
/// # Errors
/// What is wrong with it and what is allowed.
pub(crate) fn parse_age(age: &str) -> Result<Span, String> {
    let wanted = "give a positive ISO 8601 duration of at most 100 years, such as P30D, P1Y or PT36H";
    let span: Span = age
        .parse()
        .map_err(|_| format!("{age:?} is no duration; {wanted}"))?;
    let start = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    let far = start
        .checked_add(span)
        .map_err(|_| format!("{age:?} is too long; {wanted}"))?;
    let century = start
        .checked_add(Span::new().years(100))
        .map_err(|_| wanted.to_owned())?;
    if !age.starts_with('P') || span.is_zero() || span.is_negative() || far > century {
        return Err(format!("{age:?} is not allowed; {wanted}"));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("P30D", true)]
    #[case("PT36H", true)]
    #[case("P1Y6M", true)]
    #[case("P0D", false)]
    #[case("-P1D", false)]
    #[case("P101Y", false)]
    #[case("30 days", false)]
    #[case("P19999Y", false)]
    #[case("", false)]
    fn takes_only_ages_that_keep_something(#[case] age: &str, #[case] good: bool) {
        assert_eq!(parse_age(age).is_ok(), good);
    }

    #[rstest]
    #[case(RetentionRule::Newest { count: 7 }, "the newest 7 points")]
    #[case(RetentionRule::Daily { count: 7 }, "one point a day for 7 days")]
    #[case(RetentionRule::Yearly { count: 1 }, "one point a year for 1 year")]
    #[case(RetentionRule::YoungerThan { age: "P30D".to_owned() }, "everything younger than P30D")]
    fn says_in_words_what_it_keeps(#[case] rule: RetentionRule, #[case] words: &str) {
        assert_eq!(rule.to_string(), words);
    }

    #[test]
    fn a_rule_that_keeps_nothing_is_named() {
        let problems = validate_rules("retention", &[RetentionRule::Daily { count: 0 }], false);
        assert_eq!(problems[0].field, "retention[0].count");
    }
}
