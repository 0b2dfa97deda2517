//! What a test may turn about an account.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::after;
use crate::random::{SplitMix, fingerprint};

/// The account's settings; a `POST` of any subset replaces just those.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// How long a new snapshot, image, instance, volume or interface is missing from describes.
    pub(crate) visibility_delay_seconds: f64,
    /// How long any snapshot takes, at least.
    pub(crate) snapshot_base_seconds: f64,
    /// What each GiB of the volume adds.
    pub(crate) snapshot_seconds_per_gib: f64,
    /// Whether the throttle buckets are there at all.
    pub(crate) throttling: bool,
    /// The least time between two snapshot starts of one volume.
    pub(crate) per_volume_interval_seconds: f64,
    /// Pending snapshots per volume (one for st1 and sc1, whatever this says).
    pub(crate) pending_per_volume: usize,
    /// Snapshots per region.
    pub(crate) snapshot_limit: usize,
    /// Copies in progress to a region.
    pub(crate) copy_limit: usize,
    /// How long any copy takes, at least.
    pub(crate) copy_base_seconds: f64,
    /// What each GiB that has to travel adds.
    pub(crate) copy_seconds_per_gib: f64,
    /// By which part of its time a copy is late at most; how much it is depends on its id.
    pub(crate) copy_jitter: f64,
    /// How long a move to the archive tier takes, and one back.
    pub(crate) archive_seconds: f64,
    /// Real time that every call takes.
    pub(crate) call_latency_ms: u64,
    /// How long an instance is pending, stopping or shutting down.
    pub(crate) instance_transition_seconds: f64,
    /// How long the status checks take after each start.
    pub(crate) status_check_seconds: f64,
    /// How long the replacement of a root volume takes.
    pub(crate) replace_root_seconds: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            visibility_delay_seconds: 0.0,
            snapshot_base_seconds: 5.0,
            snapshot_seconds_per_gib: 0.0,
            throttling: true,
            per_volume_interval_seconds: 15.0,
            pending_per_volume: 5,
            snapshot_limit: 100_000,
            copy_limit: 20,
            copy_base_seconds: 5.0,
            copy_seconds_per_gib: 0.0,
            copy_jitter: 0.0,
            archive_seconds: 30.0,
            call_latency_ms: 0,
            instance_transition_seconds: 0.0,
            status_check_seconds: 0.0,
            replace_root_seconds: 0.0,
        }
    }
}

impl Settings {
    /// How long a snapshot of a volume of this size takes.
    pub(crate) fn snapshot_duration(&self, size_gib: u32) -> SignedDuration {
        seconds(self.snapshot_base_seconds + self.snapshot_seconds_per_gib * f64::from(size_gib))
    }

    /// How long the copy with this id takes that has so much to bring.
    pub(crate) fn copy_duration(&self, id: &str, gib: f64) -> SignedDuration {
        let late = self.copy_jitter * SplitMix::new(fingerprint(id)).fraction();
        seconds((self.copy_base_seconds + self.copy_seconds_per_gib * gib) * (1.0 + late))
    }

    pub(crate) fn archive_duration(&self) -> SignedDuration {
        seconds(self.archive_seconds)
    }

    pub(crate) fn visibility_delay(&self) -> SignedDuration {
        seconds(self.visibility_delay_seconds)
    }

    /// From when on describes show what is made now; always where nothing delays them, also when the clock is put back.
    pub(crate) fn visible_from(&self, now: Timestamp) -> Timestamp {
        let delay = self.visibility_delay();
        if delay.is_zero() {
            Timestamp::MIN
        } else {
            after(now, delay)
        }
    }

    pub(crate) fn instance_transition(&self) -> SignedDuration {
        seconds(self.instance_transition_seconds)
    }

    pub(crate) fn status_check(&self) -> SignedDuration {
        seconds(self.status_check_seconds)
    }

    pub(crate) fn replace_root(&self) -> SignedDuration {
        seconds(self.replace_root_seconds)
    }
}

/// Seconds as a duration; what no duration can hold is a very long one.
pub(crate) fn seconds(amount: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(amount).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_copy_late_by_at_most_its_part_and_always_by_the_same() {
        let settings = Settings {
            copy_base_seconds: 10.0,
            copy_seconds_per_gib: 1.0,
            copy_jitter: 0.5,
            ..Settings::default()
        };
        let times: Vec<f64> = (0..100)
            .map(|number| {
                settings
                    .copy_duration(&format!("snap-{number:017x}"), 10.0)
                    .as_secs_f64()
            })
            .collect();
        assert!(times.iter().all(|time| (20.0..30.0).contains(time)), "{times:?}");
        assert!(times.iter().any(|time| *time > 27.0), "{times:?}");
        assert_eq!(
            settings.copy_duration("snap-1", 2.0),
            settings.copy_duration("snap-1", 2.0)
        );
    }
}
