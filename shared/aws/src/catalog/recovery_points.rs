//! Recovery points in the catalog.

use super::{Catalog, key, parse, string, value, was_done};
use crate::failure::Failure;
use holdfast_core::ids::PlanId;
use holdfast_core::job::Job;
use holdfast_core::recovery_point::{Manifest, Outcome, RecoveryPoint};
use holdfast_core::replica::Replica;

pub(super) fn pk(plan: &PlanId) -> String {
    format!("PLAN#{plan}")
}

impl Catalog {
    /// The recovery point that a job makes.
    ///
    /// # Errors
    /// The call failed, the record is not as it should be, or it is missing.
    pub async fn recovery_point(&self, job: &Job) -> Result<RecoveryPoint, Failure> {
        let id = &job.recovery_point_id;
        let found = self
            .read(&format!("recovery point {id}"), &pk(&job.plan_id), id.as_str())
            .await?;
        found.ok_or_else(|| Failure::permanent(format!("recovery point {id} is not in the catalog")))
    }

    /// A plan's recovery points, newest first.
    ///
    /// # Errors
    /// A page that cannot be read, or a record that is not as it should be.
    pub async fn list_recovery_points(&self, plan_id: &PlanId) -> Result<Vec<RecoveryPoint>, Failure> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :point)")
            .expression_attribute_values(":pk", string(pk(plan_id)))
            .expression_attribute_values(":point", string("rp-"))
            .scan_index_forward(false)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut points = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item
                .map_err(|error| Failure::call(format!("listing the recovery points of {plan_id}"), error))?;
            points.push(parse("a recovery point", item)?);
        }
        Ok(points)
    }

    /// Commits the list of instances of a recovery point, if none is committed. Gives the one that is.
    ///
    /// # Errors
    /// The call failed, or the recovery point is missing.
    pub async fn commit_manifest(&self, job: &Job, manifest: &Manifest) -> Result<Manifest, Failure> {
        let id = &job.recovery_point_id;
        let update = self
            .update_point(job)
            .update_expression("SET manifest = :manifest")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(manifest)")
            .expression_attribute_values(":manifest", value("manifest", manifest)?);
        if was_done(update.send().await, || {
            format!("committing the instances of {id}")
        })? {
            return Ok(manifest.clone());
        }
        let committed = self.recovery_point(job).await?.manifest;
        committed.ok_or_else(|| Failure::retryable(format!("committing the instances of {id}: it vanished")))
    }

    /// Writes down what a recovery point came to, once; a later outcome changes nothing. Gives the one that stands.
    ///
    /// # Errors
    /// The call failed, or the recovery point is missing.
    pub async fn record_outcome(&self, job: &Job, outcome: &Outcome) -> Result<Outcome, Failure> {
        let id = &job.recovery_point_id;
        let update = self
            .update_point(job)
            .update_expression("SET outcome = :outcome")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(outcome)")
            .expression_attribute_values(":outcome", value("outcome", outcome)?);
        if was_done(update.send().await, || format!("writing the outcome of {id}"))? {
            return Ok(outcome.clone());
        }
        let recorded = self.recorded_outcome(job).await?;
        recorded.ok_or_else(|| Failure::retryable(format!("writing the outcome of {id}: it vanished")))
    }

    /// What a recovery point came to, if that was written down, whatever else its record holds.
    ///
    /// # Errors
    /// The call failed, or the outcome is not as it should be.
    pub async fn recorded_outcome(&self, job: &Job) -> Result<Option<Outcome>, Failure> {
        #[derive(serde::Deserialize)]
        struct Ended {
            outcome: Option<Outcome>,
        }
        let id = &job.recovery_point_id;
        let found: Option<Ended> = self
            .read(&format!("recovery point {id}"), &pk(&job.plan_id), id.as_str())
            .await?;
        Ok(found.and_then(|ended| ended.outcome))
    }

    /// The replicas of the plan that a job's recovery point was opened with, whatever else its record holds; none where
    /// the record is not as it should be.
    ///
    /// # Errors
    /// The call failed.
    pub async fn replicas_of(&self, job: &Job) -> Result<Option<Vec<Replica>>, Failure> {
        #[derive(serde::Deserialize)]
        struct Opened {
            plan: Replicated,
        }
        #[derive(serde::Deserialize)]
        struct Replicated {
            #[serde(default)]
            replicas: Vec<Replica>,
        }
        let answer = self
            .get(&pk(&job.plan_id), job.recovery_point_id.as_str())
            .await
            .map_err(|error| Failure::call(format!("reading {}", job.recovery_point_id), error))?;
        let opened = answer.and_then(|item| parse::<Opened>("a recovery point", item).ok());
        Ok(opened.map(|opened| opened.plan.replicas))
    }

    fn update_point(
        &self,
        job: &Job,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pk(&job.plan_id), job.recovery_point_id.as_str())))
    }
}
