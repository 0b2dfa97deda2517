//! EBS volumes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::clock::iso;
use crate::content::Content;
use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::ids::{InstanceId, SnapshotId, VolumeId};
use crate::tags::Tags;
use crate::world::snapshot::Planned;

/// A volume with what is written on it.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: VolumeId,
    pub(crate) size_gib: u32,
    pub(crate) kind: VolumeType,
    pub(crate) iops: Option<u32>,
    /// MiB per second.
    pub(crate) throughput: Option<u32>,
    /// The ARN of its key, when it is encrypted.
    pub(crate) key: Option<String>,
    pub(crate) snapshot: Option<SnapshotId>,
    /// The ids of the volumes and snapshots that its content came from.
    pub(crate) history: BTreeSet<String>,
    pub(crate) zone: String,
    pub(crate) created_at: Timestamp,
    /// When describes begin to show it.
    pub(crate) visible_at: Timestamp,
    pub(crate) multi_attach: bool,
    pub(crate) tags: Tags,
    /// Several only when it may be attached several times.
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) content: Content,
    /// When its newest snapshot started.
    pub(crate) last_snapshot_at: Option<Timestamp>,
    /// Its snapshots that may still be pending.
    pub(crate) pending: Vec<SnapshotId>,
    /// What a test has in store for its next snapshot.
    pub(crate) planned: Option<Planned>,
}

/// Where a volume is attached.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub(crate) instance: InstanceId,
    pub(crate) device: String,
    pub(crate) attached_at: Timestamp,
    pub(crate) delete_on_termination: bool,
}

/// The kinds of volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VolumeType {
    Gp2,
    Gp3,
    Io1,
    Io2,
    St1,
    Sc1,
    Standard,
}

impl FromStr for VolumeType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "gp2" => Self::Gp2,
            "gp3" => Self::Gp3,
            "io1" => Self::Io1,
            "io2" => Self::Io2,
            "st1" => Self::St1,
            "sc1" => Self::Sc1,
            "standard" => Self::Standard,
            _ => return Err(()),
        })
    }
}

impl fmt::Display for VolumeType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gp2 => "gp2",
            Self::Gp3 => "gp3",
            Self::Io1 => "io1",
            Self::Io2 => "io2",
            Self::St1 => "st1",
            Self::Sc1 => "sc1",
            Self::Standard => "standard",
        })
    }
}

impl VolumeType {
    /// Whether volumes of the type can be attached to several instances.
    pub(crate) fn takes_several(self) -> bool {
        matches!(self, Self::Io1 | Self::Io2)
    }

    /// Throughput-optimised and cold disks take one snapshot at a time.
    pub(crate) fn is_spinning(self) -> bool {
        matches!(self, Self::St1 | Self::Sc1)
    }

    fn sizes(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::Gp2 => 1..=16_384,
            Self::Gp3 => 1..=65_536,
            Self::Io1 => 4..=16_384,
            Self::Io2 => 4..=65_536,
            Self::St1 | Self::Sc1 => 125..=16_384,
            Self::Standard => 1..=1_024,
        }
    }
}

/// What a caller asks of a new volume's performance, and what it gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Performance {
    pub(crate) kind: VolumeType,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
}

impl Performance {
    /// Checks a combination of type, size, IOPS and throughput and fills in what AWS fills in.
    pub(crate) fn settle(self, size_gib: u32) -> Result<Self, Ec2Error> {
        let Self {
            kind,
            iops,
            throughput,
        } = self;
        let sizes = kind.sizes();
        if !sizes.contains(&size_gib) {
            let (word, bound) = if size_gib < *sizes.start() {
                ("at least", sizes.start())
            } else {
                ("at most", sizes.end())
            };
            return Err(Ec2Error::invalid_value(format!(
                "Volume size {size_gib} GiB is invalid for volume type {kind}; it must be {word} {bound} GiB."
            )));
        }
        if throughput.is_some() && kind != VolumeType::Gp3 {
            return Err(Ec2Error::invalid_combination(format!(
                "The parameter throughput is not supported for {kind} volumes."
            )));
        }
        let iops = match kind {
            VolumeType::Gp2 if iops.is_none() => Some((size_gib * 3).clamp(100, 16_000)),
            VolumeType::Gp3 => Some(iops.unwrap_or(3_000)),
            VolumeType::Io1 | VolumeType::Io2 => Some(iops.ok_or_else(|| {
                Ec2Error::invalid_combination(format!(
                    "The parameter iops must be specified for {kind} volumes."
                ))
            })?),
            VolumeType::St1 | VolumeType::Sc1 | VolumeType::Standard if iops.is_none() => None,
            _ => {
                return Err(Ec2Error::invalid_combination(format!(
                    "The parameter iops is not supported for {kind} volumes."
                )));
            }
        };
        let throughput = if kind == VolumeType::Gp3 {
            Some(throughput.unwrap_or(125))
        } else {
            None
        };
        Ok(Self {
            kind,
            iops,
            throughput,
        })
    }
}

