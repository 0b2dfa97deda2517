//! A vault's catalog: objects in a bucket beside the copies. What they mean stands in [`holdfast_core::vault`].
//!
//! Whoever copies into the vault can create objects and replace none: what counts is written with `If-None-Match`.

use crate::failure::Failure;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use futures::stream::{self, StreamExt, TryStreamExt};
use holdfast_core::failure::parse_document;
use holdfast_core::ids::{InstanceId, JobId, PlanId, RecoveryPointId};
use holdfast_core::recovery_point::{Hold, Retirement};
use holdfast_core::vault::{
    Reading, VaultBackup, VaultPoint, backup_key, hold_key, plan_prefix, point_key, reading_key,
    readings_prefix, retirement_key, sources_prefix,
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;

/// Requests at the same time.
const CONCURRENCY: usize = 32;
const CATALOG: &str = "catalog/";

/// A vault's catalog.
#[derive(Debug, Clone)]
pub struct VaultCatalog {
    client: Client,
    bucket: String,
    owner: String,
}

/// A replica as the vault's listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedReplica {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// The resources with a backup there.
    pub resources: Vec<InstanceId>,
}

/// S3 as vaults are spoken to.
#[must_use]
pub fn s3_client(config: &SdkConfig) -> Client {
    // A bucket's name in the path: the local stack has no host for each bucket.
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(true);
    Client::from_conf(config.build())
}

