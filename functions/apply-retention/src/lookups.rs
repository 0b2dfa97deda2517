//! What is looked up beyond the ledger: what protects a point that no rule keeps, and which resources are gone.
//!
//! What cannot be looked up protects: a listing that is incomplete may hide an image, a lock or a job.

use crate::ApplyRetention;
use holdfast_aws::copies::describe_by_ids;
use holdfast_aws::failure::Failure;
use holdfast_aws::images::find_images;
use holdfast_aws::instances::describe_candidates;
use holdfast_aws::locks::find_locks;
use holdfast_aws::snapshots::{ListedSnapshot, Refusal};
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::{InstanceId, SnapshotId};
use holdfast_core::retention::Protections;
use holdfast_core::retiring::{Decided, LastBackup, PlanHistory};
use holdfast_core::selection::{InstanceQuery, InstanceState};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// As many ids as one call names.
pub(crate) const IDS: usize = 200;
/// Points that are looked up together at most.
const POINTS: usize = 200;

/// What looking a point up has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Examined {
    /// What protects it.
    pub(crate) protections: Protections,
    /// How many snapshots the ledger names.
    pub(crate) snapshots: usize,
}

/// What needs some snapshots that are there.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) listed: HashMap<SnapshotId, ListedSnapshot>,
    pub(crate) images: HashMap<SnapshotId, String>,
    pub(crate) locks: HashMap<SnapshotId, String>,
    /// Why it is not known what needs them.
    pub(crate) incomplete: Option<String>,
}

