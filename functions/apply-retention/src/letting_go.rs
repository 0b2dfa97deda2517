//! Letting go of one recovery point whose intent is written: snapshot by snapshot, backup by backup.
//!
//! A backup's record goes when the last of its snapshots has gone, so that the next call begins where this one stopped.
//! What is left when all of them are through is the recovery point's own record.

use crate::ApplyRetention;
use crate::apply::Round;
use crate::ledger::{NamedBackup, Proof};
use crate::lookups::{IDS, Needs};
use futures::stream::{self, StreamExt};
use holdfast_aws::deleting::{Deletion, delete_snapshot};
use holdfast_aws::failure::Failure;
use holdfast_core::ids::{InstanceId, SnapshotId};
use holdfast_core::recovery_point::Retirement;
use holdfast_core::retiring::{Deed, KnownPoint, PlanHistory, SnapshotFacts, judge_snapshot, shorten};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// Delete calls at the same time.
const CONCURRENCY: usize = 16;
/// Deferred snapshots that a record names at most: it holds 400 KB.
const RECORDED: usize = 500;
/// Characters of a reason in the record.
const REASON: usize = 240;

/// One point on its way out.
struct Going<'a> {
    history: &'a PlanHistory,
    point: &'a KnownPoint,
    retirement: &'a Retirement,
    proof: Proof,
    now: Timestamp,
    /// Snapshots of which nothing is left.
    gone: BTreeSet<SnapshotId>,
    /// Snapshots that stay for now, and why.
    deferred: BTreeMap<SnapshotId, String>,
    /// Whether some snapshots could be deleted at the next opportunity.
    open: bool,
    /// Whether every snapshot has been looked at.
    is_through: bool,
    /// Backups whose snapshots nobody knows.
    unreadable: u32,
}

