//! Restores in the catalog: a restore job beside its job, and a record for each resource.

use super::jobs::{EXECUTION, Execution, Opening, execution_pk, pk};
use super::recovery_points::pk as point_pk;
use super::{Catalog, item, key, parse, string, value, was_done};
use crate::failure::Failure;
use holdfast_core::ids::{InstanceId, JobId, PlanId, RecoveryPointId};
use holdfast_core::job::Job;
use holdfast_core::pacing::later;
use holdfast_core::recovery_point::RecoveryPoint;
use holdfast_core::restoring::record::{Restore, RestoreJob};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The sort key of a restore job.
const JOB: &str = "RESTORE";
/// The sort key of a claim on a resource.
const CLAIM: &str = "CLAIM";
/// What the sort key of a resource's restore begins with.
const RESTORES: &str = "RESTORE#";

fn resource_pk(resource: &InstanceId) -> String {
    format!("RESOURCE#{resource}")
}

fn sk(wave: u32, number: u32) -> String {
    format!("{RESTORES}{wave:04}#{number:04}")
}

/// Who is about to change a resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    job_id: JobId,
    claimed_at: Timestamp,
}

/// How long a claim holds whose job is not there: the job is being opened.
const OPENING: SignedDuration = SignedDuration::from_mins(15);

impl Catalog {
    /// Claims a resource for a job that is about to change it: no two do so at once. A claim ends with its job. Gives the
    /// job that has it instead.
    ///
    /// # Errors
    /// A call failed, or a record is not as it should be.
    pub async fn claim_resource(
        &self,
        resource: &InstanceId,
        job_id: &JobId,
        now: Timestamp,
    ) -> Result<Option<JobId>, Failure> {
        let pk = resource_pk(resource);
        let what = || format!("claiming {resource} for {job_id}");
        let claim = Claim {
            job_id: job_id.clone(),
            claimed_at: now,
        };
        let put = || -> Result<_, Failure> {
            let put = self.client.put_item().table_name(&self.table);
            Ok(put.set_item(Some(item(&pk, CLAIM, &claim)?)))
        };
        let first = put()?
            .condition_expression("attribute_not_exists(pk) OR job_id = :job")
            .expression_attribute_values(":job", value("job_id", job_id)?);
        if was_done(first.send().await, what)? {
            return Ok(None);
        }
        let standing: Option<Claim> = self.read(&format!("the claim on {resource}"), &pk, CLAIM).await?;
        let Some(standing) = standing else {
            return Err(Failure::retryable(format!("{}: it vanished", what())));
        };
        if self.holds(&standing, now).await? {
            return Ok(Some(standing.job_id));
        }
        let over = put()?
            .condition_expression("job_id = :before")
            .expression_attribute_values(":before", value("job_id", &standing.job_id)?);
        if was_done(over.send().await, what)? {
            return Ok(None);
        }
        Err(Failure::retryable(format!(
            "{}: somebody else has just claimed it",
            what()
        )))
    }

    /// The job that is about to change a resource; none when nobody is.
    ///
    /// # Errors
    /// A call failed, or a record is not as it should be.
    pub async fn who_claims(&self, resource: &InstanceId, now: Timestamp) -> Result<Option<JobId>, Failure> {
        let what = format!("the claim on {resource}");
        let standing: Option<Claim> = self.read(&what, &resource_pk(resource), CLAIM).await?;
        match standing {
            Some(standing) if self.holds(&standing, now).await? => Ok(Some(standing.job_id)),
            _ => Ok(None),
        }
    }

    /// Whether a claim's job is not over, or is still being opened.
    async fn holds(&self, standing: &Claim, now: Timestamp) -> Result<bool, Failure> {
        Ok(match self.find_job(&standing.job_id).await? {
            Some(job) => !job.status.is_terminal(),
            None => now < later(standing.claimed_at, OPENING),
        })
    }

    /// Writes a restore job and the execution that carries it, all or nothing. Its restores are written before.
    ///
    /// # Errors
    /// The call failed, or it met another write to the same records.
    pub async fn open_restore_job(&self, job: &Job, restore: &RestoreJob) -> Result<Opening, Failure> {
        let beside = item(&pk(&job.job_id), JOB, restore)?;
        self.open(job, vec![(beside, true)]).await
    }

