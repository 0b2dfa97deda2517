use super::scene::{completed, moment, younger_than};
use crate::retention::{CannotDecide, PointFacts, RetentionInput, decide_retention, last_good};
use crate::retention_rule::RetentionRule;
use jiff::{SignedDuration, tz::TimeZone};
use rstest::rstest;
use std::collections::HashSet;

fn refused(
    rules: &[RetentionRule],
    points: &[PointFacts],
    safety_age: SignedDuration,
    now: &str,
) -> CannotDecide {
    let input = RetentionInput {
        rules,
        zone: &TimeZone::UTC,
        points,
        resource_sets: &[vec![0]],
        expirable: &HashSet::new(),
        safety_age,
    };
    decide_retention(&input, moment("UTC", now)).unwrap_err()
}

#[rstest]
#[case::no_rule(&[], "rules")]
#[case::six_rules(&[const { RetentionRule::Newest { count: 1 } }; 6], "rules")]
#[case::keeps_nothing(&[RetentionRule::Daily { count: 0 }], "rules[0].count")]
#[case::too_many(&[RetentionRule::Daily { count: 10_001 }], "rules[0].count")]
#[case::no_age(&[RetentionRule::Newest { count: 1 }, younger_than("30 days")], "rules[1].age")]
#[case::age_of_nothing(&[younger_than("PT0S")], "rules[0].age")]
fn rules_that_cannot_be_taken_delete_nothing(#[case] rules: &[RetentionRule], #[case] field: &str) {
    let points = [completed(moment("UTC", "2020-01-01T00:00"))];
    let refused = refused(rules, &points, SignedDuration::ZERO, "2026-11-24T09:00");
    assert_eq!(refused.problems[0].field, field);
    assert!(refused.to_string().contains(field));
}

#[test]
fn an_age_before_all_time_is_refused() {
    let refused = refused(
        &[younger_than("P1Y")],
        &[],
        SignedDuration::ZERO,
        "-009999-06-01T00:00:00Z",
    );
    assert_eq!(refused.problems[0].field, "rules[0].age");
}

#[test]
fn a_point_of_an_unknown_set_of_resources_is_refused() {
    let good = completed(moment("UTC", "2020-01-01T00:00"));
    let lost = PointFacts { resources: 1, ..good };
    let rules = [RetentionRule::Newest { count: 1 }];
    let refused = refused(&rules, &[good, lost], SignedDuration::ZERO, "2026-11-24T09:00");
    assert_eq!(refused.problems[0].field, "points[1].resources");
}

#[test]
fn a_negative_safety_age_is_refused() {
    let rules = [RetentionRule::Newest { count: 1 }];
    let refused = refused(&rules, &[], SignedDuration::from_secs(-1), "2026-11-24T09:00");
    assert_eq!(refused.problems[0].field, "safety_age");
}

#[test]
fn no_points_need_no_decision_and_no_protection() {
    let input = RetentionInput {
        rules: &[RetentionRule::Newest { count: 1 }],
        zone: &TimeZone::UTC,
        points: &[],
        resource_sets: &[],
        expirable: &HashSet::new(),
        safety_age: SignedDuration::ZERO,
    };
    assert!(
        decide_retention(&input, moment("UTC", "2026-11-24T09:00"))
            .unwrap()
            .is_empty()
    );
    assert_eq!(last_good(&input).unwrap().of(0).count(), 0);
}
