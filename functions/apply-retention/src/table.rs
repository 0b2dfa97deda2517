//! The catalog table as a ledger: a plan's own snapshots.

use crate::ledger::{NamedBackup, NamedPage};
use futures::stream::{self, StreamExt, TryStreamExt};
use holdfast_aws::catalog::{Catalog, ManifestId, PointOutcome, PointRecord};
use holdfast_aws::failure::Failure;
use holdfast_aws::seal::derive_seal_key;
use holdfast_core::backup::BackupStatus;
use holdfast_core::copying::CopyJob;
use holdfast_core::ids::{InstanceId, PlanId, RecoveryPointId};
use holdfast_core::pacing::later;
use holdfast_core::retention::{Protections, Standing};
use holdfast_core::retiring::{KnownPoint, PlanHistory, ResourceSets, SAFETY_AGE, standing};
use holdfast_core::seal::SealKey;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Recovery points whose backups are read at the same time.
const CONCURRENCY: usize = 8;

/// When copies have ended that were begun then, whatever their record says: no replica's deadline is longer.
fn longest(copies: &CopyJob) -> Timestamp {
    later(copies.created_at, SignedDuration::from_hours(24 * 31))
}

/// The catalog table as a ledger.
#[derive(Debug, Clone)]
pub struct Table {
    /// Holds plans, jobs, recovery points and backups.
    pub catalog: Catalog,
    /// Derives the key that seals tags.
    pub kms: aws_sdk_kms::Client,
    /// The HMAC key it is derived from.
    pub seal_key_id: String,
}

impl Table {
    /// A saved plan's rules count, also a deleted one's; of a plan that was never saved those of its newest point.
    pub(crate) async fn history(&self, plan_id: &PlanId) -> Result<Option<PlanHistory>, Failure> {
        let plan = match self.catalog.find_plan(plan_id).await? {
            Some(saved) => saved.plan,
            None => match self.catalog.plan_of_newest_point(plan_id).await? {
                Some(plan) => plan,
                None => return Ok(None),
            },
        };
        let zone = TimeZone::get(&plan.time_zone).map_err(|error| {
            Failure::permanent_from(
                format!("time_zone: {:?} of plan {plan_id} is unknown", plan.time_zone),
                error,
            )
        })?;
        let records = self.catalog.list_point_records(plan_id).await?;
        for (key, why) in &records.unreadable {
            tracing::error!(plan = %plan_id, key, why, "a recovery point cannot be read; it stays");
        }
        let goods: Vec<Goods> = stream::iter(&records.points)
            .map(|record| self.good_resources(record))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut sets = ResourceSets::default();
        let mut manifests: HashMap<&ManifestId, u32> = HashMap::new();
        let mut points = Vec::with_capacity(records.points.len());
        for (record, goods) in records.points.iter().zip(goods) {
            let (resources, incomplete) = match goods {
                Goods::None => (sets.add([]), false),
                Goods::These(resources, whole) => (sets.add(resources), !whole),
                Goods::All(manifest, completed) => {
                    let number = if let Some(number) = manifests.get(manifest) {
                        *number
                    } else {
                        let instances = self.catalog.instances_of(&record.recovery_point_id, manifest);
                        let number = sets.add(instances.await?);
                        manifests.insert(manifest, number);
                        number
                    };
                    (number, sets.members(number).count() != completed as usize)
                }
            };
            points.push(known(record, resources, incomplete));
        }
        let unreadable = u32::try_from(records.unreadable.len()).unwrap_or(u32::MAX);
        Ok(Some(PlanHistory {
            plan_id: plan_id.clone(),
            rules: plan.retention,
            zone,
            expire_gone_resources: plan.expire_gone_resources,
            safety_age: SAFETY_AGE,
            points,
            sets,
            unreadable,
        }))
    }

