//! How far a restore is: what the catalog holds of a restore job and of each of its resources.

use super::blueprint::Blueprint;
use super::fidelity::Difference;
use super::request::RestoreRequest;
use super::step::{Part, Step};
use super::{Mode, request::OnFailure};
use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, VolumeId};
use crate::job::JobStatus;
use crate::replica::Destination;
use crate::words::counted;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a restore job is about, beside the job itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreJob {
    /// The job.
    pub job_id: JobId,
    /// What is given back.
    pub mode: Mode,
    /// Where.
    pub place: Destination,
    /// The moment that the resources go back to.
    pub moment: Timestamp,
    /// What was asked for; none for an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RestoreRequest>,
    /// How many resources each wave has.
    pub waves: Vec<u32>,
    /// How often its end was taken up by another execution.
    #[serde(default)]
    pub resumes: u32,
}

/// How far the restore of one resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestoreStatus {
    /// Its wave has not begun.
    Pending,
    /// Its steps are taken.
    Running,
    /// Its steps are taken back.
    Returning,
    /// It was given back as it was captured, or as was asked for.
    Completed,
    /// It was given back, and differs in something that nobody asked for.
    Partial,
    /// It was not given back; the record says why, and what is left.
    Failed,
    /// Somebody stopped it, and everything is as it was.
    Aborted,
}

impl RestoreStatus {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Partial | Self::Failed | Self::Aborted
        )
    }
}

/// Where the way back ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoReturn {
    /// The original was let go, or is about to be.
    CutOver,
    /// What was made was handed over, or is about to be.
    HandedOver,
}

/// The restore of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The job.
    pub job_id: JobId,
    /// The plan.
    pub plan_id: PlanId,
    /// The recovery point; for an undo that of the restore which it undoes.
    pub recovery_point_id: RecoveryPointId,
    /// The protected instance.
    pub resource_id: InstanceId,
    /// Its wave, from 0.
    pub wave: u32,
    /// Its place in the wave, from 0.
    pub number: u32,
    /// Where it is restored.
    pub place: Destination,
    /// How far it is.
    pub status: RestoreStatus,
    /// What is done.
    pub blueprint: Blueprint,
    /// The step to be taken next: of the steps, or of the way back.
    pub next: usize,
    /// Since when that step is tried.
    pub since: Timestamp,
    /// When its first step was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// Why there is no way back any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_return: Option<NoReturn>,
    /// What was made.
    #[serde(default)]
    pub made: Made,
    /// When each step was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<StepDone>,
    /// Why it is taken back, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether somebody stopped it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_abort: bool,
    /// Whether the way back did not come to its end: what is left is in the notes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stuck: bool,
    /// How the result differs from what was captured, where nobody asked for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What people should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Counts the writes of this record: each asks for the number that was read.
    pub revision: u64,
}

/// A step that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDone {
    /// The step.
    pub step: Step,
    /// When.
    pub at: Timestamp,
}

