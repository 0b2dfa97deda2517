//! Runs one batch of a backup: captures the configuration of its instances and starts their snapshot sets in one
//! burst.
//!
//! The order is what makes a cut harmless. A backup's configuration and snapshot set are written down first. Then
//! the batch's burst is claimed, by one conditional write. Then the sets are asked for, each once, and each is
//! recorded as its answer comes. At last the burst is settled. A batch that finds an unsettled burst looks up by tag
//! what it made, and asks again only for what cannot exist.

mod burst;
mod lookup;

use burst::Refused;
use holdfast_aws::catalog::Catalog;
use holdfast_aws::configuration::{Captured, capture_configurations};
use holdfast_aws::failure::Failure;
use holdfast_aws::seal::derive_seal_key;
use holdfast_core::backup::{Backup, BackupStatus};
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::InstanceId;
use holdfast_core::job::Job;
use holdfast_core::message::{SnapshotVolumesRequest, SnapshotVolumesResponse};
use holdfast_core::pacing::{
    Batch, BatchStep, Burst, decide_batch_step, decide_next_run, later, retry_burst_at, tally_batch,
    whole_seconds,
};
use holdfast_core::recovery_point::{Manifest, RecoveryPoint};
use holdfast_core::volumes::decide_snapshot_set;
use jiff::{SignedDuration, Timestamp};
use std::time::Instant;

/// How long to leave a batch alone that somebody else has just taken.
const TAKEN_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// The snapshot-volumes function.
#[derive(Debug, Clone)]
pub struct SnapshotVolumes {
    /// Captures configurations, creates and lists snapshots.
    pub ec2: aws_sdk_ec2::Client,
    /// Derives the key that seals tags.
    pub kms: aws_sdk_kms::Client,
    /// The HMAC key it is derived from.
    pub seal_key_id: String,
    /// Holds the batch and its backups.
    pub catalog: Catalog,
}

/// One batch at work.
struct Work {
    job: Job,
    point: RecoveryPoint,
    manifest: Manifest,
    batch: Batch,
    backups: Vec<Backup>,
    now: Timestamp,
}

impl SnapshotVolumes {
    /// Runs a batch as far as it goes, and says what to run next and when.
    ///
    /// # Errors
    /// Permanent: no such job or batch, or the job has ended. Retryable: AWS could not answer.
    pub async fn handle(
        &self,
        request: SnapshotVolumesRequest,
        now: Timestamp,
    ) -> Result<SnapshotVolumesResponse, Failure> {
        let began = Instant::now();
        let mut work = self.gather(&request, now).await?;
        match decide_batch_step(&work.batch) {
            BatchStep::GoOn => return self.go_on(&work, None).await,
            BatchStep::Start => {}
            BatchStep::LookUp { visible_at } => {
                self.adopt(&mut work, now >= visible_at).await?;
                if now < visible_at && work.is_open() {
                    return self.go_on(&work, Some(visible_at)).await;
                }
            }
        }
        if now >= work.deadline() {
            self.give_up(&mut work).await?;
        }
        let mut asked_again = self.prepare(&mut work).await?;
        if work.has_prepared() {
            // Looking up and preparing took time, and others count from here how long a snapshot may stay unseen.
            let burst = Burst {
                at: later(now, SignedDuration::try_from(began.elapsed()).unwrap_or_default()),
                settled: false,
            };
            if !self
                .catalog
                .claim_burst(&work.manifest, &work.batch, burst)
                .await?
            {
                return self.go_on(&work, Some(later(now, TAKEN_WAIT))).await;
            }
            work.batch.burst = Some(burst);
            let refused = self.run_burst(&mut work).await?;
            if refused.iter().all(Refused::made_nothing) {
                self.catalog
                    .settle_burst(&work.manifest, &work.batch, burst)
                    .await?;
            }
            asked_again.extend(refused.iter().map(|refused| refused.class));
        }
        if !asked_again.is_empty() {
            tracing::warn!(job = %work.job.job_id, batch = work.batch.number, backups = asked_again.len(), "asking again");
            let retry_at = retry_burst_at(&asked_again, work.job.created_at, now);
            return self.go_on(&work, Some(retry_at)).await;
        }
        let (tally, snapshots) = tally_batch(&work.backups);
        self.catalog
            .finish_batch(&work.manifest, &work.batch, tally, &snapshots)
            .await?;
        tracing::info!(job = %work.job.job_id, batch = work.batch.number, snapshots = tally.snapshots, "batch started");
        self.go_on(&work, None).await
    }

