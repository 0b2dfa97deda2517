//! Creating snapshots, and finding the ones that exist.

use crate::convert::{filter, tags_from, tags_to, timestamp};
use crate::failure::{Failure, class_of, reason_of};
use aws_config::retry::RetryConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{
    CopyTagsFromSource, Filter, InstanceSpecification, ResourceType, Snapshot, SnapshotInfo,
    SnapshotState as Ec2State, StorageTier, TagSpecification,
};
use holdfast_core::backup::BackupSnapshot;
use holdfast_core::configuration::Tags;
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::{InstanceId, RecoveryPointId, SnapshotId, VolumeId};
use holdfast_core::polling::SnapshotState;
use holdfast_core::tags::{self, SnapshotTags};
use holdfast_core::volumes::SnapshotSet;
use jiff::Timestamp;

/// As many as EC2 gives in one page.
const PAGE: i32 = 1000;

/// What EC2 said to a create call that made nothing, or that may have made something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub class: ErrorClass,
    /// EC2's code, if it gave one.
    pub code: Option<String>,
    /// EC2's own words.
    pub reason: String,
}

impl Refusal {
    /// Whether the caller may not do such a thing at all, whichever snapshot it is.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some(
                "UnauthorizedOperation"
                    | "AuthFailure"
                    | "AccessDenied"
                    | "AccessDeniedException"
                    | "OptInRequired"
                    | "InvalidClientTokenId"
                    | "Blocked"
            )
        )
    }

    /// Whether waiting may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown
        )
    }
}

/// Takes one crash-consistent set of an instance's volumes.
///
/// The call is made once: EC2 has no client token for it, so a repeated call whose first reply was lost would make a
/// second set.
///
/// # Errors
/// EC2's refusal, sorted. After [`ErrorClass::Unknown`] the set may exist all the same.
pub async fn create_snapshot_set(
    ec2: &Client,
    instance: &InstanceId,
    set: &SnapshotSet,
    tags: &SnapshotTags,
    description: &str,
) -> Result<Vec<BackupSnapshot>, Refusal> {
    let excluded = set
        .exclude_data_volumes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    let specification = InstanceSpecification::builder()
        .instance_id(instance.as_str())
        .exclude_boot_volume(set.exclude_boot_volume)
        .set_exclude_data_volume_ids((!excluded.is_empty()).then_some(excluded))
        .build();
    let tag_specification = TagSpecification::builder()
        .resource_type(ResourceType::Snapshot)
        .set_tags(Some(tags_to(&tags.create)))
        .build();
    let answer = ec2
        .create_snapshots()
        .instance_specification(specification)
        .description(description)
        .tag_specifications(tag_specification)
        .set_copy_tags_from_source(tags.copy_from_source.then_some(CopyTagsFromSource::Volume))
        .customize()
        .config_override(once())
        .send()
        .await
        .map_err(|error| Refusal {
            class: class_of(&error),
            code: error.code().map(str::to_owned),
            reason: reason_of(&error),
        })?;
    let mut snapshots = answer
        .snapshots()
        .iter()
        .map(snapshot_from)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Refusal {
            class: ErrorClass::Unknown,
            code: None,
            reason: "EC2 answered with a snapshot that lacks its id".to_owned(),
        })?;
    snapshots.sort_by(|a, b| a.volume_id.cmp(&b.volume_id));
    Ok(snapshots)
}

/// Settings of a call that is made once and never repeated by the SDK.
pub(crate) fn once() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::standard().with_max_attempts(1))
}

fn snapshot_from(info: &SnapshotInfo) -> Option<BackupSnapshot> {
    Some(BackupSnapshot {
        snapshot_id: SnapshotId::try_from(info.snapshot_id()?).ok()?,
        volume_id: VolumeId::try_from(info.volume_id()?).ok()?,
        started_at: timestamp(info.start_time()?)?,
        size_gib: info.volume_size().unwrap_or(0),
        encrypted: info.encrypted().unwrap_or(false),
    })
}

