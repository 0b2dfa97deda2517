//! The tags that a snapshot carries from the call that creates it.
//!
//! Identity tags (`holdfast:…`) are the catalog's shadow: enough to rebuild it, and sealed. Then come the plan's own
//! tags, then the source volume's, within the 50 that EC2 takes. EC2 reserves keys that start with `aws:`.

use crate::configuration::{Tags, VolumeConfiguration};
use crate::failure::InvalidField;
use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, VolumeId};
use crate::seal::SealKey;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The prefix of every tag of ours.
pub const PREFIX: &str = "holdfast:";
/// The version of this set of tags.
pub const SCHEMA: &str = "holdfast:schema";
/// The plan.
pub const PLAN: &str = "holdfast:plan";
/// The job.
pub const JOB: &str = "holdfast:job";
/// The recovery point.
pub const RECOVERY_POINT: &str = "holdfast:recovery-point";
/// The moment the recovery point stands for.
pub const MOMENT: &str = "holdfast:moment";
/// The protected instance.
pub const RESOURCE: &str = "holdfast:resource";
/// Devices and volumes of the whole set; continued in `holdfast:devices-2` and on where one value is too short.
pub const DEVICES: &str = "holdfast:devices";
/// The snapshot that a copy is of. Copies and hops carry it, a recovery point's own snapshots never do.
pub const SOURCE_SNAPSHOT: &str = "holdfast:source-snapshot";
/// The volume that a copy's source is of.
pub const SOURCE_VOLUME: &str = "holdfast:source-volume";
/// The region of a copy's source.
pub const SOURCE_REGION: &str = "holdfast:source-region";
/// The account of a copy's source.
pub const SOURCE_ACCOUNT: &str = "holdfast:source-account";
/// The destination that a hop is for, as `account/region`.
pub const HOP: &str = "holdfast:hop";
/// The seal over all of the above.
pub const SEAL: &str = "holdfast:seal";

/// What a resource may carry, by EC2's rules.
pub const MAX_TAGS: usize = 50;
/// What a plan may add. It leaves room for identity tags and the source's own.
pub const MAX_PLAN_TAGS: usize = 25;
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;
const RESERVED: &str = "aws:";

/// Whether a tag is one of ours.
#[must_use]
pub fn is_identity(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// Whether a tag is AWS's or ours, and so none that a user may set.
#[must_use]
pub fn is_reserved(key: &str) -> bool {
    key.get(..RESERVED.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(RESERVED))
        || is_identity(key)
}

/// Checks tags that a user wants on snapshots.
#[must_use]
pub fn validate_plan_tags(field: &str, tags: &Tags, most: usize) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if tags.len() > most {
        problems.push(InvalidField::new(
            field,
            format!("{} tags; at most {most} are allowed", tags.len()),
        ));
    }
    for (key, value) in tags {
        let at = format!("{field}.{key}");
        if is_reserved(key) {
            problems.push(InvalidField::new(
                at,
                "keys that start with aws: or holdfast: are reserved",
            ));
        } else if !(1..=MAX_KEY).contains(&key.chars().count()) {
            problems.push(InvalidField::new(
                at,
                format!("a tag key has 1 to {MAX_KEY} characters"),
            ));
        } else if value.chars().count() > MAX_VALUE {
            problems.push(InvalidField::new(
                at,
                format!("a tag value has at most {MAX_VALUE} characters"),
            ));
        }
    }
    problems
}

/// What a backup's snapshots say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotIdentity {
    /// The plan.
    pub plan_id: PlanId,
    /// The job.
    pub job_id: JobId,
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// The moment the recovery point stands for.
    pub moment: Timestamp,
    /// The protected instance.
    pub resource_id: InstanceId,
    /// The set's volumes and the devices they were attached as.
    pub devices: Vec<(String, VolumeId)>,
}

