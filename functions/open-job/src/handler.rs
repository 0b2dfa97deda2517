//! Opens the job of a backup: resolves the plan's selection, writes job, recovery point and one intent per backup,
//! and cuts the batches.
//!
//! Everything follows from the occasion (plan and slot, or the execution), so a doubled start finds the first one.
//! The list of instances is committed by one conditional write before any intent is written: two runs at once that
//! saw different listings still work on one list.

use holdfast_aws::catalog::{Catalog, Opening};
use holdfast_aws::failure::Failure;
use holdfast_aws::instances::describe_candidates;
use holdfast_core::backup::Backup;
use holdfast_core::ids::{InstanceId, JobId, Occasion, RecoveryPointId, derive_run_ids};
use holdfast_core::job::{Job, JobKind, JobStatus, Progress};
use holdfast_core::message::{BackupInput, OpenJobRequest, OpenJobResponse, PlanSource};
use holdfast_core::pacing::{cut_batches, later};
use holdfast_core::plan::BackupPlan;
use holdfast_core::recovery_point::{Manifest, RecoveryPoint};
use holdfast_core::selection::{Selecting, manifest_id, plan_queries};
use jiff::{SignedDuration, Timestamp};

/// How far a slot may be ahead of this function's clock.
const SLOT_AHEAD: SignedDuration = SignedDuration::from_mins(15);

/// The open-job function.
#[derive(Debug, Clone)]
pub struct OpenJob {
    /// Lists the instances.
    pub ec2: aws_sdk_ec2::Client,
    /// Holds plans, jobs and intents.
    pub catalog: Catalog,
}

impl OpenJob {
    /// Opens the job of an execution, or finds the one that is there.
    ///
    /// # Errors
    /// Permanent: an input or plan that cannot be taken, with the field's name. Retryable: AWS could not answer.
    pub async fn handle(&self, request: OpenJobRequest, now: Timestamp) -> Result<OpenJobResponse, Failure> {
        let input =
            BackupInput::parse(&request.input).map_err(|invalid| Failure::permanent(invalid.to_string()))?;
        let occasion = match input.scheduled_time {
            Some(slot) if slot > later(now, SLOT_AHEAD) => {
                // A point of a moment to come would be the newest until then, and push every other one out.
                return Err(Failure::permanent(format!(
                    "scheduled_time: {slot} is still to come; give a slot that has come"
                )));
            }
            Some(slot) => Occasion::Slot(slot),
            None => Occasion::Execution {
                id: &request.execution_id,
                started_at: request.started_at,
            },
        };
        let (job_id, recovery_point_id) = derive_run_ids(input.plan.plan_id(), &occasion);
        let job = if let Some(found) = self.catalog.find_job(&job_id).await? {
            found
        } else {
            let ids = (job_id, recovery_point_id);
            self.open(input.plan, ids, occasion.moment(), &request.execution_id, now)
                .await?
        };
        tracing::info!(job = %job.job_id, recovery_point = %job.recovery_point_id, status = %job.status, "job found");
        if job.execution_id != request.execution_id || job.status.is_terminal() {
            return Ok(response(&job, false, 0));
        }

        let point = self.catalog.recovery_point(&job).await?;
        let manifest = match point.manifest {
            Some(manifest) => manifest,
            None => self.commit_selection(&job, &point.plan).await?,
        };
        if job.status == JobStatus::Created {
            self.write_intents(&job, &manifest).await?;
            if manifest.batches > 0 {
                self.catalog
                    .advance_job(&job.job_id, JobStatus::Running, None, now)
                    .await?;
            }
        }
        tracing::info!(job = %job.job_id, instances = manifest.instances, batches = manifest.batches, "job opened");
        Ok(response(&job, true, manifest.batches))
    }

    /// Writes the job and its recovery point, unless another delivery of the same start was quicker.
    async fn open(
        &self,
        source: PlanSource,
        (job_id, recovery_point_id): (JobId, RecoveryPointId),
        moment: Timestamp,
        execution_id: &str,
        now: Timestamp,
    ) -> Result<Job, Failure> {
        let plan = self.plan(source).await?;
        let job = Job {
            job_id,
            kind: JobKind::Backup,
            status: JobStatus::Created,
            status_since: now,
            plan_id: plan.plan_id.clone(),
            recovery_point_id,
            execution_id: execution_id.to_owned(),
            created_at: now,
            ended_at: None,
            progress: Progress::default(),
            message: None,
            reported_at: None,
        };
        let point = RecoveryPoint {
            recovery_point_id: job.recovery_point_id.clone(),
            plan_id: job.plan_id.clone(),
            job_id: job.job_id.clone(),
            moment,
            plan,
            manifest: None,
            outcome: None,
            hold: None,
            cbt_base: false,
            reading_until: None,
            retirement: None,
        };
        match self.catalog.open_job(&job, &point).await? {
            Opening::Opened => Ok(job),
            Opening::Found(found) => Ok(*found),
        }
    }

    async fn plan(&self, source: PlanSource) -> Result<BackupPlan, Failure> {
        let plan_id = match source {
            PlanSource::Inline(plan) => return Ok(*plan),
            PlanSource::Saved(plan_id) => plan_id,
        };
        match self.catalog.find_plan(&plan_id).await? {
            Some(saved) if saved.deleted_at.is_none() => Ok(saved.plan),
            Some(_) => Err(Failure::permanent(format!(
                "plan_id: the plan {plan_id} was deleted; save it again first"
            ))),
            None => Err(Failure::permanent(format!(
                "plan_id: there is no plan {plan_id}; save it with manage-plan"
            ))),
        }
    }

    /// Resolves the selection and commits it. What another run committed first stands.
    async fn commit_selection(&self, job: &Job, plan: &BackupPlan) -> Result<Manifest, Failure> {
        let mut selecting = Selecting::new(&plan.selection);
        for query in plan_queries(&plan.selection) {
            describe_candidates(&self.ec2, &query, |candidate| selecting.take(candidate)).await?;
        }
        let selected = selecting.finish();
        let batches = cut_batches(&job.recovery_point_id, &selected.instances);
        let manifest = Manifest {
            id: manifest_id(&selected.instances),
            batches: u32::try_from(batches.len()).unwrap_or(u32::MAX),
            instances: u32::try_from(selected.instances.len()).unwrap_or(u32::MAX),
            missing: selected.missing,
        };
        self.catalog.ensure_batches(&manifest, &batches).await?;
        self.catalog.commit_manifest(job, &manifest).await
    }

    async fn write_intents(&self, job: &Job, manifest: &Manifest) -> Result<(), Failure> {
        let intend = |resource: &InstanceId, batch| {
            Backup::intend(&job.recovery_point_id, &job.plan_id, &job.job_id, resource, batch)
        };
        for batch in self
            .catalog
            .list_batches(&job.recovery_point_id, manifest)
            .await?
        {
            let intents = batch
                .instances
                .iter()
                .map(|resource| intend(resource, Some(batch.number)));
            self.catalog.ensure_backups(intents).await?;
        }
        let missing = manifest
            .missing
            .iter()
            .map(|(resource, why)| intend(resource, None).failed(why));
        self.catalog.ensure_backups(missing).await
    }
}

fn response(job: &Job, opened: bool, batches: u32) -> OpenJobResponse {
    OpenJobResponse {
        job_id: job.job_id.clone(),
        recovery_point_id: job.recovery_point_id.clone(),
        plan_id: job.plan_id.clone(),
        opened,
        batches,
    }
}
