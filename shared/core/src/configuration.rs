//! A resource's whole configuration, as it was when its backup was taken.
//!
//! Everything that a restore may have to give back is here, in the words of EC2. Enumerations of EC2 are kept as
//! EC2 writes them: a value that did not exist when this was built must survive the round trip.

use crate::ids::{InstanceId, VolumeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The tags of a thing.
pub type Tags = BTreeMap<String, String>;

/// An EC2 instance's whole configuration at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct InstanceConfiguration {
    pub image_id: Option<String>,
    pub instance_type: Option<String>,
    pub architecture: Option<String>,
    pub platform: Option<String>,
    pub platform_details: Option<String>,
    pub usage_operation: Option<String>,
    pub product_codes: Vec<ProductCode>,
    pub lifecycle: Option<String>,
    pub virtualization_type: Option<String>,
    pub hypervisor: Option<String>,
    pub boot_mode: Option<String>,
    pub current_boot_mode: Option<String>,
    pub tpm_support: Option<String>,
    pub kernel_id: Option<String>,
    pub ramdisk_id: Option<String>,
    pub ena_support: Option<bool>,
    pub sriov_net_support: Option<String>,
    pub ebs_optimized: Option<bool>,
    pub root_device_name: Option<String>,
    pub root_device_type: Option<String>,
    pub state: Option<String>,
    pub launched_at: Option<Timestamp>,
    pub key_name: Option<String>,
    pub iam_instance_profile_arn: Option<String>,
    /// Base64, as EC2 gives it.
    pub user_data: Option<String>,
    pub monitoring: Option<String>,
    pub source_dest_check: Option<bool>,
    pub disable_api_termination: Option<bool>,
    pub disable_api_stop: Option<bool>,
    pub instance_initiated_shutdown_behavior: Option<String>,
    /// `standard` or `unlimited`, for burstable types.
    pub cpu_credits: Option<String>,
    pub hibernation_configured: Option<bool>,
    pub enclave_enabled: Option<bool>,
    pub auto_recovery: Option<String>,
    pub reboot_migration: Option<String>,
    pub bandwidth_weighting: Option<String>,
    pub licenses: Vec<String>,
    pub placement: Placement,
    pub cpu: CpuOptions,
    pub metadata: MetadataOptions,
    pub private_dns_name: PrivateDnsName,
    pub capacity_reservation: CapacityReservation,
    pub vpc_id: Option<String>,
    pub subnet_id: Option<String>,
    pub private_ip_address: Option<String>,
    pub public_ip_address: Option<String>,
    pub security_groups: Vec<String>,
    pub tags: Tags,
    /// Attached EBS volumes, in the order of their devices.
    pub volumes: Vec<VolumeConfiguration>,
    /// Instance-store devices: device to virtual name.
    pub instance_store: BTreeMap<String, String>,
    /// Interfaces, in the order of their device index.
    pub interfaces: Vec<InterfaceConfiguration>,
}

/// A product code that the instance is billed under.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct ProductCode {
    pub id: String,
    pub kind: Option<String>,
}

/// Where the instance stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct Placement {
    pub availability_zone: Option<String>,
    pub tenancy: Option<String>,
    pub group_name: Option<String>,
    pub group_id: Option<String>,
    pub partition_number: Option<i32>,
    pub host_id: Option<String>,
    pub affinity: Option<String>,
    pub spread_domain: Option<String>,
    pub host_resource_group_arn: Option<String>,
}

impl Placement {
    /// The placement group by its name.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.group_name.as_deref().filter(|name| !name.is_empty())
    }
}

/// The instance's processor options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct CpuOptions {
    pub core_count: Option<i32>,
    pub threads_per_core: Option<i32>,
    pub amd_sev_snp: Option<String>,
    pub nested_virtualization: Option<String>,
}

/// The options of the instance metadata service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct MetadataOptions {
    pub http_tokens: Option<String>,
    pub http_put_response_hop_limit: Option<i32>,
    pub http_endpoint: Option<String>,
    pub http_protocol_ipv6: Option<String>,
    pub instance_metadata_tags: Option<String>,
}

