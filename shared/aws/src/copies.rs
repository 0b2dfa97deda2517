//! Copying snapshots to another region or account, sharing them for it, and looking at copies.

use crate::convert::{filter, tags_to};
use crate::failure::{Failure, class_of, reason_of};
use crate::snapshots::{ListedSnapshot, Refusal, list_snapshots, once};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, LockMode as Ec2LockMode, ResourceType,
    SnapshotAttributeName, TagSpecification,
};
use holdfast_core::configuration::Tags;
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::{PlanId, RecoveryPointId, SnapshotId};
use holdfast_core::replica::{Destination, Lock, LockMode};
use holdfast_core::tags;

/// As many values as one filter takes.
const VALUES: usize = 200;

/// What EC2 is asked to copy, and how.
#[derive(Debug)]
pub struct CopyOrder<'a> {
    /// The snapshot that is read.
    pub from: &'a SnapshotId,
    /// The region it lies in.
    pub from_region: &'a str,
    /// The key of the copy; without one an encrypted source's copy is under the default key.
    pub key: Option<&'a str>,
    /// Whether the source is encrypted.
    pub encrypted: bool,
    /// The tags of the copy.
    pub tags: &'a Tags,
    /// Its description.
    pub description: &'a str,
}

/// Asks for one copy, in the region of `ec2`. The call is made once: EC2 has no client token for it.
///
/// # Errors
/// EC2's refusal, sorted. After [`ErrorClass::Unknown`] the copy may exist all the same.
pub async fn copy_snapshot(ec2: &Client, order: &CopyOrder<'_>) -> Result<SnapshotId, Refusal> {
    let tag_specification = TagSpecification::builder()
        .resource_type(ResourceType::Snapshot)
        .set_tags(Some(tags_to(order.tags)))
        .build();
    let answer = ec2
        .copy_snapshot()
        .source_region(order.from_region)
        .source_snapshot_id(order.from.as_str())
        .set_encrypted((order.encrypted || order.key.is_some()).then_some(true))
        .set_kms_key_id(order.key.map(str::to_owned))
        .description(order.description)
        .tag_specifications(tag_specification)
        .customize()
        .config_override(once())
        .send()
        .await
        .map_err(|error| refusal(&error))?;
    let id = answer.snapshot_id().unwrap_or_default();
    SnapshotId::try_from(id).map_err(|error| Refusal {
        class: ErrorClass::Unknown,
        code: None,
        reason: error.to_string(),
    })
}

pub(crate) fn refusal<E>(error: &SdkError<E>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Refusal {
        class: class_of(error),
        code: error.code().map(str::to_owned),
        reason: reason_of(error),
    }
}

/// Lets an account read a snapshot. Asking twice changes nothing.
///
/// # Errors
/// EC2's refusal, sorted: also that the snapshot's key keeps it from being shared.
pub async fn share_snapshot(ec2: &Client, snapshot: &SnapshotId, account: &str) -> Result<(), Refusal> {
    let permission = CreateVolumePermission::builder().user_id(account).build();
    ec2.modify_snapshot_attribute()
        .snapshot_id(snapshot.as_str())
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .create_volume_permission(
            CreateVolumePermissionModifications::builder()
                .add(permission)
                .build(),
        )
        .send()
        .await
        .map(drop)
        .map_err(|error| refusal(&error))
}

/// Whether EC2 says that there is no such snapshot.
fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("InvalidSnapshot.NotFound")
}

/// Ends the sharing of a snapshot with an account. One that is gone, or was not shared, is fine.
///
/// # Errors
/// The call failed.
pub async fn unshare_snapshot(ec2: &Client, snapshot: &SnapshotId, account: &str) -> Result<(), Failure> {
    let permission = CreateVolumePermission::builder().user_id(account).build();
    let done = ec2
        .modify_snapshot_attribute()
        .snapshot_id(snapshot.as_str())
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .create_volume_permission(
            CreateVolumePermissionModifications::builder()
                .remove(permission)
                .build(),
        )
        .send()
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(Failure::call(
            format!("ending the sharing of {snapshot} with account {account}"),
            error,
        )),
    }
}

