//! Reads a definition, or says which field of which state is wrong.

mod check;
mod fields;
mod states;
mod substitute;

pub use substitute::substitution_names;

use crate::definition::{Processor, StateMachine};
use crate::node::Node;
use crate::place::{DefinitionError, Place};
use fields::Fields;
use std::collections::BTreeMap;

/// The longest time that Step Functions can count.
const MAX_SECONDS: u32 = 99_999_999;

impl StateMachine {
    /// Reads an ASL file, with `${Name}` in its strings replaced as a template's `DefinitionSubstitutions` would.
    ///
    /// Stricter than Step Functions, because tests should find what AWS would only tell at run time: a state that
    /// cannot be reached, one from which no end can be reached, a variable that no state assigns, a variable
    /// named like a function and an unknown function are errors. Only `JSONata` is read, and of a task only what
    /// Holdfast uses: no heartbeats, tokens or credentials.
    ///
    /// # Errors
    /// [`DefinitionError`] naming the state and the field of the first thing that is wrong.
    pub fn parse(asl: &str, substitutions: &BTreeMap<String, String>) -> Result<Self, DefinitionError> {
        let top = Place::default();
        let mut node = Node::parse(asl).map_err(|error| top.error(format!("is not JSON: {error}")))?;
        substitute::substitute(&mut node, substitutions)?;
        let known = [
            "Comment",
            "QueryLanguage",
            "Version",
            "TimeoutSeconds",
            "StartAt",
            "States",
        ];
        let fields = Fields::of(&node, top.clone(), &known)?;
        fields.text("Comment")?;
        if fields.text("QueryLanguage")? != Some("JSONata") {
            return Err(top.field("QueryLanguage").error("must be JSONata"));
        }
        if fields.text("Version")?.is_some_and(|version| version != "1.0") {
            return Err(top.field("Version").error("must be 1.0"));
        }
        let timeout_seconds = fields.whole("TimeoutSeconds", 1, MAX_SECONDS)?.map(u64::from);
        let processor = read_processor(&fields)?;
        check::check(&processor, &top)?;
        Ok(Self {
            timeout_seconds,
            processor,
        })
    }
}

/// Reads `StartAt` and `States`.
fn read_processor(fields: &Fields<'_>) -> Result<Processor, DefinitionError> {
    let start_at = fields.required_text("StartAt")?.to_owned();
    let place = fields.place.field("States");
    let node = fields.required("States")?;
    let entries = node
        .entries()
        .ok_or_else(|| place.error(format!("must be an object, is {}", node.kind())))?;
    if entries.is_empty() {
        return Err(place.error("must not be empty"));
    }
    let mut states = BTreeMap::new();
    for (name, node) in entries {
        if name.is_empty() || name.chars().count() > 80 {
            return Err(Place::state(name).error("a state's name must have 1 to 80 characters"));
        }
        states.insert(name.clone(), states::read_state(name, node)?);
    }
    Ok(Processor { start_at, states })
}
