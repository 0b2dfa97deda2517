//! The instance stays, and its volumes are exchanged: mode `in_place`.

use super::announced::{lost_by_a_stop, tell_stranger};
use super::blueprint::{Blueprint, Original, standing};
use super::deciding::Deciding;
use super::step::{Exchange, Standing, Step};
use super::stopping::{refuse_group, refuse_spot};
use super::tags::RESTORED_FROM;
use super::target::VolumeOrder;
use crate::configuration::{InstanceConfiguration, VolumeConfiguration};

/// The instance stays, its volumes are exchanged.
pub(super) fn decide_in_place(deciding: &mut Deciding<'_>, only: &[String], blueprint: &mut Blueprint) {
    if deciding.held.is_replica {
        deciding.block(
            "mode",
            "the instance is not where the replica lies",
            ["clone", "non_destructive", "volumes", "image"],
        );
        return;
    }
    let Some(original) = deciding.around.original.clone() else {
        let problem = format!("{} does not exist any more", deciding.resource);
        deciding.block(
            "mode",
            problem,
            ["destructive", "non_destructive", "clone", "volumes"],
        );
        return;
    };
    let (orders, mut wanted) = deciding.volumes(only);
    let zone = original.placement.availability_zone.clone();
    for volume in &mut wanted {
        volume.availability_zone.clone_from(&zone);
    }
    blueprint.exchanges = exchanges(deciding, &original, &wanted);
    for exchange in &blueprint.exchanges {
        let before = exchange
            .before
            .as_ref()
            .and_then(|before| before.volume_id.clone());
        if let Some(shared) = before.filter(|volume| deciding.around.shared_volumes.contains(volume)) {
            let problem = format!(
                "{shared} at {} is attached to other instances too",
                exchange.device
            );
            deciding.block("mode", problem, ["volumes"]);
        }
    }
    blueprint.target = InstanceConfiguration {
        volumes: volumes_after(&original, &blueprint.exchanges, &wanted),
        ..original.clone()
    };
    let facts = Original::of(&original);
    let replaces_root = can_replace_root(&original, &orders, &wanted, &facts);
    // A replaced root volume that is not proved good is taken back, and that needs a stop.
    if !replaces_root || blueprint.proof.is_some() {
        refuse_spot(deciding, &original);
        refuse_group(deciding, &original);
        if facts.was_running && facts.stop_protection && !deciding.overrides.lift_protection {
            deciding.block(
                "overrides.lift_protection",
                "the instance is protected from being stopped",
                ["true"],
            );
        }
        if facts.was_running
            && let Some(disks) = deciding.around.host_disks_of(&original)
            && !deciding.overrides.accept_instance_store_loss
        {
            let problem = format!("what is on {disks} is lost by a stop");
            deciding.block("overrides.accept_instance_store_loss", problem, ["true"]);
        }
    }
    blueprint.steps = if replaces_root {
        vec![Step::ReplaceRoot]
    } else {
        vec![
            Step::MakeVolumes,
            Step::StopOriginal,
            Step::SwapVolumes,
            Step::StartOriginal,
        ]
    };
    if !replaces_root && facts.was_running {
        deciding.further.extend(lost_by_a_stop(&original));
    }
    if blueprint.proof.is_some() {
        blueprint.steps.push(Step::ProveOriginal);
    }
    blueprint.steps.push(Step::Finish);
    blueprint.back = vec![Step::SwapBack, Step::ReturnOriginal, Step::RemoveMade];
    blueprint.volumes = orders;
    blueprint.original = Some(facts);
    for field in fields_of(&original) {
        deciding
            .reasons
            .entry(field)
            .or_insert_with(|| "changed since the backup; in place restores volumes only".to_owned());
    }
}

/// The fields of an instance that are not its volumes.
fn fields_of(original: &InstanceConfiguration) -> Vec<String> {
    let value = serde_json::to_value(original).unwrap_or_default();
    let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
    fields.filter(|field| *field != "volumes").cloned().collect()
}

