use super::scene::{ROME, completed, decide, moment, younger_than};
use crate::retention::{PointFacts, Verdict};
use crate::retention_rule::RetentionRule;
use jiff::{ToSpan, civil::date};
use rstest::rstest;

/// Points at 2:00 of each of the last nights up to 2026-11-24, newest first.
fn nights(count: i32) -> Vec<PointFacts> {
    let tonight = date(2026, 11, 24).at(2, 0, 0, 0);
    (0..count)
        .map(|n| completed((tonight - n.days()).in_tz(ROME).unwrap().timestamp()))
        .collect()
}

fn goes(rules: &[RetentionRule], points: &[PointFacts], now: &str) -> Vec<Option<String>> {
    decide(ROME, rules, points, now)
        .iter()
        .map(Verdict::goes_at)
        .map(|goes_at| {
            goes_at.map(|goes_at| {
                goes_at
                    .in_tz(ROME)
                    .unwrap()
                    .strftime("%Y-%m-%dT%H:%M")
                    .to_string()
            })
        })
        .collect()
}

#[rstest]
#[case::newest(RetentionRule::Newest { count: 3 }, ["2026-11-27T02:00", "2026-11-26T02:00", "2026-11-25T02:00"])]
#[case::daily(RetentionRule::Daily { count: 3 }, ["2026-11-27T00:00", "2026-11-26T00:00", "2026-11-25T00:00"])]
#[case::younger_than(younger_than("P3D"), ["2026-11-27T02:00", "2026-11-26T02:00", "2026-11-25T02:00"])]
fn each_rule_lets_go_one_after_the_other(#[case] rule: RetentionRule, #[case] ends: [&str; 3]) {
    let goes = goes(&[rule], &nights(4), "2026-11-24T09:00");
    assert_eq!(goes[..3], ends.map(|end| Some(end.to_owned())));
    assert_eq!(goes[3].as_deref(), Some("2026-11-24T09:00"), "it may go now");
}

#[rstest]
#[case::hourly(RetentionRule::Hourly { count: 2 }, "2026-11-24T11:00")]
#[case::weekly(RetentionRule::Weekly { count: 2 }, "2026-12-07T00:00")]
#[case::monthly(RetentionRule::Monthly { count: 2 }, "2027-01-01T00:00")]
#[case::yearly(RetentionRule::Yearly { count: 2 }, "2028-01-01T00:00")]
fn the_newest_bucket_goes_when_as_many_have_begun_after_it(#[case] rule: RetentionRule, #[case] end: &str) {
    let now = "2026-11-24T09:30";
    let goes = goes(&[rule], &[completed(moment(ROME, "2026-11-24T09:10"))], now);
    assert_eq!(goes[0].as_deref(), Some(end));
}

#[test]
fn the_latest_rule_decides() {
    let rules = [
        RetentionRule::Daily { count: 1 },
        younger_than("P30D"),
        RetentionRule::Newest { count: 2 },
    ];
    assert_eq!(
        goes(&rules, &nights(4), "2026-11-24T09:00")[0].as_deref(),
        Some("2026-12-24T02:00")
    );
}

#[test]
fn a_plan_that_paused_holds_its_points_until_the_next_can_come() {
    let daily = [RetentionRule::Daily { count: 2 }];
    let newest = [RetentionRule::Newest { count: 2 }];
    let ends = |rules| goes(rules, &nights(2), "2026-12-10T09:00");
    assert_eq!(
        ends(&daily),
        [
            Some("2026-12-11T00:00".to_owned()),
            Some("2026-12-10T09:00".to_owned())
        ]
    );
    assert_eq!(
        ends(&newest),
        [
            Some("2026-12-11T09:00".to_owned()),
            Some("2026-12-10T09:00".to_owned())
        ]
    );
}

#[test]
fn a_single_point_has_no_rhythm() {
    assert_eq!(
        goes(
            &[RetentionRule::Newest { count: 2 }],
            &nights(1),
            "2026-11-24T09:00"
        ),
        [None]
    );
}

#[test]
fn an_end_beyond_all_calendars_is_not_told() {
    assert_eq!(
        goes(
            &[RetentionRule::Yearly { count: 10_000 }],
            &nights(1),
            "2026-11-24T09:00"
        ),
        [None]
    );
}
