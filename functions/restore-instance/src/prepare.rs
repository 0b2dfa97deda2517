//! The first task: everything is read and decided, and written down before anything is made.

use crate::RestoreInstance;
use holdfast_aws::catalog::Opening;
use holdfast_aws::failure::Failure;
use holdfast_aws::restoring::survey::{Questions, Survey, survey, target_groups_of};
use holdfast_core::ids::{
    InstanceId, JobId, Occasion, PlanId, RecoveryPointId, VolumeId, derive_restore_job_id,
};
use holdfast_core::job::{Job, JobKind, JobStatus, Progress};
use holdfast_core::pacing::later;
use holdfast_core::replica::Destination;
use holdfast_core::restoring::blueprint::Blueprint;
use holdfast_core::restoring::decide::decide_restore;
use holdfast_core::restoring::message::{PlannedRestore, RestorePrepared};
use holdfast_core::restoring::obstacles::Obstacle;
use holdfast_core::restoring::order::decide_waves;
use holdfast_core::restoring::overrides::{AUTOMATIC, PlacementChoice};
use holdfast_core::restoring::record::{Restore, RestoreJob};
use holdfast_core::restoring::request::{MAX_RESOURCES, RestoreInput, RestoreRequest, ResumeRequest};
use holdfast_core::restoring::{Held, Mode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How far ahead of now a scheduled slot may lie.
const SLOT_AHEAD: SignedDuration = SignedDuration::from_mins(15);
/// How often the end of a job is taken up by another execution.
const RESUMES: u32 = 5;
/// How long retention stays away from a recovery point beyond the restore's deadline: for the way back.
const MARGIN: SignedDuration = SignedDuration::from_hours(2);

/// A job that is about to be opened.
pub(crate) struct Draft {
    pub(crate) job_id: JobId,
    pub(crate) plan_id: PlanId,
    pub(crate) recovery_point_id: RecoveryPointId,
    pub(crate) moment: Timestamp,
    pub(crate) mode: Mode,
    pub(crate) place: Destination,
    pub(crate) request: Option<RestoreRequest>,
    pub(crate) waves: Vec<Vec<InstanceId>>,
}

/// What was decided of each resource.
pub(crate) type Decided = BTreeMap<InstanceId, Result<Blueprint, Vec<Obstacle>>>;

impl RestoreInstance {
    pub(crate) async fn prepare(
        &self,
        input: &Value,
        execution_id: &str,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Result<RestorePrepared, Failure> {
        let input = RestoreInput::parse(input).map_err(|problems| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure::permanent(words.join("; "))
        })?;
        let execution = Occasion::Execution {
            id: execution_id,
            started_at,
        };
        match input {
            RestoreInput::Restore(request) => {
                let job_id = derive_restore_job_id(&execution, request.plan_id.as_str());
                Box::pin(self.prepare_restore(*request, job_id, execution_id, now)).await
            }
            RestoreInput::Rehearse(request) => {
                let occasion = match request.scheduled_time {
                    Some(slot) if slot > later(now, SLOT_AHEAD) => {
                        return Err(Failure::permanent(format!(
                            "scheduled_time: {slot} is still to come; give a slot that has come"
                        )));
                    }
                    Some(slot) => Occasion::Slot(slot),
                    None => execution,
                };
                let job_id = derive_restore_job_id(&occasion, request.rehearse.as_str());
                let rehearsal = self.rehearsal_of(&request.rehearse).await?;
                Box::pin(self.prepare_restore(rehearsal, job_id, execution_id, now)).await
            }
            RestoreInput::Undo(request) => {
                let job_id = derive_restore_job_id(&execution, request.undo.as_str());
                Box::pin(self.prepare_undo(&request, job_id, execution_id, now)).await
            }
            RestoreInput::Resume(request) => self.resume(&request, execution_id, now).await,
        }
    }

    /// A plan's rehearsal, by the settings that the plan has for it.
    async fn rehearsal_of(&self, plan_id: &PlanId) -> Result<RestoreRequest, Failure> {
        let saved = self.catalog.find_plan(plan_id).await?;
        let saved = saved.filter(|saved| saved.deleted_at.is_none());
        let Some(saved) = saved else {
            return Err(Failure::permanent(format!(
                "rehearse: there is no plan {plan_id}"
            )));
        };
        let Some(rehearsal) = &saved.plan.rehearsal else {
            return Err(Failure::permanent(format!(
                "rehearse: plan {plan_id} has no settings for a rehearsal; save it with rehearsal"
            )));
        };
        Ok(rehearsal.request(plan_id))
    }

    async fn prepare_restore(
        &self,
        request: RestoreRequest,
        job_id: JobId,
        execution_id: &str,
        now: Timestamp,
    ) -> Result<RestorePrepared, Failure> {
        if let Some(found) = self.opened_before(&job_id, execution_id, now).await? {
            return Ok(found);
        }
        let (source, place) = self.source(&request)?;
        let found = source.find(self, &request).await?;
        let point = found.recovery_point_id.clone();
        let resources = chosen(&request, &found)?;
        let ids: Vec<InstanceId> = resources.iter().map(|(id, _)| id.clone()).collect();
        let held = source
            .backups(self, &request.plan_id, &point, &ids, &place)
            .await?;
        let decided = self.decide(&request, &held, &place, now).await?;
        let waves = decide_waves(&request.order, &resources);
        let draft = Draft {
            job_id,
            plan_id: request.plan_id.clone(),
            recovery_point_id: point.clone(),
            moment: found.moment,
            mode: request.mode,
            place,
            request: Some(request.clone()),
            waves,
        };
        if request.dry_run {
            return Ok(told(&draft, &decided));
        }
        let blueprints = all_clear(decided)?;
        let until = later(
            later(
                now,
                SignedDuration::from_mins(i64::from(request.deadline_minutes)),
            ),
            MARGIN,
        );
        source
            .keep(self, &request.plan_id, &point, &draft.job_id, until)
            .await?;
        self.open(draft, blueprints, execution_id, now).await
    }

    /// What an earlier delivery of the same start has opened, perhaps cut off right after that.
    pub(crate) async fn opened_before(
        &self,
        job_id: &JobId,
        execution_id: &str,
        now: Timestamp,
    ) -> Result<Option<RestorePrepared>, Failure> {
        let Some(job) = self.catalog.find_job(job_id).await? else {
            return Ok(None);
        };
        if job.status == JobStatus::Created {
            self.catalog
                .advance_job(job_id, JobStatus::Running, None, now)
                .await?;
        }
        let restore = self.catalog.find_restore_job(job_id).await?;
        Ok(Some(RestorePrepared {
            job_id: Some(job.job_id),
            opened: job.execution_id == execution_id,
            waves: restore
                .as_ref()
                .map(|restore| restore.waves.clone())
                .unwrap_or_default(),
            recovery_point_id: Some(job.recovery_point_id),
            moment: restore.map(|restore| restore.moment),
            planned: Vec::new(),
        }))
    }

    async fn decide(
        &self,
        request: &RestoreRequest,
        held: &[Held],
        place: &Destination,
        now: Timestamp,
    ) -> Result<Decided, Failure> {
        let clients = self.clients_in(&place.region);
        let found = Box::pin(survey(&clients, &questions(request, held))).await?;
        let mut decided = Decided::new();
        for held in held {
            let resource = &held.backup.resource_id;
            let attach_to = request
                .volumes
                .as_ref()
                .and_then(|volumes| volumes.attach_to.as_ref());
            let mut around = found.around(resource, attach_to);
            if let (Mode::Destructive, Some(original)) = (request.mode, &around.original) {
                around.target_groups = target_groups_of(&clients, resource, original).await?;
            }
            decided.insert(resource.clone(), decide_restore(request, held, &around, now));
        }
        Ok(decided)
    }

    /// Writes the restores, then the job: from then on it counts.
    pub(crate) async fn open(
        &self,
        draft: Draft,
        mut blueprints: BTreeMap<InstanceId, Blueprint>,
        execution_id: &str,
        now: Timestamp,
    ) -> Result<RestorePrepared, Failure> {
        if matches!(draft.mode, Mode::Destructive | Mode::InPlace | Mode::Undo) {
            for resource in draft.waves.iter().flatten() {
                let claimed = self.catalog.claim_resource(resource, &draft.job_id, now);
                if let Some(other) = claimed.await? {
                    return Err(Failure::permanent(format!(
                        "resources: {resource} is being restored by {other}; wait for that, or stop it"
                    )));
                }
            }
        }
        let mut sizes = Vec::with_capacity(draft.waves.len());
        for (wave, resources) in (0..).zip(&draft.waves) {
            for (number, resource) in (0..).zip(resources) {
                let Some(blueprint) = blueprints.remove(resource) else {
                    continue;
                };
                let mut restore = Restore::new(
                    &draft.job_id,
                    &draft.plan_id,
                    &draft.recovery_point_id,
                    resource,
                    &draft.place,
                    blueprint,
                    now,
                );
                (restore.wave, restore.number) = (wave, number);
                self.catalog.ensure_restore(&restore).await?;
            }
            sizes.push(u32::try_from(resources.len()).unwrap_or(u32::MAX));
        }
        let job = Job {
            job_id: draft.job_id.clone(),
            kind: JobKind::Restore,
            status: JobStatus::Created,
            status_since: now,
            plan_id: draft.plan_id,
            recovery_point_id: draft.recovery_point_id.clone(),
            execution_id: execution_id.to_owned(),
            created_at: now,
            ended_at: None,
            progress: Progress::default(),
            message: None,
            reported_at: None,
        };
        let restore = RestoreJob {
            job_id: draft.job_id.clone(),
            mode: draft.mode,
            place: draft.place,
            moment: draft.moment,
            request: draft.request,
            waves: sizes.clone(),
            resumes: 0,
        };
        let opened = match self.catalog.open_restore_job(&job, &restore).await? {
            Opening::Opened => true,
            Opening::Found(found) => found.execution_id == execution_id,
        };
        self.catalog
            .advance_job(&draft.job_id, JobStatus::Running, None, now)
            .await?;
        tracing::info!(job = %draft.job_id, mode = %draft.mode, waves = sizes.len(), "restore opened");
        Ok(RestorePrepared {
            job_id: Some(draft.job_id),
            opened,
            waves: sizes,
            recovery_point_id: Some(draft.recovery_point_id),
            moment: Some(draft.moment),
            planned: Vec::new(),
        })
    }

    /// Takes up what an execution left that came to an end it was not meant for. A stopped one is taken back; any other
    /// goes on where it stood.
    async fn resume(
        &self,
        request: &ResumeRequest,
        execution_id: &str,
        now: Timestamp,
    ) -> Result<RestorePrepared, Failure> {
        let nothing = RestorePrepared {
            job_id: None,
            opened: false,
            waves: Vec::new(),
            recovery_point_id: None,
            moment: None,
            planned: Vec::new(),
        };
        let Some(job) = self.catalog.find_job_of_execution(&request.resume).await? else {
            return Ok(nothing);
        };
        if job.kind != JobKind::Restore || job.status.is_terminal() {
            return Ok(nothing);
        }
        if request.status == "ABORTED" {
            self.catalog
                .advance_job(&job.job_id, JobStatus::Aborting, None, now)
                .await?;
        }
        let resumes = self.catalog.resume_job(&job.job_id, execution_id).await?;
        if resumes > RESUMES {
            let message = format!(
                "its execution ended as {} for the {resumes}th time; what its restores have made carries the tag {}",
                request.status,
                holdfast_core::restoring::tags::RESTORE
            );
            self.catalog
                .advance_job(&job.job_id, JobStatus::Failed, Some(&message), now)
                .await?;
            return Ok(nothing);
        }
        let restore = self.catalog.find_restore_job(&job.job_id).await?;
        Ok(RestorePrepared {
            job_id: Some(job.job_id),
            opened: true,
            waves: restore.map(|restore| restore.waves).unwrap_or_default(),
            recovery_point_id: Some(job.recovery_point_id),
            moment: None,
            planned: Vec::new(),
        })
    }
}

/// The resources that are restored.
///
/// # Errors
/// Permanent: one of them has no good backup in the recovery point, with those that have.
fn chosen(
    request: &RestoreRequest,
    found: &crate::points::Found,
) -> Result<Vec<(InstanceId, holdfast_core::configuration::Tags)>, Failure> {
    let point = &found.recovery_point_id;
    if request.resources.is_empty() {
        if found.good.is_empty() {
            return Err(Failure::permanent(format!(
                "recovery_point_id: {point} holds no good backup"
            )));
        }
        if found.good.len() > MAX_RESOURCES {
            return Err(Failure::permanent(format!(
                "resources: {point} holds {} resources; name at most {MAX_RESOURCES} of them",
                found.good.len()
            )));
        }
        return Ok(found.good.clone());
    }
    let mut chosen = Vec::with_capacity(request.resources.len());
    for (index, resource) in request.resources.iter().enumerate() {
        if let Some(good) = found.good.iter().find(|(good, _)| good == resource) {
            chosen.push(good.clone());
            continue;
        }
        let names: Vec<&str> = found.good.iter().take(20).map(|(id, _)| id.as_str()).collect();
        let why = found
            .lacking
            .get(resource)
            .map_or_else(|| "it is not in it".to_owned(), Clone::clone);
        return Err(Failure::permanent(format!(
            "resources[{index}]: {point} holds no good backup of {resource}: {why}; it holds {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

/// Everything that has to be known about the surroundings of these backups.
pub(crate) fn questions(request: &RestoreRequest, held: &[Held]) -> Questions {
    let mut questions = Questions::default();
    questions.instances.extend(
        request
            .volumes
            .iter()
            .filter_map(|volumes| volumes.attach_to.clone()),
    );
    for held in held {
        let resource = &held.backup.resource_id;
        let overrides = request.overrides_of(resource);
        questions.snapshots.extend(held.snapshots.values().cloned());
        questions.keys.extend(overrides.kms_key_id.clone());
        questions.keys.extend(
            overrides
                .volumes
                .values()
                .filter_map(|volume| volume.kms_key_id.clone()),
        );
        if !held.is_replica {
            questions.instances.insert(resource.clone());
        }
        let Some(captured) = &held.backup.configuration else {
            continue;
        };
        if request.mode == Mode::InPlace {
            questions.types_of_instances = true;
            let volumes = captured.volumes.iter().map(|volume| volume.volume_id.clone());
            questions.volumes.extend(volumes);
        }
        if !request.mode.launches() && request.mode != Mode::Image {
            continue;
        }
        questions
            .image_names
            .extend(request.image.iter().map(|image| image.name.clone()));
        questions.images.extend(captured.image_id.clone());
        questions.images.extend(overrides.image_id.clone());
        let key = overrides.key_name.clone().or_else(|| captured.key_name.clone());
        questions.key_pairs.extend(key.filter(|key| !key.is_empty()));
        let profile = overrides
            .iam_instance_profile_arn
            .clone()
            .or_else(|| captured.iam_instance_profile_arn.clone());
        let profile = profile.filter(|profile| request.mode.launches() && !profile.is_empty());
        questions.profiles.extend(profile);
        let kind = overrides
            .instance_type
            .clone()
            .or_else(|| captured.instance_type.clone());
        questions.instance_types.extend(kind);
        if overrides.placement != Some(PlacementChoice::Default) && !held.is_replica {
            let reservation = &captured.capacity_reservation;
            let group = captured.placement.group().map(str::to_owned);
            questions.placement_groups.extend(group);
            questions.hosts.extend(captured.placement.host_id.clone());
            questions.reservations.extend(reservation.reservation_id.clone());
        }
        questions.subnets.extend(overrides.subnet_id.clone());
        questions
            .security_groups
            .extend(overrides.security_group_ids.clone());
        questions.addresses.extend(
            overrides
                .private_address
                .clone()
                .filter(|address| address != AUTOMATIC),
        );
        for interface in &captured.interfaces {
            questions.subnets.extend(interface.subnet_id.clone());
            questions
                .security_groups
                .extend(interface.security_groups.clone());
            questions
                .interfaces
                .insert(interface.network_interface_id.clone());
            for private in &interface.private_addresses {
                questions.addresses.insert(private.address.clone());
                questions.elastic_ips.extend(private.allocation_id.clone());
            }
        }
    }
    questions
}

/// What a dry run tells.
pub(crate) fn told(draft: &Draft, decided: &Decided) -> RestorePrepared {
    let mut planned = Vec::new();
    for (wave, resources) in (0..).zip(&draft.waves) {
        for resource in resources {
            let mut one = PlannedRestore {
                resource_id: resource.clone(),
                wave,
                way: None,
                steps: Vec::new(),
                differences: Vec::new(),
                obstacles: Vec::new(),
            };
            match decided.get(resource) {
                Some(Ok(blueprint)) => {
                    one.way.clone_from(&blueprint.way_in_words);
                    one.steps = blueprint.in_words();
                    one.differences.clone_from(&blueprint.announced);
                }
                Some(Err(obstacles)) => one.obstacles.clone_from(obstacles),
                None => {}
            }
            planned.push(one);
        }
    }
    RestorePrepared {
        job_id: None,
        opened: false,
        waves: Vec::new(),
        recovery_point_id: Some(draft.recovery_point_id.clone()),
        moment: Some(draft.moment),
        planned,
    }
}

/// The blueprints of all resources.
///
/// # Errors
/// Permanent: something is in the way of one of them, and nothing is made of any.
pub(crate) fn all_clear(decided: Decided) -> Result<BTreeMap<InstanceId, Blueprint>, Failure> {
    let mut blueprints = BTreeMap::new();
    let mut in_the_way = Vec::new();
    let many = decided.len() > 1;
    for (resource, decision) in decided {
        match decision {
            Ok(blueprint) => {
                blueprints.insert(resource, blueprint);
            }
            Err(obstacles) => in_the_way.extend(obstacles.iter().map(|obstacle| {
                if many {
                    format!("{resource}: {obstacle}")
                } else {
                    obstacle.to_string()
                }
            })),
        }
    }
    if in_the_way.is_empty() {
        Ok(blueprints)
    } else {
        Err(Failure::permanent(in_the_way.join("; ")))
    }
}

/// What an undo finds around a resource.
pub(crate) async fn survey_original(
    restore: &RestoreInstance,
    place: &Destination,
    resources: &[InstanceId],
    kept_volumes: BTreeSet<VolumeId>,
) -> Result<Survey, Failure> {
    let questions = Questions {
        instances: resources.iter().cloned().collect(),
        kept_volumes,
        types_of_instances: true,
        ..Questions::default()
    };
    Box::pin(survey(&restore.clients_in(&place.region), &questions)).await
}
