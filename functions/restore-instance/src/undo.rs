//! Opening the job that undoes an in-place restore.

use crate::RestoreInstance;
use crate::prepare::{Decided, Draft, all_clear, survey_original, told};
use holdfast_aws::failure::Failure;
use holdfast_core::ids::{InstanceId, JobId};
use holdfast_core::restoring::Mode;
use holdfast_core::restoring::blueprint::kept_volumes;
use holdfast_core::restoring::message::RestorePrepared;
use holdfast_core::restoring::request::UndoRequest;
use holdfast_core::restoring::undo::decide_undo;
use jiff::Timestamp;

impl RestoreInstance {
    pub(crate) async fn prepare_undo(
        &self,
        request: &UndoRequest,
        job_id: JobId,
        execution_id: &str,
        now: Timestamp,
    ) -> Result<RestorePrepared, Failure> {
        if let Some(found) = self.opened_before(&job_id, execution_id, now).await? {
            return Ok(found);
        }
        let Some(done) = self.catalog.find_restore_job(&request.undo).await? else {
            return Err(Failure::permanent(format!(
                "undo: there is no restore job {}",
                request.undo
            )));
        };
        let mut restores = self.catalog.list_restores(&request.undo).await?;
        if let Some(stranger) = request
            .resources
            .iter()
            .find(|id| !restores.iter().any(|restore| restore.resource_id == **id))
        {
            return Err(Failure::permanent(format!(
                "resources: {stranger} was not restored by {}",
                request.undo
            )));
        }
        restores.retain(|restore| {
            request.resources.is_empty() || request.resources.contains(&restore.resource_id)
        });
        let resources: Vec<InstanceId> = restores
            .iter()
            .map(|restore| restore.resource_id.clone())
            .collect();
        let kept = restores
            .iter()
            .flat_map(|restore| kept_volumes(&restore.blueprint.exchanges).into_values())
            .collect();
        let found = survey_original(self, &done.place, &resources, kept).await?;
        let decided: Decided = restores
            .iter()
            .map(|restore| {
                let around = found.around(&restore.resource_id, None);
                (restore.resource_id.clone(), decide_undo(restore, &around, now))
            })
            .collect();
        let Some(first) = restores.first() else {
            return Err(Failure::permanent(format!(
                "undo: {} restored nothing",
                request.undo
            )));
        };
        let draft = Draft {
            job_id,
            plan_id: first.plan_id.clone(),
            recovery_point_id: first.recovery_point_id.clone(),
            moment: done.moment,
            mode: Mode::Undo,
            place: done.place,
            request: None,
            waves: vec![resources],
        };
        if request.dry_run {
            return Ok(told(&draft, &decided));
        }
        self.open(draft, all_clear(decided)?, execution_id, now).await
    }
}
