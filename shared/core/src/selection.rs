//! Which instances a plan protects, and how a listing of them becomes the list to back up.

use crate::failure::InvalidField;
use crate::ids::{InstanceId, hex_prefix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The most instances that a plan may name one by one. Larger sets are selected by tag.
pub const MAX_INSTANCE_IDS: usize = 500;
/// The most filters in one list. EC2 takes 200 values per filter.
const MAX_FILTERS: usize = 20;
const MAX_VALUES: usize = 200;

/// Instances by id and by tag, less exclusions.
///
/// An instance that is named by id and also carries the tags counts once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// These instances; at most 500. One that cannot be backed up makes the job PARTIAL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub instance_ids: Vec<InstanceId>,
    /// Instances that match every one of these filters; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tags: Vec<TagFilter>,
    /// Never these instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub exclude_instance_ids: Vec<InstanceId>,
    /// Never instances that match any of these filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub exclude_tags: Vec<TagFilter>,
}

/// A tag that a thing carries. Values are compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagFilter {
    /// The tag's key, 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,
    /// Any of these values (at most 200); any value at all where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub values: Vec<String>,
}

impl TagFilter {
    /// Whether `tags` has this key with one of the values.
    #[must_use]
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        tags.get(&self.key)
            .is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}

/// Checks a selection: it names something, within the limits.
#[must_use]
pub fn validate_selection(field: &str, selection: &Selection) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if selection.instance_ids.is_empty() && selection.tags.is_empty() {
        problems.push(InvalidField::new(
            field,
            "selects nothing; give instance_ids, tags or both",
        ));
    }
    for (name, ids) in [
        ("instance_ids", &selection.instance_ids),
        ("exclude_instance_ids", &selection.exclude_instance_ids),
    ] {
        if ids.len() > MAX_INSTANCE_IDS {
            let found = ids.len();
            problems.push(InvalidField::new(
                format!("{field}.{name}"),
                format!("{found} ids; at most {MAX_INSTANCE_IDS} are allowed, select larger sets by tag"),
            ));
        }
    }
    problems.extend(validate_tag_filters(&format!("{field}.tags"), &selection.tags));
    problems.extend(validate_tag_filters(
        &format!("{field}.exclude_tags"),
        &selection.exclude_tags,
    ));
    problems
}

/// Checks a list of tag filters.
#[must_use]
pub fn validate_tag_filters(field: &str, filters: &[TagFilter]) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if filters.len() > MAX_FILTERS {
        problems.push(InvalidField::new(
            field,
            format!("{} filters; at most {MAX_FILTERS}", filters.len()),
        ));
    }
    for (index, filter) in filters.iter().enumerate() {
        let length = filter.key.chars().count();
        if !(1..=128).contains(&length) {
            problems.push(InvalidField::new(
                format!("{field}[{index}].key"),
                format!("{length} characters; a tag key has 1 to 128"),
            ));
        }
        if filter.values.len() > MAX_VALUES {
            problems.push(InvalidField::new(
                format!("{field}[{index}].values"),
                format!("{} values; at most {MAX_VALUES}", filter.values.len()),
            ));
        }
    }
    problems
}

/// One listing to ask EC2 for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceQuery {
    /// These instances, whatever their state; at most 200, as many as a filter takes.
    ByIds(Vec<InstanceId>),
    /// Instances that carry every one of these tags.
    ByTags(Vec<TagFilter>),
}

/// The listings that together cover a selection.
#[must_use]
pub fn plan_queries(selection: &Selection) -> Vec<InstanceQuery> {
    let ids: BTreeSet<&InstanceId> = selection.instance_ids.iter().collect();
    let ids: Vec<InstanceId> = ids.into_iter().cloned().collect();
    let mut queries: Vec<_> = ids
        .chunks(MAX_VALUES)
        .map(|ids| InstanceQuery::ByIds(ids.to_vec()))
        .collect();
    if !selection.tags.is_empty() {
        queries.push(InstanceQuery::ByTags(selection.tags.clone()));
    }
    queries
}

