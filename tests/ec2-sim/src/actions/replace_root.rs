//! `CreateReplaceRootVolumeTask` and `DescribeReplaceRootVolumeTasks`.

use std::collections::BTreeSet;

use crate::clock::{after, iso};
use crate::error::Ec2Error;
use crate::ids::{SnapshotId, next_id};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::TokenUse;
use crate::world::instance::{Instance, InstanceState};
use crate::world::launch::EbsSpec;
use crate::world::root_replacement::{Outcome, RootReplacement};
use crate::world::volume::{Volume, VolumeType};
use crate::xml::Xml;

use super::Scope;
use super::launch_image::launchable_image;
use super::volumes::{new_volume, remember, replay, usable_source};

const TAGGABLE: &[&str] = &["replace-root-volume-task"];
/// MiB per second at which AWS can be asked to bring the blocks of the new volume. Here they are always there.
const INITIALIZATION_RATES: std::ops::RangeInclusive<u32> = 100..=300;
const RULES: DescribeRules = DescribeRules {
    ids: "ReplaceRootVolumeTaskId",
    ids_in_messages: "replaceRootVolumeTaskIds",
    page_sizes: 1..=50,
    check_id: |_| Ok(()),
    not_found: |ids| {
        Ec2Error::new(
            "InvalidReplaceRootVolumeTaskID.NotFound",
            format!(
                "The replace root volume task ID '{}' does not exist",
                ids.join(", ")
            ),
        )
    },
};

/// Where the new root volume comes from.
struct Source {
    snapshot: Option<SnapshotId>,
    size_gib: u32,
}

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let made = replay(scope, TokenUse::ReplaceRootVolume, params)?;
    let id = match made.and_then(|made| made.into_iter().next()) {
        Some(id) => id,
        None => start(scope, params)?,
    };
    let mut xml = Xml::new();
    if let Some(task) = scope.region.root_replacements.tasks.get(&id) {
        xml.block("replaceRootVolumeTask", |xml| write(task, scope, xml));
    }
    Ok(xml)
}

/// Makes the new volume and the task. Nothing happens to the instance before the task's end.
fn start(scope: &mut Scope<'_>, params: &Params) -> Result<String, Ec2Error> {
    let delete_replaced = params.flag("DeleteReplacedRootVolume")?.unwrap_or_default();
    params.bounded("VolumeInitializationRate", &INITIALIZATION_RATES)?;
    let tags = Tags::specified(params, TAGGABLE[0], TAGGABLE)?;
    let instance = scope.instance(params.required("InstanceId")?)?;
    let old = check_instance(scope, instance)?;
    let source = match (params.text("SnapshotId"), params.text("ImageId")) {
        (Some(_), Some(_)) => {
            return Err(Ec2Error::invalid_combination(
                "The parameters SnapshotId and ImageId cannot be specified together.",
            ));
        }
        (Some(id), None) => of_snapshot(scope, instance, old, id)?,
        (None, Some(id)) => of_image(scope, instance, id)?,
        (None, None) => of_launch(scope, instance)?,
    };
    let new = replacement(scope, old, &source)?;
    let planned = scope.region.root_replacements.planned.get(instance.id.as_str());
    let task = RootReplacement {
        id: next_id("replacevol", scope.ids),
        instance: instance.id.clone(),
        image: params.owned("ImageId"),
        snapshot: params.text("SnapshotId").and(new.snapshot.clone()),
        old: old.id.clone(),
        new: new.id.clone(),
        delete_replaced,
        tags,
        started_at: scope.now,
        ends_at: after(scope.now, scope.settings.replace_root()),
        outcome: planned.copied().unwrap_or(Outcome::Succeeded),
        is_over: false,
    };
    let replacements = &mut scope.region.root_replacements;
    replacements.planned.remove(task.instance.as_str());
    let id = task.id.clone();
    replacements.tasks.insert(id.clone(), task);
    scope.region.volumes.insert(new.id.clone(), new);
    remember(
        scope,
        TokenUse::ReplaceRootVolume,
        params,
        BTreeSet::from([id.clone()]),
    );
    Ok(id)
}

/// The root volume of an instance that runs and has no other task.
fn check_instance<'a>(scope: &'a Scope<'_>, instance: &'a Instance) -> Result<&'a Volume, Ec2Error> {
    if instance.state(scope.now) != InstanceState::Running {
        return Err(Ec2Error::new(
            "IncorrectInstanceState",
            format!("The instance '{}' is not in the 'running' state.", instance.id),
        ));
    }
    let mut tasks = scope.region.root_replacements.tasks.values();
    if tasks.any(|task| task.instance == instance.id && !task.is_over) {
        return Err(Ec2Error::new(
            "IncorrectInstanceState",
            format!(
                "A replace root volume task is already in progress for the instance '{}'.",
                instance.id
            ),
        ));
    }
    instance
        .root_volume(scope.region)
        .ok_or_else(|| no_root(instance))
}

