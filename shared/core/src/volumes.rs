//! Which of an instance's volumes belong to a backup, and how EC2 is told.

use crate::configuration::VolumeConfiguration;
use crate::failure::InvalidField;
use crate::ids::VolumeId;
use crate::selection::{TagFilter, validate_tag_filters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of an instance's volumes a plan protects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeSelection {
    /// All volumes, the boot volume only, or data volumes only.
    #[serde(default)]
    pub include: VolumeKind,
    /// Never volumes that match any of these filters; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub exclude_tags: Vec<TagFilter>,
}

/// A kind of volume, by what the instance uses it for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeKind {
    /// Every attached volume.
    #[default]
    All,
    /// The volume on the root device.
    BootOnly,
    /// Every volume but the one on the root device.
    DataOnly,
}

/// Checks a volume selection.
#[must_use]
pub fn validate_volume_selection(field: &str, selection: &VolumeSelection) -> Vec<InvalidField> {
    validate_tag_filters(&format!("{field}.exclude_tags"), &selection.exclude_tags)
}

/// What `CreateSnapshots` is to be told so that it takes just the volumes of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSet {
    /// The volumes the set holds, in the order of their devices.
    pub volumes: Vec<VolumeId>,
    /// Leave the root volume out. EC2 refuses its id among the excluded data volumes.
    pub exclude_boot_volume: bool,
    /// Data volumes to leave out.
    pub exclude_data_volumes: Vec<VolumeId>,
}

/// Decides which of an instance's volumes go into its backup.
///
/// # Errors
/// Why there is nothing to take: no EBS volume is attached, or the plan excludes every one.
pub fn decide_snapshot_set(
    selection: &VolumeSelection,
    volumes: &[VolumeConfiguration],
) -> Result<SnapshotSet, &'static str> {
    if volumes.is_empty() {
        return Err("the instance has no EBS volume attached");
    }
    let mut set = SnapshotSet {
        volumes: Vec::new(),
        exclude_boot_volume: false,
        exclude_data_volumes: Vec::new(),
    };
    for volume in volumes {
        let kind_fits = match selection.include {
            VolumeKind::All => true,
            VolumeKind::BootOnly => volume.is_boot,
            VolumeKind::DataOnly => !volume.is_boot,
        };
        if kind_fits
            && !selection
                .exclude_tags
                .iter()
                .any(|filter| filter.matches(&volume.tags))
        {
            set.volumes.push(volume.volume_id.clone());
        } else if volume.is_boot {
            set.exclude_boot_volume = true;
        } else {
            set.exclude_data_volumes.push(volume.volume_id.clone());
        }
    }
    if set.volumes.is_empty() {
        return Err("the plan's `volumes` setting leaves no volume of the instance");
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn volume(n: u32, is_boot: bool, tag: Option<&str>) -> VolumeConfiguration {
        let mut volume = VolumeConfiguration::sample(n);
        volume.is_boot = is_boot;
        volume
            .tags
            .extend(tag.map(|value| ("backup".to_owned(), value.to_owned())));
        volume
    }

    #[rstest]
    #[case(VolumeKind::All, 3, false, 0)]
    #[case(VolumeKind::BootOnly, 1, false, 2)]
    #[case(VolumeKind::DataOnly, 2, true, 0)]
    fn boot_and_data_volumes_can_be_protected_apart(
        #[case] include: VolumeKind,
        #[case] taken: usize,
        #[case] exclude_boot: bool,
        #[case] excluded: usize,
    ) {
        let volumes = [
            volume(1, true, None),
            volume(2, false, None),
            volume(3, false, None),
        ];
        let set = decide_snapshot_set(
            &VolumeSelection {
                include,
                exclude_tags: Vec::new(),
            },
            &volumes,
        )
        .unwrap();
        assert_eq!(set.volumes.len(), taken);
        assert_eq!(set.exclude_boot_volume, exclude_boot);
        assert_eq!(set.exclude_data_volumes.len(), excluded);
    }

    #[test]
    fn a_tagged_volume_is_left_out_also_when_it_is_the_boot_volume() {
        let selection = VolumeSelection {
            include: VolumeKind::All,
            exclude_tags: vec![TagFilter {
                key: "backup".to_owned(),
                values: vec!["no".to_owned()],
            }],
        };
        let volumes = [
            volume(1, true, Some("no")),
            volume(2, false, Some("no")),
            volume(3, false, Some("yes")),
        ];
        let set = decide_snapshot_set(&selection, &volumes).unwrap();
        assert_eq!(set.volumes, vec![volumes[2].volume_id.clone()]);
        assert!(set.exclude_boot_volume);
        assert_eq!(set.exclude_data_volumes, vec![volumes[1].volume_id.clone()]);
        assert!(decide_snapshot_set(&selection, &volumes[..2]).is_err());
        assert!(decide_snapshot_set(&selection, &[]).is_err());
    }
}
