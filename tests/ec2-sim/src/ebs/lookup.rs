//! Finds the snapshots that a call names, and reads its numbers.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::actions::Scope;
use crate::params::{Params, lower_first};
use crate::world::snapshot::Snapshot;
use crate::world::tier::Tier;

use super::EbsError;

const ID_LIMIT: usize = 64;

/// A snapshot of the account in any state. Those of other accounts do not exist here.
pub(super) fn own<'a>(scope: &'a Scope<'_>, id: &str) -> Result<&'a Snapshot, EbsError> {
    check_id(id)?;
    scope
        .region
        .snapshots
        .get(id)
        .filter(|snapshot| snapshot.owner == scope.account)
        .ok_or_else(|| EbsError::snapshot_not_found(id))
}

/// A snapshot whose blocks can be read: a completed one that is not archived.
pub(super) fn readable<'a>(scope: &'a Scope<'_>, id: &str) -> Result<&'a Snapshot, EbsError> {
    let snapshot = own(scope, id)?;
    if snapshot.tiering.tier(scope.now) == Tier::Archive {
        return Err(EbsError::validation(
            "INVALID_SNAPSHOT_ID",
            format!("The snapshot '{id}' is archived, but must be in the standard tier."),
        ));
    }
    if snapshot.is_completed(scope.now) {
        return Ok(snapshot);
    }
    Err(wrong_state(snapshot, scope, "completed"))
}

/// The answer to a call that needs the snapshot in another state.
pub(super) fn wrong_state(snapshot: &Snapshot, scope: &Scope<'_>, needed: &str) -> EbsError {
    let state = snapshot.state(scope.now);
    EbsError::validation(
        "INVALID_SNAPSHOT_ID",
        format!(
            "The snapshot '{}' is {}, but must be {needed}.",
            snapshot.id,
            state.word()
        ),
    )
}

fn check_id(id: &str) -> Result<(), EbsError> {
    let well_formed = id.len() <= ID_LIMIT
        && id.strip_prefix("snap-").is_some_and(|digits| {
            !digits.is_empty()
                && digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
    if well_formed {
        return Ok(());
    }
    Err(EbsError::validation(
        "INVALID_SNAPSHOT_ID",
        format!("The snapshot id '{id}' is not valid."),
    ))
}

/// A parameter that is a number in a range, when it was given.
pub(super) fn number<T>(params: &Params, name: &str, range: &RangeInclusive<T>) -> Result<Option<T>, EbsError>
where
    T: FromStr + PartialOrd + Display,
{
    params
        .text(name)
        .map(|text| bounded(text, name, range))
        .transpose()
}

/// A number in a range.
pub(super) fn bounded<T>(text: &str, name: &str, range: &RangeInclusive<T>) -> Result<T, EbsError>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse()
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| {
            EbsError::invalid_value(format!(
                "Value '{text}' at '{}' must be a number from {} to {}.",
                lower_first(name),
                range.start(),
                range.end()
            ))
        })
}
