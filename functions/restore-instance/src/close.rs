//! Ending a restore job, stopping one, and saying how far one is.

use crate::RestoreInstance;
use holdfast_aws::failure::Failure;
use holdfast_aws::restore_report::{publish_restore_event, write_restore_metrics};
use holdfast_core::ids::JobId;
use holdfast_core::job::{Job, JobKind, JobStatus};
use holdfast_core::message::ExecutionFailure;
use holdfast_core::restoring::message::{RestoreTold, ToldRestore};
use holdfast_core::restoring::record::{Restore, RestoreJob, decide_job_end};
use jiff::Timestamp;

impl RestoreInstance {
    /// Ends the job that an execution carries, once all of its restores have ended. An execution that is about to fail
    /// before that leaves the job open: another one goes on with it.
    pub(crate) async fn close(
        &self,
        execution_id: &str,
        failure: Option<&ExecutionFailure>,
        now: Timestamp,
    ) -> Result<RestoreTold, Failure> {
        let Some(mut job) = self.catalog.find_job_of_execution(execution_id).await? else {
            return Ok(RestoreTold {
                job_id: None,
                status: JobStatus::Failed,
                message: failure.map_or_else(
                    || "no job was opened".to_owned(),
                    |failure| format!("no job was opened: {}", failure.in_words()),
                ),
                mode: None,
                recovery_point_id: None,
                moment: None,
                restores: Vec::new(),
            });
        };
        let restores = self.catalog.list_restores(&job.job_id).await?;
        if !job.status.is_terminal() {
            if let Some(open) = restores.iter().find(|restore| !restore.status.is_terminal()) {
                if let Some(failure) = failure {
                    let why = failure.in_words();
                    tracing::error!(job = %job.job_id, why, "the execution fails; another one goes on with the job");
                    return Ok(told(job, None, &restores));
                }
                return Err(Failure::retryable(format!(
                    "closing {}: the restore of {} is still at work",
                    job.job_id, open.resource_id
                )));
            }
            let aborted = job.status == JobStatus::Aborting;
            let (status, message) = decide_job_end(&restores, aborted);
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
        let restore = self.restore_job(&job.job_id).await?;
        if job.reported_at.is_none() {
            self.report(&job, &restore, &restores, now).await?;
        }
        Ok(told(job, Some(&restore), &restores))
    }

    async fn report(
        &self,
        job: &Job,
        restore: &RestoreJob,
        restores: &[Restore],
        now: Timestamp,
    ) -> Result<(), Failure> {
        publish_restore_event(&self.events, &self.event_bus, job, restore, restores).await?;
        write_restore_metrics(std::io::stdout().lock(), job, restore, restores, now).map_err(|error| {
            Failure::permanent_from(format!("writing the metrics of {}", job.job_id), error)
        })?;
        self.catalog.record_report(&job.job_id, now).await?;
        tracing::info!(job = %job.job_id, status = %job.status, message = job.message, "restore closed");
        Ok(())
    }

    /// Has a job stopped: what can be taken back is taken back, by the execution that carries it.
    pub(crate) async fn abort(&self, job_id: &JobId, now: Timestamp) -> Result<RestoreTold, Failure> {
        let job = self.restore_only(job_id).await?;
        if job.status.is_terminal() {
            return Err(Failure::permanent(format!(
                "job_id: {job_id} has ended as {}; an in-place restore that has ended is taken back by {{\"undo\": \
                 \"{job_id}\"}}",
                job.status
            )));
        }
        let job = self
            .catalog
            .advance_job(job_id, JobStatus::Aborting, None, now)
            .await?;
        let restore = self.restore_job(job_id).await?;
        let restores = self.catalog.list_restores(job_id).await?;
        let mut told = told(job, Some(&restore), &restores);
        let past = restores
            .iter()
            .filter(|restore| restore.is_past_return() && !restore.status.is_terminal())
            .map(|restore| restore.resource_id.as_str());
        let past: Vec<&str> = past.collect();
        told.message = if past.is_empty() {
            "what was begun is taken back".to_owned()
        } else {
            format!(
                "what was begun is taken back, but for {}: there is no way back any more, and the restore goes on",
                past.join(", ")
            )
        };
        Ok(told)
    }

    /// Says how far a job is.
    pub(crate) async fn describe(&self, job_id: &JobId) -> Result<RestoreTold, Failure> {
        let job = self.restore_only(job_id).await?;
        let restore = self.restore_job(job_id).await?;
        let restores = self.catalog.list_restores(job_id).await?;
        Ok(told(job, Some(&restore), &restores))
    }

    async fn restore_only(&self, job_id: &JobId) -> Result<Job, Failure> {
        let job = self.catalog.job(job_id).await?;
        if job.kind == JobKind::Restore {
            return Ok(job);
        }
        Err(Failure::permanent(format!("job_id: {job_id} is no restore job")))
    }

    async fn restore_job(&self, job_id: &JobId) -> Result<RestoreJob, Failure> {
        let found = self.catalog.find_restore_job(job_id).await?;
        found.ok_or_else(|| Failure::permanent(format!("job_id: {job_id} has no restore")))
    }
}

fn told(job: Job, restore: Option<&RestoreJob>, restores: &[Restore]) -> RestoreTold {
    let ended = restores
        .iter()
        .filter(|restore| restore.status.is_terminal())
        .count();
    let message = job
        .message
        .unwrap_or_else(|| format!("{ended} of {} resources have ended", restores.len()));
    RestoreTold {
        job_id: Some(job.job_id),
        status: job.status,
        message,
        mode: restore.map(|restore| restore.mode),
        recovery_point_id: Some(job.recovery_point_id),
        moment: restore.map(|restore| restore.moment),
        restores: ToldRestore::of_all(restores),
    }
}
