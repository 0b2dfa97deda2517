//! What restore-instance is asked, and what it answers.

use super::Mode;
use super::fidelity::Difference;
use super::obstacles::Obstacle;
use super::record::{Restore, RestoreStatus};
use super::step::Part;
use crate::ids::{InstanceId, JobId, RecoveryPointId, VolumeId};
use crate::job::JobStatus;
use crate::message::ExecutionFailure;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What restore-instance can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum RestoreInstanceRequest {
    /// Decide what is done, write it down and open the job; or only say it.
    Prepare {
        /// The execution's input, as it came.
        input: Value,
        /// The execution's ARN.
        execution_id: String,
        /// When the execution started.
        started_at: Timestamp,
    },
    /// Take the next steps of one resource, until one has to be waited for.
    Step {
        /// The job.
        job_id: JobId,
        /// The wave.
        wave: u32,
        /// The resource's place in it.
        number: u32,
    },
    /// Turn one resource back after a failure.
    Fail {
        /// The job.
        job_id: JobId,
        /// The wave.
        wave: u32,
        /// The resource's place in it.
        number: u32,
        /// What failed.
        failure: ExecutionFailure,
    },
    /// End the job of an execution, if all of its restores have ended.
    Close {
        /// The execution's ARN.
        execution_id: String,
        /// What failed, where the execution is about to fail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<ExecutionFailure>,
    },
    /// Stop a job: what can be taken back is taken back.
    Abort {
        /// The job.
        job_id: JobId,
    },
    /// Say how far a job is.
    Describe {
        /// The job.
        job_id: JobId,
    },
    /// Delete the volumes whose time for an undo is over.
    ExpireUndo {},
}

/// What restore-instance answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RestoreInstanceResponse {
    /// To `prepare`.
    Prepared(RestorePrepared),
    /// To `step` and `fail`.
    Stepped(RestoreStepped),
    /// To `close`, `abort` and `describe`.
    Told(RestoreTold),
    /// To `expire_undo`.
    Expired(UndoExpired),
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePrepared {
    /// The job; none after a dry run, and where there is nothing to do.
    #[serde(default)]
    pub job_id: Option<JobId>,
    /// Whether this execution carries the job.
    pub opened: bool,
    /// How many resources each wave has.
    pub waves: Vec<u32>,
    /// The recovery point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point_id: Option<RecoveryPointId>,
    /// The moment that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Timestamp>,
    /// What would be done with each resource: after a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<PlannedRestore>,
}

/// What would be done with one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRestore {
    /// The resource.
    pub resource_id: InstanceId,
    /// Its wave, from 0.
    pub wave: u32,
    /// The image it is launched from, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// The steps, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// What will differ from what was captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What is in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
}

/// How far one resource is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreStepped {
    /// Whether nothing is left to do for it.
    pub finished: bool,
    /// When to go on, if not.
    pub wait_until: Timestamp,
}

/// What is to be told of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTold {
    /// The job; none if the execution opened none.
    pub job_id: Option<JobId>,
    /// Its status; FAILED if there is none.
    pub status: JobStatus,
    /// What it came to, or how far it is.
    pub message: String,
    /// What it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The recovery point; for an undo that of the restore which it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point_id: Option<RecoveryPointId>,
    /// The moment that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Timestamp>,
    /// Each resource; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<ToldRestore>,
}

/// What is to be told of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldRestore {
    /// The resource.
    pub resource_id: InstanceId,
    /// How far it is.
    pub status: RestoreStatus,
    /// The image it was launched from, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// The instance that was made, or was restored in place. What was made and removed again is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// The volumes that were made, by the device they were captured at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, VolumeId>,
    /// The machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Seconds until it was proved good, or given back.
    pub seconds: i64,
    /// Until when it can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Timestamp>,
    /// Why it failed or was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What people should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was known to differ, and why; at most 30.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced: Vec<Difference>,
    /// What differs although nobody asked for it; at most 30.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// How many resources and differences an answer names: a payload holds 256 KB.
const TOLD_RESTORES: usize = 50;
const TOLD_DIFFERENCES: usize = 30;

impl ToldRestore {
    /// Tells of a restore.
    #[must_use]
    pub fn of(restore: &Restore) -> Self {
        let blueprint = &restore.blueprint;
        let made = &restore.made;
        let own = matches!(blueprint.mode, Mode::InPlace | Mode::Undo).then(|| restore.resource_id.clone());
        let has_made = restore.has_made();
        let left = restore.left_to_be_looked_at();
        let left = left.filter(|_| restore.status == RestoreStatus::Failed);
        let instance = made.instances.get(&Part::Final).or(left).filter(|_| has_made);
        let few = |differences: &[Difference]| differences.iter().take(TOLD_DIFFERENCES).cloned().collect();
        Self {
            resource_id: restore.resource_id.clone(),
            status: restore.status,
            way: blueprint.way_in_words.clone(),
            instance_id: instance.cloned().or(own),
            volumes: made.volumes.clone().into_iter().filter(|_| has_made).collect(),
            image_id: made.machine_image_id.clone().filter(|_| has_made),
            seconds: restore.seconds(),
            undo_until: blueprint.undo_until.filter(|_| has_made),
            failure: restore.failure.clone(),
            notes: restore.notes.clone(),
            announced: few(&blueprint.announced),
            differences: few(&restore.differences),
        }
    }

    /// Tells of as many restores as an answer holds.
    #[must_use]
    pub fn of_all(restores: &[Restore]) -> Vec<Self> {
        restores.iter().take(TOLD_RESTORES).map(Self::of).collect()
    }
}

/// What became of volumes whose time was over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoExpired {
    /// Volumes that were deleted.
    pub deleted: Vec<VolumeId>,
    /// Volumes whose time is over and that stay, with the reasons.
    pub kept: BTreeMap<VolumeId, String>,
}