impl Volume {
    pub(crate) fn attachment_to(&self, instance: &str) -> Option<&Attachment> {
        let mut attachments = self.attachments.iter();
        attachments.find(|attachment| attachment.instance.as_str() == instance)
    }

    pub(crate) fn attachment_to_mut(&mut self, instance: &str) -> Option<&mut Attachment> {
        let mut attachments = self.attachments.iter_mut();
        attachments.find(|attachment| attachment.instance.as_str() == instance)
    }

    /// Takes it from an instance.
    pub(crate) fn leave(&mut self, instance: &str) -> Option<Attachment> {
        let place = self
            .attachments
            .iter()
            .position(|attachment| attachment.instance.as_str() == instance)?;
        Some(self.attachments.remove(place))
    }

    pub(crate) fn status(&self) -> &'static str {
        if self.attachments.is_empty() {
            "available"
        } else {
            "in-use"
        }
    }
}

impl Filterable for Volume {
    const FILTERS: &'static [&'static str] = &[
        "attachment.attach-time",
        "attachment.delete-on-termination",
        "attachment.device",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "create-time",
        "encrypted",
        "multi-attach-enabled",
        "size",
        "snapshot-id",
        "status",
        "volume-id",
        "volume-type",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "availability-zone" => values.text(&self.zone),
            "create-time" => values.text(&iso(self.created_at)),
            "encrypted" => values.shown(self.key.is_some()),
            "multi-attach-enabled" => values.shown(self.multi_attach),
            "size" => values.shown(self.size_gib),
            "snapshot-id" => values.maybe(self.snapshot.as_ref().map(SnapshotId::as_str)),
            "status" => values.text(self.status()),
            "volume-id" => values.text(self.id.as_str()),
            "volume-type" => values.shown(self.kind),
            _ => {
                for attachment in &self.attachments {
                    match filter {
                        "attachment.attach-time" => values.text(&iso(attachment.attached_at)),
                        "attachment.delete-on-termination" => values.shown(attachment.delete_on_termination),
                        "attachment.device" => values.text(&attachment.device),
                        "attachment.instance-id" => values.text(attachment.instance.as_str()),
                        "attachment.status" => values.text("attached"),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(
        kind: VolumeType,
        iops: Option<u32>,
        throughput: Option<u32>,
        size: u32,
    ) -> Result<Performance, Ec2Error> {
        Performance {
            kind,
            iops,
            throughput,
        }
        .settle(size)
    }

    #[test]
    fn fills_in_what_aws_fills_in() {
        let gp3 = settle(VolumeType::Gp3, None, None, 8).unwrap();
        assert_eq!((gp3.iops, gp3.throughput), (Some(3_000), Some(125)));
        assert_eq!(settle(VolumeType::Gp2, None, None, 8).unwrap().iops, Some(100));
        assert_eq!(
            settle(VolumeType::Gp2, None, None, 1_000).unwrap().iops,
            Some(3_000)
        );
        assert_eq!(settle(VolumeType::St1, None, None, 125).unwrap().iops, None);
    }

    #[test]
    fn refuses_what_a_type_cannot_be() {
        assert_eq!(
            settle(VolumeType::St1, None, None, 8).unwrap_err().code,
            "InvalidParameterValue"
        );
        assert_eq!(
            settle(VolumeType::Io2, None, None, 8).unwrap_err().code,
            "InvalidParameterCombination"
        );
        assert_eq!(
            settle(VolumeType::Gp2, None, Some(250), 8).unwrap_err().code,
            "InvalidParameterCombination"
        );
        assert_eq!(
            settle(VolumeType::Gp2, Some(250), None, 8).unwrap_err().code,
            "InvalidParameterCombination"
        );
    }
}
