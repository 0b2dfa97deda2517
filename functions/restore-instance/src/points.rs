//! Finding the recovery point that a restore is of, in the catalog table or in a vault.

use crate::RestoreInstance;
use aws_config::Region;
use holdfast_aws::failure::Failure;
use holdfast_aws::vault::{VaultCatalog, s3_client};
use holdfast_core::backup::{Backup, BackupStatus};
use holdfast_core::configuration::Tags;
use holdfast_core::ids::{InstanceId, PlanId, RecoveryPointId};
use holdfast_core::replica::Destination;
use holdfast_core::restoring::Held;
use holdfast_core::restoring::request::{MAX_RESOURCES, RestoreRequest};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Where recovery points are found.
#[derive(Debug, Clone)]
pub enum Points {
    /// In the catalog table, beside the restore jobs.
    Table,
    /// In the vault's own catalog: nothing of the source is needed.
    Vault(VaultCatalog),
}

/// How many recovery points are named to somebody who asked for one that is not there.
const NAMED: usize = 5;

/// A recovery point with what can be restored of it.
pub(crate) struct Found {
    pub(crate) recovery_point_id: RecoveryPointId,
    pub(crate) moment: Timestamp,
    /// Resources with a good backup, each with its tags.
    pub(crate) good: Vec<(InstanceId, Tags)>,
    /// Resources without, and why.
    pub(crate) lacking: BTreeMap<InstanceId, String>,
}

/// Where a restore reads from and works.
pub(crate) enum Source {
    /// The catalog table.
    Table,
    /// A vault's catalog.
    Vault(VaultCatalog),
}

impl RestoreInstance {
    /// Where the recovery point lies, as the request says, and what its catalog is.
    pub(crate) fn source(&self, request: &RestoreRequest) -> Result<(Source, Destination), Failure> {
        let Some(source) = &request.source else {
            let source = match &self.points {
                Points::Table => Source::Table,
                Points::Vault(catalog) => Source::Vault(catalog.clone()),
            };
            return Ok((source, self.own.clone()));
        };
        if let Points::Vault(_) = &self.points {
            return Err(Failure::permanent(format!(
                "source: leave it out; this vault restores what lies in {}",
                self.own
            )));
        }
        let place = Destination {
            account_id: source
                .account_id
                .clone()
                .unwrap_or_else(|| self.own.account_id.clone()),
            region: source.region.clone(),
        };
        if place.account_id != self.own.account_id {
            return Err(Failure::permanent(format!(
                "source.account_id: the replica lies in account {}; start the restore there, with the state machine \
                 holdfast-vault-restore of its vault in {}, which needs nothing of this account",
                place.account_id, place.region
            )));
        }
        if place.region == self.own.region {
            let own = RestoreRequest {
                source: None,
                ..request.clone()
            };
            return self.source(&own);
        }
        let config = self
            .config
            .to_builder()
            .region(Region::new(place.region.clone()))
            .build();
        let bucket = place.bucket(&self.own.account_id);
        let catalog = VaultCatalog::new(s3_client(&config), bucket, &place.account_id);
        Ok((Source::Vault(catalog), place))
    }
}

impl Source {
    /// The recovery point that a request means: the one it names, or the newest good one.
    ///
    /// # Errors
    /// Permanent: there is none, with those that there are.
    pub(crate) async fn find(
        &self,
        restore: &RestoreInstance,
        request: &RestoreRequest,
    ) -> Result<Found, Failure> {
        let known = self.list(restore, &request.plan_id).await?;
        let names = || {
            let names: Vec<String> = known.iter().take(NAMED).map(ToString::to_string).collect();
            if names.is_empty() {
                format!("plan {} has none here", request.plan_id)
            } else {
                format!(
                    "the newest of plan {} here are {}",
                    request.plan_id,
                    names.join(", ")
                )
            }
        };
        if let Some(id) = &request.recovery_point_id {
            let found = self.read(restore, &request.plan_id, id).await?;
            return found.ok_or_else(|| {
                Failure::permanent(format!(
                    "recovery_point_id: {id} is not there, or on its way out; {}",
                    names()
                ))
            });
        }
        for id in &known {
            let Some(found) = self.read(restore, &request.plan_id, id).await? else {
                continue;
            };
            let early = request.before.is_none_or(|before| found.moment <= before);
            let wanted = |resource| found.good.iter().any(|(good, _)| good == resource);
            if early && !found.good.is_empty() && request.resources.iter().all(wanted) {
                return Ok(found);
            }
        }
        // Somebody who names a resource is told what the newest point holds.
        if let (false, None, Some(newest)) = (request.resources.is_empty(), request.before, known.first())
            && let Some(found) = self.read(restore, &request.plan_id, newest).await?
        {
            return Ok(found);
        }
        let field = if request.before.is_some() {
            "before"
        } else {
            "plan_id"
        };
        Err(Failure::permanent(format!(
            "{field}: no good recovery point of plan {} holds what was asked for; {}",
            request.plan_id,
            names()
        )))
    }

