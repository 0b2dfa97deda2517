//! Verdicts in words.

use super::{PointFacts, RetentionInput, Verdict};
use crate::retention_rule::RetentionRule;
use jiff::{Timestamp, tz::TimeZone};

/// Every reason for which a point stays, in words: the rules in their order, then the protections.
///
/// None for a point that may go. [`LastGood`](super::LastGood) knows of which resources the last good backup is.
#[must_use]
pub fn reasons(input: &RetentionInput<'_>, point: &PointFacts, verdict: &Verdict) -> Vec<String> {
    let rules = verdict
        .rules()
        .filter_map(|index| input.rules.get(index))
        .map(|rule| match bucket(rule, point.moment, input.zone) {
            Some(bucket) => format!("best of {bucket} ({rule})"),
            None => format!("among {rule}"),
        });
    let protections = verdict.protections().words().map(str::to_owned);
    rules.chain(protections).collect()
}

/// Names the bucket of a rule that `moment` falls in.
fn bucket(rule: &RetentionRule, moment: Timestamp, zone: &TimeZone) -> Option<String> {
    let local = moment.to_zoned_datetime(zone.clone());
    let date = local.date();
    match rule {
        RetentionRule::Newest { .. } | RetentionRule::YoungerThan { .. } => None,
        RetentionRule::Hourly { .. } => Some(format!("hour {date}T{:02}{}", local.hour(), local.offset())),
        RetentionRule::Daily { .. } => Some(format!("day {date}")),
        RetentionRule::Weekly { .. } => {
            let week = date.iso_week_date();
            Some(format!("week {:04}-W{:02}", week.year(), week.week()))
        }
        RetentionRule::Monthly { .. } => Some(format!("month {:04}-{:02}", date.year(), date.month())),
        RetentionRule::Yearly { .. } => Some(format!("year {:04}", date.year())),
    }
}
