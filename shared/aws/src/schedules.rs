//! A plan's schedules in EventBridge Scheduler.
//!
//! Schedule `n` of a plan is named `<plan>.<n>`, that of its rehearsals `<plan>.rehearsal.<n>`. A plan id holds no dot,
//! so no plan's names begin with another's.

use crate::failure::Failure;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::error::SdkError;
use aws_sdk_scheduler::operation::create_schedule::CreateScheduleError;
use aws_sdk_scheduler::operation::delete_schedule::DeleteScheduleError;
use aws_sdk_scheduler::types::{FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target};
use holdfast_core::ids::PlanId;
use holdfast_core::plan::BackupPlan;
use holdfast_core::schedule::Schedule;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How long a start that could not be delivered is still delivered: as long as the scheduler tries at most. A late
/// recovery point is better than none, and a slot is taken only once.
const MAX_EVENT_AGE_SECONDS: i32 = 86_400;
const MAX_RETRIES: i32 = 185;

/// Where schedules live and what they start.
#[derive(Debug, Clone)]
pub struct Schedules {
    /// The client.
    pub client: Client,
    /// The schedule group.
    pub group: String,
    /// The role that may start the state machines.
    pub role_arn: String,
    /// The state machine of backups.
    pub state_machine_arn: String,
    /// The state machine of restores, which rehearses.
    pub restore_state_machine_arn: String,
}

/// One schedule of a plan.
struct Slot<'a> {
    name: String,
    schedule: &'a Schedule,
    zone: &'a str,
    state_machine_arn: &'a str,
    input: Value,
}

/// What the scheduler puts in place of this: the slot, the same in every delivery of it.
const SLOT: &str = "<aws.scheduler.scheduled-time>";

fn prefix(plan_id: &PlanId) -> String {
    format!("{plan_id}.")
}

impl Schedules {
    /// Makes the plan's schedules as the plan says, and removes those it no longer has.
    ///
    /// # Errors
    /// A call failed. Trying again goes on where it stopped.
    pub async fn ensure(&self, plan: &BackupPlan) -> Result<(), Failure> {
        let prefix = prefix(&plan.plan_id);
        let backups = plan.schedules.iter().enumerate().map(|(number, schedule)| Slot {
            name: format!("{prefix}{number}"),
            schedule,
            zone: &plan.time_zone,
            state_machine_arn: &self.state_machine_arn,
            input: json!({"plan_id": plan.plan_id, "scheduled_time": SLOT}),
        });
        let rehearsals = plan.rehearsal.iter().flat_map(|rehearsal| &rehearsal.schedules);
        let rehearsals = rehearsals.enumerate().map(|(number, schedule)| Slot {
            name: format!("{prefix}rehearsal.{number}"),
            schedule,
            zone: &plan.time_zone,
            state_machine_arn: &self.restore_state_machine_arn,
            input: json!({"rehearse": plan.plan_id, "scheduled_time": SLOT}),
        });
        let mut wanted = BTreeSet::new();
        for slot in backups.chain(rehearsals) {
            self.ensure_one(&slot).await?;
            wanted.insert(slot.name);
        }
        self.delete_others(&plan.plan_id, &wanted).await
    }

    /// Removes every schedule of a plan.
    ///
    /// # Errors
    /// A call failed. Trying again goes on where it stopped.
    pub async fn delete_all(&self, plan_id: &PlanId) -> Result<(), Failure> {
        self.delete_others(plan_id, &BTreeSet::new()).await
    }

    async fn ensure_one(&self, slot: &Slot<'_>) -> Result<(), Failure> {
        let name = &slot.name;
        let expression = &slot.schedule.expression;
        let zone = slot.schedule.time_zone.as_deref().unwrap_or(slot.zone);
        let what = || format!("setting schedule {name} in group {}", self.group);
        let retries = RetryPolicy::builder()
            .maximum_event_age_in_seconds(MAX_EVENT_AGE_SECONDS)
            .maximum_retry_attempts(MAX_RETRIES)
            .build();
        let target = Target::builder()
            .arn(slot.state_machine_arn)
            .role_arn(&self.role_arn)
            .input(slot.input.to_string())
            .retry_policy(retries)
            .build()
            .map_err(|error| Failure::permanent_from(what(), error))?;
        let window = FlexibleTimeWindow::builder()
            .mode(FlexibleTimeWindowMode::Off)
            .build()
            .map_err(|error| Failure::permanent_from(what(), error))?;
        let created = self
            .client
            .create_schedule()
            .name(name)
            .group_name(&self.group)
            .schedule_expression(expression)
            .schedule_expression_timezone(zone)
            .flexible_time_window(window.clone())
            .target(target.clone())
            .send()
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(context))
                if matches!(context.err(), CreateScheduleError::ConflictException(_)) =>
            {
                self.client
                    .update_schedule()
                    .name(name)
                    .group_name(&self.group)
                    .schedule_expression(expression)
                    .schedule_expression_timezone(zone)
                    .flexible_time_window(window)
                    .target(target)
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|error| Failure::call(what(), error))
            }
            Err(error) => Err(Failure::call(what(), error)),
        }
    }

    async fn delete_others(&self, plan_id: &PlanId, wanted: &BTreeSet<String>) -> Result<(), Failure> {
        let mut names = Vec::new();
        let mut schedules = self
            .client
            .list_schedules()
            .group_name(&self.group)
            .name_prefix(prefix(plan_id))
            .into_paginator()
            .items()
            .send();
        while let Some(schedule) = schedules.next().await {
            let schedule = schedule
                .map_err(|error| Failure::call(format!("listing the schedules of plan {plan_id}"), error))?;
            names.extend(schedule.name.filter(|name| !wanted.contains(name)));
        }
        for name in names {
            let deleted = self
                .client
                .delete_schedule()
                .name(&name)
                .group_name(&self.group)
                .send()
                .await;
            match deleted {
                Ok(_) => {}
                Err(SdkError::ServiceError(context))
                    if matches!(context.err(), DeleteScheduleError::ResourceNotFoundException(_)) => {}
                Err(error) => return Err(Failure::call(format!("deleting schedule {name}"), error)),
            }
        }
        Ok(())
    }
}