/// An instance's state, as EC2 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Starting; its volumes may not be attached yet.
    Pending,
    /// Running.
    Running,
    /// On its way to stopped; its volumes are attached.
    Stopping,
    /// Stopped.
    Stopped,
    /// On its way to terminated.
    ShuttingDown,
    /// Gone for good.
    Terminated,
}

impl InstanceState {
    /// Whether an instance in this state can be backed up.
    #[must_use]
    pub fn can_be_backed_up(self) -> bool {
        matches!(self, Self::Running | Self::Stopping | Self::Stopped)
    }

    /// EC2's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }
}

/// What a selection needs to know of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its state when it was listed.
    pub state: InstanceState,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Collects listings, page by page, into the list of instances to back up.
#[derive(Debug)]
pub struct Selecting<'a> {
    selection: &'a Selection,
    selected: BTreeSet<InstanceId>,
    unfit: BTreeMap<InstanceId, InstanceState>,
}

/// What a plan's selection came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The instances to back up, each once, in the order of their ids.
    pub instances: Vec<InstanceId>,
    /// Instances the plan names that cannot be backed up, and why.
    pub missing: BTreeMap<InstanceId, String>,
}

impl<'a> Selecting<'a> {
    /// Starts with nothing selected.
    #[must_use]
    pub fn new(selection: &'a Selection) -> Self {
        Self {
            selection,
            selected: BTreeSet::new(),
            unfit: BTreeMap::new(),
        }
    }

    /// Takes one listed instance. An instance that comes twice counts once.
    pub fn take(&mut self, candidate: Candidate) {
        let excluded = self
            .selection
            .exclude_instance_ids
            .contains(&candidate.instance_id)
            || self
                .selection
                .exclude_tags
                .iter()
                .any(|filter| filter.matches(&candidate.tags));
        let by_id = self.selection.instance_ids.contains(&candidate.instance_id);
        let by_tags = !self.selection.tags.is_empty()
            && self
                .selection
                .tags
                .iter()
                .all(|filter| filter.matches(&candidate.tags));
        if excluded || !(by_id || by_tags) {
            return;
        }
        if candidate.state.can_be_backed_up() {
            self.selected.insert(candidate.instance_id);
        } else if by_id {
            self.unfit.insert(candidate.instance_id, candidate.state);
        }
    }

    /// Ends the collecting. Instances named by id and not selected are missing, unless the plan excludes them.
    #[must_use]
    pub fn finish(self) -> Selected {
        let mut missing = BTreeMap::new();
        for id in &self.selection.instance_ids {
            if self.selected.contains(id) || self.selection.exclude_instance_ids.contains(id) {
                continue;
            }
            let why = match self.unfit.get(id) {
                Some(state) => format!(
                    "the instance is {}; only running and stopped ones are backed up",
                    state.as_str()
                ),
                None => {
                    "the instance does not exist, or a tag of the plan's exclude_tags excludes it".to_owned()
                }
            };
            missing.insert(id.clone(), why);
        }
        Selected {
            instances: self.selected.into_iter().collect(),
            missing,
        }
    }
}

