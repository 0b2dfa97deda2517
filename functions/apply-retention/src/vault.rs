//! A vault's catalog as a ledger: replicas, in the account and region where they lie.
//!
//! A vault does not trust its source. Whoever has taken the source over can write recovery points and rules here, so
//! that the rules keep nothing. It cannot make the vault delete what is younger than the vault's own minimum age: that
//! is counted from the start that EC2 tells of each copy, and no record can change it. What else it writes is held
//! against the copies' tags.
//!
//! A hold and an intent are two objects, and S3 cannot exclude one by the other. So each side writes its own and then
//! looks for the other's. A hold that finds an intent is taken back, and refused. Where an intent meets a hold, nothing
//! is deleted as long as the hold stands. Whatever the order, and whoever is killed in between: of a point whose hold
//! was granted nothing has been deleted.

use crate::ledger::{NamedBackup, NamedPage};
use futures::stream::{self, StreamExt};
use holdfast_aws::catalog::HoldChange;
use holdfast_aws::copies::describe_copies_of_plan;
use holdfast_aws::failure::Failure;
use holdfast_aws::vault::{ListedReplica, VaultCatalog};
use holdfast_core::ids::{InstanceId, PlanId, RecoveryPointId};
use holdfast_core::pacing::later;
use holdfast_core::recovery_point::{Hold, Retirement};
use holdfast_core::retention::Protections;
use holdfast_core::retiring::{KnownPoint, PlanHistory, ResourceSets, SAFETY_AGE, standing};
use holdfast_core::vault::VaultPoint;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// Objects read at the same time.
const CONCURRENCY: usize = 32;
/// Backups in a page.
const PAGE: usize = 200;

/// A vault's catalog as a ledger.
#[derive(Debug, Clone)]
pub struct Vault {
    /// Holds points, backups, holds and retirements.
    pub catalog: VaultCatalog,
    /// Nothing younger is ever deleted.
    pub minimum_days: u32,
}

/// What a vault holds of one recovery point.
struct Read {
    point: VaultPoint,
    hold: Option<Hold>,
    reading_until: Option<Timestamp>,
    retirement: Option<Retirement>,
}

impl Vault {
    pub(crate) async fn next_plan(&self, after: Option<&PlanId>) -> Result<Option<PlanId>, Failure> {
        let plans = self.catalog.list_plans().await?;
        Ok(plans
            .into_iter()
            .find(|plan| after.is_none_or(|after| plan > after)))
    }

    /// The newest point's rules count. If that one cannot be read, nobody knows them, and nothing is done.
    ///
    /// Only what has lain here for the minimum age is history, and only of that do rules count: what a source in wrong
    /// hands writes today pushes nothing out today. A point whose copies are not all there to be seen is no history
    /// either.
    pub(crate) async fn history(
        &self,
        ec2: &aws_sdk_ec2::Client,
        plan_id: &PlanId,
        now: Timestamp,
    ) -> Result<Option<PlanHistory>, Failure> {
        let replicas = self.catalog.list_replicas(plan_id).await?;
        let retired = self.catalog.list_retirements(plan_id).await?;
        let holds = self.catalog.list_holds(plan_id).await?;
        let readings = self.catalog.list_readings(plan_id).await?;
        let reads = stream::iter(&replicas)
            .map(|replica| self.read(plan_id, &replica.recovery_point_id, &retired, &holds, &readings))
            .buffered(CONCURRENCY)
            .collect::<Vec<_>>()
            .await;
        let mut sets = ResourceSets::default();
        let mut points = Vec::with_capacity(replicas.len());
        let copies = CopiesSeen::of(ec2, plan_id).await?;
        let minimum = SignedDuration::from_hours(24 * i64::from(self.minimum_days));
        // The rules of the newest point that counts; while none does, nothing can go.
        let (mut rules, mut youngest) = (None, None);
        let mut unreadable = 0;
        for (replica, read) in replicas.iter().zip(reads) {
            match read {
                Ok(Some(read)) => {
                    let aside = copies.aside(&read.point, replica, minimum, now);
                    if aside.is_empty() {
                        rules.get_or_insert_with(|| read.point.clone());
                    }
                    youngest.get_or_insert_with(|| read.point.clone());
                    points.push(known(read, replica, aside, &mut sets));
                }
                // Somebody else has just let it go.
                Ok(None) => {}
                Err(failure)
                    if matches!(failure, Failure::Retryable { .. })
                        || (rules.is_none() && copies.are_old(&replica.recovery_point_id, minimum, now)) =>
                {
                    return Err(failure);
                }
                Err(failure) => {
                    let why = failure.chain();
                    tracing::error!(recovery_point = %replica.recovery_point_id, why, "a replica cannot be read; it stays");
                    unreadable += 1;
                }
            }
        }
        let Some(newest) = rules.or(youngest) else {
            return Ok(None);
        };
        let zone = TimeZone::get(&newest.time_zone).map_err(|error| {
            let id = &newest.recovery_point_id;
            Failure::permanent_from(
                format!("time_zone: {:?} of {id} is unknown", newest.time_zone),
                error,
            )
        })?;
        Ok(Some(PlanHistory {
            plan_id: plan_id.clone(),
            rules: newest.retention,
            zone,
            expire_gone_resources: newest.expire_gone_resources,
            safety_age: SAFETY_AGE.max(minimum),
            points,
            sets,
            unreadable,
        }))
    }

