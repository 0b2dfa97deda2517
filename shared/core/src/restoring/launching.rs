//! A new instance, beside the original or in its place: the modes that launch one.

use super::Mode;
use super::announced::tell_stranger;
use super::blueprint::{Blueprint, Original};
use super::boot::{BootWay, decide_boot_way};
use super::deciding::Deciding;
use super::overrides::Overrides;
use super::step::{Part, Step};
use super::stopping::{refuse_group, refuse_spot};
use crate::configuration::{InstanceConfiguration, VolumeConfiguration};
use crate::tags::MAX_TAGS;

/// A new instance: beside the original or in its place.
pub(super) fn decide_launch(deciding: &mut Deciding<'_>, overrides: &Overrides, blueprint: &mut Blueprint) {
    let mode = deciding.mode;
    let original = deciding
        .around
        .original
        .as_ref()
        .filter(|_| !deciding.held.is_replica);
    if mode == Mode::Destructive && deciding.held.is_replica {
        deciding.block(
            "mode",
            "the original is not where the replica lies",
            ["clone", "non_destructive", "volumes", "image"],
        );
    }
    if mode == Mode::Rehearsal {
        // An isolated place has to be named: nothing is rehearsed beside the original.
        if overrides.subnet_id.is_none() {
            deciding.block("overrides.subnet_id", "missing", ["an isolated subnet"]);
        }
        if overrides.security_group_ids.is_empty() {
            deciding.block(
                "overrides.security_group_ids",
                "missing",
                ["groups that let nothing out"],
            );
        }
    }
    let (orders, wanted) = deciding.volumes(&[]);
    blueprint.target = deciding.instance(wanted);
    blueprint.volumes = orders;
    let way = match decide_boot_way(mode, deciding.held, deciding.captured, overrides, deciding.around) {
        Ok(way) => way,
        Err(obstacle) => {
            deciding.obstacles.push(obstacle);
            return;
        }
    };
    take_root_device(deciding, &way, blueprint);
    blueprint.way_in_words = Some(way.in_words(deciding.captured));
    let launch = |part: Part, proved: bool| {
        let exchange = way
            .exchanges_boot_volume()
            .then_some(Step::ExchangeBootVolume(part));
        [
            Some(Step::Launch(part)),
            exchange,
            proved.then_some(Step::Prove(part)),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
    };
    let image = way.makes_image().then_some(Step::ObtainImage);
    let replaces = original.filter(|_| mode == Mode::Destructive);
    if let Some(original) = replaces {
        check_original(deciding, original, overrides);
        let restored: Vec<&str> = blueprint
            .volumes
            .iter()
            .map(|order| order.device.as_str())
            .collect();
        check_ending_volumes(deciding, original, &restored);
        blueprint.original = Some(Original::of(original));
        blueprint.target_groups.clone_from(&deciding.around.target_groups);
        // An image of the original is taken while it rests; any other is made before, so that it rests shorter.
        let (first, second) = if way == BootWay::OfOriginal {
            (Some(Step::StopOriginal), image)
        } else {
            (image, Some(Step::StopOriginal))
        };
        let mut steps: Vec<Step> = first.into_iter().chain(second).collect();
        steps.extend(launch(Part::Candidate, true));
        blueprint.cut_over = Some(steps.len());
        steps.push(Step::ReleaseOriginal);
        steps.extend(launch(Part::Final, true));
        steps.extend([Step::Dress, Step::RemoveCandidate, Step::Settle, Step::Finish]);
        blueprint.steps = steps;
        blueprint.back = vec![Step::ReturnOriginal, Step::RemoveMade];
    } else {
        let proved = blueprint.proof.is_some() || matches!(mode, Mode::Destructive | Mode::Rehearsal);
        let mut steps: Vec<Step> = image.into_iter().collect();
        steps.extend(launch(Part::Final, proved));
        if mode == Mode::Rehearsal {
            steps.extend([Step::Dress, Step::Finish, Step::RemoveMade]);
        } else {
            steps.extend([Step::Dress, Step::Settle, Step::Finish]);
        }
        blueprint.steps = steps;
        blueprint.back = vec![Step::RemoveMade];
    }
    blueprint.way = Some(way);
}

/// Puts the boot volume where the image has it that the instance is launched from: EC2 knows an instance's boot volume
/// by the image's root device.
pub(super) fn take_root_device(deciding: &mut Deciding<'_>, way: &BootWay, blueprint: &mut Blueprint) {
    let BootWay::Donor {
        image_id,
        root_device_name: root,
        ..
    } = way
    else {
        return;
    };
    let own = blueprint.target.root_device_name.clone().unwrap_or_default();
    if root.is_empty() || *root == own {
        return;
    }
    let volumes = &mut blueprint.target.volumes;
    if volumes
        .iter()
        .any(|volume| !volume.is_boot && volume.device == *root)
    {
        let problem =
            format!("the boot volume of {image_id} is at {root}, where a data volume of the instance is");
        deciding.block(
            "overrides.image_id",
            problem,
            [format!("an image whose boot volume is at {own}")],
        );
        return;
    }
    let why = format!("the boot volume stands where {image_id} has it");
    for volume in volumes.iter_mut().filter(|volume| volume.is_boot) {
        deciding.because(format!("volumes.{}", volume.device), why.clone());
        volume.device.clone_from(root);
    }
    volumes.sort_by(|a, b| a.device.cmp(&b.device));
    for order in blueprint.volumes.iter_mut().filter(|order| order.is_boot) {
        order.device.clone_from(root);
    }
    deciding.because(format!("volumes.{root}"), why.clone());
    deciding.because("root_device_name", why);
    blueprint.target.root_device_name = Some(root.clone());
}

/// Whether the original may be stopped and terminated.
fn check_original(deciding: &mut Deciding<'_>, original: &InstanceConfiguration, overrides: &Overrides) {
    let guarded = [
        ("terminated", original.disable_api_termination == Some(true)),
        ("stopped", original.disable_api_stop == Some(true)),
    ];
    for (what, is_guarded) in guarded {
        if is_guarded && !overrides.lift_protection {
            let problem = format!("the original is protected from being {what}");
            deciding.block("overrides.lift_protection", problem, ["true"]);
        }
    }
    refuse_spot(deciding, original);
    refuse_group(deciding, original);
    let own = original
        .tags
        .keys()
        .filter(|key| !key.starts_with("aws:"))
        .count();
    if own >= MAX_TAGS {
        let problem = format!(
            "the original carries {own} tags, which leaves no room for the one without which nothing is terminated"
        );
        deciding.block(
            "mode",
            problem,
            ["non_destructive", "destructive, once a tag is taken off"],
        );
    }
}

/// Whether anything ends with the original that the backup does not hold.
fn check_ending_volumes(deciding: &mut Deciding<'_>, original: &InstanceConfiguration, restored: &[&str]) {
    let ending = |volume: &&VolumeConfiguration| volume.delete_on_termination == Some(true);
    for volume in original.volumes.iter().filter(ending) {
        let (id, device) = (&volume.volume_id, &volume.device);
        if deciding.held.snapshots.contains_key(id) {
            continue;
        }
        if restored.contains(&device.as_str()) {
            tell_stranger(deciding, volume, "it ends with the original");
        } else {
            let problem = format!(
                "{id} at {device} ends with the original, and the backup does not hold it; have it outlive its \
                 instance first (DeleteOnTermination)"
            );
            deciding.block(
                "mode",
                problem,
                ["non_destructive", "clone", "in_place", "volumes"],
            );
        }
    }
}
