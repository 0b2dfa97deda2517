//! What a restore finds around it: everything that a decision asks for, read before anything is made.

use crate::configuration::{InstanceConfiguration, InterfaceConfiguration};
use crate::ids::{InstanceId, SnapshotId, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the survey found. What is not in a map is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The protected instance as it is now; none when it is terminated or gone.
    pub original: Option<InstanceConfiguration>,
    /// Subnets by their ids.
    pub subnets: BTreeMap<String, Subnet>,
    /// Security groups by their ids, with the VPC each is in.
    pub security_groups: BTreeMap<String, String>,
    /// Names of key pairs.
    pub key_pairs: BTreeSet<String>,
    /// What is wrong with an instance profile, by its ARN, for those that no instance can be launched with.
    pub unusable_profiles: BTreeMap<String, String>,
    /// Who has which of the addresses that were asked about, by subnet and address.
    pub taken_addresses: BTreeMap<(String, String), Holder>,
    /// Which of the captured interfaces are still there, by their ids.
    pub interfaces: BTreeMap<String, InterfaceFacts>,
    /// Which of the captured elastic addresses are still there, by their allocations, and who has them.
    pub elastic_ips: BTreeMap<String, Holder>,
    /// Images that an instance could be launched from, by their ids.
    pub images: BTreeMap<String, ImageFacts>,
    /// Those of the names asked about that an image of this account has.
    pub image_names: BTreeSet<String>,
    /// The backup's snapshots that are there.
    pub snapshots: BTreeMap<SnapshotId, SnapshotFacts>,
    /// What is wrong with a key, for those that cannot be used; by its ARN where it has one.
    pub unusable_keys: BTreeMap<String, String>,
    /// The ARN of a key, for those that were named otherwise.
    pub key_arns: BTreeMap<String, String>,
    /// The key that EC2 encrypts new volumes with where neither request nor snapshot names one; none where it leaves them
    /// unencrypted.
    pub default_key: Option<String>,
    /// Volumes that are kept for an undo and are still there, and whether each is free.
    pub kept_volumes: BTreeMap<VolumeId, bool>,
    /// Placement groups, dedicated hosts and capacity reservations that an instance can stand in, by name or id as it
    /// was asked.
    pub places: BTreeSet<String>,
    /// Instance types that are offered here.
    pub instance_types: BTreeMap<String, TypeFacts>,
    /// The instance that volumes are to be attached to; none when it is not there.
    pub attach_to: Option<InstanceConfiguration>,
    /// Volumes of the original that other instances have attached as well.
    pub shared_volumes: BTreeSet<VolumeId>,
    /// Availability zones of the region.
    pub zones: BTreeSet<String>,
    /// Target groups in which the original is registered by its id.
    pub target_groups: Vec<TargetGroup>,
}

impl Surroundings {
    /// The disks of its host that an instance has, in words: those that a mapping names, and those that none names.
    #[must_use]
    pub fn host_disks_of(&self, instance: &InstanceConfiguration) -> Option<String> {
        if !instance.instance_store.is_empty() {
            let devices: Vec<&str> = instance.instance_store.keys().map(String::as_str).collect();
            return Some(format!("the instance-store disks at {}", devices.join(", ")));
        }
        let kind = instance.instance_type.as_ref()?;
        let facts = self.instance_types.get(kind)?;
        let has_some = facts.abilities.contains(&Ability::InstanceStore);
        has_some.then(|| format!("the instance-store disks of {kind}"))
    }
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its availability zone.
    pub zone: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its IPv4 range, such as `10.0.1.0/24`.
    pub cidr: String,
    /// Whether it is on an Outpost, which has types of its own.
    pub on_outpost: bool,
    /// How many addresses are free in it.
    pub free: i32,
}

/// Who has a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The network interface.
    pub interface_id: Option<String>,
    /// The instance.
    pub instance_id: Option<InstanceId>,
}

impl Holder {
    /// Whether nobody has it.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.interface_id.is_none() && self.instance_id.is_none()
    }

    /// Who it is, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (&self.interface_id, &self.instance_id) {
            (Some(interface), Some(instance)) => format!("{interface} of {instance}"),
            (Some(interface), None) => interface.clone(),
            (None, Some(instance)) => instance.to_string(),
            (None, None) => "nobody".to_owned(),
        }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceFacts {
    /// Whether it is attached to nothing.
    pub is_free: bool,
    /// The instance that it is attached to.
    pub instance_id: Option<InstanceId>,
    /// What it is now.
    pub now: InterfaceConfiguration,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Whether instances can be launched from it.
    pub available: bool,
    /// What its instances are billed as, such as `RunInstances:0002`.
    pub usage_operation: Option<String>,
    /// Its product codes.
    pub product_codes: BTreeSet<String>,
    /// Its processor architecture.
    pub architecture: Option<String>,
    /// The device of its boot volume.
    pub root_device_name: Option<String>,
    /// Its other devices, which a launch is to leave out.
    pub other_devices: Vec<String>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Whether a volume can be made of it now.
    pub usable: bool,
    /// Whether it lies in the archive tier.
    pub archived: bool,
    /// Its key.
    pub kms_key_id: Option<String>,
    /// The volume's size in GiB.
    pub size_gib: i32,
}

/// What one instance type can and another cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// Its performance is burstable, and so it has a credit option.
    Bursts,
    /// It can be EBS-optimised, or always is.
    EbsOptimized,
    /// It can have enclaves.
    Enclaves,
    /// It can hibernate.
    Hibernates,
    /// It has disks of its host, which a stop empties.
    InstanceStore,
    /// It has a TPM.
    Tpm,
}

/// An instance type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeFacts {
    /// The architectures it runs.
    pub architectures: BTreeSet<String>,
    /// Cores of an instance that asks for nothing else.
    pub default_cores: Option<i32>,
    /// Threads per core of an instance that asks for nothing else.
    pub default_threads_per_core: Option<i32>,
    /// What it can beside that.
    pub abilities: BTreeSet<Ability>,
    /// How it can boot: `legacy-bios`, `uefi`.
    pub boot_modes: BTreeSet<String>,
    /// What its bandwidth can be weighted for, such as `vpc-1`.
    pub bandwidth_weightings: BTreeSet<String>,
    /// The zones in which it is offered.
    pub zones: BTreeSet<String>,
    /// The most network interfaces.
    pub most_interfaces: Option<i32>,
}

/// A target group in which an instance is registered by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// The port that the instance is registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}
