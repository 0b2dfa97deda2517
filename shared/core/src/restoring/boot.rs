//! How a new instance comes to its boot volume and keeps what it is billed as.
//!
//! `RegisterImage` makes images of snapshots, and those carry no billing codes: an instance launched from one would
//! run Windows, RHEL or marketplace software that nobody pays for (Amazon EC2 User Guide, "Understand AMI billing
//! information"). Such an instance is launched from an image that carries the codes; its boot volume is exchanged for
//! the restored one while it is stopped.

use super::Held;
use super::Mode;
use super::obstacles::Obstacle;
use super::overrides::Overrides;
use super::surroundings::{ImageFacts, Surroundings};
use crate::configuration::InstanceConfiguration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What Linux without any codes is billed as.
const PLAIN: &str = "RunInstances";

/// Where the image comes from that a new instance is launched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum BootWay {
    /// It is registered from the backup's snapshots, all devices in it.
    Registered,
    /// It is there and carries the codes; the boot volume is exchanged.
    Donor {
        /// The image.
        image_id: String,
        /// The device of its boot volume.
        root_device_name: String,
        /// Its other devices, which the launch leaves out.
        other_devices: Vec<String>,
    },
    /// It is made of the original, which carries the codes; the boot volume is exchanged.
    OfOriginal,
}

impl BootWay {
    /// Whether the boot volume is exchanged after the launch.
    #[must_use]
    pub fn exchanges_boot_volume(&self) -> bool {
        !matches!(self, Self::Registered)
    }

    /// Whether an image is made for the launch, and removed after it.
    #[must_use]
    pub fn makes_image(&self) -> bool {
        !matches!(self, Self::Donor { .. })
    }

    /// Which way, and why, in words.
    #[must_use]
    pub fn in_words(&self, captured: &InstanceConfiguration) -> String {
        let codes = || format!("it is billed as {}", billed_as(captured));
        match self {
            Self::Registered => {
                "an image registered from the snapshots: the instance has no billing codes".to_owned()
            }
            Self::Donor { image_id, .. } => {
                format!(
                    "launched from {image_id}, boot volume exchanged: {}, and that image carries it",
                    codes()
                )
            }
            Self::OfOriginal => format!(
                "launched from an image of the original, boot volume exchanged: {}, and its own image is gone",
                codes()
            ),
        }
    }
}

/// Whether an instance is billed for more than Linux.
#[must_use]
pub fn is_coded(captured: &InstanceConfiguration) -> bool {
    let operation = captured.usage_operation.as_deref().unwrap_or(PLAIN);
    operation != PLAIN || !captured.product_codes.is_empty() || is_windows(captured)
}

fn is_windows(captured: &InstanceConfiguration) -> bool {
    captured
        .platform
        .as_deref()
        .is_some_and(|platform| platform.eq_ignore_ascii_case("windows"))
}

fn billed_as(captured: &InstanceConfiguration) -> String {
    let codes: Vec<&str> = captured
        .product_codes
        .iter()
        .map(|code| code.id.as_str())
        .collect();
    let platform = captured
        .platform_details
        .as_deref()
        .or(captured.platform.as_deref())
        .unwrap_or("an unnamed platform");
    if codes.is_empty() {
        platform.to_owned()
    } else {
        format!("{platform} with product code {}", codes.join(", "))
    }
}

/// Whether an image carries everything that the captured instance is billed as.
fn carries(image: &ImageFacts, captured: &InstanceConfiguration) -> bool {
    let wanted: BTreeSet<&str> = captured
        .product_codes
        .iter()
        .map(|code| code.id.as_str())
        .collect();
    let operation = match captured.usage_operation.as_deref() {
        Some(_) => image.usage_operation == captured.usage_operation,
        // Nothing is written down of it. An image of plain Linux carries no Windows all the same.
        None => {
            !is_windows(captured)
                || image
                    .usage_operation
                    .as_deref()
                    .is_some_and(|operation| operation != PLAIN)
        }
    };
    image.available
        && wanted.iter().all(|code| image.product_codes.contains(*code))
        && operation
        && (captured.architecture.is_none()
            || image.architecture.is_none()
            || image.architecture == captured.architecture)
}

fn donor(image_id: &str, image: &ImageFacts) -> BootWay {
    BootWay::Donor {
        image_id: image_id.to_owned(),
        root_device_name: image.root_device_name.clone().unwrap_or_default(),
        other_devices: image.other_devices.clone(),
    }
}

/// Decides the way, by platform and product codes.
///
/// # Errors
/// No image carries the codes; the user may name one.
pub fn decide_boot_way(
    mode: Mode,
    held: &Held,
    captured: &InstanceConfiguration,
    overrides: &Overrides,
    surroundings: &Surroundings,
) -> Result<BootWay, Obstacle> {
    let field = "overrides.image_id";
    if let Some(image_id) = &overrides.image_id {
        return match surroundings.images.get(image_id) {
            None => Err(Obstacle::new(
                field,
                format!("{image_id} is not there"),
                ["an image of this region that carries the same billing"],
            )),
            Some(image) if !image.available => Err(Obstacle::new(
                field,
                format!("{image_id} cannot be launched"),
                ["an image that is available"],
            )),
            Some(image) if is_coded(captured) && !carries(image, captured) => Err(Obstacle::new(
                field,
                format!(
                    "{image_id} does not carry what the instance is billed as: {}",
                    billed_as(captured)
                ),
                ["an image that carries it"],
            )),
            Some(image) => Ok(donor(image_id, image)),
        };
    }
    if !is_coded(captured) {
        return Ok(BootWay::Registered);
    }
    let own = captured.image_id.as_deref();
    if let Some((image_id, image)) = own.and_then(|id| Some((id, surroundings.images.get(id)?)))
        && carries(image, captured)
    {
        return Ok(donor(image_id, image));
    }
    let original = surroundings.original.as_ref().filter(|_| !held.is_replica);
    if original.is_some_and(|original| {
        original.usage_operation == captured.usage_operation
            && original.product_codes == captured.product_codes
    }) {
        return Ok(BootWay::OfOriginal);
    }
    Err(Obstacle::new(
        field,
        format!(
            "the instance is billed as {}, its own image {} cannot be launched here, and there is no original to make one \
             of; a {mode} from the snapshots alone would lose that",
            billed_as(captured),
            own.unwrap_or("(unknown)"),
        ),
        ["an image of this region that carries the same billing"],
    ))
}