    async fn read(
        &self,
        plan_id: &PlanId,
        id: &RecoveryPointId,
        retired: &BTreeSet<RecoveryPointId>,
        holds: &BTreeSet<RecoveryPointId>,
        readings: &BTreeSet<RecoveryPointId>,
    ) -> Result<Option<Read>, Failure> {
        let Some(point) = self.catalog.find_point(plan_id, id).await? else {
            return Ok(None);
        };
        if point.plan_id != *plan_id || point.recovery_point_id != *id {
            return Err(Failure::permanent(format!(
                "recovery_point_id: the record of {id} speaks of {} of plan {}",
                point.recovery_point_id, point.plan_id
            )));
        }
        let hold = if holds.contains(id) {
            self.catalog.find_hold(plan_id, id).await?
        } else {
            None
        };
        let retirement = if retired.contains(id) {
            self.catalog.find_retirement(plan_id, id).await?
        } else {
            None
        };
        let reading_until = if readings.contains(id) {
            self.catalog.find_reading(plan_id, id).await?
        } else {
            None
        };
        Ok(Some(Read {
            point,
            hold,
            reading_until,
            retirement,
        }))
    }

    /// The copies of each backup; before the first the leftovers of none.
    pub(crate) async fn named(
        &self,
        history: &PlanHistory,
        point: &KnownPoint,
        after: Option<&InstanceId>,
    ) -> Result<NamedPage, Failure> {
        let id = &point.recovery_point_id;
        let mut resources: Vec<&InstanceId> = history
            .sets
            .members(point.resources)
            .filter(|resource| after.is_none_or(|after| *resource > after))
            .collect();
        resources.sort_unstable();
        let more = resources.len() > PAGE;
        resources.truncate(PAGE);
        let mut page = NamedPage {
            next: resources.last().filter(|_| more).map(|last| (*last).clone()),
            ..NamedPage::default()
        };
        if after.is_none() && !point.leftovers.is_empty() {
            page.backups.push(NamedBackup {
                resource: None,
                snapshots: point.leftovers.clone(),
            });
        }
        let mut read = stream::iter(resources)
            .map(|resource| async move {
                let found = self.catalog.find_backup(&history.plan_id, id, resource).await;
                (resource, found)
            })
            .buffered(CONCURRENCY);
        while let Some((resource, found)) = read.next().await {
            match found {
                Ok(Some(backup)) => page.backups.push(NamedBackup {
                    resource: Some(resource.clone()),
                    snapshots: backup.copies.into_iter().map(|copy| copy.snapshot_id).collect(),
                }),
                // Somebody else has just let it go.
                Ok(None) => {}
                Err(failure) if matches!(failure, Failure::Retryable { .. }) => return Err(failure),
                Err(failure) => {
                    let why = failure.chain();
                    tracing::error!(recovery_point = %id, %resource, why, "a backup cannot be read; its copies stay");
                    page.unreadable += 1;
                }
            }
        }
        Ok(page)
    }

