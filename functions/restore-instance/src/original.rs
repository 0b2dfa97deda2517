//! The original: stopped, started, let go at last, or left as it was found.

use crate::RestoreInstance;
use crate::step::{Reached, Trouble, Work};
use holdfast_aws::restoring::instance::InstanceView;
use holdfast_aws::restoring::{instance, interface, set_tags_where_room};
use holdfast_aws::snapshots::Refusal;
use holdfast_core::ids::VolumeId;
use holdfast_core::pacing::{VISIBILITY, later};
use holdfast_core::restoring::blueprint::Original;
use holdfast_core::restoring::record::NoReturn;
use holdfast_core::restoring::step::Part;
use holdfast_core::restoring::tags::RESTORE;
use std::collections::BTreeMap;

impl RestoreInstance {
    /// Stops the original; its protection from that is lifted as long.
    pub(crate) async fn stop_original(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.restore.resource_id.clone();
        let facts = original(work)?;
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        match view.state.as_str() {
            "stopped" => Ok(Reached::Yes),
            "running" => {
                check_unchanged(work, &facts, &view)?;
                if facts.stop_protection {
                    instance::protect_from_stop(work.ec2(), &id, false).await?;
                }
                instance::stop(work.ec2(), &id).await?;
                Ok(Reached::NotYet(format!("{id} is stopping")))
            }
            "shutting-down" | "terminated" => {
                Err(Trouble::Hopeless(format!("{id} was terminated meanwhile")))
            }
            state => Ok(Reached::NotYet(format!("{id} is {state}"))),
        }
    }

    /// Starts the original, if it ran before, and protects it again as it was.
    pub(crate) async fn start_original(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.restore.resource_id.clone();
        let facts = original(work)?;
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        let reached = match view.state.as_str() {
            "running" => true,
            "stopped" if !facts.was_running => true,
            "stopped" => {
                instance::start(work.ec2(), &id).await?;
                false
            }
            "shutting-down" | "terminated" => {
                return Err(Trouble::Hopeless(format!("{id} was terminated meanwhile")));
            }
            _ => false,
        };
        if !reached {
            return Ok(Reached::NotYet(format!("{id} is {}", view.state)));
        }
        if facts.stop_protection {
            instance::protect_from_stop(work.ec2(), &id, true).await?;
        }
        Ok(Reached::Yes)
    }