/// AWS's answer when an instance has nothing to boot from.
pub(super) fn no_root(instance: &Instance) -> Ec2Error {
    Ec2Error::invalid_value(format!(
        "Invalid value '{}' for instanceId. Instance does not have a volume attached at root ({})",
        instance.id, instance.root_device
    ))
}

fn of_snapshot(scope: &Scope<'_>, instance: &Instance, root: &Volume, id: &str) -> Result<Source, Ec2Error> {
    let snapshot = usable_source(scope, id)?;
    if !root.descends_from(snapshot) {
        return Err(Ec2Error::invalid_value(format!(
            "Invalid snapshot for root volume for virt {}. The snapshot should be of one of the root volumes attached \
             to the instance in the past",
            instance.id
        )));
    }
    Ok(Source {
        snapshot: Some(snapshot.id.clone()),
        size_gib: snapshot.size_gib,
    })
}

fn of_image(scope: &Scope<'_>, instance: &Instance, id: &str) -> Result<Source, Ec2Error> {
    let Some(image) = launchable_image(scope, id)? else {
        return Ok(Source {
            snapshot: None,
            size_gib: 0,
        });
    };
    let same = |field: &str| image.settings.get(field) == instance.hardware.get(field);
    if image.billing != instance.billing || !same("Architecture") || !same("VirtualizationType") {
        return Err(Ec2Error::invalid_value(format!(
            "The image '{id}' must have the same product codes, billing information, architecture and virtualization \
             type as the instance '{}'.",
            instance.id
        )));
    }
    let root = image
        .devices
        .iter()
        .find(|device| device.device == image.root_device);
    let snapshot = root.and_then(|device| device.ebs.snapshot.as_deref());
    let snapshot = snapshot.map(|id| usable_source(scope, id)).transpose()?;
    Ok(Source {
        snapshot: snapshot.map(|snapshot| snapshot.id.clone()),
        size_gib: root.and_then(|device| device.ebs.size_gib).unwrap_or_default(),
    })
}

fn of_launch(scope: &Scope<'_>, instance: &Instance) -> Result<Source, Ec2Error> {
    let snapshot = instance
        .launch_snapshot
        .as_ref()
        .map(|id| usable_source(scope, id.as_str()))
        .transpose()?;
    Ok(Source {
        snapshot: snapshot.map(|snapshot| snapshot.id.clone()),
        size_gib: 0,
    })
}

/// A volume like the old one. Its key is that of its snapshot, or else the old one's.
fn replacement(scope: &Scope<'_>, old: &Volume, source: &Source) -> Result<Volume, Ec2Error> {
    let snapshot = source.snapshot.as_ref();
    let of_snapshot = snapshot.and_then(|id| scope.region.snapshots.get(id));
    let key = of_snapshot
        .and_then(|snapshot| snapshot.key.clone())
        .or_else(|| old.key.clone());
    let spec = EbsSpec {
        size_gib: Some(old.size_gib.max(source.size_gib)),
        kind: Some(old.kind),
        // gp2 volumes have IOPS that nobody may ask for.
        iops: old.iops.filter(|_| old.kind != VolumeType::Gp2),
        throughput: old.throughput,
        encrypted: key.as_ref().map(|_| true),
        key,
        snapshot: snapshot.map(ToString::to_string),
        ..EbsSpec::default()
    };
    let mut new = new_volume(scope, &spec, &old.zone, old.kind)?;
    new.history.extend(old.history.iter().cloned());
    new.history.insert(old.id.to_string());
    Ok(new)
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let tasks = &scope.region.root_replacements.tasks;
    let found = find(tasks, params, &RULES, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list("replaceRootVolumeTaskSet", found.resources, |xml, task| {
        write(task, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write(task: &RootReplacement, scope: &Scope<'_>, xml: &mut Xml) {
    xml.text("replaceRootVolumeTaskId", &task.id)
        .text("instanceId", &task.instance)
        .text("taskState", task.word(scope.now))
        .text("startTime", iso(task.started_at))
        .maybe("completeTime", task.completed_at().map(iso))
        .maybe("imageId", task.image.as_ref())
        .maybe("snapshotId", task.snapshot.as_ref())
        .text("deleteReplacedRootVolume", task.delete_replaced);
    task.tags.write(xml);
}