    pub(crate) async fn hold(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        hold: &Hold,
    ) -> Result<HoldChange, Failure> {
        let before = match self.standing_of(plan_id, point).await? {
            (HoldChange::Done, before) => before,
            (refused, _) => return Ok(refused),
        };
        self.catalog.write_hold(plan_id, point, hold).await?;
        // Written first, then looked: an intent that is not seen here will see this hold.
        if self.catalog.find_retirement(plan_id, point).await?.is_none() {
            return Ok(HoldChange::Done);
        }
        if before.is_none() {
            self.catalog.delete_hold(plan_id, point).await?;
            return Ok(HoldChange::Going);
        }
        Ok(HoldChange::Done)
    }

    pub(crate) async fn release(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<HoldChange, Failure> {
        let (standing, hold) = self.standing_of(plan_id, point).await?;
        if hold.is_none() {
            return Ok(standing);
        }
        self.catalog.delete_hold(plan_id, point).await?;
        Ok(HoldChange::Done)
    }

    /// Whether a replica can be held, and the hold that is there. One that is held already can be held again, whatever
    /// else is written.
    async fn standing_of(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<(HoldChange, Option<Hold>), Failure> {
        let hold = self.catalog.find_hold(plan_id, point).await?;
        let standing = if self.catalog.find_point(plan_id, point).await?.is_none() {
            HoldChange::Unknown
        } else if hold.is_none() && self.catalog.find_retirement(plan_id, point).await?.is_some() {
            HoldChange::Going
        } else {
            HoldChange::Done
        };
        Ok((standing, hold))
    }

    /// The replica's own record goes last: as long as it is there, the next run comes by again.
    pub(crate) async fn end(
        &self,
        plan_id: &PlanId,
        point: &KnownPoint,
        retirement: &Retirement,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let id = &point.recovery_point_id;
        let ended = Retirement {
            ended_at: retirement.ended_at.or(Some(now)),
            deferred: std::collections::BTreeMap::new(),
            ..retirement.clone()
        };
        self.catalog.write_retirement(plan_id, id, &ended).await?;
        self.catalog.delete_point(plan_id, id).await?;
        Ok(true)
    }
}

/// The copies of a plan that EC2 shows here, by recovery point. Nobody can forge when they were started.
struct CopiesSeen(HashMap<RecoveryPointId, Timestamp>);

impl CopiesSeen {
    async fn of(ec2: &aws_sdk_ec2::Client, plan_id: &PlanId) -> Result<Self, Failure> {
        let mut youngest: HashMap<RecoveryPointId, Timestamp> = HashMap::new();
        describe_copies_of_plan(ec2, plan_id, |point, listed| {
            let started_at = listed.snapshot.started_at;
            let known = youngest.entry(point).or_insert(started_at);
            *known = started_at.max(*known);
        })
        .await?;
        Ok(Self(youngest))
    }

    fn are_old(&self, point: &RecoveryPointId, minimum: SignedDuration, now: Timestamp) -> bool {
        let started_at = self.0.get(point);
        started_at.is_some_and(|started_at| later(*started_at, minimum) <= now)
    }

    /// Why a point stays and counts for nothing yet, if so.
    fn aside(
        &self,
        point: &VaultPoint,
        replica: &ListedReplica,
        minimum: SignedDuration,
        now: Timestamp,
    ) -> Protections {
        let id = &point.recovery_point_id;
        // A backup that was added later, or is missing, says nothing of what the point holds.
        if replica.resources.len() != point.whole as usize || (point.whole > 0 && !self.0.contains_key(id)) {
            Protections::INCOMPLETE_LISTING
        } else if !minimum.is_zero() && !self.are_old(id, minimum, now) {
            Protections::MINIMUM_AGE
        } else {
            Protections::NONE
        }
    }
}

fn known(read: Read, replica: &ListedReplica, aside: Protections, sets: &mut ResourceSets) -> KnownPoint {
    let point = read.point;
    let lacking = point.outcome.failed.saturating_add(point.lacking);
    KnownPoint {
        standing: standing(point.whole, lacking),
        resources: sets.add(replica.resources.iter().cloned()),
        incomplete: read.retirement.is_none() && replica.resources.len() < point.whole as usize,
        recovery_point_id: point.recovery_point_id,
        job_id: point.job_id,
        moment: point.moment,
        ended_at: Some(point.copied_at),
        hold: read.hold,
        cbt_base: false,
        reading_until: read.reading_until,
        retirement: read.retirement,
        aside,
        archive: point.archive,
        leftovers: point.leftovers,
    }
}
