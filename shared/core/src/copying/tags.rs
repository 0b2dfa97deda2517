//! The tags of copies: the source's, with the source's ids, sealed anew.

use crate::configuration::Tags;
use crate::ids::{InstanceId, SnapshotId, VolumeId};
use crate::recovery_point::RecoveryPoint;
use crate::replica::Destination;
use crate::seal::SealKey;
use crate::tags::{self, MAX_TAGS};

/// The snapshot that a copy is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource<'a> {
    /// Its recovery point.
    pub point: &'a RecoveryPoint,
    /// The resource.
    pub resource_id: &'a InstanceId,
    /// The snapshot.
    pub snapshot_id: &'a SnapshotId,
    /// The volume it is of.
    pub volume_id: &'a VolumeId,
    /// Its account and region.
    pub place: &'a Destination,
    /// Its tags as EC2 shows them.
    pub tags: &'a Tags,
}

/// The tags of a copy, and the keys of source tags that find no room.
///
/// Who it is comes from the catalog. The device list comes from the source's tags, then the plan's own tags, then the
/// others of the source as far as there is room.
///
/// # Errors
/// The seal's key cannot be used.
pub fn decide_copy_tags(
    source: &CopySource<'_>,
    key: &SealKey,
) -> Result<(Tags, Vec<String>), hmac::digest::InvalidLength> {
    let mut copy = identity(source);
    let seal = key.seal(&copy)?;
    copy.insert(tags::SEAL.to_owned(), seal);
    let plan_tags = &source.point.plan.tags;
    copy.extend(plan_tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    let mut left_out = Vec::new();
    for (key, value) in source.tags {
        if tags::is_reserved(key) || copy.contains_key(key) {
            continue;
        }
        if copy.len() < MAX_TAGS {
            copy.insert(key.clone(), value.clone());
        } else {
            left_out.push(key.clone());
        }
    }
    Ok((copy, left_out))
}

/// The tags of a hop: who it is, whom it is for, and nothing else. It lives for hours.
///
/// # Errors
/// The seal's key cannot be used.
pub fn decide_hop_tags(
    source: &CopySource<'_>,
    destination: &Destination,
    key: &SealKey,
) -> Result<Tags, hmac::digest::InvalidLength> {
    let mut hop = identity(source);
    hop.insert(
        tags::HOP.to_owned(),
        format!("{}/{}", destination.account_id, destination.region),
    );
    let seal = key.seal(&hop)?;
    hop.insert(tags::SEAL.to_owned(), seal);
    Ok(hop)
}

fn identity(source: &CopySource<'_>) -> Tags {
    let point = source.point;
    let mut identity: Tags = source
        .tags
        .iter()
        .filter(|(key, _)| key.starts_with(tags::DEVICES))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in [
        (tags::SCHEMA, "1"),
        (tags::PLAN, point.plan_id.as_str()),
        (tags::JOB, point.job_id.as_str()),
        (tags::RECOVERY_POINT, point.recovery_point_id.as_str()),
        (tags::MOMENT, &point.moment.to_string()),
        (tags::RESOURCE, source.resource_id.as_str()),
        (tags::SOURCE_SNAPSHOT, source.snapshot_id.as_str()),
        (tags::SOURCE_VOLUME, source.volume_id.as_str()),
        (tags::SOURCE_REGION, source.place.region.as_str()),
        (tags::SOURCE_ACCOUNT, source.place.account_id.as_str()),
    ] {
        identity.insert(key.to_owned(), value.to_owned());
    }
    identity
}
