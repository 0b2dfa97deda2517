//! The token buckets of EC2's request throttling: one per action, per account and region.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::clock::seconds_between;
use crate::params::Params;

/// How many calls a bucket holds and how many it gains in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) capacity: f64,
    pub(crate) refill: f64,
}

const fn rate(capacity: f64, refill: f64) -> Rate {
    Rate { capacity, refill }
}

/// Whether a describe asked for part of the resources or for all of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breadth {
    Narrow,
    Everything,
}

/// Which bucket a call draws from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) breadth: Breadth,
    pub(crate) rate: Rate,
}

/// The bucket of an EC2 call.
///
/// The big describes have a smaller bucket for calls with neither a filter nor paging. Ids
/// alone count as neither: that is how AWS words it.
pub(crate) fn ec2_bucket(action: &str, params: &Params) -> Bucket {
    let narrow = |rate| Bucket {
        breadth: Breadth::Narrow,
        rate,
    };
    match action {
        "RunInstances" | "StartInstances" => narrow(rate(5.0, 2.0)),
        "CreateSnapshot"
        | "CreateSnapshots"
        | "DeleteSnapshot"
        | "CreateVolume"
        | "DeregisterImage"
        | "CreateNetworkInterface"
        | "DeleteNetworkInterface"
        | "AttachNetworkInterface"
        | "DetachNetworkInterface"
        | "ModifyNetworkInterfaceAttribute"
        | "ModifySnapshotAttribute"
        | "StopInstances"
        | "TerminateInstances" => narrow(rate(100.0, 5.0)),
        "CreateTags" | "DeleteTags" => narrow(rate(100.0, 10.0)),
        "DescribeSnapshots" | "DescribeVolumes" | "DescribeInstances" | "DescribeInstanceStatus"
            if !params.has_prefix("Filter.")
                && params.text("MaxResults").is_none()
                && params.text("NextToken").is_none() =>
        {
            Bucket {
                breadth: Breadth::Everything,
                rate: rate(50.0, 10.0),
            }
        }
        _ if action.starts_with("Describe") || action.starts_with("Get") => narrow(rate(100.0, 20.0)),
        _ => narrow(rate(50.0, 5.0)),
    }
}

/// The bucket of an EBS direct call. AWS limits reads and writes per snapshot and per account by the
/// same figure, so the account's bucket is the one that binds.
pub(crate) fn ebs_bucket(action: &str) -> Bucket {
    let rate = match action {
        "GetSnapshotBlock" | "PutSnapshotBlock" => rate(1000.0, 1000.0),
        "ListSnapshotBlocks" | "ListChangedBlocks" => rate(50.0, 50.0),
        _ => rate(10.0, 10.0),
    };
    Bucket {
        breadth: Breadth::Narrow,
        rate,
    }
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Timestamp,
}

/// The levels of an account's buckets in one region.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets {
    levels: BTreeMap<(String, Breadth), Level>,
}

impl Buckets {
    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, action: &str, bucket: Bucket, now: Timestamp) -> bool {
        let Rate { capacity, refill } = bucket.rate;
        let level = self
            .levels
            .entry((action.to_owned(), bucket.breadth))
            .or_insert(Level {
                tokens: capacity,
                at: now,
            });
        level.tokens = (level.tokens + refill * seconds_between(level.at, now)).min(capacity);
        level.at = now;
        // Refills add up in fractions: a hair under one is one.
        if level.tokens < 1.0 - 1e-6 {
            return false;
        }
        level.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::clock::after;

    fn taken(buckets: &mut Buckets, action: &str, now: Timestamp, calls: usize) -> usize {
        let bucket = ec2_bucket(action, &Params::default());
        (0..calls).filter(|_| buckets.take(action, bucket, now)).count()
    }

    #[test]
    fn gives_a_burst_and_then_the_refill() {
        let mut buckets = Buckets::default();
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(taken(&mut buckets, "CreateSnapshots", start, 150), 100);
        let later = after(start, SignedDuration::from_secs(20));
        assert_eq!(taken(&mut buckets, "CreateSnapshots", later, 150), 100);
        let soon = after(later, SignedDuration::from_secs(1));
        assert_eq!(taken(&mut buckets, "CreateSnapshots", soon, 150), 5);
    }

    #[test]
    fn keeps_a_bucket_for_each_action() {
        let mut buckets = Buckets::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(taken(&mut buckets, "RunInstances", now, 10), 5);
        assert_eq!(taken(&mut buckets, "StartInstances", now, 10), 5);
    }

    #[test]
    fn has_a_wider_bucket_for_interfaces_than_for_most_of_what_a_restore_calls() {
        let of = |action| ec2_bucket(action, &Params::default()).rate;
        assert_eq!(of("CreateNetworkInterface"), rate(100.0, 5.0));
        for action in [
            "AttachVolume",
            "RegisterImage",
            "CreateImage",
            "CreateReplaceRootVolumeTask",
        ] {
            assert_eq!(of(action), rate(50.0, 5.0), "{action}");
        }
    }

    #[test]
    fn holds_no_more_than_its_capacity() {
        let mut buckets = Buckets::default();
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(taken(&mut buckets, "CreateTags", start, 1), 1);
        let much_later = after(start, SignedDuration::from_hours(1));
        assert_eq!(taken(&mut buckets, "CreateTags", much_later, 500), 100);
    }

    #[test]
    fn counts_a_describe_of_everything_apart() {
        let all = ec2_bucket("DescribeSnapshots", &Params::default());
        let filtered = ec2_bucket("DescribeSnapshots", &Params::from_form(b"Filter.1.Name=status"));
        let paged = ec2_bucket("DescribeInstances", &Params::from_form(b"MaxResults=5"));
        assert_eq!((all.rate.capacity, all.rate.refill), (50.0, 10.0));
        assert_eq!((filtered.rate.capacity, filtered.rate.refill), (100.0, 20.0));
        assert_eq!(paged.breadth, Breadth::Narrow);
        let other = ec2_bucket("GetLaunchTemplateData", &Params::default());
        assert_eq!((other.rate.capacity, other.rate.refill), (100.0, 20.0));
    }
}
