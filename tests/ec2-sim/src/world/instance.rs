//! EC2 instances: their states follow from the clock.

use jiff::{SignedDuration, Timestamp};

use crate::clock::{after, iso};
use crate::filter::{Filterable, Values, View};
use crate::ids::{InstanceId, InterfaceId, ReservationId, SnapshotId, VolumeId};
use crate::tags::Tags;
use crate::world::Region;
use crate::world::billing::{self, Billing};
use crate::world::health::Impairment;
use crate::world::instance_type::InstanceType;
use crate::world::interface::Interface;
use crate::world::launch::{Launch, Options};
use crate::world::volume::{Attachment, Volume};

/// How long a terminated instance can still be seen.
const AFTERLIFE: SignedDuration = SignedDuration::from_hours(1);

/// An instance. Its volumes and interfaces hold the details of their attachments.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) reservation: ReservationId,
    pub(crate) launch_index: u32,
    pub(crate) launched_at: Timestamp,
    pub(crate) launch: Launch,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) root_device: String,
    pub(crate) zone: String,
    pub(crate) subnet: String,
    /// In the order in which they were attached.
    pub(crate) volumes: Vec<VolumeId>,
    pub(crate) interfaces: Vec<InterfaceId>,
    /// Devices that are disks of the host, each with its virtual name.
    pub(crate) host_disks: Vec<(String, String)>,
    pub(crate) tags: Tags,
    /// What its image says of it, such as its architecture and how it boots.
    pub(crate) hardware: Options,
    pub(crate) billing: Billing,
    /// The snapshot that its first root volume was made of.
    pub(crate) launch_snapshot: Option<SnapshotId>,
    pub(crate) impairment: Impairment,
    /// When its root volume was replaced last.
    pub(crate) rebooted_at: Timestamp,
    /// When describes begin to show it.
    pub(crate) visible_at: Timestamp,
}

/// A state that an instance reaches and stays in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steady {
    Running,
    Stopped,
    Terminated,
}

/// Where an instance is heading, and when it gets there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifecycle {
    pub(crate) target: Steady,
    pub(crate) settles_at: Timestamp,
    /// When somebody last asked for another state.
    pub(crate) changed_at: Timestamp,
}

/// The state at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    pub(crate) const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::ShuttingDown,
        Self::Terminated,
        Self::Stopping,
        Self::Stopped,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether it is gone or going.
    pub(crate) fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl Lifecycle {
    pub(crate) fn towards(target: Steady, now: Timestamp, transition: SignedDuration) -> Self {
        Self {
            target,
            settles_at: after(now, transition),
            changed_at: now,
        }
    }

    /// The lifecycle of an instance that is in a state and stays in it, also when the clock is put back.
    pub(crate) fn fixed(state: InstanceState, now: Timestamp) -> Self {
        let (target, settles_at) = match state {
            InstanceState::Pending => (Steady::Running, Timestamp::MAX),
            InstanceState::Running => (Steady::Running, Timestamp::MIN),
            InstanceState::ShuttingDown => (Steady::Terminated, Timestamp::MAX),
            InstanceState::Terminated => (Steady::Terminated, now),
            InstanceState::Stopping => (Steady::Stopped, Timestamp::MAX),
            InstanceState::Stopped => (Steady::Stopped, Timestamp::MIN),
        };
        Self {
            target,
            settles_at,
            changed_at: now,
        }
    }

    /// The state on the way to where it is heading.
    pub(crate) fn transitional(self) -> InstanceState {
        match self.target {
            Steady::Running => InstanceState::Pending,
            Steady::Stopped => InstanceState::Stopping,
            Steady::Terminated => InstanceState::ShuttingDown,
        }
    }

    pub(crate) fn state(self, now: Timestamp) -> InstanceState {
        if now < self.settles_at {
            return self.transitional();
        }
        match self.target {
            Steady::Running => InstanceState::Running,
            Steady::Stopped => InstanceState::Stopped,
            Steady::Terminated => InstanceState::Terminated,
        }
    }
}

impl Instance {
    pub(crate) fn state(&self, now: Timestamp) -> InstanceState {
        self.lifecycle.state(now)
    }

    pub(crate) fn is_visible(&self, now: Timestamp) -> bool {
        self.state(now) != InstanceState::Terminated || now < after(self.lifecycle.settles_at, AFTERLIFE)
    }

    /// Whether describes show it already.
    pub(crate) fn is_listed(&self, now: Timestamp) -> bool {
        now >= self.visible_at
    }

    pub(crate) fn root_volume<'a>(&'a self, region: &'a Region) -> Option<&'a Volume> {
        self.attached(region)
            .find(|(_, attachment)| attachment.device == self.root_device)
            .map(|(volume, _)| volume)
    }

