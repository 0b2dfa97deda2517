//! The backup plan: what to protect and how.

use crate::failure::{InvalidField, parse_document};
use crate::ids::PlanId;
use crate::replica::{Replica, validate_replicas};
use crate::restoring::rehearsal::{Rehearsal, validate_rehearsal};
use crate::retention_rule::{RetentionRule, validate_rules};
use crate::schedule::{MAX_SCHEDULES, Schedule, validate_schedule, validate_time_zone};
use crate::selection::{Selection, validate_selection};
use crate::tags::{MAX_PLAN_TAGS, validate_plan_tags};
use crate::volumes::{VolumeSelection, validate_volume_selection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to protect and how: the document that users write.
///
/// Unknown fields are refused, so that a misspelt setting cannot go unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupPlan {
    /// The plan's name: 1 to 56 lower-case letters, digits and hyphens.
    pub plan_id: PlanId,
    /// What the plan is for, for people; at most 500 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 500))]
    pub description: String,
    /// The IANA time zone of the plan's schedules, retention buckets and ages.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Which instances the plan protects.
    pub selection: Selection,
    /// Which volumes of each instance; all of them where it is left out.
    #[serde(default)]
    pub volumes: VolumeSelection,
    /// Tags to put on every snapshot: at most 25, none starting with `aws:` or `holdfast:`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The largest acceptable age of the newest good recovery point, in minutes (1 to 527,040, that is a year).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 527_040))]
    pub rpo_target_minutes: Option<u32>,
    /// Reasons to keep a recovery point: 1 to 5. A point stays while any rule keeps it.
    #[schemars(length(min = 1, max = 5))]
    pub retention: Vec<RetentionRule>,
    /// Let the last backup of an instance that is gone go too, by the same rules. Where it is left out, it is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expire_gone_resources: bool,
    /// Copies in other regions or accounts, at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub replicas: Vec<Replica>,
    /// How and when its restore is rehearsed; never where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// When the plan runs by itself; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub schedules: Vec<Schedule>,
    /// Hours after which snapshots that are still pending count as failed (1 to 168).
    #[serde(default = "day")]
    #[schemars(range(min = 1, max = 168))]
    pub deadline_hours: u32,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn day() -> u32 {
    24
}

/// Everything that is wrong with a plan, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidPlan {
    /// Each problem, with its field.
    pub problems: Vec<InvalidField>,
}

impl BackupPlan {
    /// Reads and checks a plan that stands at `root` of a larger document (`""`: it is the whole document).
    ///
    /// # Errors
    /// [`InvalidPlan`], naming every field that cannot be taken and what is allowed there.
    pub fn parse(root: &str, document: &serde_json::Value) -> Result<Self, InvalidPlan> {
        let plan: Self = parse_document(root, document).map_err(|problem| InvalidPlan {
            problems: vec![problem],
        })?;
        let mut problems = plan.problems();
        if problems.is_empty() {
            return Ok(plan);
        }
        if !root.is_empty() {
            for problem in &mut problems {
                problem.field = format!("{root}.{}", problem.field);
            }
        }
        Err(InvalidPlan { problems })
    }

    fn problems(&self) -> Vec<InvalidField> {
        let mut problems = Vec::new();
        let mut check_range = |field: &str, value: u32, most: u32| {
            if !(1..=most).contains(&value) {
                problems.push(InvalidField::new(
                    field,
                    format!("{value} is not allowed; give 1 to {most}"),
                ));
            }
        };
        if let Some(minutes) = self.rpo_target_minutes {
            check_range("rpo_target_minutes", minutes, 527_040);
        }
        check_range("deadline_hours", self.deadline_hours, 168);
        let length = self.description.chars().count();
        if length > 500 {
            problems.push(InvalidField::new(
                "description",
                format!("{length} characters; at most 500 are allowed"),
            ));
        }
        problems.extend(validate_time_zone("time_zone", &self.time_zone));
        problems.extend(validate_selection("selection", &self.selection));
        problems.extend(validate_volume_selection("volumes", &self.volumes));
        problems.extend(validate_plan_tags("tags", &self.tags, MAX_PLAN_TAGS));
        problems.extend(validate_rules("retention", &self.retention, false));
        if let Some(rehearsal) = &self.rehearsal {
            problems.extend(validate_rehearsal("rehearsal", rehearsal));
        }
        problems.extend(validate_replicas("replicas", &self.replicas, &self.retention));
        if self.schedules.len() > MAX_SCHEDULES {
            let found = self.schedules.len();
            problems.push(InvalidField::new(
                "schedules",
                format!("{found} schedules; at most {MAX_SCHEDULES} are allowed"),
            ));
        }
        for (index, schedule) in self.schedules.iter().enumerate() {
            problems.extend(validate_schedule(&format!("schedules[{index}]"), schedule));
        }
        problems
    }
}

