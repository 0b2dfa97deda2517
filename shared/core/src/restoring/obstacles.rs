//! What stands in a restore's way, found before anything is made.

use crate::failure::InvalidField;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that cannot come back as it was, and what the user may choose instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// The field of the request that settles it, such as `overrides.subnet_id`.
    pub field: String,
    /// What is in the way.
    pub problem: String,
    /// What the field may be given. Empty where nothing in the request helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

impl Obstacle {
    /// Names `field`, says what is in the way and what may be chosen.
    pub fn new<C: Into<String>>(
        field: impl Into<String>,
        problem: impl Into<String>,
        choices: impl IntoIterator<Item = C>,
    ) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            choices: choices.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<InvalidField> for Obstacle {
    fn from(invalid: InvalidField) -> Self {
        Self {
            field: invalid.field,
            problem: invalid.problem,
            choices: Vec::new(),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)?;
        if self.choices.is_empty() {
            return Ok(());
        }
        write!(f, "; give {}", self.choices.join(", or "))
    }
}