/// How the instance's host name is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct PrivateDnsName {
    pub hostname_type: Option<String>,
    pub enable_resource_name_dns_a_record: Option<bool>,
    pub enable_resource_name_dns_aaaa_record: Option<bool>,
}

/// The capacity reservation the instance asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct CapacityReservation {
    pub preference: Option<String>,
    pub reservation_id: Option<String>,
    pub resource_group_arn: Option<String>,
}

/// One attached EBS volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct VolumeConfiguration {
    pub volume_id: VolumeId,
    /// The device name the instance knows it by, such as `/dev/xvda`.
    pub device: String,
    /// Whether it is on the root device.
    pub is_boot: bool,
    pub delete_on_termination: Option<bool>,
    pub size_gib: Option<i32>,
    pub volume_type: Option<String>,
    pub iops: Option<i32>,
    /// MiB/s.
    pub throughput: Option<i32>,
    pub encrypted: Option<bool>,
    pub kms_key_id: Option<String>,
    pub availability_zone: Option<String>,
    pub multi_attach_enabled: Option<bool>,
    pub source_snapshot_id: Option<String>,
    pub ebs_card_index: Option<i32>,
    #[serde(default)]
    pub tags: Tags,
}

/// One network interface of the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct InterfaceConfiguration {
    pub network_interface_id: String,
    pub device_index: Option<i32>,
    pub network_card_index: Option<i32>,
    pub delete_on_termination: Option<bool>,
    pub interface_type: Option<String>,
    pub description: Option<String>,
    pub mac_address: Option<String>,
    pub subnet_id: Option<String>,
    pub vpc_id: Option<String>,
    pub source_dest_check: Option<bool>,
    pub security_groups: Vec<String>,
    pub private_addresses: Vec<PrivateAddress>,
    pub ipv6_addresses: Vec<String>,
    pub ipv4_prefixes: Vec<String>,
    pub ipv6_prefixes: Vec<String>,
    pub tags: Tags,
}

/// Where an interface stands on its instance: some types have several network cards, each with indices of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfacePlace {
    /// The network card.
    pub card: i32,
    /// The device index on it.
    pub index: i32,
}

impl fmt::Display for InterfacePlace {
    /// `1`; on another card than the first, `card 2:1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.card {
            0 => write!(f, "{}", self.index),
            card => write!(f, "card {card}:{}", self.index),
        }
    }
}

impl InterfaceConfiguration {
    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> InterfacePlace {
        InterfacePlace {
            card: self.network_card_index.unwrap_or(0),
            index: self.device_index.unwrap_or(0),
        }
    }

    /// Whether it is the instance's primary interface, which nobody can detach.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.place() == InterfacePlace::default()
    }
}

/// A private address of an interface, and the elastic IP on it if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are EC2's own, under EC2's names")]
pub struct PrivateAddress {
    pub address: String,
    pub primary: bool,
    /// The public address, elastic or lent by AWS.
    pub public_ip: Option<String>,
    /// The elastic IP's allocation; none where AWS lent the public address.
    pub allocation_id: Option<String>,
    pub elastic_ip_tags: Tags,
}

/// An instance that can be backed up, with what its backup needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its configuration.
    pub configuration: InstanceConfiguration,
}

#[cfg(test)]
impl VolumeConfiguration {
    /// A volume for tests, told apart by `n`.
    pub(crate) fn sample(n: u32) -> Self {
        let letter = char::from(b'a' + u8::try_from(n % 26).unwrap());
        Self {
            volume_id: VolumeId::try_from(format!("vol-{n:017x}")).unwrap(),
            device: format!(
                "/dev/sd{letter}{}",
                if n < 26 {
                    String::new()
                } else {
                    (n / 26).to_string()
                }
            ),
            is_boot: false,
            delete_on_termination: Some(true),
            size_gib: Some(8),
            volume_type: Some("gp3".to_owned()),
            iops: Some(3000),
            throughput: Some(125),
            encrypted: Some(false),
            kms_key_id: None,
            availability_zone: Some("eu-west-1a".to_owned()),
            multi_attach_enabled: Some(false),
            source_snapshot_id: None,
            ebs_card_index: None,
            tags: Tags::new(),
        }
    }
}
