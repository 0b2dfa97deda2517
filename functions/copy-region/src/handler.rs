//! Copies a recovery point to one destination, round by round, until every snapshot of every good backup is there.
//!
//! A round looks at the copies in flight, takes off those that have landed, and asks for as many new ones as there are
//! free slots. What is asked for is written into the copy job before the calls, so that a run that is cut off is taken
//! up where it stopped: what has no answer is looked up by its tags. See [`holdfast_core::copying`].

mod catalogue;
mod ending;
mod landing;
mod launch;
mod prepare;

use holdfast_aws::catalog::Catalog;
use holdfast_aws::failure::Failure;
use holdfast_aws::sessions::{Session, Sessions};
use holdfast_aws::vault::VaultCatalog;
use holdfast_core::copying::{Copier, CopyJob, Stage, Stopped, decide_slots};
use holdfast_core::job::{Job, JobStatus};
use holdfast_core::message::{CopyRegionRequest, CopyRegionResponse};
use holdfast_core::pacing::{later, whole_seconds};
use holdfast_core::recovery_point::RecoveryPoint;
use holdfast_core::replica::{Destination, Replica, validate_replicas_from};
use jiff::{SignedDuration, Timestamp};
use std::time::Instant;

/// How long to leave a copy job alone that somebody else is writing.
const TAKEN_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// The copy-region function.
#[derive(Debug, Clone)]
pub struct CopyRegion {
    /// Reads, shares and hops the recovery point's own snapshots.
    pub ec2: aws_sdk_ec2::Client,
    /// Derives the key that seals tags.
    pub kms: aws_sdk_kms::Client,
    /// The HMAC key it is derived from.
    pub seal_key_id: String,
    /// The key of hops: copies of snapshots whose own key keeps them from being shared.
    pub hop_key_id: String,
    /// Copies that EC2 lets be in progress in a destination.
    pub slots: u32,
    /// Holds the recovery point, its backups and its copies.
    pub catalog: Catalog,
    /// Opens sessions where copies go.
    pub sessions: Sessions,
}

/// One destination of one recovery point at work.
struct Work {
    point: RecoveryPoint,
    replica: Replica,
    destination: Destination,
    copies: CopyJob,
    now: Timestamp,
    began: Instant,
}

/// What came of an attempt to write the copy job.
enum Saved {
    Ours,
    /// Somebody else has written it: what this run knows is out of date.
    Taken,
}

impl CopyRegion {
    /// Does one round, or ends a destination's copies after a failure.
    ///
    /// # Errors
    /// Permanent: no such job or destination, or a destination that cannot be reached. Retryable: AWS could not
    /// answer.
    pub async fn handle(
        &self,
        request: CopyRegionRequest,
        now: Timestamp,
    ) -> Result<CopyRegionResponse, Failure> {
        match request {
            CopyRegionRequest::Copy { job_id, destination } => {
                let job = self.catalog.job(&job_id).await?;
                match self.gather(&job, destination, now).await? {
                    Some(work) => Box::pin(self.round(work)).await,
                    None => Ok(finished(now)),
                }
            }
            CopyRegionRequest::End {
                job_id,
                destination,
                failure,
            } => {
                let job = self.catalog.job(&job_id).await?;
                Box::pin(self.end_after(&job, destination, &failure, now)).await
            }
            CopyRegionRequest::EndAll {
                execution_id,
                failure,
            } => Box::pin(self.end_all(&execution_id, &failure, now)).await,
        }
    }

    /// Reads what a destination's copies need; none where they have ended. The first time it writes them down.
    async fn gather(&self, job: &Job, number: u32, now: Timestamp) -> Result<Option<Work>, Failure> {
        let began = Instant::now();
        let point = self.catalog.recovery_point(job).await?;
        let replicas = &point.plan.replicas;
        let replica = usize::try_from(number)
            .ok()
            .and_then(|number| replicas.get(number));
        let replica = replica.cloned().ok_or_else(|| {
            let most = replicas.len();
            Failure::permanent(format!(
                "destination: {number} is none; the plan has {most} replicas"
            ))
        })?;
        let destination = replica.destination(&self.sessions.own().account_id);
        let found = self
            .catalog
            .find_copy_job(&point.recovery_point_id, &destination)
            .await?;
        let mut copies = match found {
            Some(copies) => copies,
            None => self.prepare(&point, number, &replica, &destination, now).await?,
        };
        if copies.status.is_terminal() {
            return Ok(None);
        }
        if job.status.is_terminal() {
            copies.stop(Stopped {
                why: format!("the job had ended as {}", job.status),
                aborted: job.status == JobStatus::Aborted,
                lands: false,
            });
        }
        Ok(Some(Work {
            point,
            replica,
            destination,
            copies,
            now,
            began,
        }))
    }