    /// Lets the original go: from here there is no way back. Its interfaces stay, with their addresses; its volumes stay
    /// until the new instance is proved good.
    ///
    /// That it is let go is written down first. Whoever stops the job before that finds the original untouched.
    pub(crate) async fn release_original(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.restore.resource_id.clone();
        let facts = original(work)?;
        if !work.restore.has_cut_over() {
            let candidate = work.made(Part::Candidate)?;
            let stands = instance::look(work.ec2(), &candidate).await?;
            if let Some(address) = stands.as_ref().and_then(|view| wanted_address(work, view)) {
                return Err(Trouble::Hopeless(format!(
                    "EC2 has given {candidate} the address {address}, which the new instance is to have; try again"
                )));
            }
            let is_proved = work.restore.made.proved.contains(&candidate);
            if !is_proved || stands.is_none_or(|view| view.state != "running") {
                return Err(Trouble::Hopeless(format!("{candidate} does not run any more")));
            }
            if let not_yet @ Reached::NotYet(_) = self.cross(work, NoReturn::CutOver).await? {
                return Ok(not_yet);
            }
        }
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return self.interfaces_are_free(work, &facts).await;
        };
        match view.state.as_str() {
            "terminated" => self.interfaces_are_free(work, &facts).await,
            "shutting-down" => Ok(Reached::NotYet(format!("{id} is shutting down"))),
            _ => match self.end_original(work, &view, &facts).await {
                Ok(()) => Ok(Reached::NotYet(format!("{id} is being terminated"))),
                Err(Trouble::Refused(refusal)) if !work.may_pass(&refusal) => {
                    self.keep_original(work, refusal).await
                }
                Err(trouble) => Err(trouble),
            },
        }
    }

    /// Asks EC2 to end the original, and to leave its interfaces and volumes.
    async fn end_original(
        &self,
        work: &mut Work,
        view: &InstanceView,
        facts: &Original,
    ) -> Result<(), Trouble> {
        let id = work.restore.resource_id.clone();
        // Those that the new instance takes over. What was attached since the backup goes as its flag says.
        let taken = work.restore.blueprint.target.interfaces.clone();
        let is_taken = |id: &String| taken.iter().any(|wanted| wanted.network_interface_id == *id);
        let ending = view.interfaces.values().filter(|held| held.delete_on_termination);
        for held in ending.filter(|held| is_taken(&held.id)) {
            if let Some(attachment) = &held.attachment_id {
                interface::set_end(work.ec2(), &held.id, attachment, false).await?;
            }
        }
        let kept: BTreeMap<String, bool> = view
            .volumes
            .iter()
            .filter(|(_, (_, ends))| *ends)
            .map(|(device, _)| (device.clone(), false))
            .collect();
        instance::set_volume_ends(work.ec2(), &id, &kept).await?;
        let tag = [(RESTORE.to_owned(), work.tag.clone())].into();
        let mut tagged = vec![id.to_string()];
        tagged.extend(ending_volumes(facts).iter().map(ToString::to_string));
        for full in set_tags_where_room(work.ec2(), &tagged, &tag).await? {
            work.restore.note(format!(
                "{full} has no room for the tag {RESTORE}, without which nothing is deleted: it is kept; delete it when \
                 nobody needs it"
            ));
        }
        if facts.termination_protection {
            instance::protect_from_termination(work.ec2(), &id, false).await?;
        }
        instance::terminate(work.ec2(), std::slice::from_ref(&id)).await?;
        Ok(())
    }

    /// EC2 has not taken the call that ends the original: it is there as before, and so is the way back.
    async fn keep_original(&self, work: &mut Work, refusal: Refusal) -> Result<Reached, Trouble> {
        // The tag by which it may be ended was set a moment ago.
        let is_unknown_yet = refusal.code.as_deref() == Some("UnauthorizedOperation");
        if is_unknown_yet && work.clock() < later(work.restore.since, VISIBILITY) {
            return Ok(Reached::NotYet(refusal.reason));
        }
        work.restore.no_return = None;
        self.save(work).await?;
        Err(Trouble::Refused(refusal))
    }

    async fn interfaces_are_free(&self, work: &Work, facts: &Original) -> Result<Reached, Trouble> {
        let wanted = &work.restore.blueprint.target.interfaces;
        let is_taken = |id: &&String| wanted.iter().any(|wanted| wanted.network_interface_id == **id);
        let ids: Vec<String> = facts.interfaces.keys().filter(is_taken).cloned().collect();
        let states = interface::states(work.ec2(), &ids).await?;
        match states.iter().find(|(_, state)| *state != "available") {
            None => Ok(Reached::Yes),
            Some((id, state)) => Ok(Reached::NotYet(format!("{id} is {state}"))),
        }
    }

    /// Leaves the original as it was found.
    pub(crate) async fn return_original(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.restore.resource_id.clone();
        let Some(facts) = work.restore.blueprint.original.clone() else {
            return Ok(Reached::Yes);
        };
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        if view.is_ending() {
            return Err(Trouble::Hopeless(format!("{id} was terminated meanwhile")));
        }
        for held in view.interfaces.values() {
            let ends = facts.interfaces.get(&held.id).copied();
            if let (Some(ends), Some(attachment)) = (ends, &held.attachment_id)
                && ends != held.delete_on_termination
            {
                interface::set_end(work.ec2(), &held.id, attachment, ends).await?;
            }
        }
        let changed: BTreeMap<String, bool> = facts
            .volumes
            .iter()
            .filter_map(|(device, standing)| {
                let (volume, ends) = view.volumes.get(device)?;
                let is_same = standing.volume_id.as_ref() == Some(volume);
                (is_same && *ends != standing.delete_on_termination)
                    .then(|| (device.clone(), standing.delete_on_termination))
            })
            .collect();
        instance::set_volume_ends(work.ec2(), &id, &changed).await?;
        if facts.termination_protection {
            instance::protect_from_termination(work.ec2(), &id, true).await?;
        }
        self.start_original(work).await
    }
}

/// What the original was when the restore began.
pub(crate) fn original(work: &Work) -> Result<Original, Trouble> {
    let facts = work.restore.blueprint.original.clone();
    facts.ok_or_else(|| Trouble::Hopeless("the blueprint knows no original".to_owned()))
}

/// What was decided on an original as it was holds no more for one that somebody has changed since.
fn check_unchanged(work: &Work, facts: &Original, view: &InstanceView) -> Result<(), Trouble> {
    let volumes = facts.volumes.iter();
    let changed = volumes.clone().find(|(device, standing)| {
        view.volumes.get(*device).map(|(there, _)| there) != standing.volume_id.as_ref()
    });
    let what = match changed {
        Some((device, _)) => format!("holds another volume at {device}"),
        None if view.volumes.len() != volumes.len() => "has other volumes".to_owned(),
        None if !facts.was_running => "runs".to_owned(),
        None => return Ok(()),
    };
    let id = &work.restore.resource_id;
    Err(Trouble::Hopeless(format!(
        "{id} {what} by now, since the restore was decided on; start it again"
    )))
}

/// The original's volumes that were to end with it.
pub(crate) fn ending_volumes(facts: &Original) -> Vec<VolumeId> {
    let standing = facts
        .volumes
        .values()
        .filter(|standing| standing.delete_on_termination);
    standing
        .filter_map(|standing| standing.volume_id.clone())
        .collect()
}

/// An address of a candidate that the instance which stays is to have.
fn wanted_address(work: &Work, candidate: &InstanceView) -> Option<String> {
    let wanted = work.restore.blueprint.target.interfaces.iter();
    let wanted: Vec<&String> = wanted
        .flat_map(|interface| interface.private_addresses.iter().map(|private| &private.address))
        .collect();
    let mut given = candidate
        .interfaces
        .values()
        .flat_map(|interface| &interface.addresses);
    given.find(|address| wanted.contains(address)).cloned()
}
