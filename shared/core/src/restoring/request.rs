//! What a restore is asked for: the document that a user starts an execution with.

use super::Mode;
use super::overrides::Overrides;
use crate::failure::{InvalidField, parse_document};
use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most resources that one restore names or finds.
pub const MAX_RESOURCES: usize = 500;

/// What a restore execution is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreInput {
    /// Give resources back.
    Restore(Box<RestoreRequest>),
    /// Put back what an in-place restore took off.
    Undo(UndoRequest),
    /// Rehearse a plan's restore with the settings that the plan has for it.
    Rehearse(RehearseRequest),
    /// End in good order what an execution left that came to an end it was not meant for.
    Resume(ResumeRequest),
}

/// A restore of one or more resources of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The plan.
    pub plan_id: PlanId,
    /// Which recovery point; the newest good one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point_id: Option<RecoveryPointId>,
    /// The newest good recovery point whose moment is not later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// Where the recovery point lies; here, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RestoreSource>,
    /// What is wanted.
    pub mode: Mode,
    /// Which resources; all of the recovery point where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<InstanceId>,
    /// Which come before which.
    #[serde(default)]
    pub order: Order,
    /// What is to be other than captured.
    #[serde(default)]
    pub overrides: Overrides,
    /// The same for single resources; it wins over `overrides`, field by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides_by_resource: BTreeMap<InstanceId, Overrides>,
    /// Which volumes, and for mode `volumes` where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumesRequest>,
    /// The image's name: for mode `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRequest>,
    /// How a restored instance is proved good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What becomes of what was made when the restore fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// For how many hours an in-place restore can be undone (1 to 720).
    #[serde(default = "three_days")]
    pub undo_hours: u32,
    /// Minutes after which the restore is given up and taken back (5 to 1,440).
    #[serde(default = "four_hours")]
    pub deadline_minutes: u32,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

fn three_days() -> u32 {
    72
}

fn four_hours() -> u32 {
    240
}

/// Where a recovery point's replica lies, in the same account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreSource {
    /// The region.
    pub region: String,
    /// The account; this one where it is left out. Restores from another account's vault are started there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Which resources are restored before which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// All side by side.
    #[default]
    Together,
    /// One after the other, as `resources` lists them.
    Listed,
    /// By the value of this tag, smallest first, numbers as numbers; those of one value side by side, those without
    /// the tag last.
    ByTag(String),
}

/// Which volumes are made, and where they go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumesRequest {
    /// The devices they were captured at; all of them where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// The zone; that of `attach_to`, or else of the captured volume where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// The instance that they are attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_to: Option<InstanceId>,
    /// The device there for each captured device; the captured one where it is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attach_as: BTreeMap<String, String>,
}

/// What a machine image is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// Its name: 3 to 128 letters, digits and `()[] ./-'@_`.
    pub name: String,
}

/// How a restored instance is proved good. EC2's own status checks always come first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// A Systems Manager command that must succeed on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssm: Option<SsmProof>,
    /// A Lambda function that must say yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<LambdaProof>,
    /// Minutes within which all of it must be proved (1 to 720).
    #[serde(default = "half_an_hour")]
    #[schemars(range(min = 1, max = 720))]
    pub deadline_minutes: u32,
}

fn half_an_hour() -> u32 {
    30
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            ssm: None,
            lambda: None,
            deadline_minutes: half_an_hour(),
        }
    }
}

/// A Systems Manager command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SsmProof {
    /// The document, such as `AWS-RunShellScript`.
    pub document: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Vec<String>>,
}

/// A Lambda function. It is given `job_id`, `resource_id`, `instance_id` and `private_ip_address`, and answers
/// `{"proved": true}`, `{"proved": false, "reason": …}`, or `{"proved": null}` to be asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LambdaProof {
    /// Its name. It begins with `holdfast-proof-`, as this stack may call no other.
    pub function_name: String,
}

/// What a proof function's name begins with.
pub const PROOF_FUNCTION: &str = "holdfast-proof-";

/// What becomes of what was made when a restore fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is removed.
    #[default]
    Remove,
    /// The new instance stays for somebody to look at.
    Leave,
}

/// Asks for an in-place restore to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The restore job.
    pub undo: JobId,
    /// Which of its resources; all of them where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<InstanceId>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Asks for a rehearsal by a plan's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RehearseRequest {
    /// The plan.
    pub rehearse: PlanId,
    /// The slot that a schedule started the execution for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Timestamp>,
}

/// Asks for the orderly end of what another execution left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// The execution's ARN.
    pub resume: String,
    /// How it ended: `ABORTED`, `FAILED` or `TIMED_OUT`.
    pub status: String,
}

