use super::scene::{completed, moment, partial};
use crate::retention::{
    PointFacts, Protections, RetentionInput, Standing, Verdict, decide_retention, last_good, reasons,
};
use crate::retention_rule::RetentionRule;
use jiff::{SignedDuration, tz::TimeZone};
use rstest::rstest;
use std::collections::HashSet;

const RULES: [RetentionRule; 1] = [RetentionRule::Newest { count: 1 }];
const ZONE: &TimeZone = &TimeZone::UTC;

fn input<'a>(
    points: &'a [PointFacts],
    resource_sets: &'a [Vec<u32>],
    expirable: &'a HashSet<u32>,
) -> RetentionInput<'a> {
    RetentionInput {
        rules: &RULES,
        zone: ZONE,
        points,
        resource_sets,
        expirable,
        safety_age: SignedDuration::from_hours(1),
    }
}

fn decide(input: &RetentionInput<'_>) -> Vec<Verdict> {
    decide_retention(input, moment("UTC", "2026-11-24T09:00")).unwrap()
}

fn of(day: &str, resources: u32) -> PointFacts {
    PointFacts {
        resources,
        ..completed(moment("UTC", day))
    }
}

#[test]
fn the_last_good_backup_of_each_resource_stays_however_old() {
    let points = [
        of("2020-01-01T02:00", 1),
        of("2021-01-01T02:00", 1),
        of("2026-11-23T02:00", 0),
        of("2026-11-24T02:00", 0),
    ];
    let (sets, expirable) = ([vec![7], vec![7, 9]], HashSet::new());
    let input = input(&points, &sets, &expirable);
    let protections: Vec<Protections> = decide(&input).iter().map(Verdict::protections).collect();
    assert_eq!(
        protections,
        [
            Protections::NONE,
            Protections::LAST_GOOD,
            Protections::NONE,
            Protections::LAST_GOOD
        ]
    );
    let last = last_good(&input).unwrap();
    let resources: Vec<Vec<u32>> = (0..points.len()).map(|point| last.of(point).collect()).collect();
    assert_eq!(resources, [vec![], vec![9], vec![], vec![7]]);
}

#[test]
fn the_last_good_backup_of_an_expirable_resource_may_go() {
    let points = [of("2020-01-01T02:00", 1), of("2026-11-24T02:00", 0)];
    let (sets, expirable) = ([vec![7], vec![9]], HashSet::from([9]));
    let input = input(&points, &sets, &expirable);
    assert!(!decide(&input)[0].keeps());
    assert_eq!(last_good(&input).unwrap().of(0).count(), 0);
}

#[test]
fn a_newer_point_that_does_not_count_takes_no_last_good_backup_over() {
    let at_work = PointFacts {
        ended_at: None,
        ..of("2026-11-24T02:00", 0)
    };
    let empty = PointFacts {
        standing: Standing::Empty,
        ..of("2026-11-24T03:00", 0)
    };
    let newest = of("2026-11-24T01:00", 1);
    let points = [of("2020-01-01T02:00", 0), at_work, empty, newest];
    let (sets, expirable) = ([vec![7], vec![9]], HashSet::new());
    assert_eq!(
        decide(&input(&points, &sets, &expirable))[0].protections(),
        Protections::LAST_GOOD
    );
}

#[test]
fn a_good_backup_in_a_partial_point_is_a_last_good_backup() {
    let old = PointFacts {
        resources: 1,
        ..partial(moment("UTC", "2020-01-01T02:00"))
    };
    let points = [old, of("2026-11-24T02:00", 0)];
    let (sets, expirable) = ([vec![7], vec![9]], HashSet::new());
    assert!(decide(&input(&points, &sets, &expirable))[0].keeps());
}

