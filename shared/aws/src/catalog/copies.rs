//! Copies in the catalog: a copy job for each destination of a recovery point, a record for each snapshot, and who is
//! at work on a destination.

use super::{CONCURRENCY, Catalog, item, key, parse, string, value, was_done};
use crate::failure::Failure;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use futures::stream::{self, StreamExt, TryStreamExt};
use holdfast_core::copying::{Copier, CopyJob, CopyKey, CopyState, SnapshotCopy};
use holdfast_core::ids::{RecoveryPointId, SnapshotId};
use holdfast_core::replica::Destination;

/// What a copy job's sort key begins with.
const JOBS: &str = "REPLICA#";
/// What a snapshot copy's sort key begins with.
const COPIES: &str = "COPY#";

fn job_sk(destination: &Destination) -> String {
    format!("{JOBS}{}#{}", destination.account_id, destination.region)
}

fn copies_pk(point: &RecoveryPointId, destination: &Destination) -> String {
    format!("{point}#{}#{}", destination.account_id, destination.region)
}

/// Where the copies of a copy job stand, by its sort key.
pub(super) fn pk_of_job(point: &RecoveryPointId, sk: &str) -> Option<String> {
    sk.strip_prefix(JOBS).map(|place| format!("{point}#{place}"))
}

fn copy_sk(copy: &CopyKey) -> String {
    format!("{COPIES}{}#{}", copy.resource_id, copy.snapshot_id)
}

fn copiers_pk(destination: &Destination) -> String {
    format!("COPIERS#{}#{}", destination.account_id, destination.region)
}

