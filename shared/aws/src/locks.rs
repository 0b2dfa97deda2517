//! Locks on snapshots.

use crate::convert::timestamp;
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{LockState, LockedSnapshotsInfo};
use holdfast_core::ids::SnapshotId;
use std::collections::HashMap;

/// As many ids as one call names.
const IDS: usize = 200;

/// Finds the locks on these snapshots, which must be there: for each locked one what the lock is, in words. A lock that
/// has expired is none.
///
/// # Errors
/// EC2's refusal: the listing is incomplete, so each of the snapshots may be locked.
pub async fn find_locks(ec2: &Client, ids: &[SnapshotId]) -> Result<HashMap<SnapshotId, String>, Refusal> {
    let mut found = HashMap::new();
    for ids in ids.chunks(IDS) {
        let mut token: Option<String> = None;
        loop {
            let page = ec2
                .describe_locked_snapshots()
                .set_snapshot_ids(Some(ids.iter().map(ToString::to_string).collect()))
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| refusal(&error))?;
            found.extend(page.snapshots().iter().filter_map(lock_from));
            token = page
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// A lock that holds, in words.
fn lock_from(info: &LockedSnapshotsInfo) -> Option<(SnapshotId, String)> {
    let snapshot = SnapshotId::try_from(info.snapshot_id()?).ok()?;
    let state = info.lock_state();
    if state == Some(&LockState::Expired) {
        return None;
    }
    let mode = state.map_or("an unknown", LockState::as_str);
    let until = info.lock_expires_on().and_then(timestamp).map_or_else(
        || "for a time that EC2 does not tell".to_owned(),
        |until| format!("until {}", until.strftime("%Y-%m-%dT%H:%M:%SZ")),
    );
    Some((snapshot, format!("locked in {mode} mode {until}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: LockState) -> LockedSnapshotsInfo {
        LockedSnapshotsInfo::builder()
            .snapshot_id("snap-01234567")
            .lock_state(state)
            .lock_expires_on(aws_smithy_types::DateTime::from_secs(86_400))
            .build()
    }

    #[test]
    fn a_lock_says_how_long_it_holds_and_an_expired_one_is_none() {
        let (_, words) = lock_from(&info(LockState::Governance)).unwrap();
        assert_eq!(words, "locked in governance mode until 1970-01-02T00:00:00Z");
        assert!(lock_from(&info(LockState::ComplianceCooloff)).is_some());
        assert!(lock_from(&info(LockState::Expired)).is_none());
    }
}