    /// One round of a destination.
    async fn round(&self, mut work: Work) -> Result<CopyRegionResponse, Failure> {
        self.check(&mut work);
        if work.copies.gives_up() {
            return Box::pin(self.conclude(work)).await;
        }
        let session = self.sessions.open(&work.replica).await?;
        if work.copies.begun == 0 {
            self.claim(&mut work, &session).await?;
            if work.copies.gives_up() {
                return Box::pin(self.conclude(work)).await;
            }
        }
        self.look(&mut work, &session).await?;
        if !work.copies.has_landed() {
            let others = self.catalog.copiers(&work.destination).await?;
            let slots = decide_slots(self.slots, &copier(&work), &others, work.now);
            if let Saved::Taken = self.launch(&mut work, &session, slots).await? {
                return Ok(taken(&work));
            }
        }
        if work.copies.has_landed() {
            return self.finish(work, &session).await;
        }
        self.catalog
            .show_copier(&work.destination, &copier(&work))
            .await?;
        tracing::info!(
            recovery_point = %work.point.recovery_point_id,
            destination = %work.destination,
            status = %work.copies.status,
            in_progress = work.copies.in_progress(),
            waiting = work.copies.waiting(),
            completed = work.copies.completed,
            failed = work.copies.failed,
            "copies looked at"
        );
        Ok(CopyRegionResponse {
            finished: false,
            wait_until: whole_seconds(work.copies.next_look(&work.replica, work.now)),
        })
    }

    /// Stops what may not go on. A plan that was given with its execution was never checked against this account.
    fn check(&self, work: &mut Work) {
        let copies = &work.copies;
        let replicas = std::slice::from_ref(&work.replica);
        let problems = validate_replicas_from("replicas", replicas, self.sessions.own());
        let why = if let Some(problem) = problems.first() {
            let number = format!("[{}]", copies.number);
            problem.to_string().replacen("[0]", &number, 1)
        } else if work.now >= copies.deadline(&work.replica) {
            let hours = work.replica.deadline_hours;
            format!("the replica's deadline of {hours} hours is over")
        } else {
            return;
        };
        work.copies.stop(Stopped {
            why,
            aborted: false,
            lands: false,
        });
    }

    /// Nothing is copied to where it could not be written down, or would be mixed up with another region's plan.
    async fn claim(&self, work: &mut Work, session: &Session) -> Result<(), Failure> {
        let vault = self.vault_of(work, session);
        match vault
            .claim_source(&work.point.plan_id, &self.sessions.own().region)
            .await
        {
            Err(failure @ Failure::Permanent { .. }) => {
                work.copies.stop(Stopped {
                    why: failure.chain(),
                    aborted: false,
                    lands: false,
                });
                Ok(())
            }
            done => done,
        }
    }

    fn vault_of(&self, work: &Work, session: &Session) -> VaultCatalog {
        let bucket = work.destination.bucket(&self.sessions.own().account_id);
        VaultCatalog::new(session.s3(), bucket, &work.destination.account_id)
    }

    /// Writes the copy job, if it still stands as it was read.
    async fn save(&self, work: &mut Work) -> Result<Saved, Failure> {
        if !work.copies.status.is_terminal() {
            work.copies.status = if work.copies.begun == 0 {
                JobStatus::Pending
            } else {
                JobStatus::Running
            };
        }
        Ok(if self.catalog.save_copy_job(&mut work.copies).await? {
            Saved::Ours
        } else {
            Saved::Taken
        })
    }

    async fn seal_key(&self, work: &Work) -> Result<holdfast_core::seal::SealKey, Failure> {
        let point = &work.point.recovery_point_id;
        holdfast_aws::seal::derive_seal_key(&self.kms, &self.seal_key_id, point).await
    }

    /// The session's EC2 for a stage: hops are made at home.
    fn ec2_of(&self, session: &Session, stage: Stage) -> aws_sdk_ec2::Client {
        match stage {
            Stage::Hop => self.ec2.clone(),
            Stage::Copy => session.ec2(),
        }
    }
}

impl Work {
    /// What time it is by now: calls take time, and others count from here how long a copy may stay unseen.
    fn clock(&self) -> Timestamp {
        later(
            self.now,
            SignedDuration::try_from(self.began.elapsed()).unwrap_or_default(),
        )
    }
}

fn copier(work: &Work) -> Copier {
    Copier {
        recovery_point_id: work.point.recovery_point_id.clone(),
        waiting: work.copies.waiting(),
        in_progress: work.copies.in_progress(),
        seen_at: work.now,
    }
}

fn finished(now: Timestamp) -> CopyRegionResponse {
    CopyRegionResponse {
        finished: true,
        wait_until: whole_seconds(now),
    }
}

fn taken(work: &Work) -> CopyRegionResponse {
    CopyRegionResponse {
        finished: false,
        wait_until: whole_seconds(later(work.now, TAKEN_WAIT)),
    }
}
