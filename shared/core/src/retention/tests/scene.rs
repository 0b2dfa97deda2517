//! Histories for tables.

use crate::retention::{PointFacts, Protections, RetentionInput, Standing, Verdict, decide_retention};
use crate::retention_rule::RetentionRule;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::collections::HashSet;

pub(super) const ROME: &str = "Europe/Rome";

/// A moment in its zone's own time, or with an offset.
pub(super) fn moment(zone: &str, text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| {
        let local: DateTime = text.parse().unwrap();
        local.in_tz(zone).unwrap().timestamp()
    })
}

/// A complete point of resource 0 that ended at once.
pub(super) fn completed(moment: Timestamp) -> PointFacts {
    PointFacts {
        moment,
        ended_at: Some(moment),
        standing: Standing::Completed,
        resources: 0,
        found: Protections::NONE,
    }
}

pub(super) fn partial(moment: Timestamp) -> PointFacts {
    PointFacts {
        standing: Standing::Partial,
        ..completed(moment)
    }
}

pub(super) fn younger_than(age: &str) -> RetentionRule {
    RetentionRule::YoungerThan { age: age.to_owned() }
}

/// Decides without a safety age, with one resource per set whose last good backup may go, so that only rules count.
pub(super) fn decide(zone: &str, rules: &[RetentionRule], points: &[PointFacts], now: &str) -> Vec<Verdict> {
    let input = RetentionInput {
        rules,
        zone: &TimeZone::get(zone).unwrap(),
        points,
        resource_sets: &[vec![0]],
        expirable: &HashSet::from([0]),
        safety_age: SignedDuration::ZERO,
    };
    decide_retention(&input, moment(zone, now)).unwrap()
}

/// Which of the moments stay, in the order given. Those that start with `~` are PARTIAL.
pub(super) fn kept<'a>(zone: &str, rule: &RetentionRule, moments: &[&'a str], now: &str) -> Vec<&'a str> {
    let points: Vec<PointFacts> = moments
        .iter()
        .map(|text| match text.strip_prefix('~') {
            Some(text) => partial(moment(zone, text)),
            None => completed(moment(zone, text)),
        })
        .collect();
    let verdicts = decide(zone, std::slice::from_ref(rule), &points, now);
    moments
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| verdict.keeps())
        .map(|(moment, _)| *moment)
        .collect()
}
