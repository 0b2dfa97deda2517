//! Exchanging the volumes of an instance that stays: forward, back, and for an undo.

use crate::RestoreInstance;
use crate::original::original;
use crate::step::{Reached, Trouble, Work};
use holdfast_aws::restoring::instance::InstanceView;
use holdfast_aws::restoring::replace_root::{self, TaskState};
use holdfast_aws::restoring::{instance, remove_tags, set_tags, set_tags_where_room, volume};
use holdfast_core::configuration::Tags;
use holdfast_core::ids::VolumeId;
use holdfast_core::pacing::{VISIBILITY, later};
use holdfast_core::restoring::step::{Exchange, Standing, Step};
use holdfast_core::restoring::tags::{RESTORE, UNDO_OF, UNDO_UNTIL};
use std::collections::BTreeMap;

/// What is to stand at each device: a volume, and whether it ends with the instance; or nothing.
type Wanted = BTreeMap<String, Option<(VolumeId, bool)>>;

impl RestoreInstance {
    /// Puts the restored volumes in place of those that are there, and keeps those for an undo.
    pub(crate) async fn swap_volumes(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let exchanges = work.restore.blueprint.exchanges.clone();
        // Before anything is taken off: a volume on its way is never without the mark that keeps it.
        mark_kept(work).await?;
        let wanted = wanted(
            &exchanges,
            |exchange| exchange.after.as_ref(),
            &work.restore.made.volumes,
        )?;
        self.stand(work, &wanted).await
    }

    /// Takes the marks of kept volumes off those that an undo has put back: they are the instance's own again, and nothing
    /// may take them for volumes whose time is over. It is done last: until then the undo may be taken back.
    pub(crate) async fn own_again(&self, work: &Work) -> Result<Reached, Trouble> {
        let back = work.restore.blueprint.exchanges.iter();
        let back: Vec<String> = back
            .filter_map(|exchange| exchange.after.as_ref()?.volume_id.as_ref())
            .map(ToString::to_string)
            .collect();
        remove_tags(work.ec2(), &back, &[UNDO_OF, UNDO_UNTIL]).await?;
        Ok(Reached::Yes)
    }

    /// Puts the volumes back that were there.
    pub(crate) async fn swap_back(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let exchanges = work.restore.blueprint.exchanges.clone();
        if work.restore.blueprint.steps.contains(&Step::ReplaceRoot) {
            match self.settle_root(work).await? {
                Reached::Yes => {}
                not_yet @ Reached::NotYet(_) => return Ok(not_yet),
            }
        }
        let wanted = wanted(
            &exchanges,
            |exchange| exchange.before.as_ref(),
            &work.restore.made.volumes,
        )?;
        match self.stand(work, &wanted).await? {
            Reached::Yes => {}
            not_yet @ Reached::NotYet(_) => return Ok(not_yet),
        }
        // What stands there again is not kept for anything. What an undo was to put back stays kept as it was.
        remove_tags(work.ec2(), &kept(&exchanges), &[UNDO_OF, UNDO_UNTIL]).await?;
        Ok(Reached::Yes)
    }