impl ApplyRetention {
    /// Looks up what protects points that no rule keeps: as many of these, in their order, as have so many snapshots
    /// together, and at least one. Gives each with its place.
    ///
    /// # Errors
    /// Retryable: AWS answers nothing just now. Any other refusal protects the points that it is about.
    pub(crate) async fn examine(
        &self,
        history: &PlanHistory,
        places: &[usize],
        snapshots: usize,
        now: Timestamp,
    ) -> Result<Vec<(usize, Examined)>, Failure> {
        let mut examined: Vec<(usize, Examined)> = Vec::new();
        let mut named = 0;
        let mut unseen: Vec<(usize, SnapshotId)> = Vec::new();
        for place in places.iter().take(POINTS) {
            let Some(point) = history.points.get(*place) else {
                continue;
            };
            let found = Examined {
                protections: self.ledger.at_work(point, now).await?,
                snapshots: 0,
            };
            let index = examined.len();
            examined.push((*place, found));
            let mut after = None;
            loop {
                let page = self.ledger.named(history, point, after.as_ref()).await?;
                let found = &mut examined[index].1;
                if page.unreadable > 0 {
                    found.protect(Protections::INCOMPLETE_LISTING);
                }
                let ids = page.backups.into_iter().flat_map(|backup| backup.snapshots);
                for id in ids {
                    found.snapshots += 1;
                    named += 1;
                    unseen.push((index, id));
                }
                while unseen.len() >= IDS {
                    let ids: Vec<_> = unseen.drain(..IDS).collect();
                    self.protect(history, &mut examined, &ids).await?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if named >= snapshots {
                break;
            }
        }
        self.protect(history, &mut examined, &unseen).await?;
        Ok(examined)
    }

    /// Protects the points of at most 200 snapshots by what needs these.
    async fn protect(
        &self,
        history: &PlanHistory,
        examined: &mut [(usize, Examined)],
        named: &[(usize, SnapshotId)],
    ) -> Result<(), Failure> {
        if named.is_empty() {
            return Ok(());
        }
        let ids: Vec<SnapshotId> = named.iter().map(|(_, id)| id.clone()).collect();
        let needs = self.find_needs(&ids).await?;
        if let Some(why) = &needs.incomplete {
            tracing::error!(plan = %history.plan_id, why, "what needs its snapshots cannot be looked up; they stay");
        }
        for (index, id) in named {
            let found = &mut examined[*index].1;
            if needs.incomplete.is_some() {
                found.protect(Protections::INCOMPLETE_LISTING);
            }
            if needs.images.contains_key(id) {
                found.protect(Protections::IMAGE_IN_USE);
            }
            if needs.locks.contains_key(id) {
                found.protect(Protections::LOCK);
            }
        }
        Ok(())
    }

    /// Looks up, for at most 200 snapshots, which of them are there and what needs those.
    ///
    /// # Errors
    /// As of [`ApplyRetention::examine`].
    pub(crate) async fn find_needs(&self, ids: &[SnapshotId]) -> Result<Needs, Failure> {
        let mut needs = Needs::default();
        match describe_by_ids(&self.ec2, ids).await {
            Ok(listed) => {
                let by_id = listed
                    .into_iter()
                    .map(|listed| (listed.snapshot.snapshot_id.clone(), listed));
                needs.listed = by_id.collect();
            }
            Err(failure) if matches!(failure, Failure::Retryable { .. }) => return Err(failure),
            Err(failure) => {
                needs.incomplete = Some(failure.chain());
                return Ok(needs);
            }
        }
        // EC2 refuses to look up the locks of snapshots that are not there.
        let there: Vec<SnapshotId> = needs.listed.keys().cloned().collect();
        if there.is_empty() {
            return Ok(needs);
        }
        let (images, locks) = tokio::join!(find_images(&self.ec2, &there), find_locks(&self.ec2, &there));
        match images {
            Ok(images) => needs.images = images,
            Err(refusal) => needs.miss("their images", &refusal)?,
        }
        match locks {
            Ok(locks) => needs.locks = locks,
            Err(refusal) => needs.miss("their locks", &refusal)?,
        }
        Ok(needs)
    }

    /// Finds the resources that are gone, among those whose last good backup is not in the newest point. Where that
    /// cannot be looked up, none is.
    ///
    /// A vault cannot see instances. There a resource counts as gone that the newest replica would have to hold, and does
    /// not: only if nothing of it failed, and only if the plan lets the last backups of gone resources go at all.
    ///
    /// # Errors
    /// Retryable: AWS answers nothing just now.
    pub(crate) async fn find_gone<'a>(
        &self,
        history: &PlanHistory,
        decided: &Decided<'a>,
    ) -> Result<Vec<LastBackup<'a>>, Failure> {
        let mut last = decided.last_elsewhere();
        if self.ledger.sees_instances() {
            let ids: HashSet<&InstanceId> = last.iter().map(|last| last.resource).collect();
            let mut there = HashSet::new();
            let ids: Vec<InstanceId> = ids.into_iter().cloned().collect();
            for ids in ids.chunks(IDS) {
                let query = InstanceQuery::ByIds(ids.to_vec());
                let looked_up = describe_candidates(&self.ec2, &query, |candidate| {
                    if candidate.state != InstanceState::Terminated {
                        there.insert(candidate.instance_id);
                    }
                })
                .await;
                match looked_up {
                    Ok(()) => {}
                    Err(failure) if matches!(failure, Failure::Retryable { .. }) => return Err(failure),
                    Err(failure) => {
                        let why = failure.chain();
                        tracing::error!(plan = %history.plan_id, why, "instances cannot be looked up; none counts as gone");
                        return Ok(Vec::new());
                    }
                }
            }
            last.retain(|last| !there.contains(last.resource));
        } else if !history.expire_gone_resources || history.unreadable > 0 || !decided.is_newest_whole() {
            last.clear();
        }
        Ok(last)
    }
}

impl Examined {
    fn protect(&mut self, protection: Protections) {
        self.protections = self.protections.union(protection);
    }
}

impl Needs {
    fn miss(&mut self, what: &str, refusal: &Refusal) -> Result<(), Failure> {
        let why = format!("looking up {what}: {}", refusal.reason);
        if refusal.class == ErrorClass::Throttled {
            return Err(Failure::retryable(why));
        }
        self.incomplete = Some(why);
        Ok(())
    }
}
