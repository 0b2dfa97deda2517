//! A decision under way: what it looks at, what is in its way, and why things will differ.

use super::fidelity::Difference;
use super::obstacles::Obstacle;
use super::overrides::Overrides;
use super::surroundings::Surroundings;
use super::{Held, Mode};
use crate::configuration::InstanceConfiguration;
use crate::ids::InstanceId;
use std::collections::BTreeMap;

/// Decides about one resource; collects what is in the way and why things will differ.
pub(super) struct Deciding<'a> {
    pub(super) mode: Mode,
    pub(super) resource: &'a InstanceId,
    pub(super) held: &'a Held,
    pub(super) captured: &'a InstanceConfiguration,
    pub(super) overrides: &'a Overrides,
    pub(super) around: &'a Surroundings,
    /// The key of volumes for which neither request nor snapshot names one, where they are made encrypted.
    pub(super) default_key: Option<&'a String>,
    pub(super) obstacles: Vec<Obstacle>,
    /// Why a field will differ, by the beginning of its name.
    pub(super) reasons: BTreeMap<String, String>,
    /// Whether the processor options are others than the type has by itself.
    pub(super) sets_cpu_options: bool,
    /// What is to be told beside what the comparison finds.
    pub(super) further: Vec<Difference>,
}

impl Deciding<'_> {
    pub(super) fn block<C: Into<String>>(
        &mut self,
        field: &str,
        problem: impl Into<String>,
        choices: impl IntoIterator<Item = C>,
    ) {
        self.obstacles.push(Obstacle::new(field, problem, choices));
    }

    /// The same for what a destructive recovery takes as it was, so that its request has no such field.
    pub(super) fn block_network<C: Into<String>>(
        &mut self,
        field: &str,
        problem: impl Into<String>,
        choices: impl IntoIterator<Item = C>,
    ) {
        if self.mode == Mode::Destructive {
            self.block("mode", problem, [format!("non_destructive, with {field}")]);
        } else {
            self.block(field, problem, choices);
        }
    }

    pub(super) fn because(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.reasons.insert(field.into(), why.into());
    }

    /// The original, where it is here and makes room for the new instance.
    pub(super) fn replaced(&self) -> Option<&InstanceConfiguration> {
        let original = self.around.original.as_ref()?;
        (self.mode == Mode::Destructive && !self.held.is_replica).then_some(original)
    }
}
