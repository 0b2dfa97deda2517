//! What a new instance is to be: the captured configuration, less what cannot come back, with what was asked for.

use super::boot::is_coded;
use super::fidelity::Difference;
use super::obstacles::Obstacle;
use super::overrides::{AUTOMATIC, ElasticIps, Interfaces, Overrides, PlacementChoice, VolumeOverride};
use super::step::named;
use super::surroundings::{Holder, Surroundings};
use super::{Held, Mode};
use crate::configuration::{
    CapacityReservation, InstanceConfiguration, InterfaceConfiguration, Placement, PrivateAddress,
    VolumeConfiguration,
};
use crate::ids::{InstanceId, SnapshotId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A volume to be made of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOrder {
    /// The device it was captured at.
    pub device: String,
    /// Whether it is the boot volume.
    pub is_boot: bool,
    /// Its snapshot.
    pub snapshot_id: SnapshotId,
    /// The key to encrypt it with, where that is not the snapshot's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekey: Option<String>,
}

/// Decides about one resource; collects what is in the way and why things will differ.
pub(super) struct Deciding<'a> {
    pub(super) mode: Mode,
    pub(super) resource: &'a InstanceId,
    pub(super) held: &'a Held,
    pub(super) captured: &'a InstanceConfiguration,
    pub(super) overrides: &'a Overrides,
    pub(super) around: &'a Surroundings,
    pub(super) obstacles: Vec<Obstacle>,
    /// Why a field will differ, by the beginning of its name.
    pub(super) reasons: BTreeMap<String, String>,
    /// Whether the processor options are others than the type has by itself.
    pub(super) sets_cpu_options: bool,
    /// What is to be told beside what the comparison finds.
    pub(super) further: Vec<Difference>,
}

