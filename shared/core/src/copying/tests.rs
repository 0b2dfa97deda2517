use super::*;
use crate::configuration::Tags;
use crate::ids::{Occasion, derive_run_ids};
use crate::plan::BackupPlan;
use crate::polling::SnapshotState;
use crate::seal::SealKey;
use crate::tags as keys;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn start() -> Timestamp {
    "2026-11-24T02:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    later(start(), SignedDuration::from_secs(seconds))
}

fn point() -> RecoveryPoint {
    let plan = BackupPlan::parse(
        "",
        &json!({
            "plan_id": "nightly", "selection": {"tags": [{"key": "app"}]}, "tags": {"team": "shop"},
            "retention": [{"keep": "newest", "count": 1}], "replicas": [{"region": "eu-central-1"}],
        }),
    )
    .unwrap();
    let (job_id, recovery_point_id) = derive_run_ids(&plan.plan_id, &Occasion::Slot(start()));
    RecoveryPoint {
        recovery_point_id,
        plan_id: plan.plan_id.clone(),
        job_id,
        moment: start(),
        plan,
        manifest: None,
        outcome: None,
        hold: None,
        cbt_base: false,
        reading_until: None,
        retirement: None,
    }
}

fn place(region: &str) -> Destination {
    Destination {
        account_id: "111122223333".to_owned(),
        region: region.to_owned(),
    }
}

fn job(total: u32) -> CopyJob {
    CopyJob::new(&point(), 0, place("eu-central-1"), total, start())
}

fn key(n: u32) -> CopyKey {
    CopyKey {
        resource_id: InstanceId::try_from(format!("i-{n:017x}")).unwrap(),
        snapshot_id: SnapshotId::try_from(format!("snap-{n:017x}")).unwrap(),
    }
}

fn seen(state: SnapshotState, message: Option<&str>) -> Seen {
    Seen {
        snapshot_id: SnapshotId::try_from("snap-00000000000000fff").unwrap(),
        state,
        message: message.map(str::to_owned),
    }
}

fn flight(intended: Option<i64>, made: bool) -> Flight {
    let mut flight = Flight::ready(key(1), Stage::Copy);
    flight.intended_at = intended.map(after);
    flight.made = made.then(|| SnapshotId::try_from("snap-00000000000000fff").unwrap());
    flight
}

#[rstest]
#[case::ready_is_left_alone(flight(None, false), None, FlightStep::Keep)]
#[case::unseen_may_be_late(flight(Some(0), false), None, FlightStep::Keep)]
#[case::unseen_for_long_was_never_made(flight(Some(-30), false), None, FlightStep::AskAgain)]
#[case::a_lost_answer_is_found(
    flight(Some(0), false),
    Some(seen(SnapshotState::Completed, None)),
    FlightStep::Adopt(SnapshotId::try_from("snap-00000000000000fff").unwrap())
)]
#[case::pending(
    flight(Some(0), true),
    Some(seen(SnapshotState::Pending, None)),
    FlightStep::Keep
)]
#[case::complete(
    flight(Some(0), true),
    Some(seen(SnapshotState::Completed, None)),
    FlightStep::Land
)]
#[case::vanished(flight(Some(-30), true), None, FlightStep::AskAgain)]
#[case::a_bad_key(
    flight(Some(0), true),
    Some(seen(SnapshotState::Error, Some("Given key ID is not accessible"))),
    FlightStep::Fail { reason: "Given key ID is not accessible".to_owned(), key_problem: true }
)]
#[case::a_fault(
    flight(Some(0), true),
    Some(seen(SnapshotState::Error, Some("An internal error occurred."))),
    FlightStep::Fail { reason: "An internal error occurred.".to_owned(), key_problem: false }
)]
fn a_look_at_a_flight_tells_what_to_do(
    #[case] flight: Flight,
    #[case] seen: Option<Seen>,
    #[case] wanted: FlightStep,
) {
    assert_eq!(decide_flight(&flight, seen.as_ref(), after(95)), wanted);
}