impl SnapshotIdentity {
    /// The identity as sealed tags.
    ///
    /// # Errors
    /// The seal's key cannot be used.
    pub fn to_tags(&self, key: &SealKey) -> Result<Tags, hmac::digest::InvalidLength> {
        let mut tags: Tags = [
            (SCHEMA, "1".to_owned()),
            (PLAN, self.plan_id.to_string()),
            (JOB, self.job_id.to_string()),
            (RECOVERY_POINT, self.recovery_point_id.to_string()),
            (MOMENT, self.moment.to_string()),
            (RESOURCE, self.resource_id.to_string()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        for (index, value) in devices_values(&self.devices).into_iter().enumerate() {
            let key = if index == 0 {
                DEVICES.to_owned()
            } else {
                format!("{DEVICES}-{}", index + 1)
            };
            tags.insert(key, value);
        }
        let seal = key.seal(&tags)?;
        tags.insert(SEAL.to_owned(), seal);
        Ok(tags)
    }
}

fn devices_values(devices: &[(String, VolumeId)]) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for (device, volume) in devices {
        let entry = format!("{device}={}", volume.as_str().trim_start_matches("vol-"));
        match values.last_mut() {
            Some(last) if last.len() + 1 + entry.len() <= MAX_VALUE => {
                last.push(' ');
                last.push_str(&entry);
            }
            _ => values.push(entry),
        }
    }
    values
}

/// How the tags of one snapshot set come onto it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotTags {
    /// Tags in the create call, on every snapshot of the set.
    pub create: Tags,
    /// Let EC2 copy each volume's own tags in the create call.
    pub copy_from_source: bool,
    /// Source tags to add once the snapshots exist, where EC2 cannot copy them. Identity never depends on them.
    pub after: BTreeMap<VolumeId, Tags>,
    /// Keys of source tags that find no room.
    pub left_out: BTreeMap<VolumeId, Vec<String>>,
}

