//! Deleting the volumes that in-place restores took off, when their time for an undo is over.

use crate::RestoreInstance;
use holdfast_aws::failure::Failure;
use holdfast_aws::restoring::survey::failure;
use holdfast_aws::restoring::volume::{self, VolumeView};
use holdfast_core::ids::{InstanceId, JobId, VolumeId};
use holdfast_core::restoring::blueprint::kept_volumes;
use holdfast_core::restoring::message::UndoExpired;
use holdfast_core::restoring::record::{Restore, RestoreStatus};
use holdfast_core::restoring::tags::{UNDO_OF, UNDO_UNTIL};
use jiff::Timestamp;

impl RestoreInstance {
    /// Deletes what both the tag and the catalog say may go: a volume that a restore or an undo has taken off, that hangs
    /// on nothing, and whose time is over. Anybody can write a tag; what the catalog does not name stays.
    pub(crate) async fn expire_undo(&self, now: Timestamp) -> Result<UndoExpired, Failure> {
        let ec2 = &self.here.ec2;
        let mut found: Vec<(VolumeId, VolumeView)> = Vec::new();
        volume::list_tagged(ec2, UNDO_UNTIL, |id, view| found.push((id, view)))
            .await
            .map_err(|refusal| failure("listing the volumes that are kept for an undo", &refusal))?;
        let mut expired = UndoExpired::default();
        for (id, view) in found {
            match self.may_go(&id, &view, now).await? {
                Ok(false) => {}
                Ok(true) => match volume::delete(ec2, &id).await {
                    Ok(()) => expired.deleted.push(id),
                    Err(refusal) => {
                        expired.kept.insert(id, refusal.reason);
                    }
                },
                Err(why) => {
                    expired.kept.insert(id, why);
                }
            }
        }
        tracing::info!(
            deleted = expired.deleted.len(),
            kept = expired.kept.len(),
            "undo volumes looked at"
        );
        Ok(expired)
    }

    /// Whether a volume's time is over; and if it is, why it stays all the same.
    async fn may_go(
        &self,
        id: &VolumeId,
        view: &VolumeView,
        now: Timestamp,
    ) -> Result<Result<bool, String>, Failure> {
        let until = view
            .tags
            .get(UNDO_UNTIL)
            .and_then(|until| until.parse::<Timestamp>().ok());
        let Some(until) = until else {
            return Ok(Err(format!("its tag {UNDO_UNTIL} names no moment")));
        };
        if now < until {
            return Ok(Ok(false));
        }
        if view.state != "available" {
            return Ok(Err(format!("it is {}", view.state)));
        }
        let named = view.tags.get(UNDO_OF).and_then(|value| value.split_once('/'));
        let parsed = named.and_then(|(job, resource)| {
            Some((JobId::try_from(job).ok()?, InstanceId::try_from(resource).ok()?))
        });
        let Some((job, resource)) = parsed else {
            return Ok(Err(format!("its tag {UNDO_OF} names no restore")));
        };
        let restores = self.catalog.list_restores(&job).await?;
        let restore = restores
            .into_iter()
            .find(|restore| restore.resource_id == resource);
        let Some(restore) = restore.filter(|restore| is_kept_by(restore, id, now)) else {
            return Ok(Err("the catalog does not name it as kept for an undo".to_owned()));
        };
        // After any other end it may be all that there is of what was there.
        if !matches!(restore.status, RestoreStatus::Completed | RestoreStatus::Partial) {
            return Ok(Err(format!(
                "{job} did not come to a good end: look at {resource}, and delete the volume when nobody needs it"
            )));
        }
        // An undo that was taken on in time puts it back.
        if let Some(holder) = self.catalog.who_claims(&resource, now).await? {
            return Ok(Err(format!("{holder} is about to change {resource}")));
        }
        Ok(Ok(true))
    }
}

/// Whether the restore took this volume off, knows it, and its time is over.
fn is_kept_by(restore: &Restore, id: &VolumeId, now: Timestamp) -> bool {
    let exchanges = restore
        .blueprint
        .exchanges
        .iter()
        .filter(|exchange| !exchange.is_foreign);
    let kept = kept_volumes(&exchanges.cloned().collect::<Vec<_>>());
    restore.blueprint.undo_until.is_some_and(|until| until <= now) && kept.values().any(|kept| kept == id)
}
