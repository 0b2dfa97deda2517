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
    point: &'a KnownPoint,
    retirement: &'a Retirement,
    proof: Proof,
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

/// Some backups of some points, with about as many snapshots as may still be deleted.
#[derive(Default)]
struct Lot {
    /// Each with the place of its point.
    backups: Vec<(usize, NamedBackup)>,
    snapshots: usize,
}

impl ApplyRetention {
    /// Deletes what can be deleted of recovery points that are to go, in their order, as much as there is room for.
    ///
    /// What needs the snapshots is looked up for many points together: a plan may have many points of few snapshots.
    pub(crate) async fn let_go(
        &self,
        history: &PlanHistory,
        points: &[(&KnownPoint, &Retirement)],
        round: &mut Round,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let mut going: Vec<Going<'_>> = Vec::new();
        let mut lot = Lot::default();
        'points: for (point, retirement) in points {
            if round.is_spent() {
                round.open = true;
                break;
            }
            if !self.ledger.is_free(&history.plan_id, point, now).await? {
                continue;
            }
            let place = going.len();
            going.push(Going::new(point, retirement, self.ledger.proof(point).await?));
            let mut after = None;
            loop {
                let page = self.ledger.named(history, point, after.as_ref()).await?;
                going[place].unreadable += page.unreadable;
                for backup in page.backups {
                    if lot.is_full(&backup, round) {
                        let lot = std::mem::take(&mut lot);
                        self.let_lot_go(history, &mut going, lot, round, now).await?;
                        if round.is_spent() {
                            going[place].open = true;
                            break 'points;
                        }
                    }
                    lot.snapshots += backup.snapshots.len();
                    lot.backups.push((place, backup));
                }
                after = page.next;
                if after.is_none() {
                    going[place].is_through = true;
                    break;
                }
            }
        }
        if !round.is_spent() {
            self.let_lot_go(history, &mut going, lot, round, now).await?;
        }
        for going in going {
            self.write_down(history, going, round, now).await?;
        }
        Ok(())
    }

    async fn let_lot_go(
        &self,
        history: &PlanHistory,
        going: &mut [Going<'_>],
        lot: Lot,
        round: &mut Round,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let named = lot
            .backups
            .iter()
            .flat_map(|(place, backup)| backup.snapshots.iter().map(|id| (*place, id.clone())));
        let named: Vec<(usize, SnapshotId)> = named.collect();
        let mut condemned = Vec::new();
        for named in named.chunks(IDS) {
            let ids: Vec<SnapshotId> = named.iter().map(|(_, id)| id.clone()).collect();
            let needs = self.find_needs(&ids).await?;
            for (place, id) in named {
                if going[*place].condemns(history, id, &needs, now) {
                    condemned.push((*place, id.clone()));
                }
            }
        }
        // What is deferred already comes last: it must not keep the bucket from the others.
        condemned.sort_by_key(|(place, id)| going[*place].retirement.deferred.contains_key(id));
        for (place, _) in condemned.split_off(round.room.min(condemned.len())) {
            going[place].open = true;
        }
        self.delete(going, condemned, round).await;
        for (place, going) in going.iter().enumerate() {
            let done: Vec<InstanceId> = lot
                .backups
                .iter()
                .filter(|(of, backup)| {
                    *of == place && backup.snapshots.iter().all(|id| going.gone.contains(id))
                })
                .filter_map(|(_, backup)| backup.resource.clone())
                .collect();
            if !done.is_empty() {
                self.ledger
                    .delete_backups(&history.plan_id, going.point, &done)
                    .await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, going: &mut [Going<'_>], condemned: Vec<(usize, SnapshotId)>, round: &mut Round) {
        let is_empty = &AtomicBool::new(round.throttled);
        let mut deletions = stream::iter(condemned)
            .map(|(place, id)| async move {
                if is_empty.load(Ordering::Relaxed) {
                    return (place, id, None);
                }
                let deletion = delete_snapshot(&self.ec2, &id).await;
                if deletion == Deletion::Throttled {
                    is_empty.store(true, Ordering::Relaxed);
                }
                (place, id, Some(deletion))
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((place, id, deletion)) = deletions.next().await {
            let going = &mut going[place];
            if deletion.is_some() {
                round.asked += 1;
                round.room = round.room.saturating_sub(1);
            }
            match deletion {
                Some(Deletion::Deleted) => {
                    round.counts.deleted += 1;
                    round.moved = true;
                    going.gone.insert(id);
                }
                Some(Deletion::Gone) => {
                    round.moved = true;
                    going.gone.insert(id);
                }
                Some(Deletion::Refused(why)) => going.defer(id, &why),
                Some(Deletion::Unknown(why)) => {
                    // The next call looks again, once.
                    let first = !going.retirement.deferred.contains_key(&id);
                    going.open |= first;
                    round.moved |= first;
                    going.defer(id, &why);
                }
                Some(Deletion::Throttled) | None => going.open = true,
            }
        }
        round.throttled |= is_empty.load(Ordering::Relaxed);
    }

    /// Writes down what became of the point.
    async fn write_down(
        &self,
        history: &PlanHistory,
        going: Going<'_>,
        round: &mut Round,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (plan_id, point) = (&history.plan_id, going.point);
        let before = &going.retirement.deferred;
        let mut deferred = going.deferred;
        let new = deferred.keys().filter(|id| !before.contains_key(id)).count();
        round.counts.deferred += u32::try_from(new).unwrap_or(u32::MAX);
        if going.is_through && !going.open && deferred.is_empty() && going.unreadable == 0 {
            if self.ledger.end(plan_id, point, going.retirement, now).await? {
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

impl<'a> Going<'a> {
    fn new(point: &'a KnownPoint, retirement: &'a Retirement, proof: Proof) -> Self {
        Self {
            point,
            retirement,
            proof,
            gone: BTreeSet::new(),
            deferred: BTreeMap::new(),
            open: false,
            is_through: false,
            unreadable: 0,
        }
    }

    /// Judges a snapshot by what needs it. Says whether it is to be deleted.
    fn condemns(&mut self, history: &PlanHistory, id: &SnapshotId, needs: &Needs, now: Timestamp) -> bool {
        if let Some(why) = &needs.incomplete {
            // Whether it is there at all may be what is not known.
            self.defer(id.clone(), why);
            return false;
        }
        let facts = needs.listed.get(id).map(|listed| SnapshotFacts {
            is_ours: self
                .proof
                .is_ours(listed, &history.plan_id, &self.point.recovery_point_id),
            image: needs.images.get(id).map(String::as_str),
            lock: needs.locks.get(id).map(String::as_str),
            old_enough_at: self.proof.old_enough_at(listed),
        });
        match judge_snapshot(facts, now) {
            Deed::Delete => return true,
            Deed::Done => {
                self.gone.insert(id.clone());
            }
            Deed::Defer(why) => self.defer(id.clone(), &why),
        }
        false
    }

    fn defer(&mut self, id: SnapshotId, why: &str) {
        if !self.retirement.deferred.contains_key(&id) {
            tracing::warn!(recovery_point = %self.point.recovery_point_id, snapshot = %id, why, "a snapshot cannot be deleted yet");
        }
        self.deferred.insert(id, shorten(why, REASON));
    }
}

impl Lot {
    /// Whether one more backup is too much for one lookup, or for what may still be deleted.
    fn is_full(&self, next: &NamedBackup, round: &Round) -> bool {
        !self.backups.is_empty() && self.snapshots + next.snapshots.len() > round.room.min(IDS)
    }
}