impl VaultCatalog {
    /// The catalog in `bucket`, which must belong to the account `owner`.
    pub fn new(client: Client, bucket: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into(),
            owner: owner.into(),
        }
    }

    /// Asks whether the bucket is there, can be reached, and belongs to whom it should.
    ///
    /// # Errors
    /// It is not so.
    pub async fn check(&self) -> Result<(), Failure> {
        let head = self.client.head_bucket().bucket(&self.bucket);
        head.expected_bucket_owner(&self.owner)
            .send()
            .await
            .map(drop)
            .map_err(|error| Failure::call(format!("looking for the vault's bucket {}", self.bucket), error))
    }

    /// Checks that the replicas of a plan of this name, if there are any, come from this region.
    ///
    /// # Errors
    /// Permanent: they come from another one. Or a page cannot be read.
    pub async fn check_source(&self, plan: &PlanId, region: &str) -> Result<(), Failure> {
        let mut others = BTreeSet::new();
        self.list(&sources_prefix(plan), |key| {
            let found = key.strip_suffix(".json").filter(|found| *found != region);
            others.extend(found.map(str::to_owned));
        })
        .await?;
        match others.first() {
            None => Ok(()),
            Some(other) => Err(Failure::permanent(format!(
                "the vault {} holds replicas of a plan {plan} of {other}; give one of the two plans another name, for they \
                 would be retired as one",
                self.bucket
            ))),
        }
    }

    /// Says that the replicas of a plan of this name come from this region.
    ///
    /// # Errors
    /// As [`VaultCatalog::check_source`], or the call failed.
    pub async fn claim_source(&self, plan: &PlanId, region: &str) -> Result<(), Failure> {
        self.check_source(plan, region).await?;
        let key = format!("{}{region}.json", sources_prefix(plan));
        self.create(&key, &region).await.map(drop)
    }

    /// The plans with something in the catalog, in the order of their ids.
    ///
    /// # Errors
    /// A page that cannot be read.
    pub async fn list_plans(&self) -> Result<BTreeSet<PlanId>, Failure> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .expected_bucket_owner(&self.owner)
            .prefix(CATALOG)
            .delimiter("/")
            .into_paginator()
            .send();
        let mut plans = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("listing the plans", error))?;
            for prefix in page.common_prefixes() {
                let name = prefix.prefix().and_then(|prefix| prefix.strip_prefix(CATALOG));
                let plan = name.map(|name| PlanId::try_from(name.trim_end_matches('/')));
                plans.extend(plan.and_then(Result::ok));
            }
        }
        Ok(plans)
    }

    /// A plan's replicas that count, newest first: one listing, however many backups there are.
    ///
    /// # Errors
    /// A page that cannot be read: the listing is incomplete and must not be used.
    pub async fn list_replicas(&self, plan: &PlanId) -> Result<Vec<ListedReplica>, Failure> {
        let mut grouping = Grouping::default();
        let prefix = plan_prefix(plan);
        self.list(&prefix, |key| grouping.take(key)).await?;
        Ok(grouping.finish())
    }

    /// The recovery points of a plan that somebody holds.
    ///
    /// # Errors
    /// A page that cannot be read.
    pub async fn list_holds(&self, plan: &PlanId) -> Result<BTreeSet<RecoveryPointId>, Failure> {
        self.list_points(&format!("holds/{plan}/")).await
    }

    /// The recovery points of a plan that are to go, or have gone.
    ///
    /// # Errors
    /// A page that cannot be read.
    pub async fn list_retirements(&self, plan: &PlanId) -> Result<BTreeSet<RecoveryPointId>, Failure> {
        self.list_points(&format!("retirements/{plan}/")).await
    }

    /// The recovery points of a plan that restores read from, or have read from.
    ///
    /// # Errors
    /// A page that cannot be read.
    pub async fn list_readings(&self, plan: &PlanId) -> Result<BTreeSet<RecoveryPointId>, Failure> {
        let mut points = BTreeSet::new();
        self.list(&readings_prefix(plan), |key| {
            let point = key
                .split_once('/')
                .map(|(point, _)| RecoveryPointId::try_from(point));
            points.extend(point.and_then(Result::ok));
        })
        .await?;
        Ok(points)
    }

    /// Until when restores may read from a replica, at the latest.
    ///
    /// # Errors
    /// A call failed, or an object is not as it should be.
    pub async fn find_reading(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<Option<Timestamp>, Failure> {
        let prefix = format!("{}{point}/", readings_prefix(plan));
        let mut keys = Vec::new();
        self.list(&prefix, |key| keys.push(format!("{prefix}{key}")))
            .await?;
        let mut latest = None;
        for key in keys {
            let reading: Option<Reading> = self.read(&key).await?;
            latest = latest.max(reading.map(|reading| reading.until));
        }
        Ok(latest)
    }

    /// Keeps retention away from a replica until `until`. Says whether it is there and not on its way out.
    ///
    /// # Errors
    /// A call failed.
    pub async fn write_reading(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        job: &JobId,
        until: Timestamp,
    ) -> Result<bool, Failure> {
        self.write(&reading_key(plan, point, job), &Reading { until })
            .await?;
        // Written first, then looked: an intent that is not seen here will see this reading.
        Ok(self.find_retirement(plan, point).await?.is_none())
    }

    async fn list_points(&self, prefix: &str) -> Result<BTreeSet<RecoveryPointId>, Failure> {
        let mut points = BTreeSet::new();
        self.list(prefix, |key| {
            let point = key.strip_suffix(".json").map(RecoveryPointId::try_from);
            points.extend(point.and_then(Result::ok));
        })
        .await?;
        Ok(points)
    }

    /// Hands every key below `prefix`, without it, to `take`.
    async fn list(&self, prefix: &str, mut take: impl FnMut(&str)) -> Result<(), Failure> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .expected_bucket_owner(&self.owner)
            .prefix(prefix)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed(&format!("listing {prefix}"), error))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            keys.filter_map(|key| key.strip_prefix(prefix))
                .for_each(&mut take);
        }
        Ok(())
    }

    /// A replica.
    ///
    /// # Errors
    /// The call failed, or the object is not as it should be.
    pub async fn find_point(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<Option<VaultPoint>, Failure> {
        self.read(&point_key(plan, point)).await
    }

    /// The replica of a backup.
    ///
    /// # Errors
    /// The call failed, or the object is not as it should be.
    pub async fn find_backup(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        resource: &InstanceId,
    ) -> Result<Option<VaultBackup>, Failure> {
        self.read(&backup_key(plan, point, resource)).await
    }

    /// The hold on a replica.
    ///
    /// # Errors
    /// The call failed, or the object is not as it should be.
    pub async fn find_hold(&self, plan: &PlanId, point: &RecoveryPointId) -> Result<Option<Hold>, Failure> {
        self.read(&hold_key(plan, point)).await
    }

    /// The intent to let a replica go.
    ///
    /// # Errors
    /// The call failed, or the object is not as it should be.
    pub async fn find_retirement(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<Option<Retirement>, Failure> {
        self.read(&retirement_key(plan, point)).await
    }

    /// Writes the replicas of backups; those that are there stay as they are.
    ///
    /// # Errors
    /// A call failed.
    pub async fn write_backups(&self, backups: &[VaultBackup]) -> Result<(), Failure> {
        stream::iter(backups)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |backup| async move {
                let of = &backup.backup;
                let key = backup_key(&of.plan_id, &of.recovery_point_id, &of.resource_id);
                self.create(&key, backup).await.map(drop)
            })
            .await
    }

    /// Writes a replica, after the last of its backups: from then on it counts. One that is there stays as it is.
    ///
    /// # Errors
    /// The call failed.
    pub async fn write_point(&self, point: &VaultPoint) -> Result<(), Failure> {
        let key = point_key(&point.plan_id, &point.recovery_point_id);
        self.create(&key, point).await.map(drop)
    }

    /// Writes the intent to let a replica go; one that is there stays as it is. Says whether it was written.
    ///
    /// # Errors
    /// The call failed.
    pub async fn ensure_retirement(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        retirement: &Retirement,
    ) -> Result<bool, Failure> {
        self.create(&retirement_key(plan, point), retirement).await
    }

    /// Writes down how far a retirement is.
    ///
    /// # Errors
    /// The call failed.
    pub async fn write_retirement(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        retirement: &Retirement,
    ) -> Result<(), Failure> {
        self.write(&retirement_key(plan, point), retirement).await
    }

    /// Writes a hold, whatever hold was there.
    ///
    /// # Errors
    /// The call failed.
    pub async fn write_hold(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        hold: &Hold,
    ) -> Result<(), Failure> {
        self.write(&hold_key(plan, point), hold).await
    }

    /// Takes a hold away. One that is not there is fine.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_hold(&self, plan: &PlanId, point: &RecoveryPointId) -> Result<(), Failure> {
        self.delete(&hold_key(plan, point)).await
    }

    /// Deletes the records of backups whose copies are gone.
    ///
    /// # Errors
    /// A call failed.
    pub async fn delete_backups(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        resources: &[InstanceId],
    ) -> Result<(), Failure> {
        stream::iter(resources)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENCY, |resource| async move {
                self.delete(&backup_key(plan, point, resource)).await
            })
            .await
    }

    /// Deletes the record of a replica of which nothing is left.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_point(&self, plan: &PlanId, point: &RecoveryPointId) -> Result<(), Failure> {
        self.delete(&point_key(plan, point)).await
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failure> {
        let asked = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .expected_bucket_owner(&self.owner)
            .key(key)
            .send()
            .await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(self.failed(&format!("reading {key}"), error)),
        };
        let body = answer.body.collect().await.map_err(|error| Failure::Retryable {
            what: format!("reading {key} in {}", self.bucket),
            source: Some(Box::new(error)),
        })?;
        let unreadable = || format!("reading {key} in {}: it is not as it should be", self.bucket);
        let document: serde_json::Value = serde_json::from_slice(&body.into_bytes())
            .map_err(|error| Failure::permanent_from(unreadable(), error))?;
        parse_document("", &document)
            .map(Some)
            .map_err(|invalid| Failure::permanent_from(unreadable(), invalid))
    }

    async fn create(&self, key: &str, record: &impl Serialize) -> Result<bool, Failure> {
        let put = self.put(key, record)?.if_none_match("*");
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("PreconditionFailed") => Ok(false),
            // Another write to the same key is going on; what comes of it is not known yet.
            Err(error) if error.code() == Some("ConditionalRequestConflict") => Err(Failure::retryable(
                format!("writing {key} in {}: somebody else writes it", self.bucket),
            )),
            Err(error) => Err(self.failed(&format!("writing {key}"), error)),
        }
    }

    async fn write(&self, key: &str, record: &impl Serialize) -> Result<(), Failure> {
        let written = self.put(key, record)?.send().await;
        written.map_err(|error| self.failed(&format!("writing {key}"), error))?;
        Ok(())
    }

    fn put(&self, key: &str, record: &impl Serialize) -> Result<PutObjectFluentBuilder, Failure> {
        let body = serde_json::to_vec_pretty(record)
            .map_err(|error| Failure::permanent_from(format!("writing {key} as JSON"), error))?;
        Ok(self
            .client
            .put_object()
            .bucket(&self.bucket)
            .expected_bucket_owner(&self.owner)
            .key(key)
            .content_type("application/json")
            .body(ByteStream::from(body)))
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.client
            .delete_object()
            .bucket(&self.bucket)
            .expected_bucket_owner(&self.owner)
            .key(key)
            .send()
            .await
            .map_err(|error| self.failed(&format!("deleting {key}"), error))?;
        Ok(())
    }

    fn failed<E>(&self, what: &str, error: SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        Failure::call(format!("{what} in {}", self.bucket), error)
    }
}

