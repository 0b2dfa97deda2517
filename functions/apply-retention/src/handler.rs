//! Decides which recovery points stay, and lets go of the others.
//!
//! It works for the plan's own snapshots over the catalog table, and in every vault over the vault's own catalog. Either
//! way it fails closed. What cannot be looked up stays. The intent to let a point go is written before anything of it is
//! deleted; from then on the point is no history any more, whatever becomes of the deletion. A snapshot is deleted only
//! where the catalog names it and its own tags say the same. A call ends when the bucket of `DeleteSnapshot` is empty;
//! the next one goes on where it stopped, also after a kill.

mod apply;
mod archive;
mod ledger;
mod letting_go;
mod lookups;
mod table;
mod tell;
mod vault;

pub use ledger::Ledger;
pub use table::Table;
pub use vault::Vault;

use holdfast_aws::catalog::HoldChange;
use holdfast_aws::failure::Failure;
use holdfast_core::ids::{PlanId, RecoveryPointId};
use holdfast_core::message::{ApplyRetentionRequest, ApplyRetentionResponse};
use holdfast_core::recovery_point::Hold;
use holdfast_core::retiring::{Decided, Findings, PlanHistory, decide_points};
use jiff::Timestamp;

/// The longest reason of a hold, in characters.
const REASON: usize = 500;

/// The apply-retention function.
#[derive(Debug, Clone)]
pub struct ApplyRetention {
    /// Looks snapshots and what needs them up, deletes and archives.
    pub ec2: aws_sdk_ec2::Client,
    /// Knows the recovery points.
    pub ledger: Ledger,
}

impl ApplyRetention {
    /// Applies retention to a plan, tells what it would do, or holds and releases a recovery point.
    ///
    /// # Errors
    /// Permanent: no such plan or recovery point, a reason that cannot be taken, rules that decide nothing. Retryable:
    /// AWS could not answer.
    pub async fn handle(
        &self,
        request: ApplyRetentionRequest,
        now: Timestamp,
    ) -> Result<ApplyRetentionResponse, Failure> {
        match request {
            ApplyRetentionRequest::Apply { plan_id, dry_run } => {
                let Some(history) = self.ledger.history(&self.ec2, &plan_id, now).await? else {
                    return Err(Failure::permanent(format!(
                        "plan_id: there is neither a plan {plan_id} nor a recovery point of it"
                    )));
                };
                if dry_run {
                    self.tell(&history, now).await
                } else {
                    self.apply(&history, now).await
                }
            }
            ApplyRetentionRequest::ApplyNext { after } => self.apply_next(after.as_ref(), now).await,
            ApplyRetentionRequest::Hold {
                plan_id,
                recovery_point_id,
                reason,
            } => {
                check_reason(&reason)?;
                let hold = Hold { reason, since: now };
                let change = self.ledger.hold(&plan_id, &recovery_point_id, &hold).await?;
                self.answer_hold(&plan_id, &recovery_point_id, change, now).await
            }
            ApplyRetentionRequest::Release {
                plan_id,
                recovery_point_id,
            } => {
                let change = self.ledger.release(&plan_id, &recovery_point_id).await?;
                self.answer_hold(&plan_id, &recovery_point_id, change, now).await
            }
            ApplyRetentionRequest::RecordFailure { after, failure } => {
                let plan_id = self.ledger.next_plan(after.as_ref()).await?;
                let why = failure.in_words();
                tracing::error!(plan = ?plan_id, why, "nothing could be done for the plan");
                Ok(ApplyRetentionResponse {
                    plan_id,
                    finished: true,
                    wait_until: now,
                    failed: Some(why),
                    ..ApplyRetentionResponse::default()
                })
            }
        }
    }

    /// Applies retention to the next plan. A plan that cannot be worked on does not hold the others up: its answer says
    /// why.
    async fn apply_next(
        &self,
        after: Option<&PlanId>,
        now: Timestamp,
    ) -> Result<ApplyRetentionResponse, Failure> {
        let nothing = ApplyRetentionResponse {
            finished: true,
            wait_until: now,
            ..ApplyRetentionResponse::default()
        };
        let Some(plan_id) = self.ledger.next_plan(after).await? else {
            return Ok(nothing);
        };
        let applied = match self.ledger.history(&self.ec2, &plan_id, now).await {
            Ok(Some(history)) => self.apply(&history, now).await,
            Ok(None) => Ok(ApplyRetentionResponse {
                plan_id: Some(plan_id.clone()),
                ..nothing.clone()
            }),
            Err(failure) => Err(failure),
        };
        match applied {
            Err(failure) if matches!(failure, Failure::Permanent { .. }) => {
                let why = failure.chain();
                tracing::error!(plan = %plan_id, why, "nothing could be done for the plan");
                Ok(ApplyRetentionResponse {
                    plan_id: Some(plan_id),
                    failed: Some(why),
                    ..nothing
                })
            }
            applied => applied,
        }
    }

    async fn answer_hold(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        change: HoldChange,
        now: Timestamp,
    ) -> Result<ApplyRetentionResponse, Failure> {
        match change {
            HoldChange::Done => {}
            HoldChange::Going => {
                return Err(Failure::permanent(format!(
                    "recovery_point_id: {point} is being deleted; it is too late to hold it"
                )));
            }
            HoldChange::Unknown => {
                return Err(Failure::permanent(format!(
                    "recovery_point_id: plan {plan_id} has no recovery point {point}"
                )));
            }
        }
        let mut answer = ApplyRetentionResponse {
            plan_id: Some(plan_id.clone()),
            finished: true,
            wait_until: now,
            ..ApplyRetentionResponse::default()
        };
        if let Some(history) = self.ledger.history(&self.ec2, plan_id, now).await? {
            let decided = decide(&history, &Findings::default(), now)?;
            count(&decided, &mut answer);
            let points = history.points.iter();
            let place = points
                .map(|known| &known.recovery_point_id)
                .position(|id| id == point);
            answer.points.extend(place.and_then(|place| decided.row(place)));
        }
        Ok(answer)
    }
}

fn check_reason(reason: &str) -> Result<(), Failure> {
    let length = reason.trim().chars().count();
    if (1..=REASON).contains(&length) {
        return Ok(());
    }
    Err(Failure::permanent(format!(
        "reason: {length} characters; say in 1 to {REASON} why the recovery point is held"
    )))
}

/// Decides, as a function fails: rules that cannot be taken are for somebody to change.
fn decide<'a>(history: &'a PlanHistory, findings: &Findings, now: Timestamp) -> Result<Decided<'a>, Failure> {
    decide_points(history, findings, now)
        .map_err(|cannot| Failure::permanent_from(format!("plan {}", history.plan_id), cannot))
}

/// Counts what stays and what goes.
fn count(decided: &Decided<'_>, answer: &mut ApplyRetentionResponse) {
    let total = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    answer.kept = total(decided.staying().count());
    answer.going = total(decided.going().count() + decided.leaving());
}
