use super::*;
use crate::ids::{InstanceId, Occasion, PlanId, derive_run_ids};
use crate::recovery_point::{Hold, Retirement};
use crate::retention::{Protections, Standing};
use crate::retention_rule::RetentionRule;
use jiff::tz::TimeZone;
use rstest::rstest;
use std::collections::{BTreeMap, HashSet};

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn instance(n: u32) -> InstanceId {
    InstanceId::try_from(format!("i-{n:017x}")).unwrap()
}

/// One point a day, the newest ten hours ago, each with these instances; the newest `1` is kept by rule.
fn history(points: &[(Standing, &[u32])]) -> PlanHistory {
    let plan_id = PlanId::try_from("nightly").unwrap();
    let mut sets = ResourceSets::default();
    let points = (0..)
        .zip(points)
        .map(|(days, (standing, instances))| {
            let moment = now() - SignedDuration::from_hours(10 + 24 * days);
            let (job_id, recovery_point_id) = derive_run_ids(&plan_id, &Occasion::Slot(moment));
            KnownPoint {
                recovery_point_id,
                job_id,
                moment,
                ended_at: Some(moment),
                standing: *standing,
                resources: sets.add(instances.iter().copied().map(instance)),
                incomplete: false,
                hold: None,
                cbt_base: false,
                reading_until: None,
                retirement: None,
                aside: Protections::NONE,
                archive: None,
                leftovers: Vec::new(),
            }
        })
        .collect();
    PlanHistory {
        plan_id,
        rules: vec![RetentionRule::Newest { count: 1 }],
        zone: TimeZone::UTC,
        expire_gone_resources: false,
        safety_age: SAFETY_AGE,
        points,
        sets,
        unreadable: 0,
    }
}

fn whole(instances: &[u32]) -> (Standing, &[u32]) {
    (Standing::Completed, instances)
}

fn going(history: &PlanHistory, findings: &Findings) -> Vec<usize> {
    decide_points(history, findings, now()).unwrap().going().collect()
}

#[test]
fn what_goes_is_told_oldest_first() {
    let history = history(&[whole(&[1]), whole(&[1]), (Standing::Empty, &[]), whole(&[1])]);
    assert_eq!(going(&history, &Findings::default()), [3, 2, 1]);
    let decided = decide_points(&history, &Findings::default(), now()).unwrap();
    assert_eq!(decided.staying().collect::<Vec<_>>(), [0]);
    assert_eq!(decided.row(2).unwrap().reasons, [GOES_EMPTY]);
    assert_eq!(
        decided.row(3).unwrap().reasons,
        ["no rule keeps it (the newest point), and nothing protects it"]
    );
}

#[test]
fn what_was_looked_up_protects() {
    let history = history(&[whole(&[1]), whole(&[1]), whole(&[1])]);
    let mut findings = Findings::default();
    findings.protections.insert(1, Protections::LOCK);
    assert_eq!(going(&history, &findings), [2]);
    let decided = decide_points(&history, &findings, now()).unwrap();
    assert_eq!(decided.row(1).unwrap().reasons, ["a snapshot is locked"]);
}

#[test]
fn a_record_protects_its_own_point() {
    let mut history = history(&[whole(&[1]), whole(&[1]), whole(&[1]), whole(&[1])]);
    history.points[1].hold = Some(Hold {
        reason: "audit".to_owned(),
        since: now(),
    });
    history.points[2].cbt_base = true;
    history.points[3].incomplete = true;
    assert_eq!(going(&history, &Findings::default()), [0; 0]);
}