impl RestoreInput {
    /// Reads an execution input.
    ///
    /// # Errors
    /// Every field that cannot be taken, with what is allowed there.
    pub fn parse(input: &Value) -> Result<Self, Vec<InvalidField>> {
        let has = |field: &str| input.get(field).is_some();
        let one = |problem: InvalidField| vec![problem];
        if has("undo") {
            return parse_document("", input).map(Self::Undo).map_err(one);
        }
        if has("rehearse") {
            return parse_document("", input).map(Self::Rehearse).map_err(one);
        }
        if has("resume") {
            return parse_document("", input).map(Self::Resume).map_err(one);
        }
        let request: RestoreRequest = parse_document("", input).map_err(one)?;
        let problems = request.problems();
        if problems.is_empty() {
            Ok(Self::Restore(Box::new(request)))
        } else {
            Err(problems)
        }
    }
}

impl RestoreRequest {
    /// What is to be other than captured for one resource.
    #[must_use]
    pub fn overrides_of(&self, resource: &InstanceId) -> Overrides {
        match self.overrides_by_resource.get(resource) {
            None => self.overrides.clone(),
            Some(own) => own.clone().over(&self.overrides),
        }
    }

    fn problems(&self) -> Vec<InvalidField> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, problem: String| problems.push(InvalidField::new(field, problem));
        if self.mode == Mode::Undo {
            let names = Mode::NAMED.map(Mode::as_str).join(", ");
            refuse(
                "mode",
                format!("undo is asked for as {{\"undo\": \"job-…\"}}; give one of {names}"),
            );
        }
        if self.recovery_point_id.is_some() && self.before.is_some() {
            refuse(
                "before",
                "both recovery_point_id and before are given; give one of them".to_owned(),
            );
        }
        if self.resources.len() > MAX_RESOURCES {
            let found = self.resources.len();
            refuse(
                "resources",
                format!("{found} resources; at most {MAX_RESOURCES} are allowed"),
            );
        }
        let distinct: BTreeSet<&InstanceId> = self.resources.iter().collect();
        if distinct.len() < self.resources.len() {
            refuse("resources", "a resource is named twice".to_owned());
        }
        if self.order == Order::Listed && self.resources.is_empty() {
            refuse("order", "listed needs resources to be given".to_owned());
        }
        if let Some(stranger) = self
            .overrides_by_resource
            .keys()
            .find(|id| !self.resources.is_empty() && !self.resources.contains(id))
        {
            refuse(
                &format!("overrides_by_resource.{stranger}"),
                "it is not among resources".to_owned(),
            );
        }
        for (field, value, range) in [
            ("undo_hours", self.undo_hours, 1..=720),
            ("deadline_minutes", self.deadline_minutes, 5..=1440),
        ] {
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                refuse(field, format!("{value} is not allowed; give {least} to {most}"));
            }
        }
        if self.image.is_some() && self.mode != Mode::Image {
            refuse(
                "image",
                format!("it is for mode image, and the mode is {}", self.mode),
            );
        }
        if self.volumes.is_some() && !matches!(self.mode, Mode::Volumes | Mode::InPlace) {
            refuse(
                "volumes",
                format!(
                    "it is for modes volumes and in_place, and the mode is {}",
                    self.mode
                ),
            );
        }
        if self.proof.is_some() && matches!(self.mode, Mode::Volumes | Mode::Image) {
            refuse(
                "proof",
                format!("mode {} makes no instance that could be proved", self.mode),
            );
        }
        if let Some(proof) = &self.proof {
            problems.extend(validate_proof("proof", proof));
        }
        problems.extend(self.problems_of_parts());
        problems.extend(self.overrides.problems("overrides", self.mode));
        for (resource, overrides) in &self.overrides_by_resource {
            problems.extend(overrides.problems(&format!("overrides_by_resource.{resource}"), self.mode));
        }
        problems
    }

    /// What of the image's name and of the volumes cannot be meant.
    fn problems_of_parts(&self) -> Vec<InvalidField> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, problem: &str| problems.push(InvalidField::new(field, problem));
        let stays = matches!(self.mode, Mode::Clone | Mode::NonDestructive | Mode::Destructive);
        if self.on_failure == OnFailure::Leave && !stays {
            refuse(
                "on_failure",
                "leave is for modes clone, non_destructive and destructive, which make an instance to stay; give remove",
            );
        }
        if let Some(image) = &self.image {
            let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "()[] ./-'@_".contains(letter);
            if !(3..=128).contains(&image.name.len()) || !image.name.chars().all(is_allowed) {
                refuse("image.name", "give 3 to 128 letters, digits and ()[] ./-'@_");
            }
            if self.resources.len() != 1 {
                refuse("image.name", "one name is for one resource; name it in resources");
            }
        }
        if let Some(volumes) = &self.volumes {
            let goes_elsewhere = volumes.availability_zone.is_some() || volumes.attach_to.is_some();
            if self.mode == Mode::InPlace && goes_elsewhere {
                refuse(
                    "volumes",
                    "in place the volumes stay where they are; give devices only",
                );
            }
            if !volumes.attach_as.is_empty() && volumes.attach_to.is_none() {
                refuse("volumes.attach_as", "it needs volumes.attach_to");
            }
            let devices: BTreeSet<&String> = volumes.attach_as.values().collect();
            if devices.len() < volumes.attach_as.len() {
                refuse("volumes.attach_as", "two volumes are to go to one device");
            }
        }
        problems
    }
}

