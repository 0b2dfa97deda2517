//! Copies of snapshots: where one came from, and what a region's copies have in common.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::ids::SnapshotId;
use crate::world::snapshot::Snapshot;
use crate::world::tier::Tier;

/// What a copy was made of, and how much of it had to travel.
#[derive(Debug, Clone)]
pub(crate) struct CopyRecord {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) source: SnapshotId,
    /// Whether an earlier copy was there to build on.
    pub(crate) incremental: bool,
    /// Blocks that were not in that copy; all blocks without one.
    pub(crate) blocks: usize,
}

/// The history that a copy belongs to. Copies of one history in one region and account under one key can be compared
/// and build on each other; never a copy and its source.
pub(crate) fn lineage(account: &str, region: &str, key: Option<&str>, source: &str) -> String {
    format!(
        "{source} copied to {account}/{region} under {}",
        key.unwrap_or("no key")
    )
}

/// Which copies a region has, so that none of them must be searched for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies {
    /// Those that may still be pending.
    pending: Vec<SnapshotId>,
    /// Every one that was started, oldest first.
    by_lineage: BTreeMap<String, Vec<SnapshotId>>,
}

impl Copies {
    pub(crate) fn add(&mut self, copy: &Snapshot) {
        self.pending.push(copy.id.clone());
        self.by_lineage
            .entry(copy.lineage.clone())
            .or_default()
            .push(copy.id.clone());
    }

    /// The copies that are pending now.
    pub(crate) fn pending(
        &mut self,
        snapshots: &BTreeMap<SnapshotId, Snapshot>,
        now: Timestamp,
    ) -> &[SnapshotId] {
        self.pending
            .retain(|id| snapshots.get(id).is_some_and(|snapshot| snapshot.is_pending(now)));
        &self.pending
    }

    /// What the next copy of a lineage builds on: the newest that is complete. One in the archive tier is whole by
    /// itself and carries nothing.
    pub(crate) fn base<'a>(
        &self,
        lineage: &str,
        snapshots: &'a BTreeMap<SnapshotId, Snapshot>,
        now: Timestamp,
    ) -> Option<&'a Snapshot> {
        let copies = self.by_lineage.get(lineage)?;
        copies
            .iter()
            .rev()
            .filter_map(|id| snapshots.get(id))
            .find(|copy| copy.is_completed(now) && copy.tiering.tier(now) == Tier::Standard)
    }
}