    /// How it boots now, in AWS's words.
    pub(crate) fn current_boot_mode(&self) -> &'static str {
        let kind = InstanceType::named(&self.launch.instance_type);
        let takes_uefi = kind.is_none_or(|kind| kind.boot_modes().contains(&"uefi"));
        match self.hardware.get("BootMode") {
            Some("uefi") => "uefi",
            Some("uefi-preferred") if takes_uefi => "uefi",
            None if self.hardware.get("Architecture") == Some("arm64") => "uefi",
            _ => "legacy-bios",
        }
    }

    /// Why its state changed, when somebody changed it.
    pub(crate) fn transition_reason(&self) -> Option<String> {
        let at = self.lifecycle.changed_at;
        (self.lifecycle.target != Steady::Running)
            .then(|| format!("User initiated ({} GMT)", at.strftime("%Y-%m-%d %H:%M:%S")))
    }

    /// The code of the reason why it is not running, when somebody changed that.
    pub(crate) fn state_reason(&self, now: Timestamp) -> Option<&'static str> {
        match self.state(now) {
            InstanceState::Pending | InstanceState::Running => None,
            _ => Some("Client.UserInitiatedShutdown"),
        }
    }

    /// Its volumes with their attachments, in the order in which they were attached.
    pub(crate) fn attached<'a>(
        &'a self,
        region: &'a Region,
    ) -> impl Iterator<Item = (&'a Volume, &'a Attachment)> {
        self.volumes.iter().filter_map(|id| {
            let volume = region.volumes.get(id)?;
            Some((volume, volume.attachment_to(self.id.as_str())?))
        })
    }

    pub(crate) fn interfaces<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Interface> {
        self.interfaces.iter().filter_map(|id| region.interfaces.get(id))
    }

    pub(crate) fn primary_interface<'a>(&'a self, region: &'a Region) -> Option<&'a Interface> {
        self.interfaces(region).find(|interface| {
            interface
                .attachment
                .as_ref()
                .is_some_and(|attachment| attachment.device_index == 0)
        })
    }
}

impl Filterable for Instance {
    const FILTERS: &'static [&'static str] = &[
        "architecture",
        "availability-zone",
        "block-device-mapping.attach-time",
        "block-device-mapping.delete-on-termination",
        "block-device-mapping.device-name",
        "block-device-mapping.status",
        "block-device-mapping.volume-id",
        "client-token",
        "ebs-optimized",
        "hibernation-options.configured",
        "iam-instance-profile.arn",
        "image-id",
        "instance-id",
        "instance-lifecycle",
        "instance-state-code",
        "instance-state-name",
        "instance-type",
        "instance.group-id",
        "ip-address",
        "key-name",
        "launch-index",
        "launch-time",
        "metadata-options.http-tokens",
        "monitoring-state",
        "network-interface.network-interface-id",
        "network-interface.private-ip-address",
        "network-interface.subnet-id",
        "owner-id",
        "placement-group-name",
        "platform",
        "platform-details",
        "private-dns-name",
        "private-ip-address",
        "product-code",
        "product-code.type",
        "reservation-id",
        "root-device-name",
        "root-device-type",
        "subnet-id",
        "tenancy",
        "usage-operation",
        "virtualization-type",
        "vpc-id",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        let launch = &self.launch;
        match filter {
            "architecture" => values.maybe(self.hardware.get("Architecture")),
            "availability-zone" => values.text(&self.zone),
            "client-token" => values.maybe(launch.client_token.as_deref()),
            "ebs-optimized" => values.shown(launch.ebs_optimized),
            "hibernation-options.configured" => values.maybe(launch.hibernation.get("Configured")),
            "iam-instance-profile.arn" => {
                values.maybe(launch.profile.as_ref().map(|profile| profile.arn.as_str()));
            }
            "image-id" => values.text(&launch.image),
            "instance-id" => values.text(self.id.as_str()),
            "instance-lifecycle" if launch.is_spot() => values.text("spot"),
            "instance-state-code" => values.shown(self.state(view.now).code()),
            "instance-state-name" => values.text(self.state(view.now).name()),
            "instance-type" => values.text(&launch.instance_type),
            "key-name" => values.maybe(launch.key_name.as_deref()),
            "launch-index" => values.shown(self.launch_index),
            "launch-time" => values.text(&iso(self.launched_at)),
            "metadata-options.http-tokens" => values.maybe(launch.metadata.get("HttpTokens")),
            "monitoring-state" => values.text(if launch.monitoring { "enabled" } else { "disabled" }),
            "owner-id" => values.text(view.account),
            "placement-group-name" => values.maybe(launch.placement.get("GroupName")),
            "reservation-id" => values.text(self.reservation.as_str()),
            "root-device-name" => values.text(&self.root_device),
            "root-device-type" => values.text("ebs"),
            "subnet-id" => values.text(&self.subnet),
            "tenancy" => values.maybe(launch.placement.get("Tenancy")),
            "virtualization-type" => values.maybe(self.hardware.get("VirtualizationType")),
            filter if billing::FILTERS.contains(&filter) => self.billing.each_value(filter, values),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            device if device.starts_with("block-device-mapping.") => {
                for (volume, attachment) in self.attached(view.region) {
                    match device {
                        "block-device-mapping.attach-time" => values.text(&iso(attachment.attached_at)),
                        "block-device-mapping.device-name" => values.text(&attachment.device),
                        "block-device-mapping.status" => values.text("attached"),
                        "block-device-mapping.volume-id" => values.text(volume.id.as_str()),
                        _ => values.shown(attachment.delete_on_termination),
                    }
                }
            }
            network => {
                for interface in self.interfaces(view.region) {
                    each_interface_value(network, interface, view, values);
                }
            }
        }
    }
}

fn each_interface_value(filter: &str, interface: &Interface, view: View<'_>, values: &mut Values<'_>) {
    match filter {
        "instance.group-id" => interface.groups.iter().for_each(|group| values.text(group)),
        "ip-address" => {
            if let Some(address) = view.region.public_address(interface) {
                values.shown(address);
            }
        }
        "network-interface.network-interface-id" => values.text(interface.id.as_str()),
        "network-interface.private-ip-address" | "private-ip-address" => values.shown(interface.address),
        "network-interface.subnet-id" => values.text(&interface.subnet),
        "private-dns-name" => values.text(&interface.private_dns(&view.region.name)),
        _ => {}
    }
}
