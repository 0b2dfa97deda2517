//! The decision: which steps, in which order, towards what, and back.

use super::boot::{BootWay, decide_boot_way};
use super::fidelity::{Difference, compare};
use super::obstacles::Obstacle;
use super::overrides::Overrides;
use super::request::{OnFailure, Proof, RestoreRequest, VolumesRequest};
use super::step::{Exchange, Part, Standing, Step};
use super::surroundings::{Surroundings, TargetGroup};
use super::target::{Deciding, VolumeOrder};
use super::{Held, Mode};
use crate::configuration::{InstanceConfiguration, VolumeConfiguration};
use crate::ids::{InstanceId, VolumeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a restore of one resource will do. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blueprint {
    /// What is given back.
    pub mode: Mode,
    /// Where the image of a new instance comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<BootWay>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_in_words: Option<String>,
    /// What the result is to be, and what it is compared with.
    pub target: InstanceConfiguration,
    /// Whether the launch says the processor options: types that have none refuse them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sets_cpu_options: bool,
    /// The volumes that are made of snapshots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeOrder>,
    /// What the original was when the restore began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// What stands at which device of the original, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// The instance that volumes are attached to, with the device for each captured device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Attach>,
    /// Target groups that the new instance takes the original's place in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_groups: Vec<TargetGroup>,
    /// The name of the machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    /// How it is proved good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What becomes of what was made when it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Until when an in-place restore can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Timestamp>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The way back.
    pub back: Vec<Step>,
    /// The first step that cannot be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_over: Option<usize>,
    /// When the restore is given up.
    pub deadline: Timestamp,
    /// What is known to differ from what was captured, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced: Vec<Difference>,
}

/// What the original was when the restore began: what an abort leaves it as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Whether it ran.
    pub was_running: bool,
    /// Whether it was protected from being stopped.
    pub stop_protection: bool,
    /// Whether it was protected from being terminated.
    pub termination_protection: bool,
    /// Its interfaces, and whether each was to end with it.
    pub interfaces: BTreeMap<String, bool>,
    /// Its volumes by device, and whether each was to end with it.
    pub volumes: BTreeMap<String, Standing>,
}

/// Where made volumes are attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The instance.
    pub instance_id: InstanceId,
    /// The device there for each captured device.
    pub devices: BTreeMap<String, String>,
}

impl Blueprint {
    /// The steps in words, for people: what a dry run shows.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        self.steps
            .iter()
            .map(|step| step.in_words(self.way.as_ref()))
            .collect()
    }
}

impl Original {
    /// What the survey found of it.
    #[must_use]
    pub fn of(configuration: &InstanceConfiguration) -> Self {
        let interfaces = configuration.interfaces.iter().map(|interface| {
            let ends = interface.delete_on_termination.unwrap_or(true);
            (interface.network_interface_id.clone(), ends)
        });
        let volumes = configuration
            .volumes
            .iter()
            .map(|volume| (volume.device.clone(), standing(volume)));
        Self {
            was_running: is_running(configuration),
            stop_protection: configuration.disable_api_stop == Some(true),
            termination_protection: configuration.disable_api_termination == Some(true),
            interfaces: interfaces.collect(),
            volumes: volumes.collect(),
        }
    }
}

fn standing(volume: &VolumeConfiguration) -> Standing {
    Standing {
        volume_id: Some(volume.volume_id.clone()),
        delete_on_termination: volume.delete_on_termination.unwrap_or(false),
    }
}

fn is_running(configuration: &InstanceConfiguration) -> bool {
    matches!(configuration.state.as_deref(), Some("running" | "pending"))
}

