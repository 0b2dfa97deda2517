//! Backups in the catalog.

use super::{CONCURRENCY, Catalog, Item, item, key, parse, string, value, was_done};
use crate::failure::Failure;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::stream::{self, StreamExt, TryStreamExt};
use holdfast_core::backup::{Backup, BackupStatus};
use holdfast_core::ids::{InstanceId, RecoveryPointId};

/// As many keys as one read takes.
const READ: usize = 100;

fn sk(resource: &InstanceId) -> String {
    format!("BACKUP#{resource}")
}

impl Catalog {
    /// Writes the intents of backups; those that are there stay as they are, however far they got.
    ///
    /// # Errors
    /// A call failed.
    pub async fn ensure_backups(&self, backups: impl IntoIterator<Item = Backup>) -> Result<(), Failure> {
        stream::iter(backups)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |backup| async move {
                let put = self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item(
                        backup.recovery_point_id.as_str(),
                        &sk(&backup.resource_id),
                        &backup,
                    )?))
                    .condition_expression("attribute_not_exists(pk)");
                was_done(put.send().await, || {
                    format!("writing the intent for {}", backup.resource_id)
                })
                .map(drop)
            })
            .await
    }

    /// The backups of these resources, in the order of their ids.
    ///
    /// # Errors
    /// A call failed, a record is not as it should be, or one is missing.
    pub async fn backups(
        &self,
        point: &RecoveryPointId,
        resources: &[InstanceId],
    ) -> Result<Vec<Backup>, Failure> {
        let what = format!("reading backups of {point}");
        let mut backups: Vec<Backup> = Vec::with_capacity(resources.len());
        for resources in resources.chunks(READ) {
            let mut wanted: Vec<Item> = resources.iter().map(|id| key(point.as_str(), &sk(id))).collect();
            // A read stops at 16 MB and names what it left out.
            while !wanted.is_empty() {
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(wanted))
                    .consistent_read(true)
                    .build()
                    .map_err(|error| Failure::permanent_from(what.clone(), error))?;
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.table, keys)
                    .send()
                    .await
                    .map_err(|error| Failure::call(what.clone(), error))?;
                let items = answer
                    .responses
                    .and_then(|mut tables| tables.remove(&self.table))
                    .unwrap_or_default();
                let left = answer
                    .unprocessed_keys
                    .and_then(|mut tables| tables.remove(&self.table));
                if items.is_empty() && left.is_some() {
                    return Err(Failure::retryable(format!(
                        "{what}: the table answers nothing just now"
                    )));
                }
                for item in items {
                    backups.push(parse("a backup", item)?);
                }
                wanted = left.map(|keys| keys.keys).unwrap_or_default();
            }
        }
        backups.sort_by(|a, b| a.resource_id.cmp(&b.resource_id));
        if backups.len() == resources.len() {
            Ok(backups)
        } else {
            Err(Failure::permanent(format!(
                "{what}: {} of {} are missing",
                resources.len() - backups.len(),
                resources.len()
            )))
        }
    }

    /// A page of a recovery point's backups without their configurations, and where to go on.
    ///
    /// # Errors
    /// The call failed, or a record is not as it should be.
    pub async fn page_of_backups(
        &self,
        point: &RecoveryPointId,
        after: Option<&InstanceId>,
    ) -> Result<(Vec<Backup>, Option<InstanceId>), Failure> {
        let what = format!("listing the backups of {point}");
        let start = after.map(|resource| key(point.as_str(), &sk(resource)));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :backups)")
            .projection_expression(
                "recovery_point_id, plan_id, job_id, resource_id, #batch, #status, reason, snapshots, notes",
            )
            .expression_attribute_names("#batch", "batch")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":pk", string(point.as_str()))
            .expression_attribute_values(":backups", string("BACKUP#"))
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Failure::call(what, error))?;
        let next = answer
            .last_evaluated_key
            .as_ref()
            .and_then(|key| key.get("sk"))
            .and_then(|sk| sk.as_s().ok())
            .and_then(|sk| InstanceId::try_from(sk.trim_start_matches("BACKUP#")).ok());
        let items = answer.items.unwrap_or_default().into_iter();
        let backups = items
            .map(|item| parse("a backup", item))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((backups, next))
    }

    /// Writes a backup whole, unless its record has gone further than snapshot-volumes takes it.
    ///
    /// # Errors
    /// The call failed.
    pub async fn write_backup(&self, backup: &Backup) -> Result<(), Failure> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(
                backup.recovery_point_id.as_str(),
                &sk(&backup.resource_id),
                backup,
            )?))
            .condition_expression("#status IN (:intended, :prepared)")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":intended", value("status", &BackupStatus::Intended)?)
            .expression_attribute_values(":prepared", value("status", &BackupStatus::Prepared)?);
        was_done(put.send().await, || {
            format!("writing the backup of {}", backup.resource_id)
        })
        .map(drop)
    }

    /// Writes several backups whole, as [`Catalog::write_backup`] does.
    ///
    /// # Errors
    /// A call failed.
    pub async fn write_backups(&self, backups: &[Backup]) -> Result<(), Failure> {
        stream::iter(backups)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |backup| self.write_backup(backup))
            .await
    }

    /// Ends backups as their job is closed: completed without a reason, failed with one. An ended one stays as it is.
    ///
    /// # Errors
    /// A call failed.
    pub async fn end_backups(&self, endings: &[(&Backup, Option<String>)]) -> Result<(), Failure> {
        stream::iter(endings)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |(backup, reason)| {
                self.end_backup(backup, reason.as_deref())
            })
            .await
    }

    async fn end_backup(&self, backup: &Backup, reason: Option<&str>) -> Result<(), Failure> {
        let status = if reason.is_none() {
            BackupStatus::Completed
        } else {
            BackupStatus::Failed
        };
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(
                backup.recovery_point_id.as_str(),
                &sk(&backup.resource_id),
            )))
            .condition_expression("#status = :before")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":before", value("status", &backup.status)?)
            .expression_attribute_values(":status", value("status", &status)?);
        let update = match reason {
            None => update.update_expression("SET #status = :status"),
            Some(reason) => update
                .update_expression("SET #status = :status, reason = :reason")
                .expression_attribute_values(":reason", string(reason)),
        };
        was_done(update.send().await, || {
            format!("ending the backup of {}", backup.resource_id)
        })
        .map(drop)
    }
}