    async fn gather(&self, request: &SnapshotVolumesRequest, now: Timestamp) -> Result<Work, Failure> {
        let job = self.catalog.job(&request.job_id).await?;
        if job.status.is_terminal() {
            return Err(Failure::permanent(format!(
                "job_id: {} has ended as {}",
                job.job_id, job.status
            )));
        }
        let mut point = self.catalog.recovery_point(&job).await?;
        let Some(manifest) = point.manifest.take() else {
            return Err(Failure::permanent(format!(
                "job_id: {} was not opened to its end",
                job.job_id
            )));
        };
        let batch = self
            .catalog
            .batch(&point.recovery_point_id, &manifest, request.batch)
            .await?;
        let backups = match batch.tally {
            Some(_) => Vec::new(),
            None => {
                self.catalog
                    .backups(&point.recovery_point_id, &batch.instances)
                    .await?
            }
        };
        Ok(Work {
            job,
            point,
            manifest,
            batch,
            backups,
            now,
        })
    }

    /// Captures the configuration of backups that are only intended, and writes down what will be asked for. Gives a
    /// class for each that EC2 would not describe just now.
    async fn prepare(&self, work: &mut Work) -> Result<Vec<ErrorClass>, Failure> {
        let intended: Vec<InstanceId> = work
            .backups
            .iter()
            .filter(|backup| backup.status == BackupStatus::Intended)
            .map(|backup| backup.resource_id.clone())
            .collect();
        let mut not_now = Vec::new();
        if intended.is_empty() {
            return Ok(not_now);
        }
        let mut captured = capture_configurations(&self.ec2, &intended).await?;
        let mut prepared = Vec::with_capacity(intended.len());
        for backup in &mut work.backups {
            let Some(captured) = captured.remove(&backup.resource_id) else {
                continue;
            };
            match captured {
                Captured::Unfit(why) => *backup = backup.clone().failed(why),
                Captured::NotNow(reason) => {
                    tracing::warn!(resource = %backup.resource_id, reason, "not described just now");
                    not_now.push(ErrorClass::Throttled);
                    continue;
                }
                Captured::Whole(configuration, notes) => {
                    match decide_snapshot_set(&work.point.plan.volumes, &configuration.volumes) {
                        Ok(set) => {
                            backup.snapshot_set = Some(set);
                            backup.status = BackupStatus::Prepared;
                        }
                        Err(why) => *backup = backup.clone().failed(why),
                    }
                    backup.configuration = Some(*configuration);
                    backup.notes = notes;
                }
            }
            prepared.push(backup.clone());
        }
        self.catalog.write_backups(&prepared).await?;
        Ok(not_now)
    }

    /// After the deadline nothing more is started.
    async fn give_up(&self, work: &mut Work) -> Result<(), Failure> {
        let reason = "its snapshots could not be started before the plan's deadline";
        let mut failed = Vec::new();
        for backup in work
            .backups
            .iter_mut()
            .filter(|backup| backup.status.is_to_be_started())
        {
            *backup = backup
                .clone()
                .failed(backup.reason.clone().unwrap_or_else(|| reason.to_owned()));
            failed.push(backup.clone());
        }
        self.catalog.write_backups(&failed).await
    }

    /// Says what to run next: `retry_at` is when to come back to this batch, if it is not finished.
    async fn go_on(
        &self,
        work: &Work,
        retry_at: Option<Timestamp>,
    ) -> Result<SnapshotVolumesResponse, Failure> {
        let unfinished = self
            .catalog
            .unfinished_batches(&work.point.recovery_point_id, &work.manifest)
            .await?;
        let next = decide_next_run(
            &unfinished,
            work.batch.number,
            work.batch.burst,
            retry_at,
            work.now,
        );
        Ok(SnapshotVolumesResponse {
            next_batch: next.batch.unwrap_or(work.manifest.batches),
            all_started: next.batch.is_none(),
            wait_until: whole_seconds(next.at),
        })
    }

    async fn seal_key(&self, work: &Work) -> Result<holdfast_core::seal::SealKey, Failure> {
        derive_seal_key(&self.kms, &self.seal_key_id, &work.point.recovery_point_id).await
    }
}

impl Work {
    fn is_open(&self) -> bool {
        self.backups.iter().any(|backup| backup.status.is_to_be_started())
    }

    fn has_prepared(&self) -> bool {
        self.backups
            .iter()
            .any(|backup| backup.status == BackupStatus::Prepared)
    }

    fn deadline(&self) -> Timestamp {
        later(
            self.job.created_at,
            SignedDuration::from_hours(i64::from(self.point.plan.deadline_hours)),
        )
    }
}
