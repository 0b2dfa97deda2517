use super::cases::{Case, case, count, rule, try_cases};
use super::scene::younger_than;
use crate::retention::{PointFacts, Protections, Verdict, decide_retention};
use jiff::SignedDuration;
use proptest::prelude::*;

fn share() -> u32 {
    count().div_ceil(10)
}

fn keeps(case: &Case) -> Vec<bool> {
    decide_retention(&case.input(), case.now)
        .unwrap()
        .iter()
        .map(Verdict::keeps)
        .collect()
}

fn only(case: &Case, wanted: impl Fn(usize) -> bool) -> Case {
    let mut some = case.clone();
    let mut index = 0;
    some.points.retain(|_| {
        index += 1;
        wanted(index - 1)
    });
    some
}

#[test]
fn deciding_again_on_what_was_kept_deletes_nothing() {
    try_cases(share(), &case(), |case| {
        let kept = keeps(&case);
        let rest = only(&case, |index| kept[index]);
        prop_assert!(keeps(&rest).into_iter().all(|kept| kept));
        Ok(())
    });
}

#[test]
fn one_more_rule_never_deletes_more() {
    try_cases(share(), &(case(), rule()), |(mut case, rule)| {
        case.rules.truncate(4);
        let before = keeps(&case);
        case.rules.push(rule);
        let after = keeps(&case);
        prop_assert!(before.iter().zip(&after).all(|(before, after)| after >= before));
        Ok(())
    });
}

#[test]
fn a_point_that_cannot_be_read_never_lets_another_go() {
    let lost = prop::collection::vec(any::<bool>(), 40);
    try_cases(share(), &(case(), lost), |(case, lost)| {
        let all = keeps(&case);
        let rest = keeps(&only(&case, |index| !lost[index]));
        let before = all.iter().enumerate().filter(|(index, _)| !lost[*index]);
        prop_assert!(before.zip(&rest).all(|((_, before), after)| after >= before));
        Ok(())
    });
}

#[test]
fn the_order_of_points_and_the_numbers_of_sets_decide_nothing() {
    let shuffled = case().prop_flat_map(|case| {
        let order: Vec<usize> = (0..case.points.len()).collect();
        (Just(case), Just(order).prop_shuffle())
    });
    try_cases(share(), &shuffled, |(case, order)| {
        let before = decide_retention(&case.input(), case.now).unwrap();
        let mut other = case.clone();
        let sets = u32::try_from(case.resource_sets.len()).unwrap();
        other.resource_sets.reverse();
        other.points = order
            .iter()
            .map(|index| PointFacts {
                resources: sets - 1 - case.points[*index].resources,
                ..case.points[*index]
            })
            .collect();
        let after = decide_retention(&other.input(), case.now).unwrap();
        for (place, index) in order.iter().enumerate() {
            prop_assert_eq!(after[place], before[*index]);
        }
        Ok(())
    });
}

#[test]
fn one_more_protection_keeps_its_point_and_changes_no_other() {
    let (lucky, protections) = (any::<prop::sample::Index>(), 0_usize..8);
    try_cases(
        share(),
        &(case(), lucky, protections),
        |(mut case, lucky, which)| {
            if case.points.is_empty() {
                return Ok(());
            }
            let before = keeps(&case);
            let lucky = lucky.index(case.points.len());
            let all = [
                Protections::LAST_GOOD,
                Protections::IMAGE_IN_USE,
                Protections::LOCK,
                Protections::AT_WORK,
                Protections::CBT_BASE,
                Protections::HOLD,
                Protections::SAFETY_AGE,
                Protections::INCOMPLETE_LISTING,
            ];
            case.points[lucky].found = case.points[lucky].found.union(all[which]);
            let after = keeps(&case);
            prop_assert!(after[lucky]);
            prop_assert!((0..before.len()).all(|index| index == lucky || before[index] == after[index]));
            Ok(())
        },
    );
}

#[test]
fn nothing_that_is_protected_or_at_work_or_young_goes() {
    try_cases(share(), &case(), |case| {
        for (point, kept) in case.points.iter().zip(keeps(&case)) {
            let ended = point.ended_at.unwrap_or(point.moment).max(point.moment);
            let young = case.now.duration_since(ended) < case.safety_age;
            prop_assert!(kept || (point.found.is_empty() && point.ended_at.is_some() && !young));
        }
        Ok(())
    });
}

#[test]
fn the_last_good_backup_of_every_resource_that_may_not_expire_stays() {
    try_cases(share(), &case(), |case| {
        let kept = keeps(&case);
        for resource in (0..6).filter(|resource| !case.expirable.contains(resource)) {
            let good = |index: &usize| {
                let point = &case.points[*index];
                point.counts() && case.resource_sets[point.resources as usize].contains(&resource)
            };
            let moment = |index: usize| case.points[index].moment;
            let Some(last) = (0..case.points.len()).filter(good).map(moment).max() else {
                continue;
            };
            let stays = (0..case.points.len())
                .filter(good)
                .any(|index| kept[index] && moment(index) == last);
            prop_assert!(stays, "resource {}", resource);
        }
        Ok(())
    });
}

#[test]
fn no_forecast_lies_before_now_and_what_may_go_goes_now() {
    try_cases(share(), &case(), |case| {
        for verdict in decide_retention(&case.input(), case.now).unwrap() {
            let goes_at = verdict.goes_at();
            prop_assert!(goes_at.is_none_or(|goes_at| goes_at >= case.now));
            prop_assert!(verdict.keeps() || goes_at == Some(case.now));
        }
        Ok(())
    });
}

/// What makes an age's end cheap to reckon must not change it.
#[test]
fn an_age_ends_at_the_moment_plus_the_age() {
    try_cases(share(), &case(), |mut case| {
        let age = "P1M2DT3H";
        case.rules = vec![younger_than(age)];
        case.safety_age = SignedDuration::ZERO;
        let verdicts = decide_retention(&case.input(), case.now).unwrap();
        let by_rule = case.points.iter().zip(verdicts);
        for (point, verdict) in by_rule.filter(|(_, verdict)| verdict.rules().next().is_some()) {
            let span: jiff::Span = age.parse().unwrap();
            let end = point.moment.to_zoned_datetime(case.zone.clone()) + span;
            // Points of the future are young whatever the safety age.
            let youth = point.ended_at.unwrap_or(point.moment).max(point.moment);
            let wanted = end.timestamp().max(youth).max(case.now);
            prop_assert_eq!(verdict.goes_at(), Some(wanted));
        }
        Ok(())
    });
}
