use super::scene::{ROME, completed, decide, kept, moment, younger_than};
use crate::retention::{PointFacts, Standing, Verdict};
use crate::retention_rule::RetentionRule;
use jiff::{SignedDuration, ToSpan, civil::date};
use rstest::rstest;

#[test]
fn newest_keeps_that_many_whatever_the_gaps_and_the_order() {
    let moments = [
        "2026-11-01T02:00",
        "2026-11-24T02:00",
        "2025-01-01T02:00",
        "2026-11-23T02:00",
    ];
    assert_eq!(
        kept(
            "UTC",
            &RetentionRule::Newest { count: 3 },
            &moments,
            "2026-11-24T09:00"
        ),
        ["2026-11-01T02:00", "2026-11-24T02:00", "2026-11-23T02:00"]
    );
}

#[test]
fn newest_prefers_completed_to_partial_at_the_same_moment() {
    let moments = ["~2026-11-24T02:00", "2026-11-24T02:00"];
    assert_eq!(
        kept(
            "UTC",
            &RetentionRule::Newest { count: 1 },
            &moments,
            "2026-11-24T09:00"
        ),
        ["2026-11-24T02:00"]
    );
}

#[test]
fn points_that_are_equal_in_everything_stay_together() {
    let moments = ["2026-11-24T02:00", "2026-11-24T02:00", "2026-11-23T02:00"];
    assert_eq!(
        kept(
            "UTC",
            &RetentionRule::Newest { count: 1 },
            &moments,
            "2026-11-24T09:00"
        ),
        ["2026-11-24T02:00", "2026-11-24T02:00"]
    );
    assert_eq!(
        kept(
            "UTC",
            &RetentionRule::Daily { count: 1 },
            &moments,
            "2026-11-24T09:00"
        ),
        ["2026-11-24T02:00", "2026-11-24T02:00"]
    );
}

#[test]
fn of_equal_moments_and_standings_the_one_that_ended_last_is_the_newer() {
    let first = completed(moment("UTC", "2026-11-24T02:00"));
    let second = PointFacts {
        ended_at: Some(moment("UTC", "2026-11-24T02:30")),
        ..first
    };
    let verdicts = decide(
        "UTC",
        &[RetentionRule::Newest { count: 1 }],
        &[first, second],
        "2026-11-25T02:00",
    );
    assert_eq!(
        verdicts.iter().map(Verdict::keeps).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn points_of_the_future_count_as_the_newest() {
    let moments = ["2026-11-24T02:00", "2026-11-25T02:00"];
    assert_eq!(
        kept(
            "UTC",
            &RetentionRule::Newest { count: 1 },
            &moments,
            "2026-11-25T09:00"
        ),
        ["2026-11-25T02:00"]
    );
}

#[rstest]
#[case::ended_without_a_good_backup(Standing::Empty, true, false)]
#[case::at_work(Standing::Completed, false, true)]
#[case::empty_and_at_work(Standing::Empty, false, true)]
fn what_does_not_count_takes_no_place_in_history(
    #[case] standing: Standing,
    #[case] ended: bool,
    #[case] stays: bool,
) {
    let good = completed(moment("UTC", "2026-11-23T02:00"));
    let newer = completed(moment("UTC", "2026-11-24T02:00"));
    let newer = PointFacts {
        standing,
        ended_at: newer.ended_at.filter(|_| ended),
        ..newer
    };
    for rule in [
        RetentionRule::Newest { count: 1 },
        RetentionRule::Yearly { count: 1 },
    ] {
        let verdicts = decide("UTC", &[rule], &[good, newer], "2026-11-24T09:00");
        assert!(
            verdicts[0].keeps(),
            "the good one is the newest of those that count"
        );
        assert_eq!(verdicts[1].keeps(), stays);
        assert_eq!(verdicts[1].rules().count(), 0);
    }
}

#[rstest]
#[case::thirty_days("P30D", "2026-11-24T09:00", &["2026-10-25T09:00:00.000000001"])]
#[case::hours_are_hours_over_a_time_change("PT24H", "2026-10-25T12:00", &["2026-10-24T13:00:01", "2026-10-24T15:00"])]
#[case::days_are_days_over_a_time_change("P1D", "2026-10-25T12:00", &["2026-10-24T12:00:01", "2026-10-24T13:00:01", "2026-10-24T15:00"])]
#[case::a_month_from_its_end("P1M", "2026-03-31T00:00", &["2026-02-28T00:00:01", "2026-02-28T12:00"])]
#[case::a_year_from_a_leap_day("P1Y", "2028-02-29T00:00", &["2027-02-28T00:00:01"])]
fn younger_than_counts_in_the_calendar_of_the_zone(
    #[case] age: &str,
    #[case] now: &str,
    #[case] stay: &[&str],
) {
    let too_old = match age {
        "P30D" => "2026-10-25T09:00",
        "PT24H" => "2026-10-24T13:00",
        "P1D" => "2026-10-24T12:00",
        "P1M" => "2026-02-28T00:00",
        _ => "2027-02-28T00:00",
    };
    let moments: Vec<&str> = std::iter::once(too_old).chain(stay.iter().copied()).collect();
    assert_eq!(kept(ROME, &younger_than(age), &moments, now), stay);
}

#[test]
fn every_rule_keeps_for_itself_and_says_so() {
    let points: Vec<PointFacts> = (0..10)
        .map(|n| completed(moment("UTC", "2026-11-24T02:00") - SignedDuration::from_hours(24 * n)))
        .collect();
    let rules = [
        RetentionRule::Newest { count: 1 },
        younger_than("P2D"),
        RetentionRule::Weekly { count: 2 },
    ];
    let verdicts = decide("UTC", &rules, &points, "2026-11-24T09:00");
    let rules: Vec<Vec<usize>> = verdicts.iter().map(|verdict| verdict.rules().collect()).collect();
    assert_eq!(rules[0], [0, 1, 2]);
    assert_eq!(rules[1], [1]);
    // 2026-11-22 is a Sunday, 2 days and 7 hours ago.
    assert_eq!(rules[2], [2]);
    assert!(rules[3..].iter().all(Vec::is_empty));
}

/// A year of nightly points under 7 daily, 4 weekly and 12 monthly: the classic.
#[test]
fn a_year_of_nights_leaves_days_weeks_and_months() {
    let tonight = date(2026, 11, 24).at(2, 0, 0, 0);
    let points: Vec<PointFacts> = (0..365)
        .map(|n| completed((tonight - n.days()).in_tz(ROME).unwrap().timestamp()))
        .collect();
    let rules = [
        RetentionRule::Daily { count: 7 },
        RetentionRule::Weekly { count: 4 },
        RetentionRule::Monthly { count: 12 },
    ];
    let verdicts = decide(ROME, &rules, &points, "2026-11-24T09:00");
    let kept: Vec<String> = points
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| verdict.keeps())
        .map(|(point, _)| point.moment.in_tz(ROME).unwrap().date().to_string())
        .collect();
    let wanted = [
        "2026-11-24",
        "2026-11-23",
        "2026-11-22",
        "2026-11-21",
        "2026-11-20",
        "2026-11-19",
        "2026-11-18",
        "2026-11-15",
        "2026-11-08",
        "2026-10-31",
        "2026-09-30",
        "2026-08-31",
        "2026-07-31",
        "2026-06-30",
        "2026-05-31",
        "2026-04-30",
        "2026-03-31",
        "2026-02-28",
        "2026-01-31",
        "2025-12-31",
    ];
    assert_eq!(kept, wanted);
}