impl Catalog {
    /// The copy job of a recovery point for a destination, if its copies have begun.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_copy_job(
        &self,
        point: &RecoveryPointId,
        destination: &Destination,
    ) -> Result<Option<CopyJob>, Failure> {
        let what = format!("the copies of {point} to {destination}");
        self.read(&what, point.as_str(), &job_sk(destination)).await
    }

    /// Every copy job of a recovery point.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn copy_jobs(&self, point: &RecoveryPointId) -> Result<Vec<CopyJob>, Failure> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :jobs)")
            .expression_attribute_values(":pk", string(point.as_str()))
            .expression_attribute_values(":jobs", string(JOBS))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut jobs: Vec<CopyJob> = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| Failure::call(format!("listing the copy jobs of {point}"), error))?;
            jobs.push(parse("a copy job", item)?);
        }
        jobs.sort_by_key(|job| job.number);
        Ok(jobs)
    }

    /// Writes a new copy job, unless it is there.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_copy_job(&self, job: &CopyJob) -> Result<bool, Failure> {
        let put = self
            .put_copy_job(job)?
            .condition_expression("attribute_not_exists(pk)");
        was_done(put.send().await, || {
            format!(
                "opening the copies of {} to {}",
                job.recovery_point_id, job.destination
            )
        })
    }

    /// Writes a copy job as its next revision, unless somebody else has written it since it was read.
    ///
    /// # Errors
    /// The call failed.
    pub async fn save_copy_job(&self, job: &mut CopyJob) -> Result<bool, Failure> {
        let read = job.revision;
        job.revision += 1;
        let put = self
            .put_copy_job(job)?
            .condition_expression("revision = :read")
            .expression_attribute_values(":read", value("revision", &read)?);
        was_done(put.send().await, || {
            format!(
                "writing the copies of {} to {}",
                job.recovery_point_id, job.destination
            )
        })
    }

    fn put_copy_job(&self, job: &CopyJob) -> Result<PutItemFluentBuilder, Failure> {
        let item = item(job.recovery_point_id.as_str(), &job_sk(&job.destination), job)?;
        Ok(self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item)))
    }

    /// Writes the records of snapshots that are to be copied; those that are there stay as they are.
    ///
    /// # Errors
    /// A call failed.
    pub async fn ensure_copies(
        &self,
        point: &RecoveryPointId,
        destination: &Destination,
        copies: impl IntoIterator<Item = SnapshotCopy>,
    ) -> Result<(), Failure> {
        let pk = &copies_pk(point, destination);
        stream::iter(copies)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |copy| async move {
                let put = self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item(pk, &copy_sk(&copy.key), &copy)?))
                    .condition_expression("attribute_not_exists(pk)");
                was_done(put.send().await, || {
                    format!("writing the intent to copy {}", copy.key.snapshot_id)
                })
                .map(drop)
            })
            .await
    }

    /// Writes what became of a snapshot. What has been written once stays.
    ///
    /// # Errors
    /// The call failed.
    pub async fn end_copy(
        &self,
        point: &RecoveryPointId,
        destination: &Destination,
        copy: &SnapshotCopy,
    ) -> Result<(), Failure> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(
                &copies_pk(point, destination),
                &copy_sk(&copy.key),
                copy,
            )?))
            .condition_expression("#state = :waiting")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":waiting", value("state", &CopyState::Waiting)?);
        was_done(put.send().await, || {
            format!("writing the copy of {}", copy.key.snapshot_id)
        })
        .map(drop)
    }

    /// Notes a snapshot in the destination that counts for nothing, so that retention there removes it.
    ///
    /// # Errors
    /// A call failed, or there is no such record.
    pub async fn note_leftover(
        &self,
        point: &RecoveryPointId,
        destination: &Destination,
        copy: &CopyKey,
        leftover: &SnapshotId,
    ) -> Result<(), Failure> {
        let what = || format!("noting the leftover {leftover} of {}", copy.snapshot_id);
        let found = self.find_copy(point, destination, copy).await?;
        let Some(mut record) = found else {
            return Err(Failure::permanent(format!("{}: it has no record", what())));
        };
        if record.leftovers.contains(leftover) {
            return Ok(());
        }
        record.leftovers.push(leftover.clone());
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(
                &copies_pk(point, destination),
                &copy_sk(copy),
                &record,
            )?))
            .condition_expression("#state = :state")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", value("state", &record.state)?)
            .send()
            .await
            .map_err(|error| Failure::call(what(), error))?;
        Ok(())
    }

    /// The record of one snapshot in a destination; none where it is not copied there.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_copy(
        &self,
        point: &RecoveryPointId,
        destination: &Destination,
        copy: &CopyKey,
    ) -> Result<Option<SnapshotCopy>, Failure> {
        let what = format!("the copy of {} to {destination}", copy.snapshot_id);
        self.read(&what, &copies_pk(point, destination), &copy_sk(copy))
            .await
    }

    /// At most `limit` snapshots after `after`, in the order of their keys.
    ///
    /// # Errors
    /// The call failed, or a record is not as it should be.
    pub async fn copies_after(
        &self,
        point: &RecoveryPointId,
        destination: &Destination,
        after: Option<&CopyKey>,
        limit: usize,
    ) -> Result<Vec<SnapshotCopy>, Failure> {
        let pk = copies_pk(point, destination);
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :copies)")
            .expression_attribute_values(":pk", string(pk.as_str()))
            .expression_attribute_values(":copies", string(COPIES))
            .set_exclusive_start_key(after.map(|after| key(&pk, &copy_sk(after))))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Failure::call(format!("listing the copies of {point}"), error))?;
        let items = answer.items.unwrap_or_default().into_iter();
        items.map(|item| parse("a copy", item)).collect()
    }

    /// Who is at work on a destination.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn copiers(&self, destination: &Destination) -> Result<Vec<Copier>, Failure> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", string(copiers_pk(destination)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut copiers = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| Failure::call(format!("listing who copies to {destination}"), error))?;
            copiers.push(parse("a copier", item)?);
        }
        Ok(copiers)
    }

    /// Tells the others what this recovery point holds and wants of a destination.
    ///
    /// # Errors
    /// The call failed.
    pub async fn show_copier(&self, destination: &Destination, copier: &Copier) -> Result<(), Failure> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(
                &copiers_pk(destination),
                copier.recovery_point_id.as_str(),
                copier,
            )?))
            .send()
            .await
            .map_err(|error| Failure::call(format!("joining those who copy to {destination}"), error))?;
        Ok(())
    }

    /// Tells the others that this recovery point wants nothing more of a destination.
    ///
    /// # Errors
    /// The call failed.
    pub async fn remove_copier(
        &self,
        destination: &Destination,
        point: &RecoveryPointId,
    ) -> Result<(), Failure> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&copiers_pk(destination), point.as_str())))
            .send()
            .await
            .map_err(|error| Failure::call(format!("leaving those who copy to {destination}"), error))?;
        Ok(())
    }
}
