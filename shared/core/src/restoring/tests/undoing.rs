//! Undoing an in-place restore.

use super::super::blueprint::{Blueprint, kept_volumes};
use super::super::decide::decide_restore;
use super::super::record::{Restore, RestoreStatus};
use super::super::scene::{held, now, resource};
use super::super::step::Step;
use super::super::surroundings::Surroundings;
use super::super::undo::decide_undo;
use super::super::{Held, Mode};
use super::records::job;
use super::request;
use super::table::{plain, volume_mut};
use crate::configuration::InstanceConfiguration;
use crate::ids::VolumeId;
use crate::pacing::later;
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

fn made_volume(n: u32) -> VolumeId {
    VolumeId::try_from(format!("vol-{:017x}", 0xf00 + n)).unwrap()
}

/// A restore in place that has ended well, and the instance as it left it.
fn done(now_there: InstanceConfiguration, asked: &Value) -> (Restore, Surroundings) {
    let held: Held = held(plain());
    let mut around = super::super::scene::around(&plain());
    around.original = Some(now_there);
    let blueprint: Blueprint = decide_restore(&request(Mode::InPlace, asked), &held, &around, now()).unwrap();
    let (plan, point) = (&held.backup.plan_id, &held.backup.recovery_point_id);
    let mut restore = Restore::new(&job(), plan, point, &resource(), &held.place, blueprint, now());
    let mut after = restore.blueprint.target.clone();
    for (n, order) in (0..).zip(&restore.blueprint.volumes) {
        restore.made.volumes.insert(order.device.clone(), made_volume(n));
        volume_mut(&mut after, &order.device).volume_id = made_volume(n);
    }
    restore.status = RestoreStatus::Completed;
    around.original = Some(after);
    around.kept_volumes = kept_volumes(&restore.blueprint.exchanges)
        .into_values()
        .map(|volume| (volume, true))
        .collect();
    (restore, around)
}

fn an_hour_later() -> Timestamp {
    later(now(), SignedDuration::from_hours(1))
}

fn whole() -> Value {
    json!({})
}

fn refusals(restore: &Restore, around: &Surroundings, now: Timestamp) -> Vec<String> {
    let obstacles = decide_undo(restore, around, now).unwrap_err();
    obstacles
        .into_iter()
        .map(|obstacle| {
            assert_eq!(obstacle.field, "undo");
            obstacle.problem
        })
        .collect()
}

#[track_caller]
fn is_refused(restore: &Restore, around: &Surroundings, word: &str) {
    let refusals = refusals(restore, around, an_hour_later());
    assert!(refusals.len() == 1 && refusals[0].contains(word), "{refusals:?}");
}

/// The whole of a restore with a volume that had been detached, one that had been moved, and one that stayed.
fn awkward() -> InstanceConfiguration {
    let mut now_there = plain();
    now_there.volumes.retain(|volume| volume.device != "/dev/sdf");
    "/dev/sdz".clone_into(&mut volume_mut(&mut now_there, "/dev/sdh").device);
    now_there
}

#[rstest]
#[case::as_captured(plain(), whole())]
#[case::detached_and_moved(awkward(), whole())]
#[case::one_volume(plain(), json!({"volumes": {"devices": ["/dev/sdf"]}}))]
#[case::a_replaced_root(plain(), json!({"volumes": {"devices": ["/dev/xvda"]}}))]
fn an_undo_is_the_mirror_of_its_restore(#[case] now_there: InstanceConfiguration, #[case] asked: Value) {
    let (restore, around) = done(now_there, &asked);
    let undo = decide_undo(&restore, &around, an_hour_later()).unwrap();
    assert_eq!(undo.mode, Mode::Undo);
    assert_eq!(
        undo.steps,
        [
            Step::StopOriginal,
            Step::SwapVolumes,
            Step::StartOriginal,
            Step::Finish
        ]
    );
    assert_eq!(undo.back, [Step::SwapBack, Step::ReturnOriginal]);
    assert_eq!(undo.undo_until, restore.blueprint.undo_until);
    assert_eq!(undo.exchanges.len(), restore.blueprint.exchanges.len());
    for (mirrored, exchange) in undo.exchanges.iter().zip(&restore.blueprint.exchanges) {
        assert_eq!(mirrored.device, exchange.device);
        assert_eq!(mirrored.after, exchange.before);
        assert_eq!(mirrored.before.is_some(), exchange.after.is_some());
        if let (Some(before), Some(after)) = (&mirrored.before, &exchange.after) {
            assert_eq!(before.delete_on_termination, after.delete_on_termination);
            assert_eq!(
                before.volume_id.as_ref(),
                restore.made.volumes.get(&exchange.device)
            );
        }
    }
    // What the restore made is what the undo keeps.
    let kept: Vec<VolumeId> = kept_volumes(&undo.exchanges).into_values().collect();
    let made: Vec<VolumeId> = restore.made.volumes.values().cloned().collect();
    assert_eq!(kept, made);
    let written = serde_json::to_string(&undo).unwrap();
    assert_eq!(serde_json::from_str::<Blueprint>(&written).unwrap(), undo);
}

#[test]
fn only_an_in_place_restore_can_be_undone() {
    let (mut restore, around) = done(plain(), &whole());
    for mode in [Mode::Clone, Mode::Destructive, Mode::Volumes, Mode::Undo] {
        restore.blueprint.mode = mode;
        is_refused(&restore, &around, mode.as_str());
    }
}

#[rstest]
#[case(RestoreStatus::Pending)]
#[case(RestoreStatus::Running)]
#[case(RestoreStatus::Returning)]
#[case(RestoreStatus::Failed)]
#[case(RestoreStatus::Aborted)]
fn what_changed_nothing_cannot_be_undone(#[case] status: RestoreStatus) {
    let (mut restore, around) = done(plain(), &whole());
    restore.status = status;
    is_refused(&restore, &around, "changed nothing");
}

