//! Asks how far the snapshots of a recovery point are: one listing for all of them. Once they have ended, it settles
//! what the recovery point came to.

use holdfast_aws::catalog::Catalog;
use holdfast_aws::failure::Failure;
use holdfast_aws::settle::settle_recovery_point;
use holdfast_aws::snapshots::describe_recovery_point;
use holdfast_core::close::Ending;
use holdfast_core::ids::SnapshotId;
use holdfast_core::message::{PollCompletionRequest, PollCompletionResponse};
use holdfast_core::pacing::{later, whole_seconds};
use holdfast_core::polling::{Census, decide_poll, sum_tallies};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;

/// The poll-completion function.
#[derive(Debug, Clone)]
pub struct PollCompletion {
    /// Lists the snapshots.
    pub ec2: aws_sdk_ec2::Client,
    /// Knows which snapshots belong to the recovery point.
    pub catalog: Catalog,
}

impl PollCompletion {
    /// Looks at a job's snapshots, writes its progress down and says whether to wait any longer.
    ///
    /// Only snapshots that the catalog names are counted: a forged tag neither delays a job nor ends it early.
    ///
    /// # Errors
    /// Permanent: no such job. Retryable: AWS could not answer.
    pub async fn handle(
        &self,
        request: PollCompletionRequest,
        now: Timestamp,
    ) -> Result<PollCompletionResponse, Failure> {
        let job = self.catalog.job(&request.job_id).await?;
        let point = self.catalog.recovery_point(&job).await?;
        let (false, Some(manifest)) = (job.status.is_terminal(), &point.manifest) else {
            return Ok(PollCompletionResponse {
                finished: true,
                wait_until: now,
                destinations: Vec::new(),
            });
        };
        let batches = self
            .catalog
            .list_batches(&point.recovery_point_id, manifest)
            .await?;
        let started = sum_tallies(batches.iter().filter_map(|batch| batch.tally));
        let known: HashSet<SnapshotId> = batches.into_iter().flat_map(|batch| batch.snapshots).collect();

        let mut census = Census::default();
        describe_recovery_point(&self.ec2, &point.recovery_point_id, None, |listed| {
            if known.contains(&listed.snapshot.snapshot_id) {
                census.count(listed.state, listed.percent);
            }
        })
        .await?;

        let deadline = later(
            job.created_at,
            SignedDuration::from_hours(i64::from(point.plan.deadline_hours)),
        );
        let decision = decide_poll(census, started, deadline, now);
        self.catalog
            .record_progress(&job.job_id, decision.progress)
            .await?;
        tracing::info!(
            job = %job.job_id,
            started = decision.progress.started,
            completed = decision.progress.completed,
            failed = decision.progress.failed,
            percent = decision.progress.percent,
            finished = decision.finished,
            "snapshots looked at"
        );
        let mut destinations = Vec::new();
        if decision.finished {
            // From here on the recovery point counts, and its copies can be made.
            let reckoning =
                settle_recovery_point(&self.ec2, &self.catalog, &job, &Ending::Finished, now).await?;
            if reckoning.outcome(now).completed > 0 {
                let replicas = u32::try_from(point.plan.replicas.len()).unwrap_or(u32::MAX);
                destinations = (0..replicas).collect();
            }
        }
        Ok(PollCompletionResponse {
            finished: decision.finished,
            wait_until: whole_seconds(decision.wait_until),
            destinations,
        })
    }
}