#[test]
fn a_copy_that_was_seen_and_is_missing_once_is_not_made_again() {
    let mut flight = flight(Some(-3_600), true);
    flight.seen_at = Some(after(90));
    assert_eq!(decide_flight(&flight, None, after(95)), FlightStep::Keep);
    assert_eq!(decide_flight(&flight, None, after(210)), FlightStep::AskAgain);
}

#[test]
fn what_is_left_behind_makes_a_copy_job_partial_and_is_named() {
    let mut job = job(2);
    job.whole = 1;
    job.leave_behind("snap-1 stays shared".to_owned());
    let (status, message) = job.decide_end();
    assert_eq!(status, JobStatus::Partial);
    assert!(message.contains("snap-1 stays shared"), "{message}");
}

#[test]
fn a_copy_job_that_is_stopped_for_good_lets_nothing_land() {
    let mut job = job(2);
    job.stop(Stopped {
        why: "denied".to_owned(),
        aborted: false,
        lands: true,
    });
    assert!(!job.gives_up() && job.waiting() == 0);
    job.stop(Stopped {
        why: "deadline".to_owned(),
        aborted: false,
        lands: false,
    });
    assert!(job.gives_up());
    assert_eq!(job.stopped.map(|stopped| stopped.why).as_deref(), Some("denied"));
}

fn copier(n: u32, waiting: u32, in_progress: u32) -> Copier {
    let plan = PlanId::try_from(format!("plan-{n}")).unwrap();
    let (_, recovery_point_id) = derive_run_ids(&plan, &Occasion::Slot(start()));
    Copier {
        recovery_point_id,
        waiting,
        in_progress,
        seen_at: start(),
    }
}

#[rstest]
#[case::alone(copier(0, 1000, 0), &[], 20)]
#[case::alone_with_little(copier(0, 3, 0), &[], 3)]
#[case::refills_what_landed(copier(0, 1000, 17), &[], 3)]
#[case::shares_with_another(copier(0, 1000, 0), &[copier(1, 1000, 0)], 10)]
#[case::gives_way_to_a_newcomer(copier(0, 1000, 20), &[copier(1, 5, 0)], 0)]
#[case::takes_what_the_small_one_does_not_want(copier(0, 1000, 0), &[copier(1, 3, 2)], 15)]
#[case::the_small_one_gets_all_it_wants(copier(0, 5, 0), &[copier(1, 1000, 15)], 5)]
#[case::waits_for_a_free_slot(copier(0, 5, 0), &[copier(1, 1000, 20)], 0)]
fn slots_go_round(#[case] own: Copier, #[case] others: &[Copier], #[case] wanted: u32) {
    assert_eq!(decide_slots(20, &own, others, after(1)), wanted);
}

#[test]
fn who_is_not_seen_any_more_holds_no_slots() {
    let dead = copier(1, 1000, 20);
    assert_eq!(decide_slots(20, &copier(0, 5, 0), &[dead], after(600)), 5);
}

proptest! {
    #[test]
    fn all_slots_are_used_and_nobody_starves(wants in prop::collection::vec(1_u32..60, 1..6)) {
        let mut copiers: Vec<Copier> = wants.iter().zip(0..).map(|(want, n)| copier(n, *want, 0)).collect();
        // Everybody takes turns until nobody may begin more.
        loop {
            let mut begun = 0;
            for index in 0..copiers.len() {
                let own = copiers[index].clone();
                let others: Vec<Copier> = copiers.iter().filter(|other| **other != own).cloned().collect();
                let more = decide_slots(20, &own, &others, start());
                copiers[index].waiting -= more;
                copiers[index].in_progress += more;
                begun += more;
            }
            if begun == 0 { break; }
        }
        let used: u32 = copiers.iter().map(|copier| copier.in_progress).sum();
        prop_assert_eq!(used, wants.iter().sum::<u32>().min(20));
        let share = 20 / u32::try_from(wants.len()).unwrap();
        for (copier, want) in copiers.iter().zip(&wants) {
            prop_assert!(copier.in_progress >= (*want).min(share), "{:?}", copiers);
        }
    }
}

