//! Saves, reads, lists and deletes backup plans, and keeps their schedules as they say.

mod preflight;

use holdfast_aws::catalog::Catalog;
use holdfast_aws::failure::Failure;
use holdfast_aws::schedules::Schedules;
use holdfast_aws::sessions::Sessions;
use holdfast_core::ids::PlanId;
use holdfast_core::message::{ManagePlanRequest, ManagePlanResponse, SavedPlan};
use holdfast_core::plan::BackupPlan;
use jiff::Timestamp;

/// The manage-plan function.
#[derive(Debug, Clone)]
pub struct ManagePlan {
    /// Holds the plans.
    pub catalog: Catalog,
    /// Starts them in time.
    pub schedules: Schedules,
    /// Lists the regions.
    pub ec2: aws_sdk_ec2::Client,
    /// Opens sessions where copies are to go.
    pub sessions: Sessions,
}

impl ManagePlan {
    /// Does what is asked of a plan.
    ///
    /// A plan is saved before its schedules are set, and its schedules are removed before it is deleted: cut off in
    /// between, no schedule ever starts a plan that is not there, and asking again finishes the work.
    ///
    /// # Errors
    /// Permanent: a plan that cannot be taken, with every field that is wrong, or one that is not there.
    /// Retryable: AWS could not answer.
    pub async fn handle(
        &self,
        request: ManagePlanRequest,
        now: Timestamp,
    ) -> Result<ManagePlanResponse, Failure> {
        match request {
            ManagePlanRequest::Put { plan } => {
                let plan = BackupPlan::parse("plan", &plan)
                    .map_err(|invalid| Failure::permanent(invalid.to_string()))?;
                self.check_replicas(&plan).await?;
                let saved = self.catalog.save_plan(&plan, now).await?;
                self.schedules.ensure(&plan).await?;
                tracing::info!(plan = %plan.plan_id, version = saved.version, "plan saved");
                Ok(one(saved))
            }
            ManagePlanRequest::Get { plan_id } => match self.catalog.find_plan(&plan_id).await? {
                Some(saved) if saved.deleted_at.is_none() => Ok(one(saved)),
                _ => Err(missing(&plan_id)),
            },
            ManagePlanRequest::List { after } => {
                let (plans, next) = self.catalog.list_plans(after.as_ref()).await?;
                Ok(ManagePlanResponse { plans, next })
            }
            ManagePlanRequest::Delete { plan_id } => {
                self.schedules.delete_all(&plan_id).await?;
                let buried = self
                    .catalog
                    .bury_plan(&plan_id, now)
                    .await?
                    .ok_or_else(|| missing(&plan_id))?;
                tracing::info!(plan = %plan_id, "plan deleted");
                Ok(one(buried))
            }
        }
    }
}

fn one(saved: SavedPlan) -> ManagePlanResponse {
    ManagePlanResponse {
        plans: vec![saved],
        next: None,
    }
}

fn missing(plan_id: &PlanId) -> Failure {
    Failure::permanent(format!("plan_id: there is no plan {plan_id}"))
}