/// Names a list of instances by its content, so that the same listing made twice is the same list.
#[must_use]
pub fn manifest_id(instances: &[InstanceId]) -> String {
    let mut digest = Sha256::new();
    for instance in instances {
        digest.update(instance.as_str());
        digest.update([0]);
    }
    hex_prefix(&digest.finalize(), 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn id(n: u32) -> InstanceId {
        InstanceId::try_from(format!("i-{n:017x}")).unwrap()
    }

    fn candidate(n: u32, state: InstanceState, tags: &[(&str, &str)]) -> Candidate {
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Candidate {
            instance_id: id(n),
            state,
            tags,
        }
    }

    fn shop() -> Selection {
        let filter = TagFilter {
            key: "app".to_owned(),
            values: vec!["shop".to_owned()],
        };
        Selection {
            tags: vec![filter],
            ..Selection::default()
        }
    }

    fn select(selection: &Selection, candidates: Vec<Candidate>) -> Selected {
        let mut selecting = Selecting::new(selection);
        for candidate in candidates {
            selecting.take(candidate);
        }
        selecting.finish()
    }

    #[rstest]
    #[case(InstanceState::Running, true)]
    #[case(InstanceState::Stopped, true)]
    #[case(InstanceState::Stopping, true)]
    #[case(InstanceState::Pending, false)]
    #[case(InstanceState::ShuttingDown, false)]
    #[case(InstanceState::Terminated, false)]
    fn selects_running_and_stopped_never_terminated(#[case] state: InstanceState, #[case] taken: bool) {
        let selected = select(&shop(), vec![candidate(1, state, &[("app", "shop")])]);
        assert_eq!(!selected.instances.is_empty(), taken);
        assert!(
            selected.missing.is_empty(),
            "an instance found by tag is never missing"
        );
    }

    #[test]
    fn counts_an_instance_once_that_is_selected_by_id_and_by_tag() {
        let selection = Selection {
            instance_ids: vec![id(1), id(1)],
            ..shop()
        };
        let twin = candidate(1, InstanceState::Running, &[("app", "shop")]);
        let selected = select(&selection, vec![twin.clone(), twin]);
        assert_eq!(selected.instances, vec![id(1)]);
    }

    #[test]
    fn says_which_named_instance_is_missing_and_why() {
        let selection = Selection {
            instance_ids: vec![id(1), id(2), id(3)],
            ..Selection::default()
        };
        let selected = select(
            &selection,
            vec![
                candidate(1, InstanceState::Terminated, &[]),
                candidate(3, InstanceState::Running, &[]),
            ],
        );
        assert_eq!(selected.instances, vec![id(3)]);
        assert!(selected.missing[&id(1)].contains("terminated"));
        assert!(selected.missing[&id(2)].contains("does not exist"));
    }

    #[test]
    fn exclusions_win_over_ids_and_tags() {
        let selection = Selection {
            instance_ids: vec![id(1), id(2)],
            exclude_instance_ids: vec![id(1)],
            exclude_tags: vec![TagFilter {
                key: "backup".to_owned(),
                values: vec!["no".to_owned()],
            }],
            ..shop()
        };
        let selected = select(
            &selection,
            vec![
                candidate(1, InstanceState::Running, &[]),
                candidate(2, InstanceState::Running, &[("backup", "no")]),
                candidate(3, InstanceState::Running, &[("app", "shop"), ("backup", "no")]),
                candidate(4, InstanceState::Running, &[("app", "shop"), ("backup", "yes")]),
            ],
        );
        assert_eq!(selected.instances, vec![id(4)]);
    }

    #[test]
    fn a_filter_without_values_takes_any_value() {
        let filter = TagFilter {
            key: "app".to_owned(),
            values: Vec::new(),
        };
        assert!(filter.matches(&BTreeMap::from([("app".to_owned(), "x".to_owned())])));
        assert!(!filter.matches(&BTreeMap::from([("App".to_owned(), "x".to_owned())])));
    }

    #[test]
    fn asks_for_ids_in_groups_that_a_filter_takes() {
        let selection = Selection {
            instance_ids: (0..450).map(id).collect(),
            ..shop()
        };
        let sizes: Vec<usize> = plan_queries(&selection)
            .iter()
            .map(|query| match query {
                InstanceQuery::ByIds(ids) => ids.len(),
                InstanceQuery::ByTags(filters) => filters.len(),
            })
            .collect();
        assert_eq!(sizes, vec![200, 200, 50, 1]);
    }

    proptest! {
        #[test]
        fn the_order_and_repetition_of_a_listing_change_nothing(mut numbers in prop::collection::vec(0_u32..40, 0..80)) {
            let list = |numbers: &[u32]| {
                select(&shop(), numbers.iter().map(|n| candidate(*n, InstanceState::Running, &[("app", "shop")])).collect())
            };
            let first = list(&numbers);
            numbers.reverse();
            numbers.extend_from_within(..);
            let second = list(&numbers);
            prop_assert_eq!(manifest_id(&first.instances), manifest_id(&second.instances));
            prop_assert_eq!(first, second);
        }
    }
}
