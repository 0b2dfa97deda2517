//! What was decided: which steps, in which order, towards what, and back.

use super::Mode;
use super::boot::BootWay;
use super::fidelity::Difference;
use super::request::{OnFailure, Proof};
use super::step::{Exchange, Standing, Step};
use super::surroundings::TargetGroup;
use super::target::VolumeOrder;
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

pub(super) fn standing(volume: &VolumeConfiguration) -> Standing {
    Standing {
        volume_id: Some(volume.volume_id.clone()),
        delete_on_termination: volume.delete_on_termination.unwrap_or(false),
    }
}

pub(super) fn is_running(configuration: &InstanceConfiguration) -> bool {
    matches!(configuration.state.as_deref(), Some("running" | "pending"))
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
