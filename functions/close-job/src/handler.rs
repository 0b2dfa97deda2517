//! Ends a job: judges its backups by what EC2 says of their snapshots, writes the outcome, reports it.
//!
//! It is called by the state machine at its end, by the state machine's recorder of failure, and by the rule on
//! executions that ended without either. Whichever comes first closes the job; the others find it closed.

use holdfast_aws::catalog::Catalog;
use holdfast_aws::failure::Failure;
use holdfast_aws::report::{publish_job_event, write_job_metrics};
use holdfast_aws::snapshots::describe_recovery_point;
use holdfast_core::backup::Backup;
use holdfast_core::close::{Ending, Reckoning, SnapshotVerdict, judge_backup};
use holdfast_core::ids::SnapshotId;
use holdfast_core::job::{Job, JobStatus};
use holdfast_core::message::{CloseJobRequest, CloseJobResponse, ExecutionFailure};
use holdfast_core::recovery_point::Outcome;
use jiff::Timestamp;
use std::collections::HashMap;

/// The close-job function.
#[derive(Debug, Clone)]
pub struct CloseJob {
    /// Lists the snapshots.
    pub ec2: aws_sdk_ec2::Client,
    /// Takes the event.
    pub events: aws_sdk_eventbridge::Client,
    /// The bus it goes to.
    pub event_bus: String,
    /// Holds job, recovery point and backups.
    pub catalog: Catalog,
}

impl CloseJob {
    /// Closes the job that an execution opened. Without such a job there is nothing to close, and the answer says so.
    ///
    /// # Errors
    /// Retryable: AWS could not answer.
    pub async fn handle(
        &self,
        request: CloseJobRequest,
        now: Timestamp,
    ) -> Result<CloseJobResponse, Failure> {
        let ending = ending_of(request.failure.as_ref());
        let Some(mut job) = self.catalog.find_job_of_execution(&request.execution_id).await? else {
            let message = match ending {
                Ending::Broken { cause } => format!("no job was opened: {cause}"),
                Ending::Finished | Ending::Stopped => "no job was opened".to_owned(),
            };
            return Ok(CloseJobResponse {
                job_id: None,
                recovery_point_id: None,
                status: JobStatus::Failed,
                message,
            });
        };
        if !job.status.is_terminal() {
            let (reckoning, outcome) = self.settle(&job, &ending, now).await?;
            let (status, message) = reckoning.decide_end(&ending);
            self.catalog.record_outcome(&job, &outcome).await?;
            if status == JobStatus::Aborted && job.status == JobStatus::Running {
                self.catalog
                    .advance_job(&job.job_id, JobStatus::Aborting, None, now)
                    .await?;
            }
            job = self
                .catalog
                .advance_job(&job.job_id, status, Some(&message), now)
                .await?;
        }
        if !job.status.is_terminal() {
            return Err(Failure::retryable(format!(
                "{} is {}: somebody else is closing it",
                job.job_id, job.status
            )));
        }
        if job.reported_at.is_none() {
            self.report(&job, now).await?;
        }
        Ok(CloseJobResponse {
            job_id: Some(job.job_id),
            recovery_point_id: Some(job.recovery_point_id),
            status: job.status,
            message: job.message.unwrap_or_default(),
        })
    }

    /// Judges every backup of the job, page by page, and adds them up.
    async fn settle(
        &self,
        job: &Job,
        ending: &Ending,
        now: Timestamp,
    ) -> Result<(Reckoning, Outcome), Failure> {
        let point = &job.recovery_point_id;
        let mut verdicts: HashMap<SnapshotId, SnapshotVerdict> = HashMap::new();
        describe_recovery_point(&self.ec2, point, None, |listed| {
            let verdict = SnapshotVerdict {
                state: listed.state,
                message: listed.message,
            };
            verdicts.insert(listed.snapshot.snapshot_id, verdict);
        })
        .await?;

        let mut reckoning = Reckoning::default();
        let mut after = None;
        loop {
            let page = self.catalog.page_of_backups(point, after.as_ref()).await?;
            for (resource, reason) in &page.unreadable {
                reckoning.count_failed(resource, reason);
            }
            let mut endings: Vec<(&Backup, Option<String>)> = Vec::new();
            for backup in &page.backups {
                let reason = match judge_backup(backup, ending, |id| verdicts.get(id).cloned()) {
                    Ok(()) => {
                        reckoning.count_completed(backup);
                        None
                    }
                    Err(reason) => {
                        reckoning.count_failed(&backup.resource_id, &reason);
                        Some(reason)
                    }
                };
                if !backup.status.is_terminal() {
                    endings.push((backup, reason));
                }
            }
            self.catalog.end_backups(&endings).await?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let outcome = reckoning.outcome(now);
        Ok((reckoning, outcome))
    }

    /// Sends event and metrics, then writes down that they were sent: cut off in between, they are sent again.
    async fn report(&self, job: &Job, now: Timestamp) -> Result<(), Failure> {
        let Some(outcome) = self.catalog.recorded_outcome(job).await? else {
            return Err(Failure::permanent(format!(
                "{} has ended without an outcome",
                job.job_id
            )));
        };
        publish_job_event(&self.events, &self.event_bus, job, &outcome).await?;
        write_job_metrics(std::io::stdout().lock(), job, &outcome, now).map_err(|error| {
            Failure::permanent_from(format!("writing the metrics of {}", job.job_id), error)
        })?;
        self.catalog.record_report(&job.job_id, now).await?;
        tracing::info!(
            job = %job.job_id,
            recovery_point = %job.recovery_point_id,
            status = %job.status,
            message = job.message,
            "job closed"
        );
        Ok(())
    }
}

fn ending_of(failure: Option<&ExecutionFailure>) -> Ending {
    match failure {
        None => Ending::Finished,
        Some(failure) if failure.error == "ABORTED" => Ending::Stopped,
        Some(ExecutionFailure { error, cause }) => Ending::Broken {
            cause: match cause {
                Some(cause) if !cause.is_empty() => format!("{error}: {}", message_of(cause)),
                _ => error.clone(),
            },
        },
    }
}

/// The message inside a Lambda function's error, which Step Functions hands on as JSON text.
fn message_of(cause: &str) -> String {
    #[derive(serde::Deserialize)]
    struct LambdaError {
        #[serde(rename = "errorMessage")]
        message: String,
    }
    serde_json::from_str::<LambdaError>(cause).map_or_else(|_| cause.to_owned(), |error| error.message)
}
