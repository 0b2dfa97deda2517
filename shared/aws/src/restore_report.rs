//! What a closed restore job tells the world: one EventBridge event and one set of metrics.

use crate::failure::Failure;
use crate::report::{EVENT_SOURCE, NAMESPACE, put_event};
use holdfast_core::job::{Job, JobStatus};
use holdfast_core::restoring::Mode;
use holdfast_core::restoring::message::ToldRestore;
use holdfast_core::restoring::record::{Restore, RestoreJob, RestoreStatus};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::Write;

/// The `detail-type` of a closed restore job's event.
pub const RESTORE_JOB_ENDED: &str = "Restore Job Ended";

/// What a restore job came to, in the words of the event: `detail` holds this. An event holds 256 KB, so each resource is
/// told of in short.
#[must_use]
pub fn restore_event_detail(job: &Job, restore: &RestoreJob, restores: &[Restore]) -> Value {
    let told: Vec<Value> = restores
        .iter()
        .take(200)
        .map(ToldRestore::of)
        .map(|told| {
            json!({
                "resource_id": told.resource_id,
                "status": told.status,
                "instance_id": told.instance_id,
                "image_id": told.image_id,
                "seconds": told.seconds,
                "differences": told.differences.len(),
                "failure": told.failure,
            })
        })
        .collect();
    json!({
        "job_id": job.job_id,
        "status": job.status,
        "message": job.message,
        "mode": restore.mode,
        "plan_id": job.plan_id,
        "recovery_point_id": job.recovery_point_id,
        "moment": restore.moment,
        "execution_id": job.execution_id,
        "created_at": job.created_at,
        "ended_at": job.ended_at,
        "restores": told,
    })
}

/// Publishes the event of a closed restore job. A job closed twice may publish twice: consumers tell doubles by `job_id`.
///
/// # Errors
/// EventBridge did not take the event.
pub async fn publish_restore_event(
    events: &aws_sdk_eventbridge::Client,
    bus: &str,
    job: &Job,
    restore: &RestoreJob,
    restores: &[Restore],
) -> Result<(), Failure> {
    let detail = restore_event_detail(job, restore, restores);
    put_event(
        events,
        bus,
        (EVENT_SOURCE, RESTORE_JOB_ENDED),
        &detail,
        &job.job_id,
    )
    .await
}

/// Writes the metrics of a closed restore job in `CloudWatch`'s embedded metric format. A rehearsal's measured restore
/// time is that of its slowest resource.
///
/// # Errors
/// The line could not be written.
pub fn write_restore_metrics(
    mut out: impl Write,
    job: &Job,
    restore: &RestoreJob,
    restores: &[Restore],
    now: Timestamp,
) -> std::io::Result<()> {
    let count = |statuses: &[RestoreStatus]| {
        restores
            .iter()
            .filter(|restore| statuses.contains(&restore.status))
            .count()
    };
    let of = |status: JobStatus| u8::from(job.status == status);
    let took = job
        .ended_at
        .unwrap_or(now)
        .duration_since(job.created_at)
        .as_secs();
    let metric = |name: &str, unit: &str| json!({"Name": name, "Unit": unit});
    let rehearsal = restore.mode == Mode::Rehearsal;
    let mut metrics = vec![
        metric("RestoreJobsCompleted", "Count"),
        metric("RestoreJobsPartial", "Count"),
        metric("RestoreJobsFailed", "Count"),
        metric("RestoreJobsAborted", "Count"),
        metric("ResourcesRestored", "Count"),
        metric("ResourcesNotRestored", "Count"),
        metric("RestoreJobDuration", "Seconds"),
    ];
    if rehearsal {
        metrics.push(metric("RehearsedRestoreTime", "Seconds"));
    }
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[], ["PlanId"], ["PlanId", "Mode"]],
                "Metrics": metrics,
            }],
        },
        "PlanId": job.plan_id,
        "Mode": restore.mode,
        "JobId": job.job_id,
        "RestoreJobsCompleted": of(JobStatus::Completed),
        "RestoreJobsPartial": of(JobStatus::Partial),
        "RestoreJobsFailed": of(JobStatus::Failed),
        "RestoreJobsAborted": of(JobStatus::Aborted),
        "ResourcesRestored": count(&[RestoreStatus::Completed, RestoreStatus::Partial]),
        "ResourcesNotRestored": count(&[RestoreStatus::Failed, RestoreStatus::Aborted]),
        "RestoreJobDuration": took,
    });
    if rehearsal {
        line["RehearsedRestoreTime"] = json!(restores.iter().map(Restore::seconds).max().unwrap_or(0));
    }
    writeln!(out, "{line}")
}
