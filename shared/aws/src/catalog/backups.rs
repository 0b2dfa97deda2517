//! Backups in the catalog.

use super::{CONCURRENCY, Catalog, Item, item, key, parse, string, value, was_done};
use crate::failure::Failure;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::stream::{self, StreamExt, TryStreamExt};
use holdfast_core::backup::{Backup, BackupStatus};
use holdfast_core::ids::{InstanceId, RecoveryPointId};

/// What a backup's sort key begins with.
const KIND: &str = "BACKUP#";
/// As many keys as one read takes.
const READ: usize = 100;

pub(super) fn sk(resource: &InstanceId) -> String {
    format!("{KIND}{resource}")
}

/// The resource that a backup's key names.
fn resource_of(item: &Item) -> Result<InstanceId, Failure> {
    let sk = item.get("sk").and_then(|sk| sk.as_s().ok());
    let resource = sk.and_then(|sk| InstanceId::try_from(sk.strip_prefix(KIND)?).ok());
    resource.ok_or_else(|| Failure::permanent(format!("sk: {sk:?} is not the key of a backup")))
}

/// Backups of a recovery point, as many as one read gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupPage {
    /// The backups.
    pub backups: Vec<Backup>,
    /// Resources whose records are not as they should be, and why.
    pub unreadable: Vec<(InstanceId, String)>,
    /// Where the next page goes on; none on the last one.
    pub next: Option<InstanceId>,
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

    /// A page of a recovery point's backups, with no more of their configurations than the resources' tags.
    ///
    /// A record that is not as it should be does not hide the others: the job must end all the same.
    ///
    /// # Errors
    /// The call failed, or a record has no readable key.
    pub async fn page_of_backups(
        &self,
        point: &RecoveryPointId,
        after: Option<&InstanceId>,
    ) -> Result<BackupPage, Failure> {
        let what = format!("listing the backups of {point}");
        let start = after.map(|resource| key(point.as_str(), &sk(resource)));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :backups)")
            .projection_expression(
                "sk, recovery_point_id, plan_id, job_id, resource_id, #batch, #status, reason, snapshots, notes, \
                 configuration.#tags",
            )
            .expression_attribute_names("#tags", "tags")
            .expression_attribute_names("#batch", "batch")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":pk", string(point.as_str()))
            .expression_attribute_values(":backups", string(KIND))
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Failure::call(what, error))?;
        let next = answer.last_evaluated_key.as_ref().map(resource_of).transpose()?;
        let mut page = BackupPage {
            next,
            ..BackupPage::default()
        };
        for item in answer.items.unwrap_or_default() {
            let resource = resource_of(&item)?;
            match parse("its record", item) {
                Ok(backup) => page.backups.push(backup),
                Err(failure) => page.unreadable.push((resource, failure.to_string())),
            }
        }
        Ok(page)
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
