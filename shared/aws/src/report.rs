//! What a closed job tells the world: one EventBridge event and one set of metrics.

use crate::failure::Failure;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use holdfast_core::ids::JobId;
use holdfast_core::job::{Job, JobStatus};
use holdfast_core::recovery_point::Outcome;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::Write;

/// The `source` of every event.
pub const EVENT_SOURCE: &str = "holdfast";
/// The `detail-type` of a closed backup job's event.
pub const BACKUP_JOB_ENDED: &str = "Backup Job Ended";
/// The namespace of every metric.
pub(crate) const NAMESPACE: &str = "Holdfast";

/// What a job came to, in the words of the event: `detail` holds this.
#[must_use]
pub fn event_detail(job: &Job, outcome: &Outcome) -> Value {
    json!({
        "job_id": job.job_id,
        "status": job.status,
        "message": job.message,
        "plan_id": job.plan_id,
        "recovery_point_id": job.recovery_point_id,
        "execution_id": job.execution_id,
        "created_at": job.created_at,
        "ended_at": job.ended_at,
        "outcome": outcome,
    })
}

/// Publishes the event of a closed job. A job closed twice may publish twice: consumers tell doubles by `job_id`.
///
/// # Errors
/// EventBridge did not take the event.
pub async fn publish_job_event(
    events: &aws_sdk_eventbridge::Client,
    bus: &str,
    job: &Job,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let detail = event_detail(job, outcome);
    put_event(
        events,
        bus,
        (EVENT_SOURCE, BACKUP_JOB_ENDED),
        &detail,
        &job.job_id,
    )
    .await
}

/// Puts one event about the end of a job on a bus, under its source and detail type.
pub(crate) async fn put_event(
    events: &aws_sdk_eventbridge::Client,
    bus: &str,
    (source, detail_type): (&str, &str),
    detail: &Value,
    job_id: &JobId,
) -> Result<(), Failure> {
    let what = || format!("publishing the end of {job_id} to the event bus {bus}");
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source(source)
        .detail_type(detail_type)
        .detail(detail.to_string())
        .build();
    let answer = events
        .put_events()
        .entries(entry)
        .send()
        .await
        .map_err(|error| Failure::call(what(), error))?;
    match answer.entries().iter().find_map(|entry| entry.error_code()) {
        None => Ok(()),
        Some(code) => Err(Failure::retryable(format!("{}: {code}", what()))),
    }
}

/// Writes the metrics of a closed job in `CloudWatch`'s embedded metric format.
///
/// # Errors
/// The line could not be written.
pub fn write_job_metrics(
    mut out: impl Write,
    job: &Job,
    outcome: &Outcome,
    now: Timestamp,
) -> std::io::Result<()> {
    writeln!(out, "{}", job_metrics(job, outcome, now))
}

fn job_metrics(job: &Job, outcome: &Outcome, now: Timestamp) -> Value {
    let took = job
        .ended_at
        .unwrap_or(now)
        .duration_since(job.created_at)
        .as_secs();
    let of = |status: JobStatus| u8::from(job.status == status);
    let metric = |name: &str, unit: &str| json!({"Name": name, "Unit": unit});
    json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[], ["PlanId"]],
                "Metrics": [
                    metric("JobsCompleted", "Count"),
                    metric("JobsPartial", "Count"),
                    metric("JobsFailed", "Count"),
                    metric("JobsAborted", "Count"),
                    metric("BackupsCompleted", "Count"),
                    metric("BackupsFailed", "Count"),
                    metric("SnapshotsCompleted", "Count"),
                    metric("ProtectedGiB", "Gigabytes"),
                    metric("StackSkew", "Milliseconds"),
                    metric("JobDuration", "Seconds"),
                ],
            }],
        },
        "PlanId": job.plan_id,
        "JobId": job.job_id,
        "JobsCompleted": of(JobStatus::Completed),
        "JobsPartial": of(JobStatus::Partial),
        "JobsFailed": of(JobStatus::Failed),
        "JobsAborted": of(JobStatus::Aborted),
        "BackupsCompleted": outcome.completed,
        "BackupsFailed": outcome.failed,
        "SnapshotsCompleted": outcome.snapshots,
        "ProtectedGiB": outcome.size_gib,
        "StackSkew": outcome.stack_skew_ms.unwrap_or(0),
        "JobDuration": took,
    })
}
