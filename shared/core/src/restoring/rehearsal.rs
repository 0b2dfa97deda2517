//! Rehearsals: a plan's restore, tried out in an isolated place, proved, timed and removed again.

use super::Mode;
use super::overrides::Overrides;
use super::request::{OnFailure, Order, Proof, RestoreRequest, validate_proof};
use crate::failure::InvalidField;
use crate::ids::{InstanceId, PlanId};
use crate::schedule::{MAX_SCHEDULES, Schedule, validate_schedule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How, and when, a plan's restore is rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rehearsal {
    /// The isolated subnet.
    pub subnet_id: String,
    /// Security groups that let nothing out; at least one.
    #[schemars(length(min = 1))]
    pub security_group_ids: Vec<String>,
    /// Which instances; all of the recovery point where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<InstanceId>,
    /// How a restored instance is proved good; by EC2's status checks alone where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What else is to be other than captured.
    #[serde(default)]
    pub overrides: Overrides,
    /// When it runs by itself; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub schedules: Vec<Schedule>,
    /// Minutes after which it is given up (5 to 1,440).
    #[serde(default = "four_hours")]
    #[schemars(range(min = 5, max = 1440))]
    pub deadline_minutes: u32,
}

fn four_hours() -> u32 {
    240
}

impl Rehearsal {
    /// The restore that is rehearsed: of the newest good recovery point, as it would be asked for by hand.
    #[must_use]
    pub fn request(&self, plan_id: &PlanId) -> RestoreRequest {
        RestoreRequest {
            plan_id: plan_id.clone(),
            recovery_point_id: None,
            before: None,
            source: None,
            mode: Mode::Rehearsal,
            resources: self.resources.clone(),
            order: Order::Together,
            overrides: Overrides {
                subnet_id: Some(self.subnet_id.clone()),
                security_group_ids: self.security_group_ids.clone(),
                ..self.overrides.clone()
            },
            overrides_by_resource: BTreeMap::new(),
            volumes: None,
            image: None,
            proof: self.proof.clone(),
            on_failure: OnFailure::Remove,
            undo_hours: 1,
            deadline_minutes: self.deadline_minutes,
            dry_run: false,
        }
    }
}

/// Checks how a plan's restore is rehearsed.
#[must_use]
pub fn validate_rehearsal(field: &str, rehearsal: &Rehearsal) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    let mut refuse =
        |name: &str, problem: &str| problems.push(InvalidField::new(format!("{field}.{name}"), problem));
    if !rehearsal.subnet_id.starts_with("subnet-") {
        refuse("subnet_id", "give the id of an isolated subnet");
    }
    if rehearsal.security_group_ids.is_empty() {
        refuse(
            "security_group_ids",
            "give at least one group, that lets nothing out",
        );
    }
    if !(5..=1440).contains(&rehearsal.deadline_minutes) {
        refuse("deadline_minutes", "give 5 to 1440");
    }
    if rehearsal.schedules.len() > MAX_SCHEDULES {
        refuse("schedules", "at most 10 are allowed");
    }
    for (given, name) in [
        (rehearsal.overrides.subnet_id.is_some(), "overrides.subnet_id"),
        (
            !rehearsal.overrides.security_group_ids.is_empty(),
            "overrides.security_group_ids",
        ),
    ] {
        if given {
            refuse(name, "the rehearsal itself says it");
        }
    }
    if let Some(proof) = &rehearsal.proof {
        problems.extend(validate_proof(&format!("{field}.proof"), proof));
    }
    let overrides = &rehearsal.overrides;
    problems.extend(overrides.problems(&format!("{field}.overrides"), Mode::Rehearsal));
    for (index, schedule) in rehearsal.schedules.iter().enumerate() {
        problems.extend(validate_schedule(
            &format!("{field}.schedules[{index}]"),
            schedule,
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rehearsal(more: &serde_json::Value) -> Rehearsal {
        let mut document = json!({"subnet_id": "subnet-1", "security_group_ids": ["sg-1"]});
        for (key, value) in more.as_object().unwrap() {
            document[key] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_rehearsal_asks_for_what_would_be_asked_for_by_hand() {
        let rehearsal = rehearsal(&json!({"overrides": {"instance_type": "t3.micro"}}));
        assert!(validate_rehearsal("rehearsal", &rehearsal).is_empty());
        let request = rehearsal.request(&PlanId::try_from("nightly").unwrap());
        assert_eq!(request.mode, Mode::Rehearsal);
        assert_eq!(request.overrides.subnet_id.as_deref(), Some("subnet-1"));
        assert_eq!(request.overrides.instance_type.as_deref(), Some("t3.micro"));
    }

    #[test]
    fn refuses_and_names() {
        for (more, field) in [
            (json!({"subnet_id": "vpc-1"}), "rehearsal.subnet_id"),
            (json!({"security_group_ids": []}), "rehearsal.security_group_ids"),
            (json!({"deadline_minutes": 1}), "rehearsal.deadline_minutes"),
            (
                json!({"overrides": {"subnet_id": "subnet-2"}}),
                "rehearsal.overrides.subnet_id",
            ),
            (
                json!({"overrides": {"lift_protection": true}}),
                "rehearsal.overrides.lift_protection",
            ),
            (
                json!({"schedules": [{"expression": "cron(1)"}]}),
                "rehearsal.schedules[0].expression",
            ),
        ] {
            let problems = validate_rehearsal("rehearsal", &rehearsal(&more));
            let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(fields, [field], "{more}");
        }
    }
}
