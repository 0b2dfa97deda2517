//! Retention written down as literally as the glossary has it, slow and with nothing in common with the decision.

use crate::retention::{PointFacts, Protections, RetentionInput, Standing};
use crate::retention_rule::RetentionRule;
use jiff::civil::{Date, Weekday};
use jiff::{Span, Timestamp, ZonedDateTime};

/// Which rules and protections keep a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) rules: Vec<usize>,
    pub(super) protections: Protections,
}

impl Expected {
    pub(super) fn keeps(&self) -> bool {
        !self.rules.is_empty() || !self.protections.is_empty()
    }
}

pub(super) fn expect(input: &RetentionInput<'_>, now: Timestamp) -> Vec<Expected> {
    let points = input.points;
    let counting: Vec<usize> = (0..points.len()).filter(|i| counts(&points[*i])).collect();
    let zoned: Vec<ZonedDateTime> = points
        .iter()
        .map(|point| point.moment.to_zoned_datetime(input.zone.clone()))
        .collect();
    let mut expected: Vec<Expected> = points
        .iter()
        .map(|point| Expected {
            rules: Vec::new(),
            protections: point.found,
        })
        .collect();
    for (number, rule) in input.rules.iter().enumerate() {
        for index in kept_by(rule, points, &zoned, &counting, input, now) {
            expected[index].rules.push(number);
        }
    }
    for (index, point) in points.iter().enumerate() {
        let mut also = Vec::new();
        if point.ended_at.is_none() {
            also.push(Protections::AT_WORK);
        }
        let young = |moment: Timestamp| now.duration_since(moment) < input.safety_age;
        if young(point.moment) || point.ended_at.is_some_and(young) {
            also.push(Protections::SAFETY_AGE);
        }
        if counts(point) && holds_a_last_good(index, &counting, input) {
            also.push(Protections::LAST_GOOD);
        }
        for protection in also {
            expected[index].protections = expected[index].protections.union(protection);
        }
    }
    expected
}

fn counts(point: &PointFacts) -> bool {
    point.ended_at.is_some() && matches!(point.standing, Standing::Completed | Standing::Partial)
}

/// Whether `a` comes before `b` in the order of *newest N*.
fn newer(a: &PointFacts, b: &PointFacts) -> bool {
    let key = |point: &PointFacts| {
        (
            point.moment,
            point.standing == Standing::Completed,
            point.ended_at,
        )
    };
    key(a) > key(b)
}

/// Whether `a` comes before `b` within a bucket: COMPLETED before PARTIAL, then the newest.
fn better(a: &PointFacts, b: &PointFacts) -> bool {
    let key = |point: &PointFacts| {
        (
            point.standing == Standing::Completed,
            point.moment,
            point.ended_at,
        )
    };
    key(a) > key(b)
}

fn holds_a_last_good(index: usize, counting: &[usize], input: &RetentionInput<'_>) -> bool {
    let holds = |index: usize, resource: &u32| {
        input.resource_sets[input.points[index].resources as usize].contains(resource)
    };
    input.resource_sets[input.points[index].resources as usize]
        .iter()
        .filter(|resource| !input.expirable.contains(resource))
        .any(|resource| {
            !counting
                .iter()
                .any(|other| holds(*other, resource) && newer(&input.points[*other], &input.points[index]))
        })
}

fn kept_by(
    rule: &RetentionRule,
    points: &[PointFacts],
    zoned: &[ZonedDateTime],
    counting: &[usize],
    input: &RetentionInput<'_>,
    now: Timestamp,
) -> Vec<usize> {
    match rule {
        RetentionRule::Newest { count } => counting
            .iter()
            .copied()
            .filter(|index| {
                let newer = counting
                    .iter()
                    .filter(|other| newer(&points[**other], &points[*index]));
                newer.count() < *count as usize
            })
            .collect(),
        RetentionRule::YoungerThan { age } => {
            let age: Span = age.parse().unwrap();
            let then = now
                .to_zoned_datetime(input.zone.clone())
                .checked_sub(age)
                .unwrap();
            counting
                .iter()
                .copied()
                .filter(|index| points[*index].moment > then.timestamp())
                .collect()
        }
        RetentionRule::Hourly { count } => {
            // Two hours that the clock shows alike are told apart by the offset; the later one is the newer.
            let hour = |index: usize| (zoned[index].date(), zoned[index].hour(), zoned[index].offset());
            let mut hours: Vec<_> = counting.iter().map(|index| hour(*index)).collect();
            let latest = |wanted: &(Date, i8, jiff::tz::Offset)| {
                let inside = counting.iter().filter(|index| hour(**index) == *wanted);
                inside.map(|index| points[*index].moment).max()
            };
            hours.sort_by_key(|key| std::cmp::Reverse(latest(key)));
            hours.dedup();
            best_of_each(&hours, *count, hour, points, counting)
        }
        RetentionRule::Daily { count } => {
            best_of_newest(*count, |index| zoned[index].date(), points, counting)
        }
        RetentionRule::Weekly { count } => {
            let week = |index: usize| {
                let week = zoned[index].date().iso_week_date();
                (week.year(), week.week())
            };
            best_of_newest(*count, week, points, counting)
        }
        RetentionRule::Monthly { count } => best_of_newest(
            *count,
            |index| (zoned[index].year(), zoned[index].month()),
            points,
            counting,
        ),
        RetentionRule::Yearly { count } => {
            best_of_newest(*count, |index| zoned[index].year(), points, counting)
        }
    }
}

fn best_of_newest<K: Ord>(
    count: u32,
    key: impl Fn(usize) -> K,
    points: &[PointFacts],
    counting: &[usize],
) -> Vec<usize> {
    let mut keys: Vec<K> = counting.iter().map(|index| key(*index)).collect();
    keys.sort();
    keys.reverse();
    keys.dedup();
    best_of_each(&keys, count, key, points, counting)
}

fn best_of_each<K: PartialEq>(
    keys: &[K],
    count: u32,
    key: impl Fn(usize) -> K,
    points: &[PointFacts],
    counting: &[usize],
) -> Vec<usize> {
    let mut kept = Vec::new();
    for wanted in keys.iter().take(count as usize) {
        let inside: Vec<usize> = counting
            .iter()
            .copied()
            .filter(|index| key(*index) == *wanted)
            .collect();
        let best = |index: &usize| {
            !inside
                .iter()
                .any(|other| better(&points[*other], &points[*index]))
        };
        kept.extend(inside.iter().copied().filter(best));
    }
    kept
}

#[test]
fn the_oracle_knows_iso_weeks() {
    let monday = Date::constant(2026, 12, 28).iso_week_date();
    assert_eq!(
        (monday.year(), monday.week(), monday.weekday()),
        (2026, 53, Weekday::Monday)
    );
    assert_eq!(Date::constant(2027, 1, 3).iso_week_date().year(), 2026);
}
