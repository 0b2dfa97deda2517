//! How a restore goes on, turns back and ends.

use super::super::Mode;
use super::super::fidelity::Difference;
use super::super::message::ToldRestore;
use super::super::record::{NoReturn, Restore, RestoreStatus, decide_job_end};
use super::super::request::OnFailure;
use super::super::scene::{around, captured, held, now, resource};
use super::super::step::{Part, Step};
use super::decide;
use crate::ids::{InstanceId, JobId};
use crate::job::JobStatus;
use crate::pacing::later;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

pub(super) fn job() -> JobId {
    JobId::try_from("job-20261126T051000Z-0123456789abcdef").unwrap()
}

/// A restore that is yet to begin.
pub(super) fn restore(mode: Mode) -> Restore {
    let captured = captured();
    let held = held(captured.clone());
    let asked = match mode {
        Mode::Destructive => json!({"overrides": {"lift_protection": true}}),
        _ => json!({}),
    };
    let blueprint = decide(mode, &asked, &held, &around(&captured)).unwrap();
    let (plan, point) = (&held.backup.plan_id, &held.backup.recovery_point_id);
    Restore::new(&job(), plan, point, &resource(), &held.place, blueprint, now())
}

fn running(mode: Mode) -> Restore {
    let mut restore = restore(mode);
    restore.begin(now());
    assert_eq!(restore.status, RestoreStatus::Running);
    restore
}

fn difference() -> Difference {
    Difference {
        field: "key_name".to_owned(),
        captured: "ops".to_owned(),
        restored: "nothing".to_owned(),
        why: None,
    }
}

fn ended(status: RestoreStatus) -> Restore {
    let mut restore = running(Mode::Clone);
    match status {
        RestoreStatus::Partial => restore.differences.push(difference()),
        RestoreStatus::Failed => restore.failure = Some("it broke".to_owned()),
        RestoreStatus::Aborted => {
            restore.failure = Some("it was stopped".to_owned());
            restore.is_abort = true;
        }
        _ => {}
    }
    restore.end(now());
    assert_eq!(restore.status, status);
    restore
}

#[test]
fn steps_follow_one_another_and_say_when_they_were_done() {
    let mut restore = running(Mode::Clone);
    let mut moment = now();
    let mut taken = Vec::new();
    while let Some(step) = restore.step() {
        taken.push(step);
        moment = later(moment, SignedDuration::from_secs(10));
        restore.advance(moment);
        assert_eq!(restore.since, moment);
    }
    assert_eq!(taken, restore.blueprint.steps);
    assert_eq!(restore.done.len(), taken.len());
    // From the beginning of its first step, also when it is taken up again.
    restore.begin(moment);
    assert_eq!(restore.seconds(), 50);
    restore.end(moment);
    assert_eq!(
        (restore.status, restore.ended_at),
        (RestoreStatus::Completed, Some(moment))
    );
}

#[test]
fn the_time_to_a_proof_is_what_a_rehearsal_measures() {
    let mut restore = running(Mode::Clone);
    restore.blueprint.steps = vec![
        Step::ObtainImage,
        Step::Launch(Part::Final),
        Step::Prove(Part::Final),
        Step::Finish,
    ];
    for seconds in [5, 30, 100, 900] {
        restore.advance(later(now(), SignedDuration::from_secs(seconds)));
    }
    assert_eq!(restore.seconds(), 100);
}

#[rstest]
#[case::a_failure(false, RestoreStatus::Failed)]
#[case::a_wish(true, RestoreStatus::Aborted)]
fn one_that_has_not_begun_ends_at_once(#[case] is_abort: bool, #[case] status: RestoreStatus) {
    let mut restore = restore(Mode::Clone);
    restore.turn_back("why", is_abort, now());
    assert_eq!((restore.status, restore.ended_at), (status, Some(now())));
    assert_eq!(restore.failure.as_deref(), Some("why"));
}

#[rstest]
#[case::a_failure(false, RestoreStatus::Failed)]
#[case::a_wish(true, RestoreStatus::Aborted)]
fn one_at_work_takes_the_way_back_from_its_beginning(#[case] is_abort: bool, #[case] status: RestoreStatus) {
    let mut restore = running(Mode::InPlace);
    restore.advance(now());
    restore.advance(now());
    let later = later(now(), SignedDuration::from_secs(9));
    restore.turn_back("why", is_abort, later);
    assert_eq!(
        (restore.status, restore.next, restore.since),
        (RestoreStatus::Returning, 0, later)
    );
    assert_eq!(restore.step(), Some(Step::SwapBack));
    // Whoever comes second changes nothing.
    restore.turn_back("another reason", !is_abort, now());
    assert_eq!(
        (restore.failure.as_deref(), restore.is_abort),
        (Some("why"), is_abort)
    );
    while restore.step().is_some() {
        restore.advance(later);
    }
    restore.end(later);
    assert_eq!(restore.status, status);
    restore.turn_back("too late", true, now());
    assert_eq!(restore.status, status);
}

#[rstest]
#[case::a_failure(false)]
#[case::a_wish(true)]
fn past_the_cut_over_it_fails_where_it_stands(#[case] is_abort: bool) {
    let mut restore = running(Mode::Destructive);
    restore.next = restore.blueprint.cut_over.unwrap();
    assert!(restore.can_turn_back());
    restore.no_return = Some(NoReturn::CutOver);
    assert!(!restore.can_turn_back());
    restore.turn_back("the launch was refused", is_abort, now());
    // Not aborted, which would say that everything is as it was; and what stands is not removed.
    assert_eq!(
        (restore.status, restore.ended_at),
        (RestoreStatus::Failed, Some(now()))
    );
    assert!(!restore.is_abort);
}