    /// Writes the restore of a resource, unless it is there.
    ///
    /// # Errors
    /// The call failed.
    pub async fn ensure_restore(&self, restore: &Restore) -> Result<(), Failure> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(
                &pk(&restore.job_id),
                &sk(restore.wave, restore.number),
                restore,
            )?))
            .condition_expression("attribute_not_exists(pk)");
        was_done(put.send().await, || {
            format!("writing the restore of {}", restore.resource_id)
        })
        .map(drop)
    }

    /// Writes a restore as its next revision, unless somebody else has written it since it was read.
    ///
    /// # Errors
    /// The call failed.
    pub async fn save_restore(&self, restore: &mut Restore) -> Result<bool, Failure> {
        let read = restore.revision;
        restore.revision += 1;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(
                &pk(&restore.job_id),
                &sk(restore.wave, restore.number),
                restore,
            )?))
            .condition_expression("revision = :read")
            .expression_attribute_values(":read", value("revision", &read)?);
        was_done(put.send().await, || {
            format!("writing the restore of {}", restore.resource_id)
        })
    }

    /// The restore of a resource, which a request names.
    ///
    /// # Errors
    /// The call failed, the record is not as it should be, or there is none.
    pub async fn restore(&self, job_id: &JobId, wave: u32, number: u32) -> Result<Restore, Failure> {
        let what = format!("restore {number} of wave {wave} of {job_id}");
        let found = self.read(&what, &pk(job_id), &sk(wave, number)).await?;
        found.ok_or_else(|| Failure::permanent(format!("number: {what} is not in the catalog")))
    }

    /// What a restore job is about.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_restore_job(&self, job_id: &JobId) -> Result<Option<RestoreJob>, Failure> {
        self.read(&format!("restore job {job_id}"), &pk(job_id), JOB)
            .await
    }

    /// Every restore of a job, wave by wave.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn list_restores(&self, job_id: &JobId) -> Result<Vec<Restore>, Failure> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :restores)")
            .expression_attribute_values(":pk", string(pk(job_id)))
            .expression_attribute_values(":restores", string(RESTORES))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut restores = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| Failure::call(format!("listing the restores of {job_id}"), error))?;
            restores.push(parse("a restore", item)?);
        }
        Ok(restores)
    }

    /// Lets another execution carry a job on to its end. Says how often that has been done, this time included.
    ///
    /// # Errors
    /// The call failed.
    pub async fn resume_job(&self, job_id: &JobId, execution_id: &str) -> Result<u32, Failure> {
        let execution = Execution {
            job_id: job_id.clone(),
        };
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(&execution_pk(execution_id), EXECUTION, &execution)?))
            .condition_expression("attribute_not_exists(pk)");
        let is_new = was_done(put.send().await, || {
            format!("handing {job_id} to another execution")
        })?;
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pk(job_id), JOB)))
            .update_expression("ADD resumes :one")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":one", value("resumes", &u32::from(is_new))?)
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew);
        let answer = update
            .send()
            .await
            .map_err(|error| Failure::call(format!("counting the executions of {job_id}"), error))?;
        let count = answer
            .attributes()
            .and_then(|attributes| attributes.get("resumes"))
            .and_then(|count| count.as_n().ok()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Keeps retention away from a recovery point until `until`. Says whether it is there and not on its way out.
    ///
    /// # Errors
    /// The call failed.
    pub async fn read_point_until(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        until: Timestamp,
    ) -> Result<bool, Failure> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&point_pk(plan_id), point.as_str())))
            .update_expression("SET reading_until = :until")
            .condition_expression(
                "attribute_exists(pk) AND attribute_not_exists(#retirement) AND (attribute_not_exists(reading_until) OR \
                 reading_until < :until)",
            )
            .expression_attribute_names("#retirement", "retirement")
            .expression_attribute_values(":until", value("reading_until", &seconds(until))?);
        if was_done(update.send().await, || format!("keeping {point} for a restore"))? {
            return Ok(true);
        }
        // A later moment may stand there already.
        let found = self.find_recovery_point(plan_id, point).await?;
        Ok(found.is_some_and(|point| {
            point.retirement.is_none()
                && point
                    .reading_until
                    .is_some_and(|standing| standing >= seconds(until))
        }))
    }

    /// The recovery point of that id.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_recovery_point(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<Option<RecoveryPoint>, Failure> {
        let what = format!("recovery point {point}");
        self.read(&what, &point_pk(plan_id), point.as_str()).await
    }
}

/// Whole seconds: only then do moments as text stand in their order.
fn seconds(moment: Timestamp) -> Timestamp {
    holdfast_core::pacing::whole_seconds(moment)
}