#[test]
fn a_copy_says_whose_it_is_and_carries_the_sources_tags() {
    let (point, source) = (point(), key(7));
    let volume = VolumeId::try_from("vol-00000000000000007").unwrap();
    let from: Tags = [
        ("holdfast:devices", "/dev/xvda=00000000000000007"),
        ("holdfast:plan", "forged"),
        ("holdfast:seal", "old"),
        ("aws:backup", "x"),
        ("Name", "db"),
        ("team", "other"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let home = place("eu-west-1");
    let copy_of = CopySource {
        point: &point,
        resource_id: &source.resource_id,
        snapshot_id: &source.snapshot_id,
        volume_id: &volume,
        place: &home,
        tags: &from,
    };
    let seal_key = SealKey::new(vec![3; 32]);
    let (tags, left_out) = decide_copy_tags(&copy_of, &seal_key).unwrap();
    assert!(seal_key.verifies(&tags) && left_out.is_empty());
    for (key, value) in [
        (keys::PLAN, "nightly"),
        (keys::SOURCE_SNAPSHOT, source.snapshot_id.as_str()),
        (keys::SOURCE_VOLUME, volume.as_str()),
        (keys::SOURCE_REGION, "eu-west-1"),
        (keys::SOURCE_ACCOUNT, "111122223333"),
        (keys::DEVICES, "/dev/xvda=00000000000000007"),
        ("Name", "db"),
        ("team", "shop"),
    ] {
        assert_eq!(tags.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!tags.contains_key("aws:backup"));
    let hop = decide_hop_tags(&copy_of, &place("eu-central-1"), &seal_key).unwrap();
    assert!(seal_key.verifies(&hop) && hop.contains_key(keys::HOP) && !hop.contains_key("Name"));

    let many: Tags = (0..60).map(|n| (format!("k{n:02}"), String::new())).collect();
    let (tags, left_out) = decide_copy_tags(
        &CopySource {
            tags: &many,
            ..copy_of
        },
        &seal_key,
    )
    .unwrap();
    assert_eq!(tags.len(), keys::MAX_TAGS);
    assert_eq!(left_out.len() + tags.len() - 12, 60);
}

#[rstest]
#[case::all(2, 0, None, JobStatus::Completed)]
#[case::broken_when_all_had_landed(2, 0, Some(false), JobStatus::Completed)]
#[case::broken_at_once(0, 0, Some(false), JobStatus::Failed)]
#[case::some(1, 1, None, JobStatus::Partial)]
#[case::none(0, 2, None, JobStatus::Failed)]
#[case::broken(0, 2, Some(false), JobStatus::Failed)]
#[case::broken_midway(1, 1, Some(false), JobStatus::Partial)]
#[case::aborted(1, 1, Some(true), JobStatus::Aborted)]
#[case::nothing_matched(0, 0, None, JobStatus::Completed)]
fn a_copy_job_ends_honestly(
    #[case] whole: u32,
    #[case] lacking: u32,
    #[case] aborted: Option<bool>,
    #[case] wanted: JobStatus,
) {
    let mut job = job(if wanted == JobStatus::Completed && whole == 0 {
        0
    } else {
        4
    });
    (job.whole, job.lacking) = (whole, lacking);
    job.stopped = aborted.map(|aborted| Stopped {
        why: "why".to_owned(),
        aborted,
        lands: false,
    });
    let (status, message) = job.decide_end();
    assert_eq!(status, wanted, "{message}");
    assert_eq!(aborted.is_some(), message.contains("why"), "{message}");
}

#[test]
fn rounds_come_as_often_as_copies_land() {
    let replica = &point().plan.replicas[0];
    let mut job = job(100);
    assert_eq!(job.next_look(replica, start()), after(5));
    job.flights.push(flight(Some(0), true));
    assert_eq!(job.next_look(replica, after(20)), after(23));
    job.learn(SignedDuration::from_secs(600));
    assert_eq!(job.next_look(replica, after(20)), after(44));
    let deadline = job.deadline(replica);
    assert_eq!(job.next_look(replica, deadline), deadline);
}
