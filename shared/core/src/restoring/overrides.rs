//! What is to be other than captured.

use super::Mode;
use crate::configuration::Tags;
use crate::failure::InvalidField;
use crate::tags::validate_plan_tags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The value of `private_address` that leaves the address to EC2.
pub const AUTOMATIC: &str = "automatic";

/// What is to be other than captured. What is left out comes back as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// The subnet of the primary interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// The security groups of every interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
    /// The instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The key pair; none where it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// The value of the tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tags beside the captured ones, on instance, volumes and image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
    /// The private address of the primary interface: `automatic`, or a free one of its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_address: Option<String>,
    /// What becomes of the captured elastic addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic_ips: Option<ElasticIps>,
    /// Which interfaces come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Interfaces>,
    /// The instance profile's ARN; none where it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_instance_profile_arn: Option<String>,
    /// The key that every volume is encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Settings of single volumes, by the device they were captured at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, VolumeOverride>,
    /// An image that carries the same billing as the captured instance: its boot volume is exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Whether placement group, dedicated host and capacity reservation come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementChoice>,
    /// Start without user data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_user_data: bool,
    /// Stop or terminate the original although it is protected from that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lift_protection: bool,
    /// Stop the instance although what is on its instance-store disks is lost by that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_instance_store_loss: bool,
}

/// What becomes of captured elastic addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ElasticIps {
    /// They go over to the new instance, from whoever has them.
    Take,
    /// They stay where they are.
    Leave,
}

/// Which interfaces come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interfaces {
    /// All of them.
    All,
    /// The one with device index 0.
    PrimaryOnly,
}

/// Whether the captured placement comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacementChoice {
    /// As it was.
    AsCaptured,
    /// Shared hardware, no group, no host, no reservation.
    Default,
}

/// What of one volume is to be other than captured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeOverride {
    /// The type, such as `gp3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
    /// The size in GiB, at least the captured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_gib: Option<i32>,
    /// IOPS, for types that take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<i32>,
    /// MiB/s, for types that take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<i32>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

impl VolumeOverride {
    /// This, and where it says nothing what `general` says. What one type takes means nothing to another.
    fn over(self, general: &Self) -> Self {
        let alike = self.volume_type.is_none() || self.volume_type == general.volume_type;
        Self {
            iops: self.iops.or(general.iops.filter(|_| alike)),
            throughput: self.throughput.or(general.throughput.filter(|_| alike)),
            volume_type: self.volume_type.or_else(|| general.volume_type.clone()),
            size_gib: self.size_gib.or(general.size_gib),
            kms_key_id: self.kms_key_id.or_else(|| general.kms_key_id.clone()),
        }
    }
}

impl Overrides {
    /// These, and where they say nothing what `general` says.
    #[must_use]
    pub fn over(self, general: &Self) -> Self {
        // The tag is the name: one that is said of this resource wins over a name that is said of all.
        let named_by_tag = self.tags.contains_key("Name");
        let mut tags = general.tags.clone();
        tags.extend(self.tags);
        let mut volumes = general.volumes.clone();
        for (device, own) in self.volumes {
            let merged = match volumes.get(&device) {
                None => own,
                Some(general) => own.over(general),
            };
            volumes.insert(device, merged);
        }
        Self {
            subnet_id: self.subnet_id.or_else(|| general.subnet_id.clone()),
            security_group_ids: if self.security_group_ids.is_empty() {
                general.security_group_ids.clone()
            } else {
                self.security_group_ids
            },
            instance_type: self.instance_type.or_else(|| general.instance_type.clone()),
            key_name: self.key_name.or_else(|| general.key_name.clone()),
            name: self
                .name
                .or_else(|| general.name.clone().filter(|_| !named_by_tag)),
            tags,
            private_address: self.private_address.or_else(|| general.private_address.clone()),
            elastic_ips: self.elastic_ips.or(general.elastic_ips),
            interfaces: self.interfaces.or(general.interfaces),
            iam_instance_profile_arn: self
                .iam_instance_profile_arn
                .or_else(|| general.iam_instance_profile_arn.clone()),
            kms_key_id: self.kms_key_id.or_else(|| general.kms_key_id.clone()),
            volumes,
            image_id: self.image_id.or_else(|| general.image_id.clone()),
            placement: self.placement.or(general.placement),
            without_user_data: self.without_user_data || general.without_user_data,
            lift_protection: self.lift_protection || general.lift_protection,
            accept_instance_store_loss: self.accept_instance_store_loss || general.accept_instance_store_loss,
        }
    }