/// Adds the tags of the source volumes that could not go in the create call.
///
/// # Errors
/// EC2's refusal in its own words. The snapshots are whole without these tags.
pub async fn add_source_tags(
    ec2: &Client,
    snapshots: &[BackupSnapshot],
    tags: &SnapshotTags,
) -> Result<(), String> {
    for snapshot in snapshots {
        let Some(source) = tags.after.get(&snapshot.volume_id) else {
            continue;
        };
        ec2.create_tags()
            .resources(snapshot.snapshot_id.as_str())
            .set_tags(Some(tags_to(source)))
            .send()
            .await
            .map_err(|error| format!("tagging {} failed: {}", snapshot.snapshot_id, reason_of(&error)))?;
    }
    Ok(())
}

/// A snapshot that EC2 lists under a recovery point's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSnapshot {
    /// What a backup's record holds of it.
    pub snapshot: BackupSnapshot,
    /// Its state.
    pub state: SnapshotState,
    /// Its progress in percent.
    pub percent: u8,
    /// EC2's reason, for one that failed.
    pub message: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Whether it lies in the archive tier.
    pub archived: bool,
    /// The key it is encrypted with.
    pub key: Option<String>,
}

/// Lists the account's own snapshots that carry a recovery point's tag, page by page, handing each to `take`. Copies
/// of them are left out.
///
/// `resources`, at most 200, narrows the listing down. A tag is only a claim: who acts on it checks the seal or asks
/// the catalog.
///
/// # Errors
/// A page that cannot be read: the listing is incomplete and must not be used.
pub async fn describe_recovery_point(
    ec2: &Client,
    recovery_point: &RecoveryPointId,
    resources: Option<&[InstanceId]>,
    mut take: impl FnMut(ListedSnapshot),
) -> Result<(), Failure> {
    let mut filters = vec![filter(
        format!("tag:{}", tags::RECOVERY_POINT),
        [recovery_point.as_str()],
    )];
    if let Some(resources) = resources {
        filters.push(filter(
            format!("tag:{}", tags::RESOURCE),
            resources.iter().map(InstanceId::as_str),
        ));
    }
    let what = format!("the snapshots of {recovery_point}");
    list_snapshots(ec2, filters, &what, |listed| {
        if !listed.tags.contains_key(tags::SOURCE_SNAPSHOT) {
            take(listed);
        }
    })
    .await
}

/// Lists the account's own snapshots by filters, page by page, handing each to `take`.
///
/// # Errors
/// A page that cannot be read: the listing is incomplete and must not be used.
pub(crate) async fn list_snapshots(
    ec2: &Client,
    filters: Vec<Filter>,
    what: &str,
    mut take: impl FnMut(ListedSnapshot),
) -> Result<(), Failure> {
    let mut pages = ec2
        .describe_snapshots()
        .owner_ids("self")
        .set_filters(Some(filters))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::call(format!("listing {what}"), error))?;
        page.snapshots().iter().filter_map(listed).for_each(&mut take);
    }
    Ok(())
}

/// A snapshot as EC2 lists it; none without readable ids.
fn listed(snapshot: &Snapshot) -> Option<ListedSnapshot> {
    let started_at = snapshot.start_time().and_then(timestamp);
    Some(ListedSnapshot {
        snapshot: BackupSnapshot {
            snapshot_id: SnapshotId::try_from(snapshot.snapshot_id()?).ok()?,
            volume_id: VolumeId::try_from(snapshot.volume_id()?).ok()?,
            started_at: started_at.unwrap_or(Timestamp::UNIX_EPOCH),
            size_gib: snapshot.volume_size().unwrap_or(0),
            encrypted: snapshot.encrypted().unwrap_or(false),
        },
        state: match snapshot.state() {
            Some(Ec2State::Completed) => SnapshotState::Completed,
            Some(Ec2State::Error) => SnapshotState::Error,
            _ => SnapshotState::Pending,
        },
        percent: snapshot
            .progress()
            .and_then(|text| text.trim_end_matches('%').parse().ok())
            .unwrap_or(0),
        message: snapshot
            .state_message()
            .filter(|message| !message.is_empty())
            .map(str::to_owned),
        tags: tags_from(snapshot.tags()),
        archived: snapshot.storage_tier() == Some(&StorageTier::Archive),
        key: snapshot.kms_key_id().map(str::to_owned),
    })
}
