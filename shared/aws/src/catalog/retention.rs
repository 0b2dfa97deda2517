//! What retention reads of recovery points, and how it writes that they go.
//!
//! A hold and an intent to let a point go exclude each other: each is written only where the other is not.

use super::recovery_points::pk;
use super::{Catalog, Item, key, parse, string, value, was_done};
use crate::failure::Failure;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use holdfast_core::ids::{InstanceId, JobId, PlanId, RecoveryPointId, SnapshotId};
use holdfast_core::pacing::whole_seconds;
use holdfast_core::plan::BackupPlan;
use holdfast_core::recovery_point::{Hold, Manifest, Retirement};
use holdfast_core::retiring::RECORD_LIFE;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where the plans stand that have, or had, recovery points.
const REGISTRY: &str = "RETENTION";
/// What the sort key of a recovery point begins with.
const POINTS: &str = "rp-";
/// The condition that a point is there, neither held nor on its way out, and that no restore reads from it.
const FREE: &str = "attribute_exists(pk) AND attribute_not_exists(#hold) AND attribute_not_exists(#retirement) AND \
                    (attribute_not_exists(reading_until) OR reading_until < :now)";

/// What retention reads of a recovery point: everything but the plan.
#[derive(Debug, Clone, Deserialize)]
pub struct PointRecord {
    /// Its id.
    pub recovery_point_id: RecoveryPointId,
    /// The job that takes it.
    pub job_id: JobId,
    /// The moment it stands for.
    pub moment: Timestamp,
    /// Which list of instances it was taken of.
    #[serde(default)]
    pub manifest: Option<ManifestId>,
    /// What it came to; none while its job works.
    #[serde(default)]
    pub outcome: Option<PointOutcome>,
    /// The hold on it.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Whether an image's next increment is read against it.
    #[serde(default)]
    pub cbt_base: bool,
    /// Until when a restore may read from it.
    #[serde(default)]
    pub reading_until: Option<Timestamp>,
    /// The intent to let it go.
    #[serde(default)]
    pub retirement: Option<Retirement>,
}

/// The name of a list of instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct ManifestId {
    /// It names the list by its content: the same name is the same list.
    pub id: String,
}

/// What retention reads of an outcome.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PointOutcome {
    /// Backups that can be recovered.
    pub completed: u32,
    /// Backups that cannot.
    pub failed: u32,
    /// When it was written.
    pub ended_at: Timestamp,
}

/// A plan's recovery points for retention.
#[derive(Debug, Clone, Default)]
pub struct PointRecords {
    /// Those that are not gone altogether, newest first.
    pub points: Vec<PointRecord>,
    /// Keys of records that are not as they should be, and why.
    pub unreadable: Vec<(String, String)>,
}

/// Whether a hold was taken, changed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldChange {
    /// It was.
    Done,
    /// The recovery point is on its way out.
    Going,
    /// There is no such recovery point.
    Unknown,
}

/// The record by which a run over all plans finds one, also after the plan was deleted or if it was never saved.
pub(crate) fn retention_registry_item(plan_id: &PlanId) -> Item {
    let mut item = key(REGISTRY, &pk(plan_id));
    item.insert("plan_id".to_owned(), string(plan_id.as_str()));
    item
}

