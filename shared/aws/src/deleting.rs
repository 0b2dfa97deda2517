//! Deleting snapshots.

use crate::copies::refusal;
use aws_sdk_ec2::Client;
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::SnapshotId;

const NOT_FOUND: &str = "InvalidSnapshot.NotFound";

/// What came of asking for a snapshot's deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// EC2 deleted it.
    Deleted,
    /// It was gone already.
    Gone,
    /// The bucket is empty: nothing was done, and the next call would fare no better.
    Throttled,
    /// EC2 gave no answer that says whether it was done; its words.
    Unknown(String),
    /// It stays: EC2's own words.
    Refused(String),
}

/// Deletes a snapshot. Asking twice does no harm: the second time it is gone.
pub async fn delete_snapshot(ec2: &Client, snapshot: &SnapshotId) -> Deletion {
    let asked = ec2.delete_snapshot().snapshot_id(snapshot.as_str()).send().await;
    let refused = match asked {
        Ok(_) => return Deletion::Deleted,
        Err(error) => refusal(&error),
    };
    if refused.code.as_deref() == Some(NOT_FOUND) {
        return Deletion::Gone;
    }
    match refused.class {
        ErrorClass::Throttled => Deletion::Throttled,
        ErrorClass::Unknown => Deletion::Unknown(refused.reason),
        ErrorClass::Busy | ErrorClass::Gone | ErrorClass::Refused => Deletion::Refused(refused.reason),
    }
}
