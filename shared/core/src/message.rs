//! Every request and response: the contract between functions, state machines and users.

use crate::failure::{InvalidField, parse_document};
use crate::ids::{JobId, PlanId, RecoveryPointId};
use crate::job::JobStatus;
use crate::plan::{BackupPlan, InvalidPlan};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
        same::<CloseJobRequest>(&fixture["CloseJobRequest"]);
        same::<CloseJobResponse>(&fixture["CloseJobResponse"]);
        same::<ManagePlanResponse>(&fixture["ManagePlanResponse"]);
    }
}