impl Catalog {
    /// The first plan after `after`, in the order of their ids, that has or had recovery points.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn next_registered_plan(&self, after: Option<&PlanId>) -> Result<Option<PlanId>, Failure> {
        #[derive(Deserialize)]
        struct Registered {
            plan_id: PlanId,
        }
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", string(REGISTRY))
            .expression_attribute_values(
                ":after",
                string(format!("PLAN#{}", after.map_or("", PlanId::as_str))),
            )
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Failure::call("looking for the next plan", error))?;
        let item = answer.items.unwrap_or_default().pop();
        let registered: Option<Registered> = item.map(|item| parse("a registered plan", item)).transpose()?;
        Ok(registered.map(|registered| registered.plan_id))
    }

    /// A plan's recovery points without their plans, newest first. Those of which nothing is left are not among them.
    ///
    /// A record that is not as it should be does not hide the others.
    ///
    /// # Errors
    /// A page that cannot be read: the listing is incomplete and must not be used.
    pub async fn list_point_records(&self, plan_id: &PlanId) -> Result<PointRecords, Failure> {
        let mut items = self
            .query_points(plan_id)
            .filter_expression("attribute_not_exists(#retirement.#ended_at)")
            .projection_expression(
                "sk, recovery_point_id, job_id, #moment, #manifest.#id, #outcome, #hold, cbt_base, \
                 reading_until, #retirement",
            )
            .expression_attribute_names("#moment", "moment")
            .expression_attribute_names("#manifest", "manifest")
            .expression_attribute_names("#id", "id")
            .expression_attribute_names("#outcome", "outcome")
            .expression_attribute_names("#hold", "hold")
            .expression_attribute_names("#retirement", "retirement")
            .expression_attribute_names("#ended_at", "ended_at")
            .into_paginator()
            .items()
            .send();
        let mut records = PointRecords::default();
        while let Some(item) = items.next().await {
            let item = item
                .map_err(|error| Failure::call(format!("listing the recovery points of {plan_id}"), error))?;
            let sk = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned();
            match parse("a recovery point", item) {
                Ok(record) => records.points.push(record),
                Err(failure) => records.unreadable.push((sk.unwrap_or_default(), failure.chain())),
            }
        }
        Ok(records)
    }

    /// The plan as the newest recovery point holds it: the rules of a plan that was never saved.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn plan_of_newest_point(&self, plan_id: &PlanId) -> Result<Option<BackupPlan>, Failure> {
        #[derive(Deserialize)]
        struct Planned {
            plan: BackupPlan,
        }
        let answer = self
            .query_points(plan_id)
            .projection_expression("#plan")
            .expression_attribute_names("#plan", "plan")
            .limit(1)
            .send()
            .await
            .map_err(|error| {
                Failure::call(format!("reading the newest recovery point of {plan_id}"), error)
            })?;
        let item = answer.items.unwrap_or_default().pop();
        let planned: Option<Planned> = item
            .map(|item| parse("the newest recovery point", item))
            .transpose()?;
        Ok(planned.map(|planned| planned.plan))
    }

    fn query_points(&self, plan_id: &PlanId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :point)")
            .expression_attribute_values(":pk", string(pk(plan_id)))
            .expression_attribute_values(":point", string(POINTS))
            .scan_index_forward(false)
            .consistent_read(true)
    }

    /// The instances of a recovery point's batches.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn instances_of(
        &self,
        point: &RecoveryPointId,
        manifest: &ManifestId,
    ) -> Result<Vec<InstanceId>, Failure> {
        #[derive(Deserialize)]
        struct Instances {
            instances: Vec<InstanceId>,
        }
        let manifest = Manifest {
            id: manifest.id.clone(),
            batches: 0,
            instances: 0,
            missing: BTreeMap::new(),
        };
        let mut items = self
            .query_batches(point, &manifest)
            .projection_expression("instances")
            .into_paginator()
            .items()
            .send();
        let mut instances = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| Failure::call(format!("listing the batches of {point}"), error))?;
            instances.extend(parse::<Instances>("a batch", item)?.instances);
        }
        Ok(instances)
    }

    /// Holds a recovery point, whatever hold was there before.
    ///
    /// # Errors
    /// The call failed.
    pub async fn hold_point(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        hold: &Hold,
    ) -> Result<HoldChange, Failure> {
        let update = self
            .update(plan_id, point)
            .update_expression("SET #hold = :hold")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(#retirement)")
            .expression_attribute_names("#hold", "hold")
            .expression_attribute_names("#retirement", "retirement")
            .expression_attribute_values(":hold", value("hold", hold)?);
        let was_done = was_done(update.send().await, || format!("holding {point}"))?;
        self.hold_change(plan_id, point, was_done).await
    }

    /// Ends the hold on a recovery point. One that nobody holds stays as it is.
    ///
    /// # Errors
    /// The call failed.
    pub async fn release_point(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<HoldChange, Failure> {
        let update = self
            .update(plan_id, point)
            .update_expression("REMOVE #hold")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(#retirement)")
            .expression_attribute_names("#hold", "hold")
            .expression_attribute_names("#retirement", "retirement");
        let was_done = was_done(update.send().await, || format!("releasing {point}"))?;
        self.hold_change(plan_id, point, was_done).await
    }

    async fn hold_change(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        was_done: bool,
    ) -> Result<HoldChange, Failure> {
        if was_done {
            return Ok(HoldChange::Done);
        }
        let found = self
            .get(&pk(plan_id), point.as_str())
            .await
            .map_err(|error| Failure::call(format!("reading {point}"), error))?;
        Ok(if found.is_some() {
            HoldChange::Going
        } else {
            HoldChange::Unknown
        })
    }

    /// Writes the intent to let a recovery point go, before anything of it is deleted. Not where somebody holds it, an
    /// intent is there already, or its outcome is no longer the one that was decided about. Says whether it was written.
    ///
    /// # Errors
    /// The call failed.
    pub async fn intend_retirement(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        outcome_at: Timestamp,
        retirement: &Retirement,
    ) -> Result<bool, Failure> {
        let update = self
            .update(plan_id, point)
            .update_expression("SET #retirement = :retirement")
            .condition_expression(format!("{FREE} AND #outcome.#ended_at = :outcome_at"))
            .expression_attribute_names("#hold", "hold")
            .expression_attribute_names("#retirement", "retirement")
            .expression_attribute_names("#outcome", "outcome")
            .expression_attribute_names("#ended_at", "ended_at")
            .expression_attribute_values(":outcome_at", value("outcome.ended_at", &outcome_at)?)
            .expression_attribute_values(":retirement", value("retirement", retirement)?)
            .expression_attribute_values(":now", value("now", &whole_seconds(retirement.decided_at))?);
        was_done(update.send().await, || {
            format!("writing the intent to let {point} go")
        })
    }

    /// Writes down which snapshots of a recovery point could not be deleted yet, and why.
    ///
    /// # Errors
    /// The call failed.
    pub async fn record_deferred(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        deferred: &BTreeMap<SnapshotId, String>,
    ) -> Result<(), Failure> {
        let update = self
            .update(plan_id, point)
            .update_expression("SET #retirement.#deferred = :deferred")
            .condition_expression(
                "attribute_exists(#retirement) AND attribute_not_exists(#retirement.#ended_at)",
            )
            .expression_attribute_names("#retirement", "retirement")
            .expression_attribute_names("#deferred", "deferred")
            .expression_attribute_names("#ended_at", "ended_at")
            .expression_attribute_values(":deferred", value("retirement.deferred", deferred)?);
        was_done(update.send().await, || {
            format!("writing what of {point} is deferred")
        })
        .map(drop)
    }

    /// Writes down that everything of a recovery point is gone. Its record follows by itself, some time later. Written
    /// twice, the first time stands; says whether this was it.
    ///
    /// # Errors
    /// The call failed.
    pub async fn end_retirement(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let expires_at = now.as_second() + RECORD_LIFE.as_secs();
        let update = self
            .update(plan_id, point)
            .update_expression(
                "SET #retirement.#ended_at = :now, expires_at = :expires_at REMOVE #retirement.#deferred",
            )
            .condition_expression(
                "attribute_exists(#retirement) AND attribute_not_exists(#retirement.#ended_at)",
            )
            .expression_attribute_names("#retirement", "retirement")
            .expression_attribute_names("#deferred", "deferred")
            .expression_attribute_names("#ended_at", "ended_at")
            .expression_attribute_values(":now", value("retirement.ended_at", &now)?)
            .expression_attribute_values(":expires_at", AttributeValue::N(expires_at.to_string()));
        was_done(update.send().await, || format!("writing that {point} is gone"))
    }

    fn update(&self, plan_id: &PlanId, point: &RecoveryPointId) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pk(plan_id), point.as_str())))
    }
}