    /// Reaches a state in which these volumes stand at their devices. The instance is stopped for it if need be.
    async fn stand(&self, work: &Work, wanted: &Wanted) -> Result<Reached, Trouble> {
        let id = &work.restore.resource_id;
        let Some(view) = instance::look(work.ec2(), id).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        if view.is_ending() {
            return Err(Trouble::Hopeless(format!("{id} was terminated meanwhile")));
        }
        let wrong: Vec<&String> = wanted
            .iter()
            .filter(|(device, volume)| {
                let there = view.volumes.get(*device).map(|(there, _)| there);
                there != volume.as_ref().map(|(volume, _)| volume)
            })
            .map(|(device, _)| device)
            .collect();
        if wrong.is_empty() {
            return self.set_flags(work, wanted, &view).await;
        }
        match view.state.as_str() {
            "stopped" => {}
            "running" => {
                if original(work)?.stop_protection {
                    instance::protect_from_stop(work.ec2(), id, false).await?;
                }
                instance::stop(work.ec2(), id).await?;
                return Ok(Reached::NotYet(format!("{id} is stopping")));
            }
            state => return Ok(Reached::NotYet(format!("{id} is {state}"))),
        }
        let mut open = Vec::new();
        for device in &wrong {
            if let Some((there, _)) = view.volumes.get(*device) {
                check_known(work, device, there)?;
                volume::detach(work.ec2(), there).await?;
                open.push(format!("{there} is being detached"));
            }
        }
        if !open.is_empty() {
            return Ok(Reached::NotYet(open.join(", ")));
        }
        let coming: Vec<(&String, &VolumeId)> = wrong
            .iter()
            .filter_map(|device| Some((*device, &wanted.get(*device)?.as_ref()?.0)))
            .collect();
        let standing = volume::look(work.ec2(), coming.iter().map(|(_, volume)| *volume)).await?;
        for (device, volume) in coming {
            match standing.get(volume) {
                Some(view) if view.state == "available" => {
                    volume::attach(work.ec2(), volume, id, device).await?;
                    open.push(format!("{volume} is being attached"));
                }
                Some(view) => open.push(format!("{volume} is {}", view.state)),
                None => {
                    return Err(Trouble::Hopeless(format!(
                        "{volume}, which is to stand at {device}, is gone"
                    )));
                }
            }
        }
        Ok(Reached::NotYet(open.join(", ")))
    }

    async fn set_flags(&self, work: &Work, wanted: &Wanted, view: &InstanceView) -> Result<Reached, Trouble> {
        let changed: BTreeMap<String, bool> = wanted
            .iter()
            .filter_map(|(device, volume)| {
                let (_, ends) = volume.as_ref()?;
                let (_, now) = view.volumes.get(device)?;
                (ends != now).then(|| (device.clone(), *ends))
            })
            .collect();
        instance::set_volume_ends(work.ec2(), &work.restore.resource_id, &changed).await?;
        Ok(Reached::Yes)
    }

    /// Has EC2 replace the root volume of the running instance.
    pub(crate) async fn replace_root(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.restore.resource_id.clone();
        let Some(order) = work.restore.blueprint.volumes.first().cloned() else {
            return Err(Trouble::Hopeless("the blueprint names no snapshot".to_owned()));
        };
        let task = if let Some(task) = &work.restore.made.replace_root_task {
            task.clone()
        } else {
            mark_kept(work).await?;
            let token = work.token("replace root");
            let task = replace_root::create(work.ec2(), &id, &order.snapshot_id, &token).await?;
            work.restore.made.replace_root_task = Some(task.clone());
            task
        };
        match replace_root::look(work.ec2(), &task).await? {
            None => Ok(Reached::NotYet(format!("EC2 does not show {task} yet"))),
            Some(TaskState::AtWork(state)) => Ok(Reached::NotYet(format!("{task} is {state}"))),
            Some(TaskState::Failed(state)) => Err(Trouble::Hopeless(format!("{task} ended as {state}"))),
            Some(TaskState::Succeeded) => {
                let Some(view) = instance::look(work.ec2(), &id).await? else {
                    return Err(Trouble::Hopeless(format!("{id} is gone")));
                };
                let Some((volume, ends)) = view.volumes.get(&order.device).cloned() else {
                    return Ok(Reached::NotYet(format!(
                        "EC2 shows nothing at {} yet",
                        order.device
                    )));
                };
                let exchange = work.restore.blueprint.exchanges.first();
                let before = exchange.and_then(|exchange| exchange.before.as_ref()?.volume_id.clone());
                if before.as_ref() == Some(&volume) {
                    return Ok(Reached::NotYet(format!(
                        "EC2 shows {volume} at {} still",
                        order.device
                    )));
                }
                work.restore.made.volumes.insert(order.device.clone(), volume);
                let after = work
                    .restore
                    .blueprint
                    .exchanges
                    .iter()
                    .find_map(|exchange| exchange.after.as_ref());
                if let Some(after) = after.filter(|after| after.delete_on_termination != ends) {
                    let flags = BTreeMap::from([(order.device, after.delete_on_termination)]);
                    instance::set_volume_ends(work.ec2(), &id, &flags).await?;
                }
                Ok(Reached::Yes)
            }
        }
    }

