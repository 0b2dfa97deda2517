use super::scene::{ROME, completed, kept, moment};
use crate::retention::{RetentionInput, decide_retention};
use crate::retention_rule::RetentionRule;
use jiff::{SignedDuration, tz::TimeZone};
use rstest::rstest;
use std::collections::HashSet;

const fn hourly(count: u32) -> RetentionRule {
    RetentionRule::Hourly { count }
}
const fn daily(count: u32) -> RetentionRule {
    RetentionRule::Daily { count }
}
const fn weekly(count: u32) -> RetentionRule {
    RetentionRule::Weekly { count }
}
const fn monthly(count: u32) -> RetentionRule {
    RetentionRule::Monthly { count }
}
const fn yearly(count: u32) -> RetentionRule {
    RetentionRule::Yearly { count }
}

#[rstest]
#[case::keeps_newest_daily_when_two_share_a_day(
    ROME, daily(2), &["2026-11-23T02:00", "2026-11-24T02:00", "2026-11-24T14:00"],
    &["2026-11-23T02:00", "2026-11-24T14:00"])]
#[case::days_without_points_are_no_days(
    ROME, daily(2), &["2026-01-01T02:00", "2026-06-01T02:00", "2026-11-24T02:00"],
    &["2026-06-01T02:00", "2026-11-24T02:00"])]
#[case::keeps_partial_only_in_a_day_without_completed(
    ROME, daily(2), &["2026-11-23T02:00", "~2026-11-23T14:00", "~2026-11-24T02:00", "~2026-11-24T14:00"],
    &["2026-11-23T02:00", "~2026-11-24T14:00"])]
#[case::a_day_begins_at_midnight_of_the_zone(
    ROME, daily(1), &["2026-11-23T22:59:59Z", "2026-11-23T23:00:00Z"], &["2026-11-23T23:00:00Z"])]
#[case::a_nanosecond_before_midnight_is_the_day_before(
    ROME, daily(2), &["2026-11-23T23:59:59.999999999", "2026-11-24T00:00"],
    &["2026-11-23T23:59:59.999999999", "2026-11-24T00:00"])]
#[case::a_nanosecond_before_1970_is_the_year_before(
    "UTC", yearly(2), &["1969-12-31T23:59:59.999999999", "1970-01-01T00:00"],
    &["1969-12-31T23:59:59.999999999", "1970-01-01T00:00"])]
#[case::the_short_day_of_spring_is_one_day(
    ROME, daily(1), &["2026-03-28T23:59", "2026-03-29T00:00", "2026-03-29T23:59"], &["2026-03-29T23:59"])]
#[case::the_long_day_of_autumn_is_one_day(
    ROME, daily(1), &["2026-10-24T23:59", "2026-10-25T00:00", "2026-10-25T23:59"], &["2026-10-25T23:59"])]
#[case::the_doubled_hour_is_two_hours(
    ROME, hourly(3), &["2026-10-25T01:30", "2026-10-25T02:30+02", "2026-10-25T02:30+01", "2026-10-25T03:30"],
    &["2026-10-25T02:30+02", "2026-10-25T02:30+01", "2026-10-25T03:30"])]
#[case::the_skipped_hour_is_no_hour(
    ROME, hourly(2), &["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T03:30"],
    &["2026-03-29T01:30", "2026-03-29T03:30"])]
#[case::clocks_set_back_by_half_an_hour_end_an_hour(
    "Australia/Lord_Howe", hourly(2), &["2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30", "2026-04-05T02:15"],
    &["2026-04-05T01:45+10:30", "2026-04-05T02:15"])]
#[case::hours_begin_at_a_quarter_where_the_zone_says_so(
    "Asia/Kathmandu", hourly(2), &["2026-11-24T05:59", "2026-11-24T06:00", "2026-11-24T06:59"],
    &["2026-11-24T05:59", "2026-11-24T06:59"])]
#[case::a_day_that_never_was_is_no_day(
    "Pacific/Apia", daily(2), &["2011-12-28T12:00", "2011-12-29T12:00", "2011-12-31T12:00"],
    &["2011-12-29T12:00", "2011-12-31T12:00"])]
// At a minute past midnight the clocks go back to a minute past eleven: the day before comes again.
#[case::a_day_in_two_pieces_is_one_day(
    "America/St_Johns", daily(1), &["2010-11-07T00:00:30-02:30", "2010-11-06T23:30:00-03:30"],
    &["2010-11-07T00:00:30-02:30"])]
#[case::a_day_in_two_pieces_keeps_its_newest(
    "America/St_Johns", daily(2),
    &["2010-11-06T23:30:00-02:30", "2010-11-07T00:00:30-02:30", "2010-11-06T23:30:00-03:30", "2010-11-07T12:00"],
    &["2010-11-06T23:30:00-03:30", "2010-11-07T12:00"])]
#[case::week_53_goes_over_the_year_end(
    ROME, weekly(2), &["2026-12-27T02:00", "2026-12-28T02:00", "2027-01-03T02:00", "2027-01-04T02:00"],
    &["2027-01-03T02:00", "2027-01-04T02:00"])]
#[case::week_1_begins_in_the_old_year(
    ROME, weekly(2), &["2024-12-29T02:00", "2024-12-30T02:00", "2025-01-05T02:00"],
    &["2024-12-29T02:00", "2025-01-05T02:00"])]
#[case::a_month_ends_with_its_last_day(
    ROME, monthly(3), &["2026-01-31T23:59", "2026-02-01T00:00", "2026-02-28T23:59", "2026-03-01T00:00"],
    &["2026-01-31T23:59", "2026-02-28T23:59", "2026-03-01T00:00"])]
#[case::the_same_month_of_another_year_is_another_month(
    ROME, monthly(2), &["2025-11-24T02:00", "2026-11-24T02:00"], &["2025-11-24T02:00", "2026-11-24T02:00"])]
#[case::a_year_ends_in_the_zone(
    ROME, yearly(1), &["2025-12-31T22:59:59Z", "2025-12-31T23:00:00Z"], &["2025-12-31T23:00:00Z"])]
fn keeps(#[case] zone: &str, #[case] rule: RetentionRule, #[case] moments: &[&str], #[case] stay: &[&str]) {
    assert_eq!(kept(zone, &rule, moments, "2030-01-01T00:00"), stay);
    let backwards: Vec<&str> = moments.iter().rev().copied().collect();
    let mut stayed = kept(zone, &rule, &backwards, "2030-01-01T00:00");
    stayed.reverse();
    assert_eq!(stayed, stay);
}

#[test]
fn a_change_of_the_name_alone_ends_no_hour() {
    let points = ["2026-03-08T02:15Z", "2026-03-08T02:45Z"].map(|text| completed(moment("UTC", text)));
    let input = RetentionInput {
        rules: &[hourly(2)],
        zone: &TimeZone::posix("AAA0BBB0,M3.2.0/2:30,M11.1.0/2:30").unwrap(),
        points: &points,
        resource_sets: &[vec![]],
        expirable: &HashSet::new(),
        safety_age: SignedDuration::ZERO,
    };
    let verdicts = decide_retention(&input, moment("UTC", "2026-11-24T09:00")).unwrap();
    assert!(!verdicts[0].keeps() && verdicts[1].keeps());
}