/// Decides how one resource of a recovery point is given back.
///
/// # Errors
/// Everything that stands in the way, each with what may be chosen instead.
pub fn decide_restore(
    request: &RestoreRequest,
    held: &Held,
    around: &Surroundings,
    now: Timestamp,
) -> Result<Blueprint, Vec<Obstacle>> {
    let resource = &held.backup.resource_id;
    let Some(captured) = &held.backup.configuration else {
        return Err(vec![Obstacle::new(
            "resources",
            format!("the backup of {resource} holds no configuration"),
            ["another recovery point"],
        )]);
    };
    let overrides = request.overrides_of(resource);
    let mut deciding = Deciding {
        mode: request.mode,
        resource,
        held,
        captured,
        overrides: &overrides,
        around,
        obstacles: Vec::new(),
        reasons: BTreeMap::new(),
        sets_cpu_options: false,
        further: Vec::new(),
    };
    let deadline = crate::pacing::later(
        now,
        jiff::SignedDuration::from_mins(i64::from(request.deadline_minutes)),
    );
    let mut blueprint = Blueprint {
        mode: request.mode,
        way: None,
        way_in_words: None,
        target: InstanceConfiguration::default(),
        sets_cpu_options: false,
        volumes: Vec::new(),
        original: None,
        exchanges: Vec::new(),
        attach: None,
        target_groups: Vec::new(),
        image_name: None,
        proof: request.proof.clone(),
        on_failure: request.on_failure,
        undo_until: None,
        steps: Vec::new(),
        back: Vec::new(),
        cut_over: None,
        deadline,
        announced: Vec::new(),
    };
    match request.mode {
        Mode::Clone | Mode::NonDestructive | Mode::Destructive | Mode::Rehearsal => {
            decide_launch(&mut deciding, &overrides, &mut blueprint);
        }
        Mode::InPlace => {
            let only = request
                .volumes
                .as_ref()
                .map_or(&[][..], |volumes| &volumes.devices);
            decide_in_place(&mut deciding, only, &mut blueprint);
            let until = jiff::SignedDuration::from_hours(i64::from(request.undo_hours));
            blueprint.undo_until = Some(crate::pacing::later(now, until));
        }
        Mode::Volumes => {
            let volumes = request.volumes.clone().unwrap_or_default();
            decide_volumes(&mut deciding, &volumes, &mut blueprint);
        }
        Mode::Image => {
            let name = request.image.as_ref().map(|image| image.name.clone());
            blueprint.image_name = name;
            decide_image(&mut deciding, &overrides, &mut blueprint);
        }
        Mode::Undo => deciding.block("mode", "an undo has no recovery point", ["{\"undo\": \"job-…\"}"]),
    }
    if !deciding.obstacles.is_empty() {
        return Err(each_once(deciding.obstacles));
    }
    blueprint.sets_cpu_options = deciding.sets_cpu_options;
    if !matches!(request.mode, Mode::Volumes | Mode::Image) {
        blueprint.announced = announce(&deciding, &blueprint.target);
    }
    Ok(blueprint)
}

/// What several volumes or interfaces have in common is said once.
fn each_once(obstacles: Vec<Obstacle>) -> Vec<Obstacle> {
    let mut each: Vec<Obstacle> = Vec::with_capacity(obstacles.len());
    for obstacle in obstacles {
        if !each.contains(&obstacle) {
            each.push(obstacle);
        }
    }
    each
}

