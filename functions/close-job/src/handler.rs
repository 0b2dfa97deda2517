//! Ends a job: judges its backups by what EC2 says of their snapshots, writes the outcome, reports it.
//!
//! It is called by the state machine at its end, by the state machine's recorder of failure, and by the rule on
//! executions that ended without either. Whichever comes first closes the job; the others find it closed.

use holdfast_aws::catalog::Catalog;
use holdfast_aws::failure::Failure;
use holdfast_aws::report::{publish_job_event, write_job_metrics};
use holdfast_aws::settle::settle_recovery_point;
use holdfast_core::close::{Ending, Reckoning};
use holdfast_core::job::{Job, JobStatus};
use holdfast_core::message::{CloseJobRequest, CloseJobResponse, ExecutionFailure};
use jiff::Timestamp;

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
            let mut reckoning = settle_recovery_point(&self.ec2, &self.catalog, &job, &ending, now).await?;
            self.count_replicas(&job, &mut reckoning).await?;
            let (status, message) = reckoning.decide_end(&ending);
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

    /// Counts what became of the copies in each destination of the plan.
    async fn count_replicas(&self, job: &Job, reckoning: &mut Reckoning) -> Result<(), Failure> {
        let Some(replicas) = self.catalog.replicas_of(job).await? else {
            return Ok(());
        };
        let copy_jobs = if replicas.is_empty() {
            Vec::new()
        } else {
            self.catalog.copy_jobs(&job.recovery_point_id).await?
        };
        for (number, replica) in (0..).zip(&replicas) {
            let copies = copy_jobs.iter().find(|copies| copies.number == number);
            reckoning.count_replica(&replica.region, copies);
        }
        Ok(())
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
        Some(failure) if failure.is_abort() => Ending::Stopped,
        Some(failure) => Ending::Broken {
            cause: failure.in_words(),
        },
    }
}