    /// The fields that say something, with the modes they have a meaning in.
    fn given(&self) -> Vec<(&'static str, &'static [Mode])> {
        use Mode::{Clone, Destructive, Image, InPlace, NonDestructive, Rehearsal, Volumes};
        const BESIDE: &[Mode] = &[Clone, NonDestructive, Rehearsal];
        const LAUNCHING: &[Mode] = &[Clone, NonDestructive, Destructive, Rehearsal];
        // An image of an instance with billing codes is made of one that is launched for it.
        const BESIDE_OR_IMAGE: &[Mode] = &[Clone, NonDestructive, Rehearsal, Image];
        const LAUNCHING_OR_IMAGE: &[Mode] = &[Clone, NonDestructive, Destructive, Rehearsal, Image];
        const WITH_VOLUMES: &[Mode] = &[Clone, NonDestructive, Destructive, Rehearsal, InPlace, Volumes];
        [
            ("subnet_id", self.subnet_id.is_some(), BESIDE_OR_IMAGE),
            (
                "security_group_ids",
                !self.security_group_ids.is_empty(),
                BESIDE_OR_IMAGE,
            ),
            ("instance_type", self.instance_type.is_some(), LAUNCHING_OR_IMAGE),
            ("key_name", self.key_name.is_some(), LAUNCHING),
            ("name", self.name.is_some(), LAUNCHING),
            (
                "tags",
                !self.tags.is_empty(),
                &[Clone, NonDestructive, Destructive, Rehearsal, Volumes, Image][..],
            ),
            ("private_address", self.private_address.is_some(), BESIDE),
            (
                "elastic_ips",
                self.elastic_ips.is_some(),
                &[Clone, NonDestructive, Destructive][..],
            ),
            ("interfaces", self.interfaces.is_some(), BESIDE),
            (
                "iam_instance_profile_arn",
                self.iam_instance_profile_arn.is_some(),
                LAUNCHING,
            ),
            ("kms_key_id", self.kms_key_id.is_some(), WITH_VOLUMES),
            ("volumes", !self.volumes.is_empty(), WITH_VOLUMES),
            ("image_id", self.image_id.is_some(), LAUNCHING_OR_IMAGE),
            ("placement", self.placement.is_some(), LAUNCHING_OR_IMAGE),
            ("without_user_data", self.without_user_data, LAUNCHING),
            (
                "lift_protection",
                self.lift_protection,
                &[Destructive, InPlace][..],
            ),
            (
                "accept_instance_store_loss",
                self.accept_instance_store_loss,
                &[InPlace][..],
            ),
        ]
        .into_iter()
        .filter(|(_, is_given, _)| *is_given)
        .map(|(field, _, modes)| (field, modes))
        .collect()
    }

    /// What of this cannot be meant in `mode`, below `root`.
    #[must_use]
    pub fn problems(&self, root: &str, mode: Mode) -> Vec<InvalidField> {
        let mut problems: Vec<InvalidField> = self
            .given()
            .into_iter()
            .filter(|(_, modes)| !modes.contains(&mode))
            .map(|(field, modes)| {
                let names: Vec<&str> = modes.iter().map(|mode| mode.as_str()).collect();
                let problem = format!("it has no meaning in mode {mode}; it is for {}", names.join(", "));
                InvalidField::new(format!("{root}.{field}"), problem)
            })
            .collect();
        let mut refuse = |field: &str, problem: &str| {
            problems.push(InvalidField::new(format!("{root}.{field}"), problem));
        };
        if let Some(address) = &self.private_address
            && address != AUTOMATIC
            && address.parse::<Ipv4Addr>().is_err()
        {
            refuse("private_address", "give automatic, or an IPv4 address");
        }
        if self.name.is_some() && self.tags.contains_key("Name") {
            refuse("name", "both name and tags.Name are given; give one of them");
        }
        for (device, volume) in &self.volumes {
            let at = |field: &str| format!("volumes.{device}.{field}");
            let takes_throughput = volume.volume_type.as_deref().is_none_or(|kind| kind == "gp3");
            if volume.throughput.is_some() && !takes_throughput {
                refuse(&at("throughput"), "only gp3 takes a throughput");
            }
            let takes_iops = volume
                .volume_type
                .as_deref()
                .is_none_or(|kind| matches!(kind, "gp3" | "io1" | "io2"));
            if volume.iops.is_some() && !takes_iops {
                refuse(&at("iops"), "only gp3, io1 and io2 take IOPS");
            }
            for (field, value) in [
                ("size_gib", volume.size_gib),
                ("iops", volume.iops),
                ("throughput", volume.throughput),
            ] {
                if value.is_some_and(|value| value < 1) {
                    refuse(&at(field), "give a number from 1 on");
                }
            }
        }
        problems.extend(validate_plan_tags(&format!("{root}.tags"), &self.tags, 50));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_resource_wins_field_by_field() {
        let general = Overrides {
            subnet_id: Some("subnet-1".to_owned()),
            name: Some("all".to_owned()),
            tags: Tags::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())]),
            ..Overrides::default()
        };
        let own = Overrides {
            name: Some("one".to_owned()),
            tags: Tags::from([("b".to_owned(), "2".to_owned())]),
            ..Overrides::default()
        };
        let merged = own.over(&general);
        assert_eq!(merged.subnet_id.as_deref(), Some("subnet-1"));
        assert_eq!(merged.name.as_deref(), Some("one"));
        assert_eq!((merged.tags["a"].as_str(), merged.tags["b"].as_str()), ("1", "2"));
    }

    #[test]
    fn a_destructive_recovery_takes_the_network_identity_as_it_was() {
        let overrides = Overrides {
            subnet_id: Some("subnet-1".to_owned()),
            private_address: Some(AUTOMATIC.to_owned()),
            ..Overrides::default()
        };
        let problems = overrides.problems("overrides", Mode::Destructive);
        let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["overrides.subnet_id", "overrides.private_address"]);
        assert!(
            problems[0].problem.contains("clone, non_destructive"),
            "{}",
            problems[0]
        );
        assert!(overrides.problems("overrides", Mode::Clone).is_empty());
    }

    #[test]
    fn settings_that_a_volume_type_does_not_take_are_refused() {
        let volume = VolumeOverride {
            volume_type: Some("st1".to_owned()),
            iops: Some(3000),
            throughput: Some(0),
            ..VolumeOverride::default()
        };
        let overrides = Overrides {
            volumes: BTreeMap::from([("/dev/sdf".to_owned(), volume)]),
            ..Overrides::default()
        };
        assert_eq!(overrides.problems("overrides", Mode::Clone).len(), 3);
    }
}
