//! Removing the records of what is gone.

use super::{Catalog, Item, backups, copies, key, string};
use crate::failure::Failure;
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use holdfast_core::ids::{InstanceId, RecoveryPointId};

/// As many items as one write takes.
const WRITE: usize = 25;
/// How often a write that the table takes only in part is gone on with.
const ROUNDS: u32 = 10;

impl Catalog {
    /// Deletes the records of backups whose snapshots are gone.
    ///
    /// # Errors
    /// A call failed.
    pub async fn delete_backups(
        &self,
        point: &RecoveryPointId,
        resources: &[InstanceId],
    ) -> Result<(), Failure> {
        let keys = resources
            .iter()
            .map(|resource| key(point.as_str(), &backups::sk(resource)));
        self.delete_items(keys.collect(), &format!("the backups of {point}"))
            .await
    }

    /// Deletes every record below a recovery point: its backups, batches and copies. The recovery point's own stays.
    ///
    /// # Errors
    /// A call failed. Trying again goes on where it stopped.
    pub async fn delete_records_below(&self, point: &RecoveryPointId) -> Result<(), Failure> {
        let what = format!("the records of {point}");
        let below = self.keys_of(point.as_str(), &what).await?;
        // The records of copies are found through their copy jobs, so they go first.
        for partition in below.iter().filter_map(|key| copies::pk_of_job(point, sk(key)?)) {
            let copies = self.keys_of(&partition, &what).await?;
            self.delete_items(copies, &what).await?;
        }
        self.delete_items(below, &what).await
    }

    async fn keys_of(&self, pk: &str, what: &str) -> Result<Vec<Item>, Failure> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", string(pk))
            .projection_expression("pk, sk")
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = items.next().await {
            keys.push(item.map_err(|error| Failure::call(format!("listing {what}"), error))?);
        }
        Ok(keys)
    }

    async fn delete_items(&self, keys: Vec<Item>, what: &str) -> Result<(), Failure> {
        let what = format!("deleting {what}");
        for keys in keys.chunks(WRITE) {
            let mut wanted = Vec::with_capacity(keys.len());
            for key in keys {
                let delete = DeleteRequest::builder()
                    .set_key(Some(key.clone()))
                    .build()
                    .map_err(|error| Failure::permanent_from(what.clone(), error))?;
                wanted.push(WriteRequest::builder().delete_request(delete).build());
            }
            let mut rounds = 0;
            while !wanted.is_empty() {
                if rounds == ROUNDS {
                    return Err(Failure::retryable(format!("{what}: the table is busy")));
                }
                let answer = self
                    .client
                    .batch_write_item()
                    .request_items(&self.table, wanted)
                    .send()
                    .await
                    .map_err(|error| Failure::call(what.clone(), error))?;
                let left = answer
                    .unprocessed_items
                    .and_then(|mut tables| tables.remove(&self.table));
                wanted = left.unwrap_or_default();
                rounds += 1;
            }
        }
        Ok(())
    }
}

fn sk(key: &Item) -> Option<&str> {
    key.get("sk")?.as_s().ok().map(String::as_str)
}
