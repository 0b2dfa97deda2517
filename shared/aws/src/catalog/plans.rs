//! Plans in the catalog. A deleted plan stays as a tombstone: its last rules still retire its recovery points.

use super::{Catalog, item, parse, string, value, was_done};
use crate::failure::Failure;
use holdfast_core::ids::PlanId;
use holdfast_core::message::SavedPlan;
use holdfast_core::plan::BackupPlan;
use jiff::Timestamp;

const PK: &str = "PLANS";
const PAGE: i32 = 100;
/// How often a save is tried again when somebody saves the same plan at the same time.
const RACES: u32 = 5;

fn sk(plan: &PlanId) -> String {
    format!("PLAN#{plan}")
}

impl Catalog {
    /// The plan of that id, also a deleted one.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_plan(&self, plan_id: &PlanId) -> Result<Option<SavedPlan>, Failure> {
        self.read(&format!("plan {plan_id}"), PK, &sk(plan_id)).await
    }

    /// Saves a plan as its next version. A plan that is saved as it is stays as it is; saving a deleted one brings it
    /// back.
    ///
    /// # Errors
    /// The call failed, or others kept saving the same plan.
    pub async fn save_plan(&self, plan: &BackupPlan, now: Timestamp) -> Result<SavedPlan, Failure> {
        let saved = self
            .change_plan(&plan.plan_id, |saved| {
                if saved.is_some_and(|saved| saved.plan == *plan && saved.deleted_at.is_none()) {
                    return None;
                }
                let version = saved.map_or(0, |saved| saved.version) + 1;
                Some(SavedPlan {
                    plan: plan.clone(),
                    version,
                    updated_at: now,
                    deleted_at: None,
                })
            })
            .await?;
        self.standing(saved, &plan.plan_id)
            .await?
            .ok_or_else(|| Failure::retryable(format!("saving plan {}: it vanished", plan.plan_id)))
    }

    /// Marks a plan as deleted; one that is deleted already stays as it is. None if there is no such plan.
    ///
    /// # Errors
    /// The call failed, or others kept saving the same plan.
    pub async fn bury_plan(&self, plan_id: &PlanId, now: Timestamp) -> Result<Option<SavedPlan>, Failure> {
        let buried = self
            .change_plan(plan_id, |saved| {
                let saved = saved.filter(|saved| saved.deleted_at.is_none())?;
                Some(SavedPlan {
                    version: saved.version + 1,
                    updated_at: now,
                    deleted_at: Some(now),
                    ..saved.clone()
                })
            })
            .await?;
        self.standing(buried, plan_id).await
    }

    /// What was written, or what stands where nothing was.
    async fn standing(
        &self,
        written: Option<SavedPlan>,
        plan_id: &PlanId,
    ) -> Result<Option<SavedPlan>, Failure> {
        match written {
            Some(written) => Ok(Some(written)),
            None => self.find_plan(plan_id).await,
        }
    }

    /// Writes what `change` makes of the plan, if it makes something, unless the plan changed meanwhile.
    async fn change_plan(
        &self,
        plan_id: &PlanId,
        change: impl Fn(Option<&SavedPlan>) -> Option<SavedPlan>,
    ) -> Result<Option<SavedPlan>, Failure> {
        let what = format!("saving plan {plan_id}");
        for _ in 0..RACES {
            let saved = self.find_plan(plan_id).await?;
            let Some(next) = change(saved.as_ref()) else {
                return Ok(None);
            };
            let put =
                self.client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item(PK, &sk(plan_id), &next)?));
            let put = match &saved {
                None => put.condition_expression("attribute_not_exists(pk)"),
                Some(saved) => put
                    .condition_expression("version = :version")
                    .expression_attribute_values(":version", value("version", &saved.version)?),
            };
            if was_done(put.send().await, || what.clone())? {
                return Ok(Some(next));
            }
        }
        Err(Failure::retryable(format!("{what}: others keep saving it")))
    }

    /// A page of plans in the order of their ids, deleted ones left out, and where to go on.
    ///
    /// # Errors
    /// The call failed, or a record is not as it should be.
    pub async fn list_plans(
        &self,
        after: Option<&PlanId>,
    ) -> Result<(Vec<SavedPlan>, Option<PlanId>), Failure> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk > :after")
            .filter_expression("attribute_not_exists(deleted_at)")
            .expression_attribute_values(":pk", string(PK))
            .expression_attribute_values(
                ":after",
                string(format!("PLAN#{}", after.map_or("", PlanId::as_str))),
            )
            .limit(PAGE)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Failure::call("listing the plans", error))?;
        let plans = answer.items.unwrap_or_default().into_iter();
        let plans = plans
            .map(|item| parse::<SavedPlan>("a plan", item))
            .collect::<Result<Vec<_>, _>>()?;
        let next = answer
            .last_evaluated_key
            .as_ref()
            .and_then(|key| key.get("sk"))
            .and_then(|sk| sk.as_s().ok())
            .and_then(|sk| PlanId::try_from(sk.trim_start_matches("PLAN#")).ok());
        Ok((plans, next))
    }
}
