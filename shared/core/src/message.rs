//! Every request and response: the contract between functions, state machines and users.

use crate::failure::{InvalidField, parse_document};
use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, SnapshotId};
use crate::job::JobStatus;
use crate::plan::{BackupPlan, InvalidPlan};
use crate::recovery_point::Hold;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a backup execution is started with: `{"plan_id": …}` or `{"plan": {…}}`, and optionally `scheduled_time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInput {
    /// Where the plan comes from.
    pub plan: PlanSource,
    /// The slot that a schedule started the execution for.
    pub scheduled_time: Option<Timestamp>,
}

/// Where a backup's plan comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanSource {
    /// A plan that was saved.
    Saved(PlanId),
    /// A plan given with the execution: an on-demand backup with settings of its own.
    Inline(Box<BackupPlan>),
}

impl PlanSource {
    /// The plan's id.
    #[must_use]
    pub fn plan_id(&self) -> &PlanId {
        match self {
            Self::Saved(plan_id) => plan_id,
            Self::Inline(plan) => &plan.plan_id,
        }
    }
}

/// An execution input that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// A field of the input itself.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// The plan given with it.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
}

impl BackupInput {
    /// Reads an execution input.
    ///
    /// # Errors
    /// [`InvalidInput`] with the field's name: an unknown field, both or neither of `plan_id` and `plan`, a time that
    /// is none, a plan that cannot be taken.
    pub fn parse(input: &Value) -> Result<Self, InvalidInput> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            plan_id: Option<PlanId>,
            plan: Option<Value>,
            scheduled_time: Option<Timestamp>,
        }
        let raw: Raw = parse_document("", input)?;
        let year = raw
            .scheduled_time
            .map(|slot| TimeZone::UTC.to_datetime(slot).year());
        if year.is_some_and(|year| !(1970..=9999).contains(&year)) {
            let problem = "not between the years 1970 and 9999";
            return Err(InvalidField::new("scheduled_time", problem).into());
        }
        let plan = match (raw.plan_id, raw.plan) {
            (Some(plan_id), None) => PlanSource::Saved(plan_id),
            (None, Some(plan)) => PlanSource::Inline(Box::new(BackupPlan::parse("plan", &plan)?)),
            (Some(_), Some(_)) => {
                return Err(
                    InvalidField::new("plan", "both plan_id and plan are given; give one of them").into(),
                );
            }
            (None, None) => {
                return Err(
                    InvalidField::new("plan_id", "missing; give plan_id, or a whole plan as plan").into(),
                );
            }
        };
        Ok(Self {
            plan,
            scheduled_time: raw.scheduled_time,
        })
    }
}

/// Asks open-job to open the job of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenJobRequest {
    /// The execution's input, as it came.
    pub input: Value,
    /// The execution's ARN.
    pub execution_id: String,
    /// When the execution started.
    pub started_at: Timestamp,
}

/// What open-job answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenJobResponse {
    /// The job of this occasion.
    pub job_id: JobId,
    /// Its recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// Its plan.
    pub plan_id: PlanId,
    /// Whether this execution carries the job. If not, the start was a double and there is nothing to do.
    pub opened: bool,
    /// How many batches there are; none when the plan selected nothing.
    pub batches: u32,
}

/// Asks snapshot-volumes to run one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotVolumesRequest {
    /// The job.
    pub job_id: JobId,
    /// The batch, from 0.
    pub batch: u32,
}

/// What snapshot-volumes answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotVolumesResponse {
    /// The batch to run next, of those that are not finished.
    pub next_batch: u32,
    /// Whether every batch is done.
    pub all_started: bool,
    /// When to go on.
    pub wait_until: Timestamp,
}

/// Asks poll-completion how far a job's snapshots are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollCompletionRequest {
    /// The job.
    pub job_id: JobId,
}

/// What poll-completion answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollCompletionResponse {
    /// Whether there is nothing more to wait for.
    pub finished: bool,
    /// When to ask again, if not.
    pub wait_until: Timestamp,
    /// The replicas that are to be made then, by their place in the plan; none where no backup can be recovered.
    pub destinations: Vec<u32>,
}

/// What copy-region can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum CopyRegionRequest {
    /// Do one round of a destination's copies.
    Copy {
        /// The job.
        job_id: JobId,
        /// The destination's place in the plan's list of replicas.
        destination: u32,
    },
    /// End a destination's copies after a failure: undo what is half done, write down what is whole.
    End {
        /// The job.
        job_id: JobId,
        /// The destination's place in the plan's list of replicas.
        destination: u32,
        /// What failed.
        failure: ExecutionFailure,
    },
    /// End all copies of an execution that came to an end it was not meant for.
    EndAll {
        /// The execution's ARN.
        execution_id: String,
        /// How it ended.
        failure: ExecutionFailure,
    },
}

/// What copy-region answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyRegionResponse {
    /// Whether the destination's copies have ended, well or not.
    pub finished: bool,
    /// When to do the next round, if not.
    pub wait_until: Timestamp,
}

/// What apply-retention can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ApplyRetentionRequest {
    /// Decide which of a plan's recovery points stay, and let go of the others, as much as one burst takes.
    Apply {
        /// The plan.
        plan_id: PlanId,
        /// Only decide and tell.
        #[serde(default)]
        dry_run: bool,
    },
    /// The same for the first plan after `after` in the order of their ids: a run over all plans asks so.
    ApplyNext {
        /// The plan before; none at the start.
        #[serde(default)]
        after: Option<PlanId>,
    },
    /// Keep a recovery point, whatever the rules say, until it is released.
    Hold {
        /// Its plan.
        plan_id: PlanId,
        /// Which.
        recovery_point_id: RecoveryPointId,
        /// Why, for people; 1 to 500 characters.
        reason: String,
    },
    /// End a hold.
    Release {
        /// Its plan.
        plan_id: PlanId,
        /// Which.
        recovery_point_id: RecoveryPointId,
    },
    /// Say that a run over all plans could not work on the first plan after `after`, and which that is.
    RecordFailure {
        /// The plan before; none at the start.
        #[serde(default)]
        after: Option<PlanId>,
        /// What failed.
        failure: ExecutionFailure,
    },
}

/// What apply-retention answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyRetentionResponse {
    /// The plan that was worked on; none where there is none (any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
    /// Whether nothing is left to do for it now.
    pub finished: bool,
    /// When to go on, if not.
    pub wait_until: Timestamp,
    /// Recovery points that stay.
    pub kept: u32,
    /// Recovery points that go: all of them in a dry run, else those that are not gone yet.
    pub going: u32,
    /// Recovery points of which the last snapshot was deleted by this call.
    pub gone: u32,
    /// Snapshots that could not be deleted yet: in use, locked, or not ours by their tags.
    pub deferred: u32,
    /// Recovery points whose records cannot be read. They stay.
    #[serde(default)]
    pub unreadable: u32,
    /// The decision, newest first, in a dry run and after a hold or release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<RetentionRow>,
    /// How many recovery points the table leaves out because the answer would be too large.
    #[serde(default)]
    pub left_out: u32,
    /// Resources that are gone, with the recovery point that is kept as their last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_resources: Vec<GoneResource>,
    /// Why nothing could be done for the plan. A run over all plans goes on with the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What is decided of one recovery point, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRow {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// The moment it stands for.
    pub moment: Timestamp,
    /// Whether it stays.
    pub keep: bool,
    /// Every reason for it.
    pub reasons: Vec<String>,
    /// When it is expected to go, if that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_at: Option<Timestamp>,
    /// The hold on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Snapshots of it that could not be deleted yet, with the reasons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred: BTreeMap<SnapshotId, String>,
}

/// A resource that is not there any more, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoneResource {
    /// The resource.
    pub resource_id: InstanceId,
    /// The recovery point with its last good backup.
    pub recovery_point_id: RecoveryPointId,
}

/// Asks close-job to end the job of an execution, if it opened one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseJobRequest {
    /// The execution's ARN.
    pub execution_id: String,
    /// How the execution ended, where something other than its last step says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ExecutionFailure>,
}

/// How an execution came to an end that it was not meant for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionFailure {
    /// The error's name, or the execution's status (`TIMED_OUT`, `ABORTED`, `FAILED`).
    pub error: String,
    /// What is known of why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl ExecutionFailure {
    /// Whether somebody stopped the execution.
    #[must_use]
    pub fn is_abort(&self) -> bool {
        self.error == "ABORTED"
    }

    /// Whether trying again later may help: AWS could not answer, or a function could not run.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        let faults = [
            "RetryableError",
            "Lambda.",
            "Runtime.",
            "Sandbox.",
            "States.Timeout",
        ];
        faults.iter().any(|fault| self.error.starts_with(fault))
    }

    /// What is known of it, in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        match &self.cause {
            _ if self.is_abort() => "the execution was stopped".to_owned(),
            Some(cause) if !cause.is_empty() => format!("{}: {}", self.error, lambda_message(cause)),
            _ => self.error.clone(),
        }
    }
}

/// The message inside a Lambda function's error, which Step Functions hands on as JSON text.
fn lambda_message(cause: &str) -> String {
    #[derive(Deserialize)]
    struct LambdaError {
        #[serde(rename = "errorMessage")]
        message: String,
    }
    serde_json::from_str::<LambdaError>(cause).map_or_else(|_| cause.to_owned(), |error| error.message)
}

/// What close-job answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseJobResponse {
    /// The job; none if the execution opened none.
    pub job_id: Option<JobId>,
    /// The recovery point.
    pub recovery_point_id: Option<RecoveryPointId>,
    /// How the job ended; FAILED if none was opened.
    pub status: JobStatus,
    /// What it came to.
    pub message: String,
}

/// What manage-plan can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ManagePlanRequest {
    /// Save a plan, new or changed, and set its schedules.
    Put {
        /// The plan.
        plan: Value,
    },
    /// Read a plan.
    Get {
        /// Which.
        plan_id: PlanId,
    },
    /// Read all plans, in the order of their ids.
    List {
        /// Go on after this plan: the `next` of the answer before.
        #[serde(default)]
        after: Option<PlanId>,
    },
    /// Delete a plan and its schedules. Its recovery points stay, and are let go by its last rules.
    Delete {
        /// Which.
        plan_id: PlanId,
    },
}

/// What manage-plan answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagePlanResponse {
    /// The plans: one after put, get and delete, a page after list.
    pub plans: Vec<SavedPlan>,
    /// Where to go on with list; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PlanId>,
}

/// A plan as the catalog holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// The plan.
    pub plan: BackupPlan,
    /// Counts the times it was saved, from 1.
    pub version: u32,
    /// When it was last saved.
    pub updated_at: Timestamp,
    /// When it was deleted; its last rules still retire its recovery points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restoring::message::{RestoreInstanceRequest, RestoreInstanceResponse};
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"plan_id": "nightly"}), None)]
    #[case(json!({"plan_id": "nightly", "scheduled_time": "2026-11-24T02:00:00Z"}), None)]
    #[case(json!({}), Some("plan_id: missing"))]
    #[case(json!({"plan_id": "nightly", "plan": {}}), Some("plan: both"))]
    #[case(json!({"plan_id": "Nightly"}), Some("plan_id: "))]
    #[case(json!({"plan_id": 7}), Some("plan_id: "))]
    #[case(json!({"plan_id": "nightly", "scheduled_time": "soon"}), Some("scheduled_time: "))]
    #[case(json!({"plan_id": "nightly", "scheduled_time": "-000001-01-01T00:00:00Z"}), Some("scheduled_time: "))]
    #[case(json!({"planid": "nightly"}), Some("planid: unknown field"))]
    #[case(json!({"plan": {"plan_id": "x", "retention": [], "selection": {}}}), Some("plan.selection: "))]
    #[case(json!({"plan": {"plan_id": "x", "retention": []}}), Some("plan: missing field `selection`"))]
    #[case(json!([]), Some("input: "))]
    #[case(json!(null), Some("input: "))]
    fn an_input_is_taken_or_its_field_named(#[case] input: Value, #[case] wanted: Option<&str>) {
        let parsed = BackupInput::parse(&input).map_err(|error| error.to_string());
        match wanted {
            None => assert!(parsed.is_ok(), "{parsed:?}"),
            Some(start) => assert!(parsed.as_ref().unwrap_err().starts_with(start), "{parsed:?}"),
        }
    }

    #[rstest]
    #[case(include_str!("../fixtures/messages.json"))]
    fn requests_and_responses_are_written_as_they_are_read(#[case] fixture: &str) {
        fn same<T: Serialize + serde::de::DeserializeOwned>(value: &Value) {
            let read: T = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), *value);
        }
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        same::<OpenJobRequest>(&fixture["OpenJobRequest"]);
        same::<OpenJobResponse>(&fixture["OpenJobResponse"]);
        same::<SnapshotVolumesRequest>(&fixture["SnapshotVolumesRequest"]);
        same::<SnapshotVolumesResponse>(&fixture["SnapshotVolumesResponse"]);
        same::<PollCompletionRequest>(&fixture["PollCompletionRequest"]);
        same::<PollCompletionResponse>(&fixture["PollCompletionResponse"]);
        for request in fixture["CopyRegionRequests"].as_array().unwrap() {
            same::<CopyRegionRequest>(request);
        }
        same::<CopyRegionResponse>(&fixture["CopyRegionResponse"]);
        for request in fixture["ApplyRetentionRequests"].as_array().unwrap() {
            same::<ApplyRetentionRequest>(request);
        }
        same::<ApplyRetentionResponse>(&fixture["ApplyRetentionResponse"]);
        same::<CloseJobRequest>(&fixture["CloseJobRequest"]);
        same::<CloseJobResponse>(&fixture["CloseJobResponse"]);
        same::<ManagePlanResponse>(&fixture["ManagePlanResponse"]);
        for request in fixture["RestoreInstanceRequests"].as_array().unwrap() {
            same::<RestoreInstanceRequest>(request);
        }
        for response in fixture["RestoreInstanceResponses"].as_array().unwrap() {
            same::<RestoreInstanceResponse>(response);
        }
    }
}
