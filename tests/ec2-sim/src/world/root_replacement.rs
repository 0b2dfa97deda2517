//! Tasks that replace the root volume of a running instance.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::filter::{Filterable, Values, View};
use crate::ids::{InstanceId, SnapshotId, VolumeId};
use crate::tags::Tags;
use crate::world::Region;
use crate::world::instance::{InstanceState, Lifecycle, Steady};
use crate::world::volume::{Attachment, Volume};

/// A task. What it does happens at its end, all at once.
#[derive(Debug, Clone)]
pub(crate) struct RootReplacement {
    pub(crate) id: String,
    pub(crate) instance: InstanceId,
    /// What the call named: the volume can come from an image, a snapshot or neither.
    pub(crate) image: Option<String>,
    pub(crate) snapshot: Option<SnapshotId>,
    pub(crate) old: VolumeId,
    pub(crate) new: VolumeId,
    pub(crate) delete_replaced: bool,
    pub(crate) tags: Tags,
    pub(crate) started_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    /// How it will end, unless something comes in between.
    pub(crate) outcome: Outcome,
    /// Whether its end has come.
    pub(crate) is_over: bool,
}

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    /// The old root volume is attached again.
    Failed,
    /// The instance has no root volume any more.
    FailedDetached,
}

/// The tasks of a region, by id, and what a test has in store for the next one of an instance.
#[derive(Debug, Default)]
pub(crate) struct RootReplacements {
    pub(crate) tasks: BTreeMap<String, RootReplacement>,
    pub(crate) planned: BTreeMap<String, Outcome>,
}

impl RootReplacement {
    pub(crate) fn word(&self, now: Timestamp) -> &'static str {
        if self.is_over {
            return match self.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed => "failed",
                Outcome::FailedDetached => "failed-detached",
            };
        }
        let half = self.ends_at.duration_since(self.started_at) / 2;
        if now.duration_since(self.started_at) < half.max(SignedDuration::from_nanos(1)) {
            "pending"
        } else {
            "in-progress"
        }
    }

    pub(crate) fn completed_at(&self) -> Option<Timestamp> {
        self.is_over.then_some(self.ends_at)
    }
}

impl Region {
    /// Ends the tasks whose time has come.
    pub(crate) fn settle_replacements(&mut self, now: Timestamp) {
        let is_due = |task: &&mut RootReplacement| !task.is_over && now >= task.ends_at;
        let mut due = Vec::new();
        for task in self.root_replacements.tasks.values_mut().filter(is_due) {
            task.is_over = true;
            due.push(task.clone());
        }
        for task in due {
            let outcome = self.end(&task);
            if let Some(kept) = self.root_replacements.tasks.get_mut(&task.id) {
                kept.outcome = outcome;
            }
        }
    }

    /// Does what a task does at its end; gives how it really ended.
    fn end(&mut self, task: &RootReplacement) -> Outcome {
        let was_running = self
            .instances
            .get(&task.instance)
            .is_some_and(|instance| instance.state(task.ends_at) == InstanceState::Running);
        let is_ready = self
            .volumes
            .get(&task.new)
            .is_some_and(|volume| volume.attachments.is_empty());
        let old = self.volumes.get(&task.old);
        let place = old.and_then(|volume| volume.attachment_to(task.instance.as_str()).cloned());
        let (Some(place), true, true) = (place, was_running, is_ready) else {
            self.volumes.remove(&task.new);
            return Outcome::Failed;
        };
        match task.outcome {
            Outcome::Succeeded => self.swap_root(task, place),
            Outcome::Failed => {
                self.volumes.remove(&task.new);
            }
            Outcome::FailedDetached => {
                self.volumes.remove(&task.new);
                self.take_root(task);
            }
        }
        task.outcome
    }

    fn swap_root(&mut self, task: &RootReplacement, place: Attachment) {
        if let Some(instance) = self.instances.get_mut(&task.instance) {
            for volume in &mut instance.volumes {
                if *volume == task.old {
                    *volume = task.new.clone();
                }
            }
            instance.rebooted_at = task.ends_at;
        }
        if let Some(new) = self.volumes.get_mut(&task.new) {
            new.attachments.push(Attachment {
                attached_at: task.ends_at,
                ..place
            });
        }
        if task.delete_replaced {
            self.volumes.remove(&task.old);
        } else if let Some(old) = self.volumes.get_mut(&task.old) {
            old.leave(task.instance.as_str());
        }
    }

    fn take_root(&mut self, task: &RootReplacement) {
        if let Some(instance) = self.instances.get_mut(&task.instance) {
            instance.volumes.retain(|volume| *volume != task.old);
            instance.lifecycle = Lifecycle::towards(Steady::Stopped, task.ends_at, SignedDuration::ZERO);
        }
        if let Some(old) = self.volumes.get_mut(&task.old) {
            old.leave(task.instance.as_str());
        }
    }
}

impl Volume {
    /// Whether a snapshot is of it, or of what it came from. Copies belong to nobody's history.
    pub(crate) fn descends_from(&self, snapshot: &super::snapshot::Snapshot) -> bool {
        snapshot.copy.is_none()
            && (snapshot.volume == self.id
                || self.history.contains(snapshot.volume.as_str())
                || self.history.contains(snapshot.id.as_str()))
    }
}

impl Filterable for RootReplacement {
    const FILTERS: &'static [&'static str] = &["instance-id"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, _filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        values.text(self.instance.as_str());
    }
}
