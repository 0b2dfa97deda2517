//! The steps of a restore: each a state to be reached, and how far each of them is.

use super::boot::BootWay;
use crate::configuration::{InstanceConfiguration, Tags};
use crate::ids::VolumeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which of the new instances of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The one that is proved before the original is let go. It has addresses of its own.
    Candidate,
    /// The one that stays.
    Final,
}

impl Part {
    /// Its name in tokens, records and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Final => "final",
        }
    }
}

impl Part {
    /// Which one it is, for people.
    fn in_words(self) -> &'static str {
        match self {
            Self::Candidate => "the candidate",
            Self::Final => "the new instance",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The volumes exist, made of the snapshots.
    MakeVolumes,
    /// The image that new instances are launched from is available.
    ObtainImage,
    /// The original is stopped.
    StopOriginal,
    /// A new instance runs.
    Launch(Part),
    /// It has the restored boot volume in place of the image's.
    ExchangeBootVolume(Part),
    /// It is proved good.
    Prove(Part),
    /// The original is terminated, its interfaces and volumes are kept.
    ReleaseOriginal,
    /// The candidate is gone.
    RemoveCandidate,
    /// What a launch cannot set is set: tags of single volumes and interfaces, source/destination checks, elastic
    /// addresses, target groups.
    Dress,
    /// The original's root volume was replaced while it ran.
    ReplaceRoot,
    /// The volumes stand at their devices, those that were there are kept for an undo.
    SwapVolumes,
    /// The original runs again, if it ran before.
    StartOriginal,
    /// The original, still itself, is proved good.
    ProveOriginal,
    /// The volumes are attached to the instance that was named.
    AttachVolumes,
    /// The instance rests as it was captured: stopped, if it was stopped; protected, if it was protected.
    Settle,
    /// The machine image is available.
    MakeImage,
    /// Nothing temporary is left; the result is compared with what was captured.
    Finish,
    /// Everything that the restore made is gone.
    RemoveMade,
    /// The volumes that were there stand at their devices again.
    SwapBack,
    /// The original is as it was found: its flags, and running if it ran.
    ReturnOriginal,
}

impl Step {
    /// What the step does, in words.
    #[must_use]
    pub fn in_words(self, way: Option<&BootWay>) -> String {
        match self {
            Self::MakeVolumes => "make the volumes of their snapshots".to_owned(),
            Self::ObtainImage => match way {
                Some(BootWay::OfOriginal) => "make an image of the original for its billing codes".to_owned(),
                _ => "register an image of the snapshots".to_owned(),
            },
            Self::StopOriginal => "stop the original".to_owned(),
            Self::Launch(Part::Candidate) => {
                "launch a candidate with addresses of its own, to prove the backup good".to_owned()
            }
            Self::Launch(Part::Final) => "launch the new instance".to_owned(),
            Self::ExchangeBootVolume(part) => {
                let which = part.in_words();
                format!("stop {which}, exchange its boot volume for the restored one, start it")
            }
            Self::Prove(part) => format!("prove {} good", part.in_words()),
            Self::ReleaseOriginal => {
                "terminate the original, keeping its interfaces and, until the end, its volumes".to_owned()
            }
            Self::RemoveCandidate => "terminate the candidate".to_owned(),
            Self::Dress => "set tags, checks, elastic addresses and target groups".to_owned(),
            Self::ReplaceRoot => "replace the root volume of the running instance".to_owned(),
            Self::SwapVolumes => "exchange the volumes, keeping those that were there".to_owned(),
            Self::StartOriginal => "start the original".to_owned(),
            Self::ProveOriginal => "prove the instance good".to_owned(),
            Self::AttachVolumes => "attach the volumes".to_owned(),
            Self::Settle => "set protections, and stop it if it was captured stopped".to_owned(),
            Self::MakeImage => "make the machine image".to_owned(),
            Self::Finish => "remove what was temporary, compare with what was captured".to_owned(),
            Self::RemoveMade => "remove everything that was made".to_owned(),
            Self::SwapBack => "put the volumes back that were there".to_owned(),
            Self::ReturnOriginal => "leave the original as it was found".to_owned(),
        }
    }
}

/// What stands at a device of the original before and after an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The device.
    pub device: String,
    /// Whether what is there is neither in the backup nor of an earlier restore: it is kept, and nobody deletes it when
    /// the undo's time is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_foreign: bool,
    /// What is there when the restore begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Standing>,
    /// What is to be there; none where the device is to be empty, which only an undo asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Standing>,
}

/// A volume at a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The volume; none for one that the restore makes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_id: Option<VolumeId>,
    /// Whether it ends with the instance.
    pub delete_on_termination: bool,
}

/// What is to be restored of the tags of a thing when everything else is done.
#[must_use]
pub fn named(
    mut configuration: InstanceConfiguration,
    tags: &Tags,
    name: Option<&String>,
) -> InstanceConfiguration {
    let added = tags
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .chain(name.map(|name| ("Name".to_owned(), name.clone())));
    for (key, value) in added {
        for volume in &mut configuration.volumes {
            if key != "Name" {
                volume.tags.insert(key.clone(), value.clone());
            }
        }
        configuration.tags.insert(key, value);
    }
    configuration
}