/// The JSON Schema of a plan, as published in `docs/plan.schema.json`.
#[must_use]
pub fn plan_schema() -> serde_json::Value {
    schemars::schema_for!(BackupPlan).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "plan_id": "nightly",
            "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
            "retention": [{"keep": "daily", "count": 7}, {"keep": "younger_than", "age": "P30D"}],
            "schedules": [{"expression": "cron(0 2 * * ? *)", "time_zone": "Europe/Rome"}],
        })
    }

    fn fields(document: &Value) -> Vec<String> {
        match BackupPlan::parse("", document) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid
                .problems
                .into_iter()
                .map(|problem| problem.field)
                .collect(),
        }
    }

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        let plan = BackupPlan::parse("", &good()).unwrap();
        let again = BackupPlan::parse("", &serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(plan, again);
        assert_eq!(plan.time_zone, "UTC");
        assert_eq!(plan.deadline_hours, 24);
    }

    #[rstest]
    #[case::unknown_field("/rules", json!([]), "rules")]
    #[case::no_rule("/retention", json!([]), "retention")]
    #[case::six_rules("/retention", json!(vec![json!({"keep": "newest", "count": 1}); 6]), "retention")]
    #[case::keeps_nothing("/retention", json!([{"keep": "newest", "count": 0}]), "retention[0].count")]
    #[case::unknown_rule("/retention", json!([{"keep": "always"}]), "retention[0].keep")]
    #[case::misspelt_rule("/retention", json!([{"keep": "daily", "cout": 1}]), "retention[0]")]
    #[case::empty_selection("/selection", json!({}), "selection")]
    #[case::bad_instance("/selection", json!({"instance_ids": ["vol-01234567"]}), "selection.instance_ids[0]")]
    #[case::bad_cron("/schedules", json!([{"expression": "cron(0 2 * * * *)"}]), "schedules[0].expression")]
    #[case::bad_zone(
        "/schedules", json!([{"expression": "rate(1 day)", "time_zone": "Mars/X"}]), "schedules[0].time_zone"
    )]
    #[case::plan_zone("/time_zone", json!("Nowhere"), "time_zone")]
    #[case::reserved_tag("/tags", json!({"aws:x": "1"}), "tags.aws:x")]
    #[case::our_tag("/tags", json!({"holdfast:plan": "1"}), "tags.holdfast:plan")]
    #[case::rpo("/rpo_target_minutes", json!(0), "rpo_target_minutes")]
    #[case::deadline("/deadline_hours", json!(169), "deadline_hours")]
    #[case::id("/plan_id", json!("Nightly!"), "plan_id")]
    #[case::volumes("/volumes", json!({"include": "some"}), "volumes.include")]
    #[case::replica("/replicas", json!([{"region": "mars"}]), "replicas[0].region")]
    fn refuses_and_names(#[case] pointer: &str, #[case] value: Value, #[case] field: &str) {
        let mut document = good();
        document
            .as_object_mut()
            .unwrap()
            .insert(pointer[1..].to_owned(), value);
        assert_eq!(fields(&document), vec![field.to_owned()]);
    }

    #[test]
    fn refuses_more_tags_than_leave_room_for_the_source() {
        let mut document = good();
        let tags: BTreeMap<String, String> = (0..26).map(|n| (format!("k{n}"), String::new())).collect();
        document["tags"] = json!(tags);
        assert_eq!(fields(&document), vec!["tags".to_owned()]);
    }

    #[test]
    fn names_the_field_below_its_root() {
        let mut document = good();
        document["deadline_hours"] = json!(0);
        let error = BackupPlan::parse("plan", &document).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plan.deadline_hours: 0 is not allowed; give 1 to 168"
        );
    }

    #[test]
    fn tells_of_every_problem_at_once() {
        let mut document = good();
        document["deadline_hours"] = json!(0);
        document["time_zone"] = json!("Nowhere");
        assert_eq!(
            fields(&document),
            vec!["deadline_hours".to_owned(), "time_zone".to_owned()]
        );
    }

    #[test]
    fn the_published_schema_is_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plan.schema.json");
        let wanted = format!("{}\n", serde_json::to_string_pretty(&plan_schema()).unwrap());
        #[expect(clippy::disallowed_methods, reason = "a switch of the test itself")]
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(path, &wanted).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            published, wanted,
            "run `make schema` and commit docs/plan.schema.json"
        );
    }
}
