//! `CreateSnapshot` and `CreateSnapshots`: all limits first, then every snapshot at one moment.

use crate::clock::{after, iso, seconds_between};
use crate::content::Content;
use crate::error::Ec2Error;
use crate::ids::{SnapshotId, VolumeId};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::instance::Instance;
use crate::world::sharing::Sharing;
use crate::world::snapshot::{Fate, Planned, Snapshot};
use crate::world::tier::Tiering;
use crate::world::volume::Volume;
use crate::xml::Xml;

use super::Scope;

const TAGGABLE: &[&str] = &["snapshot"];
const DESCRIPTION_LIMIT: usize = 255;

/// One snapshot of a set that may be created: nothing can fail after this.
pub(super) struct Start {
    pub(super) volume: VolumeId,
    pub(super) tags: Tags,
}

pub(super) fn create_one(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let volume = scope.volume(params.required("VolumeId")?)?;
    let tags = Tags::specified(params, "snapshot", TAGGABLE)?;
    let description = read_description(params)?;
    check_limits(scope, &[volume])?;
    let start = Start {
        volume: volume.id.clone(),
        tags,
    };
    let made = create(scope, vec![start], &description);
    let mut xml = Xml::new();
    for snapshot in &made {
        write_started(snapshot, "status", scope, &mut xml);
    }
    Ok(xml)
}

pub(super) fn create_set(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let specification = params.inner("InstanceSpecification");
    let instance = scope.instance(
        specification
            .required("InstanceId")
            .map_err(|_| Ec2Error::missing("InstanceSpecification.InstanceId"))?,
    )?;
    check_instance(scope, instance)?;
    let specified = Tags::specified(params, "snapshot", TAGGABLE)?;
    let copy_tags = read_copy_tags(params)?;
    let description = read_description(params)?;
    let volumes = select_volumes(scope, instance, &specification)?;
    check_limits(scope, &volumes)?;
    let starts = volumes
        .into_iter()
        .map(|volume| {
            let tags = if copy_tags {
                volume.tags.copied_with(&specified)?
            } else {
                specified.clone()
            };
            Ok(Start {
                volume: volume.id.clone(),
                tags,
            })
        })
        .collect::<Result<Vec<_>, Ec2Error>>()?;
    let made = create(scope, starts, &description);
    let mut xml = Xml::new();
    xml.list("snapshotSet", &made, |xml, snapshot| {
        write_started(snapshot, "state", scope, xml);
    });
    Ok(xml)
}

fn check_instance(scope: &Scope<'_>, instance: &Instance) -> Result<(), Ec2Error> {
    let state = instance.state(scope.now);
    if state.is_ending() {
        return Err(Ec2Error::new(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is in the '{}' state, which is not valid for this operation.",
                instance.id,
                state.name()
            ),
        ));
    }
    if instance.launch.hibernation.is_on("Configured") {
        return Err(Ec2Error::new(
            "UnsupportedOperation",
            format!(
                "Multi-volume snapshots are not supported for instance '{}' because it is enabled for hibernation.",
                instance.id
            ),
        ));
    }
    Ok(())
}

fn read_copy_tags(params: &Params) -> Result<bool, Ec2Error> {
    match params.text("CopyTagsFromSource") {
        None => Ok(false),
        Some("volume") => Ok(true),
        Some(other) => Err(Ec2Error::invalid_value(format!(
            "Value ({other}) for parameter CopyTagsFromSource is invalid. Expected: 'volume'."
        ))),
    }
}

pub(super) fn read_description(params: &Params) -> Result<String, Ec2Error> {
    let description = params.owned("Description").unwrap_or_default();
    if description.chars().count() > DESCRIPTION_LIMIT {
        return Err(Ec2Error::invalid_value(format!(
            "The description exceeds the maximum length of {DESCRIPTION_LIMIT} characters"
        )));
    }
    Ok(description)
}

/// The instance's volumes without those that the call excludes.
fn select_volumes<'a>(
    scope: &'a Scope<'_>,
    instance: &'a Instance,
    specification: &Params,
) -> Result<Vec<&'a Volume>, Ec2Error> {
    let without_boot = specification.flag("ExcludeBootVolume")?.unwrap_or_default();
    let excluded = specification.list("ExcludeDataVolumeId");
    for id in &excluded {
        let attached = instance
            .attached(scope.region)
            .find(|(volume, _)| volume.id.as_str() == *id);
        match attached {
            None => {
                return Err(Ec2Error::invalid_value(format!(
                    "The volume '{id}' in ExcludeDataVolumeIds is not attached to instance '{}'.",
                    instance.id
                )));
            }
            Some((_, attachment)) if attachment.device == instance.root_device => {
                return Err(Ec2Error::invalid_value(format!(
                    "The volume '{id}' is the root volume of instance '{}' and cannot be specified in \
                     ExcludeDataVolumeIds. Use ExcludeBootVolume instead.",
                    instance.id
                )));
            }
            Some(_) => {}
        }
    }
    let volumes: Vec<&Volume> = instance
        .attached(scope.region)
        .filter(|(_, attachment)| !(without_boot && attachment.device == instance.root_device))
        .map(|(volume, _)| volume)
        .filter(|volume| !excluded.contains(&volume.id.as_str()))
        .collect();
    if volumes.is_empty() {
        return Err(Ec2Error::invalid_value(format!(
            "There are no volumes to snapshot on instance '{}' with the specified exclusions.",
            instance.id
        )));
    }
    Ok(volumes)
}