#[test]
fn what_was_made_stays_after_a_failure_if_that_was_asked_for_but_not_after_a_wish() {
    let mut restore = running(Mode::Clone);
    assert!(!restore.leaves_made());
    restore.blueprint.on_failure = OnFailure::Leave;
    assert!(restore.leaves_made());
    restore.turn_back("why", true, now());
    assert!(!restore.leaves_made());
}

#[test]
fn what_was_taken_back_is_not_told_as_there() {
    let mut made = running(Mode::Clone);
    let id = InstanceId::try_from("i-00000000000000007").unwrap();
    made.made.instances.insert(Part::Final, id.clone());
    made.blueprint.undo_until = Some(now());
    let told = |change: &dyn Fn(&mut Restore)| {
        let mut restore = made.clone();
        change(&mut restore);
        let told = ToldRestore::of(&restore);
        (told.instance_id, told.undo_until)
    };
    let (there, gone) = ((Some(id.clone()), Some(now())), (None, None));
    assert_eq!(told(&|restore| restore.end(now())), there);
    assert_eq!(
        told(&|restore| restore.turn_back("it broke", false, now())),
        there
    );
    let fail = |restore: &mut Restore, is_abort: bool| {
        restore.turn_back("it broke", is_abort, now());
        restore.end(now());
    };
    assert_eq!(told(&|restore| fail(restore, false)), gone);
    assert_eq!(told(&|restore| fail(restore, true)), gone);
    // What could not be removed, or was to stay, is.
    let stuck = |restore: &mut Restore| {
        restore.is_stuck = true;
        fail(restore, true);
    };
    assert_eq!(told(&stuck), there);
    let past = |restore: &mut Restore| {
        restore.no_return = Some(NoReturn::CutOver);
        fail(restore, false);
    };
    assert_eq!(told(&past), there);
    let leave = |restore: &mut Restore, is_abort: bool| {
        restore.blueprint.on_failure = OnFailure::Leave;
        fail(restore, is_abort);
    };
    assert_eq!(told(&|restore| leave(restore, false)), there);
    assert_eq!(told(&|restore| leave(restore, true)), gone);
}

#[test]
fn a_restore_survives_being_written_down() {
    for mode in [
        Mode::Clone,
        Mode::Destructive,
        Mode::InPlace,
        Mode::Volumes,
        Mode::Image,
    ] {
        let mut restore = running(mode);
        restore.advance(now());
        let written = serde_json::to_string(&restore).unwrap();
        assert_eq!(
            serde_json::from_str::<Restore>(&written).unwrap(),
            restore,
            "{mode}"
        );
    }
}

#[test]
fn words_say_what_each_came_to() {
    for (status, word) in [
        (RestoreStatus::Completed, "no instance"),
        (RestoreStatus::Partial, "key_name"),
        (RestoreStatus::Failed, "it broke"),
        (RestoreStatus::Aborted, "it was stopped"),
    ] {
        let words = ended(status).in_words();
        assert!(
            words.starts_with(resource().as_str()) && words.contains(word),
            "{words}"
        );
    }
}

const GOOD: RestoreStatus = RestoreStatus::Completed;
const SOME: RestoreStatus = RestoreStatus::Partial;
const BAD: RestoreStatus = RestoreStatus::Failed;
const STOPPED: RestoreStatus = RestoreStatus::Aborted;

#[rstest]
#[case::all_good(&[GOOD, GOOD], false, JobStatus::Completed)]
#[case::one_differs(&[GOOD, SOME], false, JobStatus::Partial)]
#[case::all_differ(&[SOME, SOME], false, JobStatus::Partial)]
#[case::one_failed(&[GOOD, BAD], false, JobStatus::Partial)]
#[case::one_differs_one_failed(&[SOME, BAD], false, JobStatus::Partial)]
#[case::all_failed(&[BAD, BAD], false, JobStatus::Failed)]
#[case::stopped(&[STOPPED, STOPPED], true, JobStatus::Aborted)]
#[case::stopped_and_one_failed(&[STOPPED, BAD], true, JobStatus::Failed)]
#[case::stopped_too_late(&[GOOD, GOOD], true, JobStatus::Completed)]
#[case::stopped_half_way(&[GOOD, STOPPED], true, JobStatus::Partial)]
#[case::stopped_half_way_with_a_difference(&[SOME, STOPPED], true, JobStatus::Partial)]
#[case::stopped_without_the_jobs_knowing(&[STOPPED], false, JobStatus::Failed)]
#[case::of_every_kind(&[GOOD, SOME, BAD, STOPPED], true, JobStatus::Partial)]
fn a_job_comes_to_what_its_restores_came_to(
    #[case] statuses: &[RestoreStatus],
    #[case] aborted: bool,
    #[case] status: JobStatus,
) {
    let restores: Vec<Restore> = statuses.iter().map(|status| ended(*status)).collect();
    let (found, message) = decide_job_end(&restores, aborted);
    assert_eq!(found, status);
    let given = statuses
        .iter()
        .filter(|status| matches!(**status, GOOD | SOME))
        .count();
    assert!(
        message.starts_with(&format!("{given} of {} resources given back", statuses.len())),
        "{message}"
    );
}

#[test]
fn a_large_job_names_what_went_wrong_and_not_the_rest() {
    let mut restores: Vec<Restore> = (0..30).map(|_| ended(GOOD)).collect();
    restores.push(ended(BAD));
    let (status, message) = decide_job_end(&restores, false);
    assert_eq!(status, JobStatus::Partial);
    assert_eq!(message.matches(resource().as_str()).count(), 1);
    assert!(message.contains("it broke"));
}
