//! Made-up histories: few points, crowded where calendars are difficult.

use crate::retention::{PointFacts, Protections, RetentionInput, Standing};
use crate::retention_rule::RetentionRule;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::prelude::*;
use std::collections::HashSet;

/// Whole hours and half hours, a skipped day, quarter hours, and clocks set back over midnight.
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Rome",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
];

/// Moments, in the zone's own time, around which it is worth looking.
const ANCHORS: [&str; 16] = [
    "2026-03-29T02:00",
    "2026-10-25T02:30",
    "2026-03-08T02:00",
    "2026-11-01T01:30",
    "2026-04-05T01:45",
    "2026-10-04T02:15",
    "2011-12-30T00:00",
    "2010-11-07T00:00",
    "2018-02-17T23:30",
    "2018-11-04T00:30",
    "2026-12-31T23:30",
    "2027-01-03T23:59:59",
    "2020-12-31T23:59:59",
    "2024-02-29T12:00",
    "2026-03-31T00:00",
    "1969-12-31T23:00",
];

const AGES: [&str; 9] = [
    "PT1S", "PT36H", "P1D", "P1DT12H", "P7D", "P1M", "P1M2D", "P1Y", "P100Y",
];

const PACES: [i64; 12] = [
    0, 1, 900, 1_800, 3_600, 21_600, 86_400, 90_000, 604_800, 2_592_000, 2_678_400, 31_557_600,
];

/// Everything of a [`RetentionInput`], owned, and the moment to decide at.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) rules: Vec<RetentionRule>,
    pub(super) zone: TimeZone,
    pub(super) points: Vec<PointFacts>,
    pub(super) resource_sets: Vec<Vec<u32>>,
    pub(super) expirable: HashSet<u32>,
    pub(super) safety_age: SignedDuration,
    pub(super) now: Timestamp,
}

impl Case {
    pub(super) fn input(&self) -> RetentionInput<'_> {
        RetentionInput {
            rules: &self.rules,
            zone: &self.zone,
            points: &self.points,
            resource_sets: &self.resource_sets,
            expirable: &self.expirable,
            safety_age: self.safety_age,
        }
    }
}

/// A point's place, before the case says when and where.
#[derive(Debug, Clone)]
struct Sketch {
    steps: i64,
    jitter: i64,
    ended_after: Option<i64>,
    standing: Standing,
    set: prop::sample::Index,
    found: Protections,
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    (
        (0..ZONES.len(), 0..ANCHORS.len(), 0..PACES.len()),
        (-3_i64..20, jitter()),
        prop::collection::vec(rule(), 1..=5),
        prop::collection::vec(sketch(), 0..=40),
        prop::collection::vec(prop::collection::vec(0_u32..6, 0..4), 1..5),
        prop::collection::hash_set(0_u32..6, 0..3),
        prop::sample::select(vec![0_i64, 0, 1, 3_600, 86_400]),
    )
        .prop_map(
            |((zone, anchor, pace), (steps, jitter), rules, sketches, resource_sets, expirable, safety)| {
                let zone = TimeZone::get(ZONES[zone]).unwrap();
                let anchor: DateTime = ANCHORS[anchor].parse().unwrap();
                let anchor = anchor.to_zoned_datetime(zone.clone()).unwrap().timestamp();
                let pace = PACES[pace];
                let at = |steps: i64, jitter: i64| {
                    let away = SignedDuration::from_secs(steps * pace) + SignedDuration::from_nanos(jitter);
                    anchor.checked_add(away).unwrap()
                };
                let points = sketches
                    .into_iter()
                    .map(|sketch| {
                        let moment = at(sketch.steps, sketch.jitter);
                        let later = |seconds| moment.checked_add(SignedDuration::from_secs(seconds)).unwrap();
                        PointFacts {
                            moment,
                            ended_at: sketch.ended_after.map(later),
                            standing: sketch.standing,
                            resources: u32::try_from(sketch.set.index(resource_sets.len())).unwrap(),
                            found: sketch.found,
                        }
                    })
                    .collect();
                Case {
                    rules,
                    points,
                    expirable,
                    safety_age: SignedDuration::from_secs(safety),
                    now: at(steps, jitter),
                    zone,
                    resource_sets,
                }
            },
        )
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let ended_after = prop::sample::select(vec![
        None,
        Some(0),
        Some(0),
        Some(1),
        Some(600),
        Some(600),
        Some(600),
        Some(40_000),
    ]);
    let standing = prop::sample::select(vec![
        Standing::Completed,
        Standing::Completed,
        Standing::Completed,
        Standing::Partial,
        Standing::Partial,
        Standing::Empty,
    ]);
    (
        -20_i64..20,
        jitter(),
        ended_after,
        standing,
        any::<prop::sample::Index>(),
        found(),
    )
        .prop_map(|(steps, jitter, ended_after, standing, set, found)| Sketch {
            steps,
            jitter,
            ended_after,
            standing,
            set,
            found,
        })
}

/// Mostly none, so that many points meet, else around a second, a quarter of an hour or some hours.
fn jitter() -> impl Strategy<Value = i64> {
    const SECOND: i64 = 1_000_000_000;
    prop_oneof![
        4 => Just(0),
        1 => -2_i64..=2,
        1 => (-8_i64..=8).prop_map(|quarters| quarters * 900 * SECOND),
        1 => -SECOND * 100_000..SECOND * 100_000,
    ]
}

fn found() -> impl Strategy<Value = Protections> {
    let some = prop::sample::select(vec![
        Protections::IMAGE_IN_USE,
        Protections::LOCK,
        Protections::AT_WORK,
        Protections::CBT_BASE,
        Protections::HOLD,
        Protections::INCOMPLETE_LISTING,
    ]);
    prop_oneof![9 => Just(Protections::NONE), 1 => some]
}

pub(super) fn rule() -> impl Strategy<Value = RetentionRule> {
    (
        0..7,
        prop_oneof![8 => 1_u32..6, 1 => Just(10_000)],
        prop::sample::select(AGES.to_vec()),
    )
        .prop_map(|(kind, count, age)| match kind {
            0 => RetentionRule::Newest { count },
            1 => RetentionRule::Hourly { count },
            2 => RetentionRule::Daily { count },
            3 => RetentionRule::Weekly { count },
            4 => RetentionRule::Monthly { count },
            5 => RetentionRule::Yearly { count },
            _ => RetentionRule::YoungerThan { age: age.to_owned() },
        })
}

/// How many cases to try: 20,000, or what the environment says.
pub(super) fn count() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests themselves")]
    let wanted = std::env::var("HOLDFAST_RETENTION_CASES");
    wanted.map_or(20_000, |wanted| {
        wanted
            .parse()
            .expect("HOLDFAST_RETENTION_CASES is a whole number")
    })
}

/// Tries `test` on so many cases.
pub(super) fn try_cases<S: Strategy>(
    count: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    if let Err(error) = runner.run(strategy, test) {
        panic!("{error}");
    }
}