#[test]
fn one_that_differs_can_be_undone_all_the_same() {
    let (mut restore, around) = done(plain(), &whole());
    restore.status = RestoreStatus::Partial;
    assert!(decide_undo(&restore, &around, an_hour_later()).is_ok());
}

#[test]
fn an_undo_has_its_time() {
    let (restore, around) = done(plain(), &whole());
    let until = restore.blueprint.undo_until.unwrap();
    assert!(decide_undo(&restore, &around, until - SignedDuration::from_secs(1)).is_ok());
    let refusals = refusals(&restore, &around, until);
    assert!(refusals[0].contains("could be undone until"), "{refusals:?}");
}

#[test]
fn an_instance_that_is_gone_gets_nothing_back() {
    let (restore, mut around) = done(plain(), &whole());
    around.original = None;
    is_refused(&restore, &around, "does not exist any more");
}

#[test]
fn a_device_that_has_changed_since_is_refused_by_its_name() {
    let (restore, around) = done(plain(), &whole());
    let other = |change: &dyn Fn(&mut InstanceConfiguration)| {
        let mut around = around.clone();
        change(around.original.as_mut().unwrap());
        around
    };
    let swapped = other(&|now| volume_mut(now, "/dev/sdh").volume_id = made_volume(99));
    is_refused(&restore, &swapped, "/dev/sdh");
    let emptied = other(&|now| now.volumes.retain(|volume| volume.device != "/dev/sdf"));
    is_refused(&restore, &emptied, "/dev/sdf");
    let both = other(&|now| now.volumes.retain(|volume| volume.is_boot));
    assert_eq!(refusals(&restore, &both, an_hour_later()).len(), 2);
    // Another device is nobody's concern.
    let asked = other(&|now| {
        let mut volume = crate::configuration::VolumeConfiguration::sample(9);
        "/dev/sdq".clone_into(&mut volume.device);
        now.volumes.push(volume);
    });
    assert!(decide_undo(&restore, &asked, an_hour_later()).is_ok());
}

#[test]
fn a_device_that_the_restore_emptied_must_still_be_empty() {
    let (restore, mut around) = done(awkward(), &whole());
    let mut volume = crate::configuration::VolumeConfiguration::sample(9);
    "/dev/sdz".clone_into(&mut volume.device);
    around.original.as_mut().unwrap().volumes.push(volume);
    is_refused(&restore, &around, "/dev/sdz");
}

#[test]
fn an_undo_cannot_be_done_twice() {
    let (restore, mut around) = done(plain(), &whole());
    let undo = decide_undo(&restore, &around, an_hour_later()).unwrap();
    for exchange in &undo.exchanges {
        let after = exchange.after.as_ref().unwrap().volume_id.clone().unwrap();
        volume_mut(around.original.as_mut().unwrap(), &exchange.device).volume_id = after;
    }
    assert_eq!(refusals(&restore, &around, an_hour_later()).len(), 3);
}

#[test]
fn an_undo_stops_only_what_may_be_stopped() {
    let root = json!({"volumes": {"devices": ["/dev/xvda"]}});
    let (restore, around) = done(plain(), &root);
    assert_eq!(restore.blueprint.steps, [Step::ReplaceRoot, Step::Finish]);
    let other = |change: &dyn Fn(&mut InstanceConfiguration)| {
        let mut around = around.clone();
        change(around.original.as_mut().unwrap());
        around
    };
    is_refused(
        &restore,
        &other(&|now| now.lifecycle = Some("spot".to_owned())),
        "spot",
    );
    is_refused(
        &restore,
        &other(&|now| now.disable_api_stop = Some(true)),
        "protected from being stopped",
    );
    let store = |now: &mut InstanceConfiguration| {
        now.instance_store
            .insert("/dev/sdb".to_owned(), "ephemeral0".to_owned());
    };
    is_refused(&restore, &other(&store), "instance-store");
    let disks = |now: &mut InstanceConfiguration| now.instance_type = Some("i4i.large".to_owned());
    is_refused(&restore, &other(&disks), "instance-store disks of i4i.large");
    let group = |now: &mut InstanceConfiguration| {
        now.tags
            .insert("aws:autoscaling:groupName".to_owned(), "web".to_owned());
    };
    is_refused(&restore, &other(&group), "Auto Scaling group web");
    // What is stopped already needs no stop.
    let stopped = other(&|now| {
        store(now);
        group(now);
        now.disable_api_stop = Some(true);
        now.state = Some("stopped".to_owned());
    });
    assert!(decide_undo(&restore, &stopped, an_hour_later()).is_ok());
}

#[test]
fn what_was_agreed_to_for_a_restore_holds_for_its_undo() {
    let mut guarded = plain();
    guarded.disable_api_stop = Some(true);
    guarded
        .instance_store
        .insert("/dev/sdb".to_owned(), "ephemeral0".to_owned());
    let agreed = json!({"overrides": {"lift_protection": true, "accept_instance_store_loss": true}});
    let (restore, around) = done(guarded, &agreed);
    assert!(decide_undo(&restore, &around, an_hour_later()).is_ok());
}

#[test]
fn a_volume_that_is_to_go_back_must_be_there_and_free() {
    let (restore, mut around) = done(plain(), &json!({"volumes": {"devices": ["/dev/sdf"]}}));
    for free in around.kept_volumes.values_mut() {
        *free = false;
    }
    is_refused(&restore, &around, "is not free");
    around.kept_volumes.clear();
    is_refused(&restore, &around, "is not there any more");
}
