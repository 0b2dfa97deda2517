//! AMIs: names for sets of snapshots that instances can be launched from.

use jiff::Timestamp;

use crate::clock::iso;
use crate::filter::{Filterable, Values, View};
use crate::ids::{ImageId, InstanceId};
use crate::tags::Tags;
use crate::world::Region;
use crate::world::billing::{self, Billing};
use crate::world::launch::{DeviceSpec, Fields, Options};
use crate::world::snapshot::State;

/// What `RegisterImage` takes and describes give back as it came.
pub(crate) const SETTINGS: Fields = &[
    ("Architecture", Some("i386")),
    ("BootMode", None),
    ("Description", None),
    ("EnaSupport", None),
    ("ImdsSupport", None),
    ("KernelId", None),
    ("RamdiskId", None),
    ("SriovNetSupport", None),
    ("TpmSupport", None),
    ("VirtualizationType", Some("paravirtual")),
];

/// A registered image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: ImageId,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) root_device: String,
    /// The settings of [`SETTINGS`] that it has.
    pub(crate) settings: Options,
    pub(crate) billing: Billing,
    /// Those with a snapshot have size, type and what happens on termination settled.
    pub(crate) devices: Vec<DeviceSpec>,
    pub(crate) tags: Tags,
    pub(crate) created_at: Timestamp,
    /// When describes begin to show it.
    pub(crate) visible_at: Timestamp,
    pub(crate) is_disabled: bool,
    pub(crate) is_deprecated: bool,
    /// The instance that `CreateImage` took it from.
    pub(crate) instance: Option<InstanceId>,
}

/// An image at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageState {
    /// A snapshot of it is still pending.
    Pending,
    Available,
    Disabled,
    Failed {
        message: String,
    },
}

impl ImageState {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Disabled => "disabled",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Image {
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.devices
            .iter()
            .filter_map(|device| device.ebs.snapshot.as_deref())
    }

    pub(crate) fn uses(&self, snapshot: &str) -> bool {
        self.snapshots().any(|used| used == snapshot)
    }

    /// As good as its snapshots are.
    pub(crate) fn state(&self, region: &Region, now: Timestamp) -> ImageState {
        if self.is_disabled {
            return ImageState::Disabled;
        }
        let mut state = ImageState::Available;
        for id in self.snapshots() {
            match region.snapshots.get(id).map(|snapshot| snapshot.state(now)) {
                Some(State::Completed) => {}
                Some(State::Pending { .. }) => state = ImageState::Pending,
                Some(State::Error { message }) => return ImageState::Failed { message },
                None => {
                    return ImageState::Failed {
                        message: format!("The snapshot {id} does not exist."),
                    };
                }
            }
        }
        state
    }
}

impl Region {
    /// The images, disabled ones too, that are made of a snapshot.
    pub(crate) fn images_of(&self, snapshot: &str) -> impl Iterator<Item = &Image> {
        self.images.values().filter(move |image| image.uses(snapshot))
    }
}

impl Filterable for Image {
    const FILTERS: &'static [&'static str] = &[
        "architecture",
        "block-device-mapping.delete-on-termination",
        "block-device-mapping.device-name",
        "block-device-mapping.snapshot-id",
        "block-device-mapping.volume-size",
        "block-device-mapping.volume-type",
        "creation-date",
        "description",
        "image-id",
        "image-type",
        "is-public",
        "name",
        "owner-id",
        "platform",
        "platform-details",
        "product-code",
        "product-code.type",
        "root-device-name",
        "root-device-type",
        "source-instance-id",
        "state",
        "usage-operation",
        "virtualization-type",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "architecture" => values.maybe(self.settings.get("Architecture")),
            "creation-date" => values.text(&iso(self.created_at)),
            "description" => values.maybe(self.settings.get("Description")),
            "image-id" => values.text(self.id.as_str()),
            "image-type" => values.text("machine"),
            "is-public" => values.shown(self.owner != view.account),
            "name" => values.text(&self.name),
            "owner-id" => values.text(&self.owner),
            "root-device-name" => values.text(&self.root_device),
            "root-device-type" => values.text("ebs"),
            "source-instance-id" => values.maybe(self.instance.as_ref().map(InstanceId::as_str)),
            "state" => values.text(self.state(view.region, view.now).word()),
            filter if billing::FILTERS.contains(&filter) => self.billing.each_value(filter, values),
            "virtualization-type" => values.maybe(self.settings.get("VirtualizationType")),
            _ => self.devices.iter().for_each(|device| match filter {
                "block-device-mapping.delete-on-termination" => {
                    values.shown(device.ebs.delete_on_termination.unwrap_or_default());
                }
                "block-device-mapping.device-name" => values.text(&device.device),
                "block-device-mapping.snapshot-id" => values.maybe(device.ebs.snapshot.as_deref()),
                "block-device-mapping.volume-size" => {
                    device.ebs.size_gib.iter().for_each(|size| values.shown(size));
                }
                "block-device-mapping.volume-type" => {
                    device.ebs.kind.iter().for_each(|kind| values.shown(kind));
                }
                _ => {}
            }),
        }
    }
}