    /// Waits until no task replaces the root volume any more, and marks what one has put there as ours.
    async fn settle_root(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.restore.resource_id.clone();
        if let Some(task) = replace_root::at_work(work.ec2(), &id).await? {
            return Ok(Reached::NotYet(format!("{task} is still at work")));
        }
        let is_known = work.restore.made.replace_root_task.is_some();
        if !is_known && work.clock() < later(work.restore.since, VISIBILITY) {
            return Ok(Reached::NotYet(
                "a task that was asked for last may not be seen yet".to_owned(),
            ));
        }
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        for exchange in work.restore.blueprint.exchanges.clone() {
            let before = exchange
                .before
                .as_ref()
                .and_then(|before| before.volume_id.as_ref());
            if let Some((there, _)) = view.volumes.get(&exchange.device)
                && before != Some(there)
            {
                let tag = Tags::from([(RESTORE.to_owned(), work.tag.clone())]);
                set_tags(work.ec2(), &[there.to_string()], &tag).await?;
                work.restore.made.volumes.insert(exchange.device, there.clone());
            }
        }
        Ok(Reached::Yes)
    }
}

fn wanted(
    exchanges: &[Exchange],
    side: impl Fn(&Exchange) -> Option<&Standing>,
    made: &BTreeMap<String, VolumeId>,
) -> Result<Wanted, Trouble> {
    exchanges
        .iter()
        .map(|exchange| {
            let device = exchange.device.clone();
            let Some(standing) = side(exchange) else {
                return Ok((device, None));
            };
            let volume = standing.volume_id.clone().or_else(|| made.get(&device).cloned());
            let volume =
                volume.ok_or_else(|| Trouble::Hopeless(format!("there is no volume for {device}")))?;
            Ok((device, Some((volume, standing.delete_on_termination))))
        })
        .collect()
}

/// Nothing is taken off that the blueprint does not name: somebody else has put it there since it was decided on.
fn check_known(work: &Work, device: &str, there: &VolumeId) -> Result<(), Trouble> {
    let restore = &work.restore;
    let exchanges = restore.blueprint.exchanges.iter();
    let named = exchanges
        .flat_map(|exchange| [&exchange.before, &exchange.after])
        .filter_map(|standing| standing.as_ref()?.volume_id.as_ref());
    if named
        .chain(restore.made.volumes.values())
        .any(|known| known == there)
    {
        return Ok(());
    }
    Err(Trouble::Hopeless(format!(
        "{there} stands at {device} of {}, put there since the restore was decided on",
        restore.resource_id
    )))
}

/// The volumes that are kept for an undo.
fn kept(exchanges: &[Exchange]) -> Vec<String> {
    exchanges
        .iter()
        .filter_map(|exchange| exchange.before.as_ref()?.volume_id.as_ref())
        .map(ToString::to_string)
        .collect()
}

/// Marks what is kept for an undo. A volume that is full of the user's own tags goes without: it is kept all the same.
async fn mark_kept(work: &mut Work) -> Result<(), Trouble> {
    let kept = kept(&work.restore.blueprint.exchanges);
    for id in set_tags_where_room(work.ec2(), &kept, &undo_tags(work)).await? {
        let note = format!(
            "{id} has no room for the tags of what is kept for an undo: it is kept, and nobody deletes it later"
        );
        work.restore.note(note);
    }
    Ok(())
}

fn undo_tags(work: &Work) -> Tags {
    let until = work.restore.blueprint.undo_until.map(|until| until.to_string());
    Tags::from([
        (UNDO_OF.to_owned(), work.tag.clone()),
        (UNDO_UNTIL.to_owned(), until.unwrap_or_default()),
    ])
}
