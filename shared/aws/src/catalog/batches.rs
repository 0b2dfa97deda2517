//! Batches in the catalog: their instances, their bursts and what they came to.

use super::{CONCURRENCY, Catalog, item, key, parse, string, value, was_done};
use crate::failure::Failure;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures::stream::{self, StreamExt, TryStreamExt};
use holdfast_core::ids::{RecoveryPointId, SnapshotId};
use holdfast_core::pacing::{Batch, BatchTally, Burst};
use holdfast_core::recovery_point::Manifest;

fn sk(manifest: &Manifest, number: u32) -> String {
    format!("BATCH#{}#{number:06}", manifest.id)
}

impl Catalog {
    /// Writes the batches of a manifest that is about to be committed; those that are there stay as they are.
    ///
    /// # Errors
    /// A call failed.
    pub async fn ensure_batches(&self, manifest: &Manifest, batches: &[Batch]) -> Result<(), Failure> {
        stream::iter(batches)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |batch| async move {
                let put = self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item(
                        batch.recovery_point_id.as_str(),
                        &sk(manifest, batch.number),
                        batch,
                    )?))
                    .condition_expression("attribute_not_exists(pk)");
                was_done(put.send().await, || {
                    format!("writing a batch of {}", batch.recovery_point_id)
                })
                .map(drop)
            })
            .await
    }

    /// One batch of a recovery point.
    ///
    /// # Errors
    /// The call failed, the record is not as it should be, or there is no such batch.
    pub async fn batch(
        &self,
        point: &RecoveryPointId,
        manifest: &Manifest,
        number: u32,
    ) -> Result<Batch, Failure> {
        let found = self
            .read(
                &format!("batch {number} of {point}"),
                point.as_str(),
                &sk(manifest, number),
            )
            .await?;
        found.ok_or_else(|| Failure::permanent(format!("batch: {point} has no batch {number}")))
    }

    /// Every batch of a recovery point, in order.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn list_batches(
        &self,
        point: &RecoveryPointId,
        manifest: &Manifest,
    ) -> Result<Vec<Batch>, Failure> {
        let mut items = self
            .query_batches(point, manifest)
            .into_paginator()
            .items()
            .send();
        let mut batches = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| Failure::call(format!("listing the batches of {point}"), error))?;
            batches.push(parse("a batch", item)?);
        }
        Ok(batches)
    }

    /// The numbers of the batches that are not finished, in order.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn unfinished_batches(
        &self,
        point: &RecoveryPointId,
        manifest: &Manifest,
    ) -> Result<Vec<u32>, Failure> {
        #[derive(serde::Deserialize)]
        struct Unfinished {
            number: u32,
        }
        let mut items = self
            .query_batches(point, manifest)
            .filter_expression("attribute_not_exists(tally)")
            .projection_expression("#number")
            .expression_attribute_names("#number", "number")
            .into_paginator()
            .items()
            .send();
        let mut numbers = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| Failure::call(format!("listing the batches of {point}"), error))?;
            numbers.push(parse::<Unfinished>("a batch", item)?.number);
        }
        Ok(numbers)
    }

    pub(super) fn query_batches(&self, point: &RecoveryPointId, manifest: &Manifest) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :batches)")
            .expression_attribute_values(":pk", string(point.as_str()))
            .expression_attribute_values(":batches", string(format!("BATCH#{}#", manifest.id)))
            .consistent_read(true)
    }

    /// Takes a batch's next burst, unless somebody else has taken it since `batch` was read.
    ///
    /// # Errors
    /// The call failed.
    pub async fn claim_burst(
        &self,
        manifest: &Manifest,
        batch: &Batch,
        burst: Burst,
    ) -> Result<bool, Failure> {
        self.set_burst(manifest, batch, batch.burst, burst).await
    }

    /// Writes down that the result of every call of a burst is known.
    ///
    /// # Errors
    /// The call failed.
    pub async fn settle_burst(
        &self,
        manifest: &Manifest,
        batch: &Batch,
        burst: Burst,
    ) -> Result<bool, Failure> {
        self.set_burst(
            manifest,
            batch,
            Some(burst),
            Burst {
                settled: true,
                ..burst
            },
        )
        .await
    }

    async fn set_burst(
        &self,
        manifest: &Manifest,
        batch: &Batch,
        expected: Option<Burst>,
        burst: Burst,
    ) -> Result<bool, Failure> {
        let point = batch.recovery_point_id.as_str();
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(point, &sk(manifest, batch.number))))
            .update_expression("SET burst = :burst")
            .expression_attribute_values(":burst", value("burst", &burst)?);
        let update = match expected {
            None => update.condition_expression("attribute_exists(pk) AND attribute_not_exists(burst)"),
            Some(expected) => update
                .condition_expression("burst = :expected")
                .expression_attribute_values(":expected", value("burst", &expected)?),
        };
        was_done(update.send().await, || {
            format!("writing the burst of batch {} of {point}", batch.number)
        })
    }

    /// Writes down what a finished batch came to.
    ///
    /// # Errors
    /// The call failed.
    pub async fn finish_batch(
        &self,
        manifest: &Manifest,
        batch: &Batch,
        tally: BatchTally,
        snapshots: &[SnapshotId],
    ) -> Result<(), Failure> {
        let point = batch.recovery_point_id.as_str();
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(point, &sk(manifest, batch.number))))
            .update_expression("SET tally = :tally, snapshots = :snapshots")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":tally", value("tally", &tally)?)
            .expression_attribute_values(":snapshots", value("snapshots", &snapshots)?)
            .send()
            .await
            .map_err(|error| Failure::call(format!("finishing batch {} of {point}", batch.number), error))?;
        Ok(())
    }
}