    /// Where the resources stand that have a good backup in a point. A complete one has all of its manifest, which many
    /// points share; of others each backup is read.
    async fn good_resources<'a>(&self, record: &'a PointRecord) -> Result<Goods<'a>, Failure> {
        let (Some(outcome), None) = (&record.outcome, &record.retirement) else {
            return Ok(Goods::None);
        };
        match (standing(outcome.completed, outcome.failed), &record.manifest) {
            (Standing::Empty, _) => Ok(Goods::None),
            (Standing::Completed, Some(manifest)) => Ok(Goods::All(manifest, outcome.completed)),
            _ => self.read_good(&record.recovery_point_id, outcome).await,
        }
    }

    async fn read_good(
        &self,
        point: &RecoveryPointId,
        outcome: &PointOutcome,
    ) -> Result<Goods<'static>, Failure> {
        let mut resources = Vec::new();
        let mut after = None;
        loop {
            let page = self.catalog.page_of_backups(point, after.as_ref()).await?;
            for (resource, why) in &page.unreadable {
                tracing::error!(recovery_point = %point, %resource, why, "a backup cannot be read");
            }
            let good = page.backups.into_iter();
            let good = good.filter(|backup| backup.status == BackupStatus::Completed);
            resources.extend(good.map(|backup| backup.resource_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let whole = resources.len() == outcome.completed as usize;
        Ok(Goods::These(resources, whole))
    }

    /// Whether the point's own job or one of its copy jobs has not ended, or a restore reads from it.
    pub(crate) async fn at_work(&self, point: &KnownPoint, now: Timestamp) -> Result<Protections, Failure> {
        let (job, copies) = tokio::join!(
            self.catalog.find_job(&point.job_id),
            self.catalog.copy_jobs(&point.recovery_point_id)
        );
        let works = match (job, copies) {
            (Ok(job), Ok(copies)) => {
                point.is_read(now)
                    || job.is_some_and(|job| !job.status.is_terminal())
                    || copies
                        .iter()
                        .any(|copies| !copies.status.is_terminal() && now < longest(copies))
            }
            (Err(failure), _) | (_, Err(failure)) => {
                if matches!(failure, Failure::Retryable { .. }) {
                    return Err(failure);
                }
                let why = failure.chain();
                tracing::error!(recovery_point = %point.recovery_point_id, why, "its jobs cannot be read; it stays");
                return Ok(Protections::INCOMPLETE_LISTING);
            }
        };
        Ok(if works {
            Protections::AT_WORK
        } else {
            Protections::NONE
        })
    }

    /// Every snapshot of every backup, good or failed.
    pub(crate) async fn named(
        &self,
        point: &KnownPoint,
        after: Option<&InstanceId>,
    ) -> Result<NamedPage, Failure> {
        let id = &point.recovery_point_id;
        let page = self.catalog.page_of_backups(id, after).await?;
        for (resource, why) in &page.unreadable {
            tracing::error!(recovery_point = %id, %resource, why, "a backup cannot be read; its snapshots stay");
        }
        let backups = page.backups.into_iter().map(|backup| NamedBackup {
            resource: Some(backup.resource_id),
            snapshots: backup
                .snapshots
                .into_iter()
                .map(|snapshot| snapshot.snapshot_id)
                .collect(),
        });
        Ok(NamedPage {
            backups: backups.collect(),
            unreadable: u32::try_from(page.unreadable.len()).unwrap_or(u32::MAX),
            next: page.next,
        })
    }

    pub(crate) async fn seal(&self, point: &KnownPoint) -> Result<SealKey, Failure> {
        derive_seal_key(&self.kms, &self.seal_key_id, &point.recovery_point_id).await
    }
}

/// The resources with a good backup in a point.
enum Goods<'a> {
    /// None, or nobody needs to know.
    None,
    /// These, and whether they are as many as the outcome says.
    These(Vec<InstanceId>, bool),
    /// All of this manifest, which are as many as the outcome says.
    All(&'a ManifestId, u32),
}

fn known(record: &PointRecord, resources: u32, incomplete: bool) -> KnownPoint {
    let outcome = record.outcome.as_ref();
    KnownPoint {
        recovery_point_id: record.recovery_point_id.clone(),
        job_id: record.job_id.clone(),
        moment: record.moment,
        ended_at: outcome.map(|outcome| outcome.ended_at),
        standing: outcome.map_or(Standing::Empty, |outcome| {
            standing(outcome.completed, outcome.failed)
        }),
        resources,
        incomplete,
        hold: record.hold.clone(),
        cbt_base: record.cbt_base,
        reading_until: record.reading_until,
        retirement: record.retirement.clone(),
        aside: Protections::NONE,
        archive: None,
        leftovers: Vec::new(),
    }
}
