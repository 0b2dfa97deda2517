//! What EC2's reasons for a failed copy mean, and what to do.

use crate::replica::Destination;

/// Whether a copy failed because a key cannot be used. Trying again does not help before somebody mends the key.
#[must_use]
pub fn is_key_problem(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["key", "kms", "cmk"].iter().any(|word| {
        reason
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(|found| found == *word)
    })
}

/// Why a copy came to nothing, and what the user can do about it.
#[must_use]
pub fn explain_copy_error(
    reason: &str,
    key_problem: bool,
    destination: &Destination,
    key: Option<&str>,
) -> String {
    match key {
        _ if !key_problem => reason.to_owned(),
        Some(key) => format!(
            "{reason}. See that {key} is enabled, that its policy lets the role that copies to {destination} use it for \
             EC2, and that the key of the source snapshot can be used from there"
        ),
        None => format!(
            "{reason}. See that the key of the source snapshot is enabled and can be used from {destination}, or give \
             the replica a kms_key_arn"
        ),
    }
}