/// Checks how an instance is to be proved good.
#[must_use]
pub fn validate_proof(field: &str, proof: &Proof) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if !(1..=720).contains(&proof.deadline_minutes) {
        problems.push(InvalidField::new(
            format!("{field}.deadline_minutes"),
            format!("{} is not allowed; give 1 to 720", proof.deadline_minutes),
        ));
    }
    if let Some(ssm) = &proof.ssm {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-.:/".contains(letter);
        if !(3..=128).contains(&ssm.document.len()) || !ssm.document.chars().all(is_name) {
            problems.push(InvalidField::new(
                format!("{field}.ssm.document"),
                "give the name of a document, such as AWS-RunShellScript",
            ));
        }
    }
    if let Some(lambda) = &proof.lambda {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        let rest = lambda.function_name.strip_prefix(PROOF_FUNCTION);
        if !rest.is_some_and(|rest| (1..=49).contains(&rest.len()) && rest.chars().all(is_name)) {
            problems.push(InvalidField::new(
                format!("{field}.lambda.function_name"),
                format!("give the name of a function that begins with {PROOF_FUNCTION}"),
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn good() -> Value {
        json!({"plan_id": "nightly", "mode": "clone", "resources": ["i-0123456789abcdef0"]})
    }

    fn fields(document: &Value) -> Vec<String> {
        match RestoreInput::parse(document) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.field).collect(),
        }
    }

    #[test]
    fn a_request_of_three_fields_is_enough() {
        assert_eq!(fields(&good()), Vec::<String>::new());
        assert_eq!(
            fields(&json!({"plan_id": "nightly", "mode": "destructive"})),
            Vec::<String>::new()
        );
        assert_eq!(
            fields(&json!({"undo": "job-20261126T051000Z-0123456789abcdef"})),
            Vec::<String>::new()
        );
        assert_eq!(fields(&json!({"rehearse": "nightly"})), Vec::<String>::new());
    }

    #[rstest]
    #[case::unknown_field("point", json!("rp"), "point")]
    #[case::unknown_mode("mode", json!("copy"), "mode")]
    #[case::undo_as_mode("mode", json!("undo"), "mode")]
    #[case::no_point("recovery_point_id", json!("rp-1"), "recovery_point_id")]
    #[case::no_moment("before", json!("yesterday"), "before")]
    #[case::twice("resources", json!(["i-0123456789abcdef0", "i-0123456789abcdef0"]), "resources")]
    #[case::no_instance("resources", json!(["vol-01234567"]), "resources[0]")]
    #[case::hours("undo_hours", json!(0), "undo_hours")]
    #[case::deadline("deadline_minutes", json!(1), "deadline_minutes")]
    #[case::volumes_elsewhere("volumes", json!({}), "volumes")]
    #[case::image_elsewhere("image", json!({"name": "abc"}), "image")]
    #[case::proof_deadline("proof", json!({"deadline_minutes": 0}), "proof.deadline_minutes")]
    #[case::proof_function("proof", json!({"lambda": {"function_name": "mine"}}), "proof.lambda.function_name")]
    #[case::misspelt_override("overrides", json!({"subnet": "subnet-1"}), "overrides.subnet")]
    #[case::stranger("overrides_by_resource", json!({"i-0123456789abcdef1": {}}),
        "overrides_by_resource.i-0123456789abcdef1")]
    fn refuses_and_names(#[case] key: &str, #[case] value: Value, #[case] field: &str) {
        let mut document = good();
        document.as_object_mut().unwrap().insert(key.to_owned(), value);
        assert_eq!(fields(&document), vec![field.to_owned()]);
    }

    #[rstest]
    #[case::clone(Mode::Clone, true)]
    #[case::non_destructive(Mode::NonDestructive, true)]
    #[case::destructive(Mode::Destructive, true)]
    #[case::in_place(Mode::InPlace, false)]
    #[case::volumes(Mode::Volumes, false)]
    #[case::image(Mode::Image, false)]
    #[case::rehearsal(Mode::Rehearsal, false)]
    fn only_an_instance_that_was_to_stay_is_left_after_a_failure(#[case] mode: Mode, #[case] taken: bool) {
        let mut document = good();
        document["mode"] = json!(mode);
        document["on_failure"] = json!("leave");
        let refused = fields(&document).contains(&"on_failure".to_owned());
        assert_eq!(refused, !taken);
    }

    #[test]
    fn an_unknown_mode_is_told_which_there_are() {
        let problems = RestoreInput::parse(&json!({"plan_id": "nightly", "mode": "copy"})).unwrap_err();
        for mode in Mode::NAMED {
            assert!(problems[0].problem.contains(mode.as_str()), "{}", problems[0]);
        }
    }

    #[test]
    fn a_point_and_a_moment_contradict_each_other() {
        let mut document = good();
        document["recovery_point_id"] = json!("rp-20261126T020000Z-0123456789abcdef");
        document["before"] = json!("2026-11-26T00:00:00Z");
        assert_eq!(fields(&document), vec!["before".to_owned()]);
    }
}