/// Deletes a snapshot that a job made for its own use, such as a hop. One that is gone is fine.
///
/// # Errors
/// The call failed.
pub async fn delete_temporary(ec2: &Client, snapshot: &SnapshotId) -> Result<(), Failure> {
    let done = ec2.delete_snapshot().snapshot_id(snapshot.as_str()).send().await;
    match done {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(Failure::call(
            format!("deleting {snapshot}, which is not needed any more"),
            error,
        )),
    }
}

/// Locks a complete copy. Locking it again in the same way changes nothing.
///
/// # Errors
/// EC2's refusal.
pub async fn lock_snapshot(ec2: &Client, snapshot: &SnapshotId, lock: &Lock) -> Result<(), Refusal> {
    let (mode, cool_off) = match lock.mode {
        LockMode::Governance => (Ec2LockMode::Governance, None),
        LockMode::Compliance => (
            Ec2LockMode::Compliance,
            lock.cool_off_hours.and_then(|hours| i32::try_from(hours).ok()),
        ),
    };
    ec2.lock_snapshot()
        .snapshot_id(snapshot.as_str())
        .lock_mode(mode)
        .set_cool_off_period(cool_off)
        .lock_duration(i32::try_from(lock.days).unwrap_or(i32::MAX))
        .send()
        .await
        .map(drop)
        .map_err(|error| refusal(&error))
}

/// Lists the account's own snapshots with these ids. Those that are not there are left out.
///
/// # Errors
/// A page that cannot be read.
pub async fn describe_by_ids(ec2: &Client, ids: &[SnapshotId]) -> Result<Vec<ListedSnapshot>, Failure> {
    let mut found = Vec::new();
    for ids in ids.chunks(VALUES) {
        // A filter, not ids: one unknown id fails a call that names ids.
        let filters = vec![filter("snapshot-id", ids.iter().map(SnapshotId::as_str))];
        list_snapshots(ec2, filters, "the snapshots that the catalog names", |listed| {
            found.push(listed);
        })
        .await?;
    }
    Ok(found)
}

/// Lists what copies, or hops for `hop_for`, exist of these snapshots of a recovery point, by their tags.
///
/// # Errors
/// A page that cannot be read.
pub async fn describe_copies(
    ec2: &Client,
    point: &RecoveryPointId,
    sources: &[SnapshotId],
    hop_for: Option<&Destination>,
) -> Result<Vec<ListedSnapshot>, Failure> {
    let mut found = Vec::new();
    for sources in sources.chunks(VALUES) {
        let mut filters = vec![
            filter(format!("tag:{}", tags::RECOVERY_POINT), [point.as_str()]),
            filter(
                format!("tag:{}", tags::SOURCE_SNAPSHOT),
                sources.iter().map(SnapshotId::as_str),
            ),
        ];
        if let Some(destination) = hop_for {
            let value = format!("{}/{}", destination.account_id, destination.region);
            filters.push(filter(format!("tag:{}", tags::HOP), [value]));
        }
        list_snapshots(ec2, filters, &format!("the copies of {point}"), |listed| {
            if listed.tags.contains_key(tags::HOP) == hop_for.is_some() {
                found.push(listed);
            }
        })
        .await?;
    }
    Ok(found)
}

/// Lists every copy of a plan's recovery points that lies here, by its tags, handing each to `take` with its recovery
/// point.
///
/// # Errors
/// A page that cannot be read: the listing is incomplete and must not be used.
pub async fn describe_copies_of_plan(
    ec2: &Client,
    plan: &PlanId,
    mut take: impl FnMut(RecoveryPointId, ListedSnapshot),
) -> Result<(), Failure> {
    let filters = vec![
        filter(format!("tag:{}", tags::PLAN), [plan.as_str()]),
        filter("tag-key", [tags::SOURCE_SNAPSHOT]),
    ];
    list_snapshots(ec2, filters, &format!("the copies of plan {plan}"), |listed| {
        let point = listed.tags.get(tags::RECOVERY_POINT).cloned();
        if let Some(Ok(point)) = point.map(RecoveryPointId::try_from) {
            take(point, listed);
        }
    })
    .await
}