impl Deciding<'_> {
    pub(super) fn block<C: Into<String>>(
        &mut self,
        field: &str,
        problem: impl Into<String>,
        choices: impl IntoIterator<Item = C>,
    ) {
        self.obstacles.push(Obstacle::new(field, problem, choices));
    }

    /// The same for what a destructive recovery takes as it was, so that its request has no such field.
    fn block_network<C: Into<String>>(
        &mut self,
        field: &str,
        problem: impl Into<String>,
        choices: impl IntoIterator<Item = C>,
    ) {
        if self.mode == Mode::Destructive {
            self.block("mode", problem, [format!("non_destructive, with {field}")]);
        } else {
            self.block(field, problem, choices);
        }
    }

    pub(super) fn because(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.reasons.insert(field.into(), why.into());
    }

    /// The volumes to be made, and what they are to be.
    pub(super) fn volumes(&mut self, only: &[String]) -> (Vec<VolumeOrder>, Vec<VolumeConfiguration>) {
        let devices: Vec<&str> = self
            .captured
            .volumes
            .iter()
            .map(|volume| volume.device.as_str())
            .collect();
        let held: Vec<&VolumeConfiguration> = self
            .captured
            .volumes
            .iter()
            .filter(|volume| self.held.snapshots.contains_key(&volume.volume_id))
            .collect();
        let here: Vec<&str> = held.iter().map(|volume| volume.device.as_str()).collect();
        for device in only.iter().filter(|device| !here.contains(&device.as_str())) {
            let problem = format!("the backup holds no volume of {device}");
            self.block("volumes.devices", problem, here.clone());
        }
        for device in self.overrides.volumes.keys() {
            if !devices.contains(&device.as_str()) {
                let problem = format!("{device} is no device of the captured instance");
                self.block(
                    &format!("overrides.volumes.{device}"),
                    problem,
                    [devices.join(", ")],
                );
            }
        }
        let mut orders = Vec::new();
        let mut wanted = Vec::new();
        for volume in held {
            if !only.is_empty() && !only.contains(&volume.device) {
                self.because(
                    format!("volumes.{}", volume.device),
                    "only other volumes were asked for",
                );
                continue;
            }
            let snapshot_id = self.held.snapshots[&volume.volume_id].clone();
            let (volume, rekey) = self.volume(volume, &snapshot_id);
            orders.push(VolumeOrder {
                device: volume.device.clone(),
                is_boot: volume.is_boot,
                snapshot_id,
                rekey,
            });
            wanted.push(volume);
        }
        for volume in self
            .captured
            .volumes
            .iter()
            .filter(|volume| !here.contains(&volume.device.as_str()))
        {
            self.reasons.insert(
                format!("volumes.{}", volume.device),
                "the plan leaves this volume out of its backups".to_owned(),
            );
        }
        (orders, wanted)
    }

    fn volume(
        &mut self,
        captured: &VolumeConfiguration,
        snapshot_id: &SnapshotId,
    ) -> (VolumeConfiguration, Option<String>) {
        let mut volume = captured.clone();
        let none = VolumeOverride::default();
        let own = self.overrides.volumes.get(&captured.device).unwrap_or(&none);
        if let Some(kind) = &own.volume_type {
            if captured.volume_type.as_ref() != Some(kind) {
                // What one type takes means nothing to another.
                volume.iops = None;
                volume.throughput = None;
            }
            volume.volume_type = Some(kind.clone());
        }
        volume.size_gib = own.size_gib.or(volume.size_gib);
        volume.iops = own.iops.or(volume.iops);
        volume.throughput = own.throughput.or(volume.throughput);
        if volume.volume_type.as_deref() == Some("gp2") && own.size_gib.is_some() {
            volume.iops = None;
        }
        if captured.multi_attach_enabled == Some(true) {
            volume.multi_attach_enabled = Some(false);
        }
        let field = format!("overrides.volumes.{}", captured.device);
        self.check_type(&field, own, &volume);
        let Some(snapshot) = self.around.snapshots.get(snapshot_id).cloned() else {
            self.block::<String>(
                "recovery_point_id",
                format!("{snapshot_id} of {} is not there", captured.device),
                ["another recovery point".to_owned()],
            );
            return (volume, None);
        };
        if snapshot.archived {
            self.block(
                "recovery_point_id",
                format!("{snapshot_id} of {} lies in the archive tier", captured.device),
                [
                    "another recovery point",
                    "the same one, once RestoreSnapshotTier has brought it back",
                ],
            );
        } else if !snapshot.usable {
            self.block(
                "recovery_point_id",
                format!("{snapshot_id} of {} is not complete", captured.device),
                ["another recovery point"],
            );
        }
        if volume.size_gib.is_some_and(|size| size < snapshot.size_gib) {
            self.block(
                &format!("{field}.size_gib"),
                format!("a volume of {snapshot_id} has at least {} GiB", snapshot.size_gib),
                [format!("{} or more", snapshot.size_gib)],
            );
        }
        // The snapshot's own key is what the volume gets if nobody says otherwise.
        let asked = own.kms_key_id.as_ref().or(self.overrides.kms_key_id.as_ref());
        // A key may be named in several ways; a volume shows its ARN.
        let asked = asked.map(|named| self.around.key_arns.get(named).unwrap_or(named));
        let key = asked.or(snapshot.kms_key_id.as_ref()).cloned();
        if let Some(problem) = snapshot
            .kms_key_id
            .as_ref()
            .and_then(|own| self.around.unusable_keys.get(own))
        {
            let problem = format!("{snapshot_id} cannot be read: {problem}");
            self.block(
                "recovery_point_id",
                problem,
                ["another recovery point", "the same one, once its key can be used"],
            );
        } else if let Some(problem) = asked.and_then(|key| self.around.unusable_keys.get(key)) {
            self.block(
                &format!("{field}.kms_key_id"),
                problem.clone(),
                ["a key that can be used here"],
            );
        }
        volume.encrypted = Some(key.is_some());
        let rekey = asked
            .filter(|asked| snapshot.kms_key_id.as_ref() != Some(*asked))
            .cloned();
        if asked.is_none() && key != captured.kms_key_id {
            let why = if self.held.is_replica {
                "the replica is encrypted with its destination's key"
            } else {
                "the snapshot is under another key than the volume was"
            };
            self.because(format!("volumes.{}.kms_key_id", captured.device), why);
            self.because(format!("volumes.{}.encrypted", captured.device), why);
        }
        volume.kms_key_id = key;
        (volume, rekey)
    }

    /// Whether a volume's type takes what is asked for.
    fn check_type(&mut self, field: &str, own: &VolumeOverride, volume: &VolumeConfiguration) {
        let Some(kind) = volume.volume_type.as_deref() else {
            return;
        };
        let is_provisioned = matches!(kind, "io1" | "io2");
        if own.iops.is_some() && !is_provisioned && kind != "gp3" {
            let problem = format!("a volume of type {kind} takes no IOPS");
            self.block(
                &format!("{field}.iops"),
                problem,
                ["nothing", "IOPS with a volume_type of gp3, io1 or io2"],
            );
        }
        if own.throughput.is_some() && kind != "gp3" {
            let problem = format!("a volume of type {kind} takes no throughput");
            self.block(
                &format!("{field}.throughput"),
                problem,
                ["nothing", "a throughput with volume_type gp3"],
            );
        }
        if is_provisioned && volume.iops.is_none() {
            let problem = format!("a volume of type {kind} needs its IOPS to be said");
            self.block(&format!("{field}.iops"), problem, ["a number of IOPS"]);
        }
    }

    /// What the new instance is to be. Its volumes are set by [`Deciding::volumes`].
    pub(super) fn instance(&mut self, volumes: Vec<VolumeConfiguration>) -> InstanceConfiguration {
        if !volumes.iter().any(|volume| volume.is_boot) {
            self.block(
                "mode",
                format!(
                    "the backup of {} holds no boot volume, so no instance can be made of it",
                    self.resource
                ),
                ["volumes"],
            );
        }
        let mut target = self.captured.clone();
        target.volumes = volumes;
        if self.mode == Mode::Image {
            // It is launched for its image only, and nobody ever enters it.
            target.key_name = None;
            target.iam_instance_profile_arn = None;
        }
        self.set_type(&mut target);
        self.set_access(&mut target);
        self.set_placement(&mut target);
        self.set_interfaces(&mut target);
        if self.overrides.without_user_data {
            target.user_data = None;
        }
        if target.lifecycle.as_deref() == Some("spot") {
            target.lifecycle = None;
        }
        if target.reboot_migration.as_deref().is_some_and(|choice| choice != "default") {
            target.reboot_migration = Some("default".to_owned());
            self.because("reboot_migration", "a launch cannot ask for it");
        }
        if self.held.is_replica && !target.licenses.is_empty() {
            target.licenses.clear();
            self.because("licenses", "license configurations belong to their region");
        }
        named(target, &self.overrides.tags, self.overrides.name.as_ref())
    }

    fn set_type(&mut self, target: &mut InstanceConfiguration) {
        let asked = self.overrides.instance_type.as_ref();
        let Some(kind) = asked.or(target.instance_type.as_ref()).cloned() else {
            return;
        };
        let Some(facts) = self.around.instance_types.get(&kind).cloned() else {
            let problem = format!("{kind} is not offered here");
            self.block(
                "overrides.instance_type",
                problem,
                ["a type that is offered in this region"],
            );
            return;
        };
        if let Some(architecture) = &target.architecture
            && !facts.architectures.contains(architecture)
        {
            let runs: Vec<&str> = facts.architectures.iter().map(String::as_str).collect();
            let problem = format!(
                "the boot volume is for {architecture}, and {kind} runs {}",
                runs.join(" and ")
            );
            self.block(
                "overrides.instance_type",
                problem,
                [format!("a type that runs {architecture}")],
            );
        }
        if self.captured.instance_type.as_ref() != Some(&kind) {
            target.cpu.core_count = facts.default_cores;
            target.cpu.threads_per_core = facts.default_threads_per_core;
            let why = format!("{kind} was asked for");
            if !facts.burstable {
                target.cpu_credits = None;
            } else if target.cpu_credits.is_none() {
                let own = Difference::announced("cpu_credits", "nothing", "what the type has by itself", &why);
                self.further.push(own);
            }
            self.because("cpu", why.clone());
            self.because("cpu_credits", why);
        }
        let own = (facts.default_cores, facts.default_threads_per_core);
        self.sets_cpu_options = (target.cpu.core_count, target.cpu.threads_per_core) != own;
        target.instance_type = Some(kind);
    }

    fn set_access(&mut self, target: &mut InstanceConfiguration) {
        if let Some(key) = &self.overrides.key_name {
            target.key_name = Some(key.clone()).filter(|key| !key.is_empty());
        }
        if let Some(key) = target.key_name.clone()
            && !self.around.key_pairs.contains(&key)
        {
            self.block(
                "overrides.key_name",
                format!("the key pair {key} is not there"),
                ["a key pair of this region", "\"\" for none"],
            );
        }
        if let Some(profile) = &self.overrides.iam_instance_profile_arn {
            target.iam_instance_profile_arn = Some(profile.clone()).filter(|profile| !profile.is_empty());
        } else if let Some(profile) = &target.iam_instance_profile_arn {
            let account = profile.split(':').nth(4).unwrap_or_default().to_owned();
            if account != self.held.place.account_id {
                self.block(
                    "overrides.iam_instance_profile_arn",
                    format!("{profile} belongs to account {account}"),
                    ["an instance profile of this account", "\"\" for none"],
                );
            }
        }
    }

    fn set_placement(&mut self, target: &mut InstanceConfiguration) {
        let captured = &self.captured.placement;
        let bound = [
            (
                "dedicated host",
                captured.host_id.is_some() || captured.host_resource_group_arn.is_some(),
            ),
            (
                "placement group",
                captured.group_name.is_some() || captured.group_id.is_some(),
            ),
            (
                "capacity reservation",
                self.captured.capacity_reservation.reservation_id.is_some()
                    || self.captured.capacity_reservation.resource_group_arn.is_some(),
            ),
        ];
        match self.overrides.placement {
            Some(PlacementChoice::Default) => {
                target.placement = Placement {
                    tenancy: Some("default".to_owned()),
                    ..Placement::default()
                };
                target.capacity_reservation = CapacityReservation {
                    preference: Some("open".to_owned()),
                    ..CapacityReservation::default()
                };
            }
            None if self.held.is_replica => {
                let names: Vec<&str> = bound
                    .iter()
                    .filter(|(_, is)| *is)
                    .map(|(name, _)| *name)
                    .collect();
                if !names.is_empty() {
                    let problem = format!(
                        "{} of the captured instance belongs to its region",
                        names.join(" and ")
                    );
                    self.block("overrides.placement", problem, ["default"]);
                }
            }
            Some(PlacementChoice::AsCaptured) | None => {}
        }
    }

    fn set_interfaces(&mut self, target: &mut InstanceConfiguration) {
        let captured = self.captured.interfaces.clone();
        let for_image = (self.mode == Mode::Image).then_some(Interfaces::PrimaryOnly);
        let choice = self.overrides.interfaces.or(for_image);
        let mut interfaces: Vec<InterfaceConfiguration> = captured
            .into_iter()
            .filter(|interface| choice != Some(Interfaces::PrimaryOnly) || is_primary(interface))
            .collect();
        if interfaces.len() < self.captured.interfaces.len() {
            self.because("interfaces", "only the primary interface was asked for");
        }
        if let Some(most) = target
            .instance_type
            .as_ref()
            .and_then(|kind| self.around.instance_types.get(kind)?.most_interfaces)
            && usize::try_from(most).is_ok_and(|most| interfaces.len() > most)
        {
            let problem = format!(
                "there are {} interfaces, and the type takes {most}",
                interfaces.len()
            );
            if self.mode == Mode::Destructive {
                let choice = format!("a type that takes {} interfaces", interfaces.len());
                self.block("overrides.instance_type", problem, [choice]);
            } else {
                self.block("overrides.interfaces", problem, ["primary_only"]);
            }
        }
        let zone = self.subnets_of(&mut interfaces);
        self.take_over(&mut interfaces);
        self.groups_of(&mut interfaces);
        self.addresses_of(&mut interfaces);
        self.elastic_ips_of(&mut interfaces);
        self.check_room(&interfaces);
        let primary = interfaces.iter().find(|interface| is_primary(interface));
        target.subnet_id = primary.and_then(|primary| primary.subnet_id.clone());
        target.vpc_id = primary.and_then(|primary| primary.vpc_id.clone());
        target.security_groups = primary
            .map(|primary| primary.security_groups.clone())
            .unwrap_or_default();
        target.source_dest_check = primary.and_then(|primary| primary.source_dest_check);
        if zone.is_some() && zone != target.placement.availability_zone {
            self.because("placement.availability_zone", "the subnet lies in another zone");
        }
        target.placement.availability_zone = zone.or(target.placement.availability_zone.take());
        for volume in &mut target.volumes {
            volume
                .availability_zone
                .clone_from(&target.placement.availability_zone);
        }
        target.interfaces = interfaces;
    }

    /// The original, where it is here and makes room for the new instance.
    fn replaced(&self) -> Option<&InstanceConfiguration> {
        let original = self.around.original.as_ref()?;
        (self.mode == Mode::Destructive && !self.held.is_replica).then_some(original)
    }

    /// Takes the original's interfaces as they are by now. What has changed on them since the backup stays as it is:
    /// others may count on it, and the captured group or address may long be gone.
    fn take_over(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        for interface in interfaces.iter_mut() {
            let id = &interface.network_interface_id;
            let now = self.replaced().and_then(|original| {
                original
                    .interfaces
                    .iter()
                    .find(|now| now.network_interface_id == *id)
            });
            let Some(now) = now.cloned() else {
                continue;
            };
            let captured = interface.clone();
            // A captured elastic address goes back to the private address that it was on.
            let goes_back: BTreeMap<&str, &String> = captured
                .private_addresses
                .iter()
                .filter(|private| {
                    now.private_addresses
                        .iter()
                        .any(|now| now.address == private.address)
                })
                .filter_map(|private| Some((private.address.as_str(), private.allocation_id.as_ref()?)))
                .collect();
            let stays = |allocation: &String| !goes_back.values().any(|other| *other == allocation);
            interface.private_addresses = now.private_addresses.clone();
            for private in &mut interface.private_addresses {
                let stays = private.allocation_id.take().filter(stays);
                private.allocation_id = goes_back
                    .get(private.address.as_str())
                    .copied()
                    .cloned()
                    .or(stays);
            }
            interface.security_groups = now.security_groups;
            interface.description = now.description;
            interface.ipv6_addresses = now.ipv6_addresses;
            interface.ipv4_prefixes = now.ipv4_prefixes;
            interface.ipv6_prefixes = now.ipv6_prefixes;
            interface.tags = now.tags;
            if captured.source_dest_check != Some(false) {
                interface.source_dest_check = now.source_dest_check;
            }
            if *interface != captured {
                let why = "changed since the backup; the interface comes over as it is";
                self.because(format!("interfaces.{}", index_of(&captured)), why);
            }
        }
    }

    /// Whether there is room for the addresses that a launch takes: of a candidate too, beside the original's own.
    fn check_room(&mut self, interfaces: &[InterfaceConfiguration]) {
        let mut needed: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        for interface in interfaces {
            // A prefix has 16 addresses.
            let addresses = interface.private_addresses.len() + 16 * interface.ipv4_prefixes.len();
            let is_new = interface.network_interface_id.is_empty();
            let times = usize::from(is_new) + usize::from(self.replaced().is_some());
            let subnet = needed
                .entry(interface.subnet_id.as_deref().unwrap_or_default())
                .or_default();
            subnet.0 += addresses * times;
            subnet.1 |= is_primary(interface);
        }
        for (id, (needed, has_primary)) in needed {
            let Some(free) = self.around.subnets.get(id).map(|subnet| subnet.free) else {
                continue;
            };
            if usize::try_from(free).is_ok_and(|free| needed <= free) {
                continue;
            }
            let problem = format!("the subnet {id} has {free} free addresses, and {needed} are needed");
            if has_primary {
                self.block_network("overrides.subnet_id", problem, ["a subnet with more room"]);
            } else {
                self.block_network("overrides.interfaces", problem, ["primary_only"]);
            }
        }
    }

    /// Puts every interface into a subnet that is there, all in one zone. Gives the zone.
    fn subnets_of(&mut self, interfaces: &mut [InterfaceConfiguration]) -> Option<String> {
        let asked = self.overrides.subnet_id.as_ref();
        let mut zone: Option<String> = None;
        for interface in interfaces.iter_mut() {
            let primary = is_primary(interface);
            // What is rehearsed must reach nothing through any of its interfaces.
            let all = self.mode == Mode::Rehearsal || self.overrides.interfaces == Some(Interfaces::All);
            let moved = asked.filter(|_| primary || all);
            let Some(id) = moved.cloned().or_else(|| interface.subnet_id.clone()) else {
                continue;
            };
            let Some(subnet) = self.around.subnets.get(&id).cloned() else {
                if primary {
                    let known: Vec<String> = self.around.subnets.keys().take(10).cloned().collect();
                    let choices = if known.is_empty() {
                        vec!["a subnet of this region".to_owned()]
                    } else {
                        known
                    };
                    self.block_network(
                        "overrides.subnet_id",
                        format!("the subnet {id} is not there"),
                        choices,
                    );
                } else {
                    self.block_network(
                        "overrides.interfaces",
                        format!(
                            "the subnet {id} of interface {} is not there",
                            index_of(interface)
                        ),
                        ["primary_only", "all, with subnet_id: every interface goes there"],
                    );
                }
                continue;
            };
            match &zone {
                None => zone = Some(subnet.zone.clone()),
                Some(zone) if *zone != subnet.zone => {
                    let problem = format!(
                        "interface {} is in {id} in {}, and the primary one in {zone}",
                        index_of(interface),
                        subnet.zone
                    );
                    self.block_network(
                        "overrides.interfaces",
                        problem,
                        ["primary_only", "all, with subnet_id: every interface goes there"],
                    );
                }
                Some(_) => {}
            }
            if interface.subnet_id.as_ref() != Some(&id) {
                self.because(
                    format!("interfaces.{}.vpc_id", index_of(interface)),
                    "the subnet was asked for",
                );
            }
            interface.subnet_id = Some(id);
            interface.vpc_id = Some(subnet.vpc_id);
        }
        zone
    }

    fn groups_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let field = "overrides.security_group_ids";
        let mut told = Vec::new();
        for interface in interfaces.iter_mut() {
            let id = &interface.network_interface_id;
            let mut standing = self.replaced().into_iter().flat_map(|original| &original.interfaces);
            if standing.any(|now| now.network_interface_id == *id) {
                // It comes over with groups that are there: they are in use.
                continue;
            }
            if !self.overrides.security_group_ids.is_empty() {
                interface
                    .security_groups
                    .clone_from(&self.overrides.security_group_ids);
            }
            for group in interface.security_groups.clone() {
                if told.contains(&group) {
                    continue;
                }
                match self.around.security_groups.get(&group) {
                    None => {
                        self.block_network(
                            field,
                            format!("the security group {group} is not there"),
                            ["groups of the subnet's VPC"],
                        );
                        told.push(group);
                    }
                    Some(vpc) if interface.vpc_id.as_ref().is_some_and(|own| own != vpc) => {
                        let own = interface.vpc_id.clone().unwrap_or_default();
                        self.block_network(
                            field,
                            format!("the security group {group} is in {vpc}, and the subnet in {own}"),
                            [format!("groups of {own}")],
                        );
                        told.push(group);
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Whether addresses come back as they were.
    fn keeps_addresses(&self) -> bool {
        matches!(self.mode, Mode::NonDestructive | Mode::Destructive)
            && self.overrides.private_address.is_none()
            && self.overrides.subnet_id.is_none()
    }

    fn addresses_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let exact = self.keeps_addresses();
        let original = self.around.original.is_some() && !self.held.is_replica;
        for interface in interfaces.iter_mut() {
            let root = format!("interfaces.{}", index_of(interface));
            if !exact {
                let why = match self.mode {
                    Mode::NonDestructive => "another address was asked for",
                    _ => "the new instance has addresses of its own",
                };
                free_addresses(interface);
                self.because(root, why);
                continue;
            }
            // The captured interface itself, where it is still there and free, or falls free.
            let falls_free = self.mode == Mode::Destructive && original;
            // One that is there keeps its groups: with others asked for, a new one is made.
            let may_be_taken = self.overrides.security_group_ids.is_empty();
            match self.around.interfaces.get(&interface.network_interface_id) {
                Some(holder)
                    if holder.instance_id.is_none() && may_be_taken
                        || falls_free && holder.instance_id.as_ref() == Some(self.resource) =>
                {
                    continue;
                }
                Some(holder) if self.mode == Mode::Destructive => {
                    let problem = format!(
                        "interface {} is attached to {}",
                        interface.network_interface_id,
                        holder.in_words()
                    );
                    self.block(
                        "mode",
                        problem,
                        ["non_destructive, with overrides.private_address"],
                    );
                }
                _ => {}
            }
            interface.network_interface_id.clear();
            self.check_addresses(interface);
        }
        if let Some(address) = self
            .overrides
            .private_address
            .clone()
            .filter(|address| address != AUTOMATIC)
        {
            self.set_primary_address(interfaces, &address);
        }
    }

    /// Refuses addresses that others have.
    fn check_addresses(&mut self, interface: &InterfaceConfiguration) {
        let subnet = interface.subnet_id.clone().unwrap_or_default();
        for private in &interface.private_addresses {
            let place = (subnet.clone(), private.address.clone());
            let Some(holder) = self.around.taken_addresses.get(&place) else {
                continue;
            };
            let problem = format!("{} is in use by {}", private.address, holder.in_words());
            if self.mode == Mode::Destructive {
                self.block(
                    "mode",
                    problem,
                    ["non_destructive, with overrides.private_address"],
                );
            } else {
                self.block(
                    "overrides.private_address",
                    problem,
                    [AUTOMATIC.to_owned(), format!("a free address of {subnet}")],
                );
            }
        }
    }

    fn set_primary_address(&mut self, interfaces: &mut [InterfaceConfiguration], address: &str) {
        let Some(primary) = interfaces.iter_mut().find(|interface| is_primary(interface)) else {
            return;
        };
        let subnet_id = primary.subnet_id.clone().unwrap_or_default();
        if let Some(subnet) = self.around.subnets.get(&subnet_id)
            && !holds(&subnet.cidr, address)
        {
            let problem = format!("{address} is not in {subnet_id}, which is {}", subnet.cidr);
            self.block(
                "overrides.private_address",
                problem,
                [format!("an address of {subnet_id}")],
            );
        } else if let Some(holder) = self
            .around
            .taken_addresses
            .get(&(subnet_id.clone(), address.to_owned()))
        {
            let problem = format!("{address} is in use by {}", holder.in_words());
            self.block("overrides.private_address", problem, [AUTOMATIC.to_owned()]);
        }
        if let Some(private) = primary
            .private_addresses
            .iter_mut()
            .find(|private| private.primary)
        {
            address.clone_into(&mut private.address);
        }
    }

    fn elastic_ips_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let beside = matches!(self.mode, Mode::Clone | Mode::Rehearsal | Mode::Image);
        let choice = self.overrides.elastic_ips.or(beside.then_some(ElasticIps::Leave));
        for interface in interfaces.iter_mut() {
            let root = format!("interfaces.{}.elastic_ips", index_of(interface));
            for private in &mut interface.private_addresses {
                let Some(allocation) = private.allocation_id.clone() else {
                    continue;
                };
                let public = private.public_ip.clone().unwrap_or_else(|| allocation.clone());
                if choice == Some(ElasticIps::Leave) {
                    // A public address that AWS lends takes its place, where it can.
                    private.allocation_id = None;
                    self.reasons
                        .insert(root.clone(), "elastic addresses stay where they are".to_owned());
                    continue;
                }
                let ours = |holder: &Holder| {
                    holder.is_nobody()
                        || self.mode == Mode::Destructive
                            && holder.instance_id.as_ref() == Some(self.resource)
                        || (!interface.network_interface_id.is_empty()
                            && holder.interface_id.as_ref() == Some(&interface.network_interface_id))
                };
                let standing = self.replaced().is_some_and(|original| {
                    let mut addresses = original.interfaces.iter().flat_map(|now| &now.private_addresses);
                    addresses.any(|now| now.allocation_id.as_ref() == Some(&allocation))
                });
                if standing {
                    // It comes over with the interface, also where the original got it after the backup.
                    continue;
                }
                let obstacle = match self.around.elastic_ips.get(&allocation) {
                    None => Some((
                        format!("the elastic address {public} ({allocation}) is not there"),
                        vec!["leave"],
                    )),
                    Some(holder) if !ours(holder) && choice.is_none() => {
                        let problem = format!("the elastic address {public} is with {}", holder.in_words());
                        Some((problem, vec!["take", "leave"]))
                    }
                    Some(_) => None,
                };
                if let Some((problem, choices)) = obstacle {
                    self.obstacles
                        .push(Obstacle::new("overrides.elastic_ips", problem, choices));
                }
            }
        }
    }

    /// What cannot be compared field by field and differs all the same.
    pub(super) fn further_reasons(&self) -> Vec<(String, String, String, String)> {
        let mut further = Vec::new();
        let reserved = |tags: &crate::configuration::Tags| {
            tags.iter()
                .filter(|(key, _)| crate::tags::is_reserved(key) && !crate::tags::is_identity(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        for (key, value) in reserved(&self.captured.tags) {
            further.push((
                format!("tags.{key}"),
                value,
                "nothing".to_owned(),
                "AWS alone sets tags of its own".to_owned(),
            ));
        }
        if self.captured.lifecycle.as_deref() == Some("spot") {
            further.push((
                "lifecycle".to_owned(),
                "spot".to_owned(),
                "on-demand".to_owned(),
                "a restored instance is not given to the spot market".to_owned(),
            ));
        }
        let lent = self
            .captured
            .interfaces
            .iter()
            .flat_map(|interface| &interface.private_addresses)
            .filter(|private| private.allocation_id.is_none())
            .filter_map(|private| private.public_ip.clone());
        for address in lent {
            further.push((
                "public_ip_address".to_owned(),
                address,
                "another one".to_owned(),
                "AWS lends public addresses, and does not lend the same one twice".to_owned(),
            ));
        }
        if is_coded(self.captured) || self.overrides.image_id.is_some() {
            return further;
        }
        let image = self.captured.image_id.clone().unwrap_or_default();
        further.push((
            "image_id".to_owned(),
            image,
            "an image of the backup".to_owned(),
            "the boot volume comes from the backup".to_owned(),
        ));
        further
    }
}

pub(super) fn is_primary(interface: &InterfaceConfiguration) -> bool {
    interface.device_index.unwrap_or(0) == 0 && interface.network_card_index.unwrap_or(0) == 0
}

fn index_of(interface: &InterfaceConfiguration) -> i32 {
    interface.device_index.unwrap_or(0)
}

/// Leaves the addresses of an interface to EC2, as many as there were.
pub fn free_addresses(interface: &mut InterfaceConfiguration) {
    interface.network_interface_id.clear();
    for private in &mut interface.private_addresses {
        private.address.clear();
    }
    for addresses in [
        &mut interface.ipv6_addresses,
        &mut interface.ipv4_prefixes,
        &mut interface.ipv6_prefixes,
    ] {
        addresses.iter_mut().for_each(String::clear);
    }
}

/// The interfaces of a candidate: like the wanted ones, with addresses of their own and no elastic ones.
#[must_use]
pub fn candidate_interfaces(interfaces: &[InterfaceConfiguration]) -> Vec<InterfaceConfiguration> {
    let mut interfaces = interfaces.to_vec();
    for interface in &mut interfaces {
        free_addresses(interface);
        interface.delete_on_termination = Some(true);
        for private in &mut interface.private_addresses {
            *private = PrivateAddress {
                primary: private.primary,
                public_ip: private.public_ip.take(),
                ..PrivateAddress::default()
            };
        }
    }
    interfaces
}

/// Whether an IPv4 range such as `10.0.1.0/24` holds an address.
fn holds(cidr: &str, address: &str) -> bool {
    let parsed = cidr.split_once('/').and_then(|(start, bits)| {
        let start: Ipv4Addr = start.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        Some((start, bits))
    });
    let (Some((start, bits)), Ok(address)) = (parsed, address.parse::<Ipv4Addr>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    u32::from(start) & mask == u32::from(address) & mask
}