impl ApplyRetention {
    /// Deletes what can be deleted of a recovery point that is to go, as much as there is room for.
    pub(crate) async fn let_go(
        &self,
        history: &PlanHistory,
        point: &KnownPoint,
        retirement: &Retirement,
        round: &mut Round,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if !self.ledger.is_free(&history.plan_id, point).await? {
            return Ok(());
        }
        let mut going = Going {
            history,
            point,
            retirement,
            proof: self.ledger.proof(point).await?,
            now,
            gone: BTreeSet::new(),
            deferred: BTreeMap::new(),
            open: false,
            is_through: false,
            unreadable: 0,
        };
        let mut after = None;
        'pages: loop {
            let page = self.ledger.named(history, point, after.as_ref()).await?;
            going.unreadable += page.unreadable;
            for backups in chunks(page.backups) {
                if round.is_spent() {
                    going.open = true;
                    break 'pages;
                }
                self.let_backups_go(&mut going, &backups, round).await?;
            }
            after = page.next;
            if after.is_none() {
                going.is_through = true;
                break;
            }
        }
        self.write_down(going, round).await
    }

    /// Works on some backups with at most 200 snapshots, or on one with more.
    async fn let_backups_go(
        &self,
        going: &mut Going<'_>,
        backups: &[NamedBackup],
        round: &mut Round,
    ) -> Result<(), Failure> {
        let ids: Vec<SnapshotId> = backups
            .iter()
            .flat_map(|backup| &backup.snapshots)
            .cloned()
            .collect();
        let mut condemned = Vec::new();
        for ids in ids.chunks(IDS) {
            let needs = self.find_needs(ids).await?;
            condemned.extend(going.judge(ids, &needs));
        }
        // What is deferred already comes last: it must not keep the bucket from the others.
        condemned.sort_by_key(|id| going.retirement.deferred.contains_key(id));
        if condemned.len() > round.room {
            condemned.truncate(round.room);
            going.open = true;
        }
        self.delete(going, condemned, round).await;
        let done: Vec<InstanceId> = backups
            .iter()
            .filter(|backup| backup.snapshots.iter().all(|id| going.gone.contains(id)))
            .filter_map(|backup| backup.resource.clone())
            .collect();
        if done.is_empty() {
            return Ok(());
        }
        self.ledger
            .delete_backups(&going.history.plan_id, going.point, &done)
            .await
    }

    async fn delete(&self, going: &mut Going<'_>, condemned: Vec<SnapshotId>, round: &mut Round) {
        let is_empty = &AtomicBool::new(round.throttled);
        let mut deletions = stream::iter(condemned)
            .map(|id| async move {
                if is_empty.load(Ordering::Relaxed) {
                    return (id, None);
                }
                let deletion = delete_snapshot(&self.ec2, &id).await;
                if deletion == Deletion::Throttled {
                    is_empty.store(true, Ordering::Relaxed);
                }
                (id, Some(deletion))
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((id, deletion)) = deletions.next().await {
            if deletion.is_some() {
                round.asked += 1;
                round.room = round.room.saturating_sub(1);
            }
            match deletion {
                Some(Deletion::Deleted) => {
                    round.counts.deleted += 1;
                    going.gone.insert(id);
                }
                Some(Deletion::Gone) => {
                    going.gone.insert(id);
                }
                Some(Deletion::Refused(why)) => going.defer(id, &why),
                Some(Deletion::Unknown(why)) => {
                    // The next call looks again, once.
                    going.open |= !going.retirement.deferred.contains_key(&id);
                    going.defer(id, &why);
                }
                Some(Deletion::Throttled) | None => going.open = true,
            }
        }
        round.throttled |= is_empty.load(Ordering::Relaxed);
    }

    /// Writes down what became of the point.
    async fn write_down(&self, going: Going<'_>, round: &mut Round) -> Result<(), Failure> {
        let (plan_id, point) = (&going.history.plan_id, going.point);
        let before = &going.retirement.deferred;
        let mut deferred = going.deferred;
        let new = deferred.keys().filter(|id| !before.contains_key(id)).count();
        round.counts.deferred += u32::try_from(new).unwrap_or(u32::MAX);
        if going.is_through && !going.open && deferred.is_empty() && going.unreadable == 0 {
            if self.ledger.end(plan_id, point, going.retirement, going.now).await? {
                round.counts.retired += 1;
                tracing::info!(plan = %plan_id, recovery_point = %point.recovery_point_id, "a recovery point is gone");
            }
            return Ok(());
        }
        if !going.is_through {
            // What this call has not come to stays as it was.
            let kept = before.iter().filter(|(id, _)| !going.gone.contains(id));
            for (id, why) in kept {
                deferred.entry(id.clone()).or_insert_with(|| why.clone());
            }
        }
        round.open |= going.open;
        round.deferred = round
            .deferred
            .saturating_add(u32::try_from(deferred.len()).unwrap_or(u32::MAX));
        let recorded: BTreeMap<SnapshotId, String> = deferred.into_iter().take(RECORDED).collect();
        if recorded == *before {
            return Ok(());
        }
        let retirement = Retirement {
            deferred: recorded,
            ..going.retirement.clone()
        };
        self.ledger.record_deferred(plan_id, point, &retirement).await
    }
}

impl Going<'_> {
    /// Judges snapshots by what needs them. Gives those that are to be deleted.
    fn judge(&mut self, ids: &[SnapshotId], needs: &Needs) -> Vec<SnapshotId> {
        let mut condemned = Vec::new();
        for id in ids {
            if let Some(why) = &needs.incomplete {
                // Whether it is there at all may be what is not known.
                self.defer(id.clone(), why);
                continue;
            }
            let facts = needs.listed.get(id).map(|listed| SnapshotFacts {
                is_ours: self
                    .proof
                    .is_ours(listed, &self.history.plan_id, &self.point.recovery_point_id),
                image: needs.images.get(id).map(String::as_str),
                lock: needs.locks.get(id).map(String::as_str),
                old_enough_at: self.proof.old_enough_at(listed),
            });
            match judge_snapshot(facts, self.now) {
                Deed::Done => {
                    self.gone.insert(id.clone());
                }
                Deed::Delete => condemned.push(id.clone()),
                Deed::Defer(why) => self.defer(id.clone(), &why),
            }
        }
        condemned
    }

    fn defer(&mut self, id: SnapshotId, why: &str) {
        if !self.retirement.deferred.contains_key(&id) {
            tracing::warn!(recovery_point = %self.point.recovery_point_id, snapshot = %id, why, "a snapshot cannot be deleted yet");
        }
        self.deferred.insert(id, shorten(why, REASON));
    }
}

/// Cuts backups into groups that one lookup takes.
fn chunks(backups: Vec<NamedBackup>) -> Vec<Vec<NamedBackup>> {
    let mut chunks: Vec<Vec<NamedBackup>> = Vec::new();
    let mut snapshots = 0;
    for backup in backups {
        snapshots += backup.snapshots.len();
        match chunks.last_mut() {
            Some(chunk) if snapshots <= IDS => chunk.push(backup),
            _ => {
                snapshots = backup.snapshots.len();
                chunks.push(vec![backup]);
            }
        }
    }
    chunks
}