    /// The recovery points of a plan that can be restored from, newest first.
    async fn list(&self, restore: &RestoreInstance, plan: &PlanId) -> Result<Vec<RecoveryPointId>, Failure> {
        match self {
            Self::Table => {
                let records = restore.catalog.list_point_records(plan).await?;
                let good = records.points.into_iter().filter(|point| {
                    point.retirement.is_none() && point.outcome.is_some_and(|o| o.completed > 0)
                });
                Ok(good.map(|point| point.recovery_point_id).collect())
            }
            Self::Vault(catalog) => {
                let there = catalog.check().await;
                there.map_err(|failure| match failure {
                    Failure::Permanent { .. } => Failure::permanent(format!(
                        "source.region: there is no vault of this account there: {}",
                        failure.chain()
                    )),
                    other @ Failure::Retryable { .. } => other,
                })?;
                let retired = catalog.list_retirements(plan).await?;
                let replicas = catalog.list_replicas(plan).await?.into_iter();
                let standing = replicas.filter(|replica| !retired.contains(&replica.recovery_point_id));
                Ok(standing.map(|replica| replica.recovery_point_id).collect())
            }
        }
    }

    async fn read(
        &self,
        restore: &RestoreInstance,
        plan: &PlanId,
        id: &RecoveryPointId,
    ) -> Result<Option<Found>, Failure> {
        match self {
            Self::Table => self.read_table(restore, plan, id).await,
            Self::Vault(catalog) => {
                if catalog.find_retirement(plan, id).await?.is_some() {
                    return Ok(None);
                }
                let Some(point) = catalog.find_point(plan, id).await? else {
                    return Ok(None);
                };
                let replicas = catalog.list_replicas(plan).await?;
                let replica = replicas
                    .into_iter()
                    .find(|replica| replica.recovery_point_id == *id);
                let mut found = Found {
                    recovery_point_id: id.clone(),
                    moment: point.moment,
                    good: Vec::new(),
                    lacking: BTreeMap::new(),
                };
                for resource in replica.map(|replica| replica.resources).unwrap_or_default() {
                    if found.good.len() >= MAX_RESOURCES {
                        break;
                    }
                    if let Some(backup) = catalog.find_backup(plan, id, &resource).await? {
                        let tags = backup
                            .backup
                            .configuration
                            .map(|configuration| configuration.tags);
                        found.good.push((resource, tags.unwrap_or_default()));
                    }
                }
                Ok(Some(found))
            }
        }
    }

    async fn read_table(
        &self,
        restore: &RestoreInstance,
        plan: &PlanId,
        id: &RecoveryPointId,
    ) -> Result<Option<Found>, Failure> {
        let Some(point) = restore.catalog.find_recovery_point(plan, id).await? else {
            return Ok(None);
        };
        if point.retirement.is_some() {
            return Ok(None);
        }
        if point.outcome.is_none() {
            return Err(Failure::permanent(format!(
                "recovery_point_id: the snapshots of {id} are not complete yet"
            )));
        }
        let mut found = Found {
            recovery_point_id: id.clone(),
            moment: point.moment,
            good: Vec::new(),
            lacking: BTreeMap::new(),
        };
        let mut after = None;
        loop {
            let page = restore.catalog.page_of_backups(id, after.as_ref()).await?;
            found.lacking.extend(page.unreadable);
            for backup in page.backups {
                let tags = backup
                    .configuration
                    .as_ref()
                    .map(|configuration| configuration.tags.clone());
                if backup.status == BackupStatus::Completed {
                    found.good.push((backup.resource_id, tags.unwrap_or_default()));
                } else {
                    let why = backup
                        .reason
                        .unwrap_or_else(|| "it has no good backup".to_owned());
                    found.lacking.insert(backup.resource_id, why);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if let Some(manifest) = point.manifest {
            found.lacking.extend(manifest.missing);
        }
        Ok(Some(found))
    }

    /// The backups of these resources, whole.
    pub(crate) async fn backups(
        &self,
        restore: &RestoreInstance,
        plan: &PlanId,
        point: &RecoveryPointId,
        resources: &[InstanceId],
        place: &Destination,
    ) -> Result<Vec<Held>, Failure> {
        match self {
            Self::Table => {
                let backups = restore.catalog.backups(point, resources).await?;
                Ok(backups.into_iter().map(|backup| own(backup, place)).collect())
            }
            Self::Vault(catalog) => {
                let mut held = Vec::with_capacity(resources.len());
                for resource in resources {
                    let found = catalog.find_backup(plan, point, resource).await?;
                    let found = found.ok_or_else(|| {
                        Failure::permanent(format!("resources: {resource} has just gone out of {point}"))
                    })?;
                    held.push(Held {
                        snapshots: found
                            .copies
                            .into_iter()
                            .map(|copy| (copy.volume_id, copy.snapshot_id))
                            .collect(),
                        backup: found.backup,
                        place: place.clone(),
                        is_replica: true,
                    });
                }
                Ok(held)
            }
        }
    }

    /// Keeps retention away from a recovery point.
    ///
    /// # Errors
    /// Permanent: it is on its way out.
    pub(crate) async fn keep(
        &self,
        restore: &RestoreInstance,
        plan: &PlanId,
        point: &RecoveryPointId,
        job: &holdfast_core::ids::JobId,
        until: Timestamp,
    ) -> Result<(), Failure> {
        let stays = match self {
            Self::Table => restore.catalog.read_point_until(plan, point, until).await?,
            Self::Vault(catalog) => catalog.write_reading(plan, point, job, until).await?,
        };
        if stays {
            return Ok(());
        }
        Err(Failure::permanent(format!(
            "recovery_point_id: {point} is being deleted; give another one"
        )))
    }
}

fn own(backup: Backup, place: &Destination) -> Held {
    Held {
        snapshots: backup
            .snapshots
            .iter()
            .map(|snapshot| (snapshot.volume_id.clone(), snapshot.snapshot_id.clone()))
            .collect(),
        backup,
        place: place.clone(),
        is_replica: false,
    }
}