/// Puts the keys of a plan's replicas together, point by point.
#[derive(Debug, Default)]
struct Grouping {
    counting: BTreeSet<RecoveryPointId>,
    backups: BTreeSet<(RecoveryPointId, InstanceId)>,
}

impl Grouping {
    /// Takes a key below the plan's prefix. What is neither a point nor a backup is not ours.
    fn take(&mut self, key: &str) {
        let Some((point, rest)) = key.split_once('/') else {
            return;
        };
        let Ok(point) = RecoveryPointId::try_from(point) else {
            return;
        };
        if rest == "point.json" {
            self.counting.insert(point);
            return;
        }
        let name = rest
            .strip_prefix("backups/")
            .and_then(|name| name.strip_suffix(".json"));
        if let Some(Ok(resource)) = name.map(InstanceId::try_from) {
            self.backups.insert((point, resource));
        }
    }

    /// The replicas whose point is written, newest first: without it, their copies are still being made.
    fn finish(self) -> Vec<ListedReplica> {
        let mut backups = self.backups.into_iter().rev().peekable();
        let mut replicas = Vec::with_capacity(self.counting.len());
        for point in self.counting.into_iter().rev() {
            let mut resources = Vec::new();
            while let Some((of, resource)) = backups.next_if(|(of, _)| *of >= point) {
                if of == point {
                    resources.push(resource);
                }
            }
            resources.reverse();
            replicas.push(ListedReplica {
                recovery_point_id: point,
                resources,
            });
        }
        replicas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_replicas_newest_first_and_unfinished_ones_do_not_count() {
        let (old, open, new) = (
            "rp-20261122T020000Z-0123456789abcdef",
            "rp-20261123T020000Z-0123456789abcdef",
            "rp-20261124T020000Z-0123456789abcdef",
        );
        let mut grouping = Grouping::default();
        for key in [
            format!("{new}/backups/i-01234567.json"),
            format!("{old}/point.json"),
            format!("{open}/backups/i-01234567.json"),
            format!("{old}/backups/i-89abcdef.json"),
            format!("{new}/point.json"),
            format!("{old}/backups/i-01234567.json"),
            format!("{old}/backups/README.json"),
            "notes.txt".to_owned(),
        ] {
            grouping.take(&key);
        }
        let replica = |point: &str, resources: &[&str]| ListedReplica {
            recovery_point_id: RecoveryPointId::try_from(point).unwrap(),
            resources: resources
                .iter()
                .map(|id| InstanceId::try_from(*id).unwrap())
                .collect(),
        };
        assert_eq!(
            grouping.finish(),
            [
                replica(new, &["i-01234567"]),
                replica(old, &["i-01234567", "i-89abcdef"])
            ]
        );
    }
}
