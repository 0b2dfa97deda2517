//! What a new instance is to be: the captured configuration, less what cannot come back, with what was asked for.

use super::Mode;
use super::deciding::Deciding;
use super::step::named;
use crate::configuration::{
    InstanceConfiguration, InterfaceConfiguration, PrivateAddress, VolumeConfiguration,
};
use crate::ids::SnapshotId;
use serde::{Deserialize, Serialize};

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

impl Deciding<'_> {
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
        self.check_zone(&target);
        if self.overrides.without_user_data {
            target.user_data = None;
        }
        if target.lifecycle.as_deref() == Some("spot") {
            target.lifecycle = None;
        }
        if target
            .reboot_migration
            .as_deref()
            .is_some_and(|choice| choice != "default")
        {
            target.reboot_migration = Some("default".to_owned());
            self.because("reboot_migration", "a launch cannot ask for it");
        }
        if self.held.is_replica && !target.licenses.is_empty() {
            target.licenses.clear();
            self.because("licenses", "license configurations belong to their region");
        }
        named(target, &self.overrides.tags, self.overrides.name.as_ref())
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
        }
        let profile = target.iam_instance_profile_arn.as_ref();
        if let Some(problem) = profile.and_then(|profile| self.problem_of_profile(profile)) {
            self.block(
                "overrides.iam_instance_profile_arn",
                problem,
                ["an instance profile of this account", "\"\" for none"],
            );
        }
    }

    fn problem_of_profile(&self, profile: &str) -> Option<String> {
        let account = profile.split(':').nth(4).unwrap_or_default();
        if account != self.held.place.account_id {
            return Some(format!("{profile} belongs to account {account}"));
        }
        self.around.unusable_profiles.get(profile).cloned()
    }
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