#[rstest]
#[case(Protections::IMAGE_IN_USE)]
#[case(Protections::LOCK)]
#[case(Protections::AT_WORK)]
#[case(Protections::CBT_BASE)]
#[case(Protections::HOLD)]
#[case(Protections::INCOMPLETE_LISTING)]
fn whatever_protection_was_found_keeps_even_an_empty_point(#[case] found: Protections) {
    let protected = PointFacts {
        standing: Standing::Empty,
        found,
        ..of("2020-01-01T02:00", 0)
    };
    let points = [protected, of("2026-11-24T02:00", 0)];
    let (sets, expirable) = ([vec![7]], HashSet::new());
    let verdict = decide(&input(&points, &sets, &expirable))[0];
    assert!(verdict.keeps());
    assert_eq!((verdict.protections(), verdict.goes_at()), (found, None));
}

#[rstest]
#[case::moment("2026-11-24T08:00:01", 0, true)]
#[case::end("2026-11-24T02:00", 6 * 3_600 + 1, true)]
#[case::exactly_as_old("2026-11-24T02:00", 6 * 3_600, false)]
#[case::future("2027-01-01T00:00", 0, true)]
fn the_safety_age_counts_from_the_moment_and_from_the_end(
    #[case] at: &str,
    #[case] took: i64,
    #[case] stays: bool,
) {
    let started = moment("UTC", at);
    let empty = PointFacts {
        standing: Standing::Empty,
        ended_at: Some(started + SignedDuration::from_secs(took)),
        ..completed(started)
    };
    let points = [empty];
    let (sets, expirable) = ([vec![]], HashSet::new());
    let verdict = decide(&input(&points, &sets, &expirable))[0];
    assert_eq!(verdict.keeps(), stays);
    assert_eq!(verdict.protections().contains(Protections::SAFETY_AGE), stays);
}

#[test]
fn a_point_at_work_says_so_and_not_when_it_goes() {
    let points = [PointFacts {
        ended_at: None,
        ..of("2026-11-24T08:30", 0)
    }];
    let (sets, expirable) = ([vec![7]], HashSet::new());
    let verdict = decide(&input(&points, &sets, &expirable))[0];
    assert!(verdict.protections().contains(Protections::AT_WORK));
    assert_eq!(verdict.goes_at(), None);
}

#[test]
fn every_reason_is_said_in_words() {
    let rules = [
        RetentionRule::Newest { count: 7 },
        RetentionRule::Hourly { count: 24 },
        RetentionRule::Daily { count: 7 },
        RetentionRule::Weekly { count: 4 },
        RetentionRule::YoungerThan {
            age: "P30D".to_owned(),
        },
    ];
    let held = PointFacts {
        found: Protections::HOLD.union(Protections::LOCK),
        ..of("2026-11-24T02:30", 0)
    };
    let points = [held];
    let (sets, expirable) = ([vec![7]], HashSet::new());
    let input = RetentionInput {
        rules: &rules,
        zone: &TimeZone::get("Europe/Rome").unwrap(),
        ..input(&points, &sets, &expirable)
    };
    assert_eq!(
        reasons(&input, &points[0], &decide(&input)[0]),
        [
            "among the newest 7 points",
            "best of hour 2026-11-24T03+01 (one point an hour for 24 hours)",
            "best of day 2026-11-24 (one point a day for 7 days)",
            "best of week 2026-W48 (one point a week for 4 weeks)",
            "among everything younger than P30D",
            "last good backup of a resource",
            "a snapshot is locked",
            "held",
        ]
    );
}

#[test]
fn a_set_of_protections_is_what_was_put_in() {
    let set: Protections = [Protections::HOLD, Protections::LOCK].into_iter().collect();
    assert!(set.contains(Protections::HOLD) && !set.contains(Protections::AT_WORK));
    assert_eq!(
        set.iter().collect::<Vec<_>>(),
        [Protections::LOCK, Protections::HOLD]
    );
    assert_eq!(set.to_string(), "a snapshot is locked, held");
    assert!(Protections::default().is_empty());
}