/// A set is refused as a whole before anything of it exists.
pub(super) fn check_limits(scope: &Scope<'_>, volumes: &[&Volume]) -> Result<(), Ec2Error> {
    let settings = scope.settings;
    for volume in volumes {
        let too_soon = volume
            .last_snapshot_at
            .is_some_and(|last| seconds_between(last, scope.now) < settings.per_volume_interval_seconds);
        if too_soon {
            return Err(Ec2Error::new(
                "SnapshotCreationPerVolumeRateExceeded",
                "The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or \
                 variable sleep interval between requests.",
            ));
        }
        let allowed = if volume.kind.is_spinning() {
            1
        } else {
            settings.pending_per_volume
        };
        let pending = volume
            .pending
            .iter()
            .filter_map(|id| scope.region.snapshots.get(id))
            .filter(|snapshot| snapshot.is_pending(scope.now))
            .count();
        if pending >= allowed {
            return Err(Ec2Error::new(
                "ConcurrentSnapshotLimitExceeded",
                "Maximum allowed in-progress snapshots for a single volume exceeded.",
            ));
        }
    }
    check_room(scope, volumes.len())
}

/// Whether the region holds so many snapshots more.
pub(super) fn check_room(scope: &Scope<'_>, more: usize) -> Result<(), Ec2Error> {
    let settings = scope.settings;
    if scope.region.snapshots.len() + more > settings.snapshot_limit {
        return Err(Ec2Error::new(
            "SnapshotLimitExceeded",
            format!(
                "You have exceeded the maximum number of snapshots ({}).",
                settings.snapshot_limit
            ),
        ));
    }
    Ok(())
}

/// Starts all of them now. When one is meant to fail, the whole set fails with it.
pub(super) fn create(scope: &mut Scope<'_>, starts: Vec<Start>, description: &str) -> Vec<Snapshot> {
    let planned: Vec<Option<Planned>> = starts
        .iter()
        .map(|start| {
            scope
                .region
                .volumes
                .get_mut(&start.volume)
                .and_then(|volume| volume.planned.take())
        })
        .collect();
    let failure = planned
        .iter()
        .flatten()
        .find(|plan| matches!(plan, Planned::Fail { .. }))
        .cloned();
    let set = (starts.len() > 1).then(|| SnapshotId::next(scope.ids));
    let mut made = Vec::with_capacity(starts.len());
    for (start, plan) in starts.into_iter().zip(planned) {
        let Some(volume) = scope.region.volumes.get_mut(&start.volume) else {
            continue;
        };
        let plan = failure.as_ref().or(plan.as_ref());
        let snapshot = Snapshot {
            id: SnapshotId::next(scope.ids),
            owner: scope.account.to_owned(),
            volume: volume.id.clone(),
            size_gib: volume.size_gib,
            started_at: scope.now,
            description: description.to_owned(),
            key: volume.key.clone(),
            tags: start.tags,
            content: Content::clone(&volume.content),
            fate: Fate::starting(plan, scope.settings.snapshot_duration(volume.size_gib), scope.now),
            visible_at: after(scope.now, scope.settings.visibility_delay()),
            set: set.clone(),
            lineage: volume.id.to_string(),
            parent: None,
            copy: None,
            sharing: Sharing::default(),
            lock: None,
            tiering: Tiering::default(),
        };
        volume.last_snapshot_at = Some(scope.now);
        let known = &scope.region.snapshots;
        volume.pending.retain(|id| {
            known
                .get(id)
                .is_some_and(|snapshot| snapshot.is_pending(scope.now))
        });
        volume.pending.push(snapshot.id.clone());
        scope
            .region
            .snapshots
            .insert(snapshot.id.clone(), snapshot.clone());
        made.push(snapshot);
    }
    made
}

/// A snapshot as the call that starts it answers: always pending, progress not known yet.
fn write_started(snapshot: &Snapshot, state_name: &str, scope: &Scope<'_>, xml: &mut Xml) {
    snapshot.tags.write(xml);
    xml.text("snapshotId", &snapshot.id)
        .text("volumeId", &snapshot.volume)
        .text(state_name, "pending")
        .text("startTime", iso(snapshot.started_at))
        .text("progress", "")
        .text("ownerId", scope.account)
        .text("volumeSize", snapshot.size_gib)
        .text("encrypted", snapshot.key.is_some())
        .text("description", &snapshot.description);
}