/// Decides how identity, plan tags and the volumes' own tags come onto a set.
///
/// `CreateSnapshots` puts the same tags on the whole set. Source tags that all volumes share go along; differing ones
/// are copied by EC2 where nothing stands against it: no reserved key, none that we set ourselves, at most 50 in sum.
/// Otherwise they follow after the create call, less the reserved ones, as far as there is room.
#[must_use]
pub fn decide_snapshot_tags(
    identity: Tags,
    plan_tags: &Tags,
    volumes: &[&VolumeConfiguration],
) -> SnapshotTags {
    let mut create = identity;
    create.extend(plan_tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    let room = MAX_TAGS.saturating_sub(create.len());

    let mut fitting: BTreeMap<VolumeId, Tags> = BTreeMap::new();
    let mut left_out = BTreeMap::new();
    let mut copyable = true;
    for volume in volumes {
        let mut wanted: Vec<_> = volume
            .tags
            .iter()
            .filter(|(key, _)| !is_reserved(key) && !create.contains_key(*key))
            .collect();
        copyable &= wanted.len() == volume.tags.len() && wanted.len() <= room;
        let surplus: Vec<String> = wanted
            .drain(room.min(wanted.len())..)
            .map(|(key, _)| key.clone())
            .collect();
        if !surplus.is_empty() {
            left_out.insert(volume.volume_id.clone(), surplus);
        }
        let tags = wanted
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        fitting.insert(volume.volume_id.clone(), tags);
    }

    let mut sets = fitting.values();
    let first = sets.next().cloned().unwrap_or_default();
    if sets.all(|tags| *tags == first) {
        create.extend(first);
        return SnapshotTags {
            create,
            copy_from_source: false,
            after: BTreeMap::new(),
            left_out,
        };
    }
    if copyable {
        return SnapshotTags {
            create,
            copy_from_source: true,
            after: BTreeMap::new(),
            left_out,
        };
    }
    fitting.retain(|_, tags| !tags.is_empty());
    SnapshotTags {
        create,
        copy_from_source: false,
        after: fitting,
        left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn volume(n: u32, pairs: &[(&str, &str)]) -> VolumeConfiguration {
        let mut volume = VolumeConfiguration::sample(n);
        volume.tags = tags(pairs);
        volume
    }

    fn identity(volumes: u32) -> SnapshotIdentity {
        let moment: Timestamp = "2026-11-24T02:00:00Z".parse().unwrap();
        let plan_id = PlanId::try_from("nightly").unwrap();
        let (job_id, recovery_point_id) =
            crate::ids::derive_run_ids(&plan_id, &crate::ids::Occasion::Slot(moment));
        let devices = (0..volumes)
            .map(VolumeConfiguration::sample)
            .map(|volume| (volume.device, volume.volume_id))
            .collect();
        let resource_id = InstanceId::try_from("i-0123456789abcdef0").unwrap();
        SnapshotIdentity {
            plan_id,
            job_id,
            recovery_point_id,
            moment,
            resource_id,
            devices,
        }
    }

    #[test]
    fn forty_one_volumes_fit_with_every_device_and_every_plan_tag() {
        let sealed = identity(41).to_tags(&SealKey::new(vec![1; 32])).unwrap();
        assert!(sealed.len() + MAX_PLAN_TAGS <= MAX_TAGS, "{}", sealed.len());
        assert!(
            sealed
                .iter()
                .all(|(key, value)| key.len() <= MAX_KEY && value.len() <= MAX_VALUE)
        );
        let devices = sealed
            .iter()
            .filter(|(key, _)| key.starts_with(DEVICES))
            .map(|(_, value)| value);
        assert_eq!(devices.flat_map(|value| value.split_whitespace()).count(), 41);
    }

    #[test]
    fn the_source_tags_of_a_single_volume_go_in_the_create_call() {
        let one = volume(
            1,
            &[
                ("Name", "data"),
                ("aws:cloudformation:stack-name", "shop"),
                ("holdfast:plan", "forged"),
            ],
        );
        let decided = decide_snapshot_tags(
            tags(&[("holdfast:plan", "nightly")]),
            &tags(&[("team", "a")]),
            &[&one],
        );
        assert_eq!(
            decided.create,
            tags(&[("holdfast:plan", "nightly"), ("team", "a"), ("Name", "data")])
        );
        assert!(!decided.copy_from_source && decided.after.is_empty());
    }

    #[test]
    fn ec2_copies_differing_source_tags_where_nothing_stands_against_it() {
        let (one, two) = (volume(1, &[("Name", "root")]), volume(2, &[("Name", "data")]));
        let decided =
            decide_snapshot_tags(tags(&[("holdfast:plan", "nightly")]), &Tags::new(), &[&one, &two]);
        assert!(decided.copy_from_source && decided.after.is_empty());
    }

    #[test]
    fn reserved_keys_never_reach_the_create_call_and_the_others_follow() {
        let (one, two) = (volume(1, &[("Name", "root"), ("aws:x", "1")]), volume(2, &[]));
        let decided =
            decide_snapshot_tags(tags(&[("holdfast:plan", "nightly")]), &Tags::new(), &[&one, &two]);
        assert!(!decided.copy_from_source);
        assert_eq!(
            decided.after,
            BTreeMap::from([(one.volume_id.clone(), tags(&[("Name", "root")]))])
        );
    }

    #[test]
    fn a_plan_tag_wins_over_the_source_tag_of_the_same_key() {
        let (one, two) = (volume(1, &[("team", "source")]), volume(2, &[("Name", "data")]));
        let decided = decide_snapshot_tags(Tags::new(), &tags(&[("team", "plan")]), &[&one, &two]);
        assert!(!decided.copy_from_source);
        assert_eq!(decided.create, tags(&[("team", "plan")]));
        assert_eq!(decided.after.len(), 1);
    }

    #[test]
    fn never_more_than_fifty_and_what_is_left_out_is_said() {
        let pairs: Vec<(String, String)> = (0..50).map(|n| (format!("key{n:02}"), String::new())).collect();
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let (one, two) = (volume(1, &pairs), volume(2, &[("Name", "data")]));
        let decided =
            decide_snapshot_tags(tags(&[("holdfast:plan", "nightly")]), &Tags::new(), &[&one, &two]);
        assert!(!decided.copy_from_source);
        assert_eq!(
            decided.after[&one.volume_id].len() + decided.create.len(),
            MAX_TAGS
        );
        assert_eq!(decided.left_out[&one.volume_id], vec!["key49".to_owned()]);
    }
}