#[test]
fn a_point_on_its_way_out_is_no_history() {
    let mut history = history(&[whole(&[1]), whole(&[1])]);
    history.points[0].retirement = Some(Retirement {
        decided_at: now(),
        reasons: vec!["no rule".to_owned()],
        deferred: BTreeMap::new(),
        ended_at: None,
    });
    assert_eq!(
        going(&history, &Findings::default()),
        [0; 0],
        "the other one is the newest now"
    );
    let decided = decide_points(&history, &Findings::default(), now()).unwrap();
    let row = decided.row(0).unwrap();
    assert!(!row.keep);
    assert_eq!(
        row.reasons,
        ["no rule", "being deleted since 2026-11-24T12:00:00Z"]
    );
    assert!(decided.verdict(0).is_none());
}

#[test]
fn resources_are_named_whose_last_good_backup_is_kept() {
    let history = history(&[whole(&[1]), whole(&[1, 2, 3, 4, 5, 6]), whole(&[2])]);
    let decided = decide_points(&history, &Findings::default(), now()).unwrap();
    assert_eq!(
        decided.row(1).unwrap().reasons,
        [format!(
            "last good backup of {}, {}, {} and 2 more",
            instance(2),
            instance(3),
            instance(4)
        )]
    );
    let elsewhere = decided.last_elsewhere();
    let named: Vec<_> = elsewhere.iter().map(|last| last.resource.clone()).collect();
    assert_eq!(named, (2..=6).map(instance).collect::<Vec<_>>());
    assert!(
        elsewhere
            .iter()
            .all(|last| last.point.moment == history.points[1].moment)
    );
}

#[test]
fn the_last_backup_of_an_expirable_resource_goes_by_the_rules() {
    let history = history(&[whole(&[1]), whole(&[2])]);
    let number = decide_points(&history, &Findings::default(), now())
        .unwrap()
        .last_elsewhere()[0]
        .number;
    let findings = Findings {
        expirable: HashSet::from([number]),
        ..Findings::default()
    };
    assert_eq!(going(&history, &Findings::default()), [0; 0]);
    assert_eq!(going(&history, &findings), [1]);
}

#[test]
fn the_newest_point_is_whole_only_with_every_backup() {
    let is_whole = |points: &[(Standing, &[u32])]| {
        let history = history(points);
        let decided = decide_points(&history, &Findings::default(), now()).unwrap();
        decided.is_newest_whole()
    };
    assert!(is_whole(&[whole(&[1])]));
    assert!(is_whole(&[(Standing::Empty, &[]), whole(&[1])]));
    assert!(!is_whole(&[(Standing::Partial, &[1]), whole(&[1])]));
    assert!(!is_whole(&[]));
}

#[test]
fn without_rules_nothing_is_decided() {
    let mut history = history(&[whole(&[1])]);
    history.rules.clear();
    let refused = decide_points(&history, &Findings::default(), now()).unwrap_err();
    assert!(refused.to_string().contains("no retention rule"), "{refused}");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!(shorten("short", 5), "short");
    assert_eq!(shorten("äöüß€", 4), "äöü…");
}

#[rstest]
#[case::nothing_asked(0, 700)]
#[case::a_few(10, 2_500)]
#[case::a_full_burst(100, 20_500)]
#[case::never_longer_than_a_full_one(5_000, 20_500)]
fn waits_as_long_as_the_bucket_takes(#[case] calls: usize, #[case] milliseconds: i64) {
    assert_eq!(
        refilled_at(calls, now()),
        later(now(), SignedDuration::from_millis(milliseconds))
    );
}

#[test]
fn a_replica_that_stands_aside_stays_and_pushes_nothing_out() {
    let mut history = history(&[whole(&[1]), whole(&[1]), whole(&[1])]);
    history.points[0].aside = Protections::MINIMUM_AGE;
    let decided = decide_points(&history, &Findings::default(), now()).unwrap();
    assert_eq!(
        decided.staying().collect::<Vec<_>>(),
        [0, 1],
        "the newest counts for nothing, so the next one stays"
    );
    let row = decided.row(0).unwrap();
    assert!(
        row.reasons.iter().any(|reason| reason.contains("minimum age")),
        "{:?}",
        row.reasons
    );
}