/// Whether `field` is `root` or below it. `volumes./dev/sdf` is not the root of `volumes./dev/sdf1`.
fn is_within(field: &str, root: &str) -> bool {
    field
        .strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What will differ from what was captured, each with its reason.
fn announce(deciding: &Deciding<'_>, target: &InstanceConfiguration) -> Vec<Difference> {
    let mut announced = compare(deciding.captured, target);
    for difference in &mut announced {
        let because = deciding
            .reasons
            .iter()
            .filter(|(field, _)| is_within(&difference.field, field))
            .max_by_key(|(field, _)| field.len());
        let why = because.map_or("asked for", |(_, why)| why.as_str());
        difference.why = Some(why.to_owned());
    }
    if deciding.mode != Mode::InPlace {
        for (field, captured, restored, why) in deciding.further_reasons() {
            announced.push(Difference::announced(field, captured, restored, why));
        }
    }
    for volume in &deciding.captured.volumes {
        let restored = target
            .volumes
            .iter()
            .find(|restored| restored.volume_id == volume.volume_id);
        let shared = volume.multi_attach_enabled == Some(true);
        if shared && restored.is_some_and(|restored| restored.multi_attach_enabled == Some(false)) {
            announced.push(Difference::announced(
                format!("volumes.{}.multi_attach_enabled", volume.device),
                "true",
                "false",
                "one instance is restored, and its volumes are its own",
            ));
        }
    }
    announced.extend(deciding.further.iter().cloned());
    announced
}

/// A new instance: beside the original or in its place.
fn decide_launch(deciding: &mut Deciding<'_>, overrides: &Overrides, blueprint: &mut Blueprint) {
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
        blueprint.back = vec![Step::RemoveMade, Step::ReturnOriginal];
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
fn take_root_device(deciding: &mut Deciding<'_>, way: &BootWay, blueprint: &mut Blueprint) {
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

/// Tells of a volume that stands where another one stood when the backup was taken: the backup does not hold it.
fn tell_stranger(deciding: &mut Deciding<'_>, volume: &VolumeConfiguration, fate: &str) {
    let captured = deciding
        .captured
        .volumes
        .iter()
        .find(|captured| captured.device == volume.device);
    let captured = captured.map_or_else(|| "nothing".to_owned(), |captured| captured.volume_id.to_string());
    deciding.further.push(Difference::announced(
        format!("volumes.{}.volume_id", volume.device),
        captured,
        "a volume of the backup",
        format!(
            "{} stands there since the backup, which does not hold it; {fate}",
            volume.volume_id
        ),
    ));
}

/// The tag that EC2 Auto Scaling puts on the instances of a group.
const AUTO_SCALING_GROUP: &str = "aws:autoscaling:groupName";

/// An Auto Scaling group takes an instance that stops for a broken one and terminates it, with its volumes.
pub(super) fn auto_scaling_group(original: &InstanceConfiguration) -> Option<&String> {
    original.tags.get(AUTO_SCALING_GROUP)
}

fn refuse_group(deciding: &mut Deciding<'_>, original: &InstanceConfiguration) {
    if let Some(group) = auto_scaling_group(original).filter(|_| is_running(original)) {
        let problem = format!(
            "the original belongs to Auto Scaling group {group}, which terminates an instance that stops; detach it \
             from the group first"
        );
        deciding.block("mode", problem, ["clone", "non_destructive", "volumes"]);
    }
}

fn refuse_spot(deciding: &mut Deciding<'_>, original: &InstanceConfiguration) {
    if original.lifecycle.as_deref() == Some("spot") {
        deciding.block(
            "mode",
            "the original is a spot instance, which cannot be stopped and started at will",
            ["clone", "non_destructive", "volumes"],
        );
    }
}

/// The instance stays, its volumes are exchanged.
fn decide_in_place(deciding: &mut Deciding<'_>, only: &[String], blueprint: &mut Blueprint) {
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
            && !original.instance_store.is_empty()
            && !deciding.overrides.accept_instance_store_loss
        {
            let devices: Vec<&str> = original.instance_store.keys().map(String::as_str).collect();
            let problem = format!(
                "what is on the instance-store disks at {} is lost by a stop",
                devices.join(", ")
            );
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
            is_foreign: before.is_some_and(|before| {
                let mut known = deciding.captured.volumes.iter();
                !known.any(|known| known.volume_id == before.volume_id)
            }),
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
        None => tell_stranger(
            deciding,
            before,
            "it is kept until the restore can no longer be undone, then deleted",
        ),
    }
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

/// New volumes, perhaps attached.
fn decide_volumes(deciding: &mut Deciding<'_>, request: &VolumesRequest, blueprint: &mut Blueprint) {
    let (orders, mut wanted) = deciding.volumes(&request.devices);
    let attach_to = deciding.around.attach_to.clone();
    let there = attach_to
        .as_ref()
        .and_then(|instance| instance.placement.availability_zone.clone());
    if let Some(id) = &request.attach_to
        && attach_to.is_none()
    {
        deciding.block(
            "volumes.attach_to",
            format!("{id} does not exist here"),
            ["an instance of this region"],
        );
    }
    let asked = request.availability_zone.clone();
    if let (Some(asked), Some(there)) = (&asked, &there)
        && asked != there
    {
        let problem = format!("the instance is in {there}, and a volume is attached in its own zone only");
        deciding.block("volumes.availability_zone", problem, [there.clone()]);
    }
    for volume in &mut wanted {
        let zone = there
            .clone()
            .or_else(|| asked.clone())
            .or_else(|| volume.availability_zone.clone());
        if let Some(zone) = zone
            .as_ref()
            .filter(|zone| !deciding.around.zones.contains(*zone))
        {
            let zones: Vec<String> = deciding.around.zones.iter().cloned().collect();
            deciding.block(
                "volumes.availability_zone",
                format!("{zone} is no zone of this region"),
                zones,
            );
        }
        volume.availability_zone = zone;
        for (key, value) in &deciding.overrides.tags {
            volume.tags.insert(key.clone(), value.clone());
        }
    }
    for device in request.attach_as.keys() {
        if !orders.iter().any(|order| order.device == *device) {
            let mut devices: Vec<String> = orders.iter().map(|order| order.device.clone()).collect();
            if devices.is_empty() {
                devices.push("nothing".to_owned());
            }
            let problem = format!("{device} is not restored");
            deciding.block(&format!("volumes.attach_as.{device}"), problem, devices);
        }
    }
    if let (Some(instance_id), Some(instance)) = (request.attach_to.clone(), &attach_to) {
        if !matches!(instance.state.as_deref(), Some("running" | "stopped")) {
            let state = instance.state.as_deref().unwrap_or("in an unknown state");
            let problem = format!("{instance_id} is {state}");
            deciding.block(
                "volumes.attach_to",
                problem,
                ["an instance that runs or is stopped"],
            );
        }
        let mut devices = BTreeMap::new();
        for order in &orders {
            let device = request
                .attach_as
                .get(&order.device)
                .unwrap_or(&order.device)
                .clone();
            let volume = instance.volumes.iter().find(|volume| volume.device == device);
            let taken = volume
                .map(|volume| volume.volume_id.to_string())
                .or_else(|| instance.instance_store.get(&device).cloned());
            if let Some(taken) = taken {
                let problem = format!("{device} of {instance_id} holds {taken}");
                deciding.block(
                    &format!("volumes.attach_as.{}", order.device),
                    problem,
                    ["a free device"],
                );
            }
            if devices.values().any(|other| *other == device) {
                let problem = format!("two volumes are to go to {device} of {instance_id}");
                deciding.block(
                    &format!("volumes.attach_as.{}", order.device),
                    problem,
                    ["a free device"],
                );
            }
            devices.insert(order.device.clone(), device);
        }
        blueprint.attach = Some(Attach { instance_id, devices });
        blueprint.steps = vec![Step::MakeVolumes, Step::AttachVolumes, Step::Finish];
    } else {
        blueprint.steps = vec![Step::MakeVolumes, Step::Finish];
    }
    blueprint.back = vec![Step::RemoveMade];
    blueprint.target.volumes = wanted;
    blueprint.volumes = orders;
}

/// A machine image: of the snapshots where nothing is billed for; else of an instance that carries the billing.
fn decide_image(deciding: &mut Deciding<'_>, overrides: &Overrides, blueprint: &mut Blueprint) {
    let way = match decide_boot_way(
        Mode::Image,
        deciding.held,
        deciding.captured,
        overrides,
        deciding.around,
    ) {
        Ok(way) => way,
        Err(obstacle) => {
            deciding.obstacles.push(obstacle);
            return;
        }
    };
    let (orders, wanted) = deciding.volumes(&[]);
    blueprint.volumes = orders;
    if way.exchanges_boot_volume() {
        blueprint.target = deciding.instance(wanted);
        take_root_device(deciding, &way, blueprint);
        let image = way.makes_image().then_some(Step::ObtainImage);
        blueprint.steps = image.into_iter().collect();
        blueprint.steps.extend([
            Step::Launch(Part::Candidate),
            Step::ExchangeBootVolume(Part::Candidate),
            Step::MakeImage,
            Step::RemoveCandidate,
            Step::Finish,
        ]);
    } else {
        if !wanted.iter().any(|volume| volume.is_boot) {
            deciding.block(
                "mode",
                "the backup holds no boot volume, so no image can be made of it",
                ["volumes"],
            );
        }
        for (field, is_given) in [
            ("subnet_id", overrides.subnet_id.is_some()),
            ("security_group_ids", !overrides.security_group_ids.is_empty()),
            ("instance_type", overrides.instance_type.is_some()),
            ("placement", overrides.placement.is_some()),
        ] {
            if is_given {
                let problem =
                    "the image is registered from the snapshots, and no instance is launched for it";
                deciding.block(&format!("overrides.{field}"), problem, ["nothing"]);
            }
        }
        blueprint.target = InstanceConfiguration {
            volumes: wanted,
            ..deciding.captured.clone()
        };
        blueprint.steps = vec![Step::MakeImage, Step::Finish];
    }
    for (key, value) in &overrides.tags {
        blueprint.target.tags.insert(key.clone(), value.clone());
    }
    blueprint.back = vec![Step::RemoveMade];
    blueprint.way_in_words = Some(way.in_words(deciding.captured));
    blueprint.way = Some(way);
}

/// The volumes that an in-place restore took off, by the device each stood at.
#[must_use]
pub fn kept_volumes(exchanges: &[Exchange]) -> BTreeMap<String, VolumeId> {
    exchanges
        .iter()
        .filter_map(|exchange| {
            Some((
                exchange.device.clone(),
                exchange.before.as_ref()?.volume_id.clone()?,
            ))
        })
        .collect()
}