/// What stands where before and after.
fn exchanges(
    deciding: &mut Deciding<'_>,
    original: &InstanceConfiguration,
    wanted: &[VolumeConfiguration],
) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for volume in wanted {
        let before = original.volumes.iter().find(|now| now.device == volume.device);
        if before.is_none() {
            deciding.because(
                format!("volumes.{}", volume.device),
                "detached since the backup; it comes back",
            );
        }
        if let Some(before) = before.filter(|before| before.volume_id != volume.volume_id) {
            check_displaced(deciding, before, wanted);
        }
        exchanges.push(Exchange {
            device: volume.device.clone(),
            is_foreign: before.is_some_and(|before| is_foreign(deciding, before)),
            before: before.map(standing),
            after: Some(Standing {
                volume_id: None,
                delete_on_termination: volume.delete_on_termination.unwrap_or(false),
            }),
        });
    }
    for now in &original.volumes {
        let is_exchanged = exchanges.iter().any(|exchange| exchange.device == now.device);
        let moved = wanted.iter().any(|volume| volume.volume_id == now.volume_id);
        if is_exchanged {
            continue;
        }
        if moved {
            // The same volume at another device: with its restored twin beside it, its file system would be there twice.
            exchanges.push(Exchange {
                device: now.device.clone(),
                is_foreign: false,
                before: Some(standing(now)),
                after: None,
            });
        } else {
            deciding.because(
                format!("volumes.{}", now.device),
                "attached since the backup; it stays",
            );
        }
    }
    exchanges
}

/// Looks at a volume that is to be taken off a device at which another one was captured.
fn check_displaced(
    deciding: &mut Deciding<'_>,
    before: &VolumeConfiguration,
    wanted: &[VolumeConfiguration],
) {
    let id = &before.volume_id;
    if wanted.iter().any(|volume| volume.volume_id == *id) {
        return;
    }
    let captured = deciding
        .captured
        .volumes
        .iter()
        .find(|volume| volume.volume_id == *id);
    match captured.filter(|_| deciding.held.snapshots.contains_key(id)) {
        Some(captured) => {
            let (then, now) = (captured.device.clone(), &before.device);
            let problem =
                format!("{id}, captured at {then}, stands at {now}, and would be taken off for good");
            deciding.block("volumes.devices", problem, [format!("{then} and {now} together")]);
        }
        None if is_foreign(deciding, before) => {
            tell_stranger(deciding, before, "it is taken off and kept, and never deleted");
        }
        None => tell_stranger(
            deciding,
            before,
            "it is kept until the restore can no longer be undone, then deleted",
        ),
    }
}

/// Whether a volume is somebody else's: the backup does not know it, and no earlier restore of this instance made it.
fn is_foreign(deciding: &Deciding<'_>, volume: &VolumeConfiguration) -> bool {
    let known = deciding
        .captured
        .volumes
        .iter()
        .any(|known| known.volume_id == volume.volume_id);
    let origin = volume
        .tags
        .get(RESTORED_FROM)
        .and_then(|origin| origin.split_once('/'));
    !known && origin.is_none_or(|(_, resource)| resource != deciding.resource.as_str())
}

/// The volumes of the instance when the exchanges are done.
fn volumes_after(
    original: &InstanceConfiguration,
    exchanges: &[Exchange],
    wanted: &[VolumeConfiguration],
) -> Vec<VolumeConfiguration> {
    let stays =
        |volume: &&VolumeConfiguration| !exchanges.iter().any(|exchange| exchange.device == volume.device);
    let mut volumes: Vec<VolumeConfiguration> = original.volumes.iter().filter(stays).cloned().collect();
    volumes.extend(wanted.iter().cloned());
    volumes.sort_by(|a, b| a.device.cmp(&b.device));
    volumes
}

/// Whether the root volume alone is restored, and EC2 can replace it while the instance runs: the snapshot must be of
/// the very volume that is there, and the new one takes over the settings of the old one.
fn can_replace_root(
    original: &InstanceConfiguration,
    orders: &[VolumeOrder],
    wanted: &[VolumeConfiguration],
    facts: &Original,
) -> bool {
    let ([order], [volume]) = (orders, wanted) else {
        return false;
    };
    let now = original.volumes.iter().find(|now| now.device == volume.device);
    let settings = |volume: &VolumeConfiguration| {
        (
            volume.volume_type.clone(),
            volume.size_gib,
            volume.iops,
            volume.throughput,
            volume.kms_key_id.clone(),
            volume.delete_on_termination,
        )
    };
    facts.was_running
        && order.is_boot
        && order.rekey.is_none()
        && now.is_some_and(|now| now.volume_id == volume.volume_id && settings(now) == settings(volume))
}
