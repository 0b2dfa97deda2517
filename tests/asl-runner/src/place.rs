//! Where in a definition something stands, and the error that names the place.

use std::fmt;

/// A definition that Step Functions, or this runner, would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct DefinitionError {
    /// The state and the field.
    pub place: Place,
    /// What is wrong there, and what is allowed.
    pub problem: String,
}

/// A field of a state, or of the machine itself where no state is named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The innermost state around the field.
    pub state: Option<String>,
    /// The path of the field within the state, as in `Retry[0].ErrorEquals`; empty for the state as a whole.
    pub field: String,
}

impl Place {
    /// The place of a state as a whole.
    pub(crate) fn state(name: &str) -> Self {
        Self {
            state: Some(name.to_owned()),
            field: String::new(),
        }
    }

    /// The field `name` of the object here.
    pub(crate) fn field(&self, name: &str) -> Self {
        let separator = if self.field.is_empty() { "" } else { "." };
        Self {
            state: self.state.clone(),
            field: format!("{}{separator}{name}", self.field),
        }
    }

    /// The item `index` of the array here.
    pub(crate) fn item(&self, index: usize) -> Self {
        Self {
            state: self.state.clone(),
            field: format!("{}[{index}]", self.field),
        }
    }

    /// The place that `path`, keys and indices from the top of a definition, leads to.
    pub(crate) fn from_path(path: &[String]) -> Self {
        let mut place = Self::default();
        let mut keys = path.iter().peekable();
        while let Some(key) = keys.next() {
            match keys.peek() {
                Some(state) if key == "States" => {
                    place = Self::state(state);
                    keys.next();
                }
                _ => {
                    place = key
                        .parse()
                        .map_or_else(|_| place.field(key), |index| place.item(index));
                }
            }
        }
        place
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> DefinitionError {
        DefinitionError {
            place: self.clone(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.state, self.field.as_str()) {
            (Some(state), "") => write!(formatter, "state {state}"),
            (Some(state), field) => write!(formatter, "state {state}, field {field}"),
            (None, "") => formatter.write_str("state machine"),
            (None, field) => write!(formatter, "state machine, field {field}"),
        }
    }
}