/// What a restore has made so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// The image that instances are launched from; temporary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The machine image that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_image_id: Option<String>,
    /// New instances.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub instances: BTreeMap<Part, InstanceId>,
    /// How often the new instance was launched again, because EC2 had ended it.
    #[serde(skip_serializing_if = "is_zero")]
    pub relaunches: u32,
    /// New volumes by the device they were captured at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, VolumeId>,
    /// Restored boot volumes of new instances, where they are exchanged.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub boot_volumes: BTreeMap<Part, VolumeId>,
    /// The task that replaces a root volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_root_task: Option<String>,
    /// Systems Manager commands that were sent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<InstanceId, String>,
    /// What was proved good.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub proved: BTreeSet<InstanceId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Restore {
    /// A restore that is yet to begin.
    #[must_use]
    pub fn new(
        job_id: &JobId,
        plan_id: &PlanId,
        recovery_point_id: &RecoveryPointId,
        resource_id: &InstanceId,
        place: &Destination,
        blueprint: Blueprint,
        now: Timestamp,
    ) -> Self {
        Self {
            job_id: job_id.clone(),
            plan_id: plan_id.clone(),
            recovery_point_id: recovery_point_id.clone(),
            resource_id: resource_id.clone(),
            wave: 0,
            number: 0,
            place: place.clone(),
            status: RestoreStatus::Pending,
            blueprint,
            next: 0,
            since: now,
            begun_at: None,
            no_return: None,
            made: Made::default(),
            done: Vec::new(),
            failure: None,
            is_abort: false,
            is_stuck: false,
            differences: Vec::new(),
            notes: Vec::new(),
            ended_at: None,
            revision: 0,
        }
    }

    /// Begins it, unless that was done.
    pub fn begin(&mut self, now: Timestamp) {
        if self.status == RestoreStatus::Pending {
            self.status = RestoreStatus::Running;
            self.since = now;
            self.begun_at = Some(now);
        }
    }

    /// The step to be taken now; none when there is none left.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        let steps = match self.status {
            RestoreStatus::Returning => &self.blueprint.back,
            _ => &self.blueprint.steps,
        };
        steps.get(self.next).copied()
    }

    /// Goes over to the next step.
    pub fn advance(&mut self, now: Timestamp) {
        if let Some(step) = self.step() {
            self.done.push(StepDone { step, at: now });
        }
        self.next += 1;
        self.since = now;
    }

    /// Turns back for `why`, where that is still possible. Past the cut-over it fails where it stands, whoever wished
    /// for it: what was made is all that there is by then, and nothing is as it was.
    pub fn turn_back(&mut self, why: impl Into<String>, is_abort: bool, now: Timestamp) {
        if self.status.is_terminal() || self.status == RestoreStatus::Returning {
            return;
        }
        self.failure.get_or_insert(why.into());
        self.since = now;
        if self.is_past_return() {
            self.end(now);
            return;
        }
        self.is_abort = is_abort;
        let waits = self.status == RestoreStatus::Pending;
        if waits {
            self.end(now);
        } else {
            self.status = RestoreStatus::Returning;
            self.next = 0;
        }
    }

    /// Whether somebody's wish to stop it can still be met.
    #[must_use]
    pub fn can_turn_back(&self) -> bool {
        !self.is_past_return() && !self.status.is_terminal()
    }

    /// Whether there is no way back any more: what was made is what there is.
    #[must_use]
    pub fn is_past_return(&self) -> bool {
        self.no_return.is_some()
    }

    /// Whether the original was let go, or is about to be.
    #[must_use]
    pub fn has_cut_over(&self) -> bool {
        self.no_return == Some(NoReturn::CutOver)
    }

    /// Whether what was made stays for somebody to look at.
    #[must_use]
    pub fn leaves_made(&self) -> bool {
        self.blueprint.on_failure == OnFailure::Leave && !self.is_abort
    }

    /// The new instance that stays for that; of a destructive recovery it is the candidate.
    #[must_use]
    pub fn left_to_be_looked_at(&self) -> Option<&InstanceId> {
        let part = match self.blueprint.mode {
            Mode::Destructive => Part::Candidate,
            _ => Part::Final,
        };
        self.made.instances.get(&part).filter(|_| self.leaves_made())
    }

    /// Whether what it made is there, or may be: after an end without success it was removed, but for what could not be,
    /// and what was to stay.
    #[must_use]
    pub fn has_made(&self) -> bool {
        let is_taken_back = matches!(self.status, RestoreStatus::Failed | RestoreStatus::Aborted);
        !is_taken_back || self.is_past_return() || self.is_stuck || self.left_to_be_looked_at().is_some()
    }

    /// Notes what people should know, once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Ends it with what it has come to.
    pub fn end(&mut self, now: Timestamp) {
        self.ended_at = Some(now);
        self.status = match (&self.failure, self.is_abort) {
            (Some(_), true) if !self.is_stuck => RestoreStatus::Aborted,
            (Some(_), _) => RestoreStatus::Failed,
            (None, _) if self.differences.is_empty() => RestoreStatus::Completed,
            (None, _) => RestoreStatus::Partial,
        };
    }

    /// What it came to, in a line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let resource = &self.resource_id;
        match self.status {
            RestoreStatus::Pending => format!("{resource}: not begun"),
            RestoreStatus::Running | RestoreStatus::Returning => format!("{resource}: at work"),
            RestoreStatus::Completed => format!("{resource}: {}", self.result()),
            RestoreStatus::Partial => format!(
                "{resource}: {}, with {} that nobody asked for, the first: {}",
                self.result(),
                counted(self.differences.len(), "difference"),
                self.differences
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            ),
            RestoreStatus::Failed | RestoreStatus::Aborted => {
                format!("{resource}: {}", self.failure.as_deref().unwrap_or("it failed"))
            }
        }
    }

    /// What it gave.
    fn result(&self) -> String {
        let made = &self.made;
        match self.blueprint.mode {
            Mode::Clone | Mode::NonDestructive | Mode::Destructive => made
                .instances
                .get(&Part::Final)
                .map_or_else(|| "no instance".to_owned(), |id| format!("came back as {id}")),
            Mode::Rehearsal => format!("rehearsed in {} s", self.seconds()),
            Mode::InPlace => format!(
                "{} restored in place",
                counted(self.blueprint.volumes.len(), "volume")
            ),
            Mode::Undo => "the volumes before the restore are back".to_owned(),
            Mode::Volumes => {
                let ids: Vec<&str> = made.volumes.values().map(VolumeId::as_str).collect();
                ids.join(", ")
            }
            Mode::Image => made
                .machine_image_id
                .clone()
                .unwrap_or_else(|| "no image".to_owned()),
        }
    }

    /// Seconds from the beginning of its first step to the proof, or to the last step that is done.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        let proof = self
            .done
            .iter()
            .rev()
            .find(|done| matches!(done.step, Step::Prove(Part::Final) | Step::ProveOriginal));
        let end = proof.or(self.done.last()).map(|done| done.at);
        end.zip(self.begun_at)
            .map_or(0, |(end, begun)| end.duration_since(begun).as_secs())
    }
}

/// Adds up what a restore job came to.
#[must_use]
pub fn decide_job_end(restores: &[Restore], aborted: bool) -> (JobStatus, String) {
    let of = |status: RestoreStatus| restores.iter().filter(|restore| restore.status == status).count();
    let good = of(RestoreStatus::Completed);
    let some = of(RestoreStatus::Partial);
    let failed = of(RestoreStatus::Failed);
    let all = restores.len();
    let mut message = format!("{} of {all} resources given back", good + some);
    let named = restores
        .iter()
        .filter(|restore| restore.status != RestoreStatus::Completed || all <= 10)
        .take(10)
        .map(Restore::in_words);
    for line in named {
        message.push_str("; ");
        message.push_str(&line);
    }
    // One that failed is not as it was before, or was in trouble of its own: somebody has to look.
    let status = if aborted && good + some + failed == 0 {
        JobStatus::Aborted
    } else if all > 0 && good == all {
        JobStatus::Completed
    } else if good + some > 0 {
        JobStatus::Partial
    } else {
        JobStatus::Failed
    };
    (status, message)
}
