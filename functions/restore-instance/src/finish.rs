//! The last steps: what a launch cannot set, rest, nothing temporary left, and the comparison with what was captured.

use crate::RestoreInstance;
use crate::original::ending_volumes;
use crate::step::{Reached, Trouble, Work};
use holdfast_aws::restoring::instance::InterfaceView;
use holdfast_aws::restoring::interface::{self, associate, holders};
use holdfast_aws::restoring::survey::describe_instances;
use holdfast_aws::restoring::{image, instance, remove_tags, set_tags, target_group, tidy, volume};
use holdfast_core::configuration::{
    InstanceConfiguration, InterfaceConfiguration, Tags, VolumeConfiguration,
};
use holdfast_core::ids::InstanceId;
use holdfast_core::pacing::{VISIBILITY, later};
use holdfast_core::restoring::Mode;
use holdfast_core::restoring::fidelity::{Difference, compare, compare_volumes};
use holdfast_core::restoring::record::{NoReturn, RestoreStatus};
use holdfast_core::restoring::step::Part;
use holdfast_core::restoring::tags::{RESTORE, creation_tags, final_tags};
use std::collections::BTreeMap;

impl RestoreInstance {
    /// Sets what a launch cannot: tags of single volumes and interfaces, source/destination checks, elastic addresses,
    /// target groups.
    pub(crate) async fn dress(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.made(Part::Final)?;
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Ok(Reached::NotYet(format!("EC2 does not show {id} yet")));
        };
        let target = work.restore.blueprint.target.clone();
        let mut alike: BTreeMap<Tags, Vec<String>> = BTreeMap::new();
        for wanted in &target.volumes {
            if let Some((volume, _)) = view.volumes.get(&wanted.device) {
                let tags = creation_tags(&wanted.tags, &work.tag);
                alike.entry(tags).or_default().push(volume.to_string());
            }
        }
        for wanted in &target.interfaces {
            let Some(there) = view.interfaces.get(&wanted.place()) else {
                continue;
            };
            // One that was there before keeps what it carries.
            if wanted.network_interface_id.is_empty() {
                let tags = creation_tags(&wanted.tags, &work.tag);
                alike.entry(tags).or_default().push(there.id.clone());
            }
            // One that is taken over must not end with an instance that may be taken back.
            if wanted.network_interface_id.is_empty() {
                set_end(work, wanted, there).await?;
            }
            if wanted.source_dest_check == Some(false) {
                interface::set_source_dest_check(work.ec2(), &there.id, false).await?;
            }
        }
        for (tags, resources) in &alike {
            set_tags(work.ec2(), resources, tags).await?;
        }
        if work.restore.has_cut_over() {
            self.give_elastic_ips(work, &target, &view).await?;
        }
        for group in work.restore.blueprint.target_groups.clone() {
            target_group::replace(&work.clients.elb, &group, &id, &work.restore.resource_id).await?;
        }
        Ok(Reached::Yes)
    }

    async fn give_elastic_ips(
        &self,
        work: &Work,
        target: &InstanceConfiguration,
        view: &instance::InstanceView,
    ) -> Result<(), Trouble> {
        let mut wanted: BTreeMap<String, (String, String)> = BTreeMap::new();
        for interface in &target.interfaces {
            let Some(there) = view.interfaces.get(&interface.place()) else {
                continue;
            };
            let mut addresses = interface.private_addresses.clone();
            addresses.sort_by_key(|address| !address.primary);
            // An address that EC2 chose stands at the same place in its list.
            for (private, given) in addresses.iter().zip(&there.addresses) {
                if let Some(allocation) = &private.allocation_id {
                    let exact = Some(private.address.clone()).filter(|address| !address.is_empty());
                    let place = (there.id.clone(), exact.unwrap_or_else(|| given.clone()));
                    wanted.insert(allocation.clone(), place);
                }
            }
        }
        let allocations: Vec<String> = wanted.keys().cloned().collect();
        let standing = holders(work.ec2(), &allocations).await?;
        for (allocation, (interface, private)) in wanted {
            if standing.get(&allocation) != Some(&(interface.clone(), private.clone())) {
                associate(work.ec2(), &allocation, &interface, &private).await?;
            }
        }
        Ok(())
    }

    /// Lets the instance rest as it was captured: protected, and stopped, if it was.
    pub(crate) async fn settle(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.made(Part::Final)?;
        let target = &work.restore.blueprint.target;
        if target
            .state
            .as_deref()
            .is_some_and(|state| state.starts_with("stop"))
        {
            let Some(view) = instance::look(work.ec2(), &id).await? else {
                return Ok(Reached::NotYet(format!("EC2 does not show {id}")));
            };
            match view.state.as_str() {
                "stopped" => {}
                "running" => {
                    instance::stop(work.ec2(), &id).await?;
                    return Ok(Reached::NotYet(format!(
                        "{id} is stopping: it was captured stopped"
                    )));
                }
                state => return Ok(Reached::NotYet(format!("{id} is {state}"))),
            }
        }
        if target.disable_api_stop == Some(true) {
            instance::protect_from_stop(work.ec2(), &id, true).await?;
        }
        if target.disable_api_termination == Some(true) {
            instance::protect_from_termination(work.ec2(), &id, true).await?;
        }
        Ok(Reached::Yes)
    }

    /// Removes what was temporary, compares, and takes the restore's tag off what stays.
    pub(crate) async fn finish(&self, work: &mut Work) -> Result<Reached, Trouble> {
        if work.restore.blueprint.mode == Mode::Undo {
            return self.own_again(work).await;
        }
        let stays = self.staying(work).await?;
        let left = tidy::find(work.ec2(), &work.tag).await?;
        let passing = passing(left, &stays);
        if !passing.is_empty() {
            match tidy::remove(work.ec2(), &passing).await {
                Ok(()) => return Ok(Reached::NotYet("what was temporary is being removed".to_owned())),
                Err(refusal) if work.may_pass(&refusal) => return Err(refusal.into()),
                // What is good is not taken back because something temporary stays.
                Err(refusal) => work.restore.note(format!(
                    "not all that was temporary could be removed, it carries the tag {RESTORE} = {}: {}",
                    work.tag, refusal.reason
                )),
            }
        }
        if work.restore.blueprint.mode == Mode::Rehearsal {
            work.restore.differences = self.differences(work).await?;
            return Ok(Reached::Yes);
        }
        if !work.restore.is_past_return()
            && let not_yet @ Reached::NotYet(_) = self.cross(work, NoReturn::HandedOver).await?
        {
            return Ok(not_yet);
        }
        self.hand_over(work).await?;
        untag(work, &stays).await?;
        work.restore.differences = self.differences(work).await?;
        Ok(Reached::Yes)
    }

    /// Gives the new instance for good what was somebody else's before: elastic addresses, and interfaces that end with it
    /// from now on.
    async fn hand_over(&self, work: &mut Work) -> Result<(), Trouble> {
        let target = work.restore.blueprint.target.clone();
        let takes_something = target.interfaces.iter().any(|wanted| {
            let mut addresses = wanted.private_addresses.iter();
            !wanted.network_interface_id.is_empty()
                || addresses.any(|private| private.allocation_id.is_some())
        });
        let last = work.restore.made.instances.get(&Part::Final).cloned();
        let Some(id) = last.filter(|_| takes_something) else {
            return Ok(());
        };
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        for wanted in &target.interfaces {
            let taken_over = !wanted.network_interface_id.is_empty();
            if let Some(there) = view.interfaces.get(&wanted.place()).filter(|_| taken_over) {
                set_end(work, wanted, there).await?;
            }
        }
        if work.restore.has_cut_over() {
            return Ok(());
        }
        self.give_elastic_ips(work, &target, &view).await
    }

    /// What of the things that carry the restore's tag is to stay, with the tags that each is to carry in the end.
    async fn staying(&self, work: &Work) -> Result<BTreeMap<String, Tags>, Trouble> {
        let restore = &work.restore;
        let blueprint = &restore.blueprint;
        let from = format!("{}/{}", restore.recovery_point_id, restore.resource_id);
        let target = &blueprint.target;
        let mut stays = BTreeMap::new();
        let of_volume = |device: &str| {
            let wanted = target.volumes.iter().find(|volume| volume.device == device);
            wanted
                .map(|wanted| final_tags(&wanted.tags, &from))
                .unwrap_or_default()
        };
        for (device, volume) in &restore.made.volumes {
            stays.insert(volume.to_string(), of_volume(device));
        }
        if let Some(image) = &restore.made.machine_image_id {
            stays.insert(image.clone(), final_tags(&target.tags, &from));
            // Those of a registered image are the backup's own: they are as they are.
            let made_of_instance = restore.made.instances.contains_key(&Part::Candidate);
            let found = image::find(work.ec2(), "image-id", image).await?;
            if let Some(found) = found.filter(|_| made_of_instance) {
                for snapshot in found.snapshots {
                    stays.insert(snapshot.to_string(), final_tags(&Tags::new(), &from));
                }
            }
        }
        if let Some(id) = restore.made.instances.get(&Part::Final) {
            stays.insert(id.to_string(), final_tags(&target.tags, &from));
            if let Some(view) = instance::look(work.ec2(), id).await? {
                for (device, (volume, _)) in &view.volumes {
                    stays.insert(volume.to_string(), of_volume(device));
                }
                for interface in &target.interfaces {
                    let there = view.interfaces.get(&interface.place());
                    if let Some(there) = there.filter(|_| interface.network_interface_id.is_empty()) {
                        stays.insert(there.id.clone(), final_tags(&interface.tags, &from));
                    }
                }
            }
        }
        Ok(stays)
    }

    /// How the result differs from what it was to be.
    async fn differences(&self, work: &Work) -> Result<Vec<Difference>, Trouble> {
        let restore = &work.restore;
        let blueprint = &restore.blueprint;
        let target = &blueprint.target;
        match blueprint.mode {
            Mode::Undo => Ok(Vec::new()),
            Mode::Volumes => {
                let found = volume::configurations(work.ec2(), &restore.made.volumes).await?;
                let mut differences = Vec::new();
                compare_volumes(&target.volumes, &with_flags(found, target), &mut differences);
                Ok(differences)
            }
            Mode::Image => self.differences_of_image(work).await,
            Mode::InPlace => self.differences_of(work, &restore.resource_id).await,
            Mode::Clone | Mode::NonDestructive | Mode::Destructive | Mode::Rehearsal => {
                let id = work.made(Part::Final)?;
                let mut differences = self.differences_of(work, &id).await?;
                if blueprint.mode == Mode::Rehearsal {
                    // Protections are not set on what is about to be removed.
                    differences.retain(|difference| !difference.field.starts_with("disable_api_"));
                }
                Ok(differences)
            }
        }
    }

    async fn differences_of(&self, work: &Work, id: &InstanceId) -> Result<Vec<Difference>, Trouble> {
        let found = describe_instances(work.ec2(), std::slice::from_ref(id)).await?;
        let Some(found) = found.get(id) else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        Ok(compare(&work.restore.blueprint.target, found))
    }

    async fn differences_of_image(&self, work: &Work) -> Result<Vec<Difference>, Trouble> {
        let id = work.restore.made.machine_image_id.clone().unwrap_or_default();
        let target = &work.restore.blueprint.target;
        let Some(found) = image::configuration(work.ec2(), &id, target).await? else {
            return Err(Trouble::Hopeless(format!("{id} is gone")));
        };
        Ok(compare(target, &found))
    }

    /// Removes everything that carries the restore's tag. What was asked for just before the restore turned back may not
    /// be seen yet: it is looked for until it must be visible.
    pub(crate) async fn remove_made(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let left = tidy::find(work.ec2(), &work.tag).await?;
        let mut stays = originals(work);
        let kept = work.restore.left_to_be_looked_at().cloned();
        let marked = kept.as_ref().map(|id| parts_of(id, &left)).unwrap_or_default();
        let ids = left.instances.iter().map(ToString::to_string);
        let ids = ids.chain(left.volumes.iter().map(|(id, _)| id.to_string()));
        let marked_originals: Vec<String> = ids.filter(|id| stays.contains_key(id)).collect();
        stays.extend(marked.iter().map(|id| (id.clone(), Tags::new())));
        let passing = passing(left, &stays);
        if !passing.is_empty() {
            tidy::remove(work.ec2(), &passing).await?;
            return Ok(Reached::NotYet("what was made is being removed".to_owned()));
        }
        let visible = later(work.restore.since, VISIBILITY);
        if work.clock() < visible {
            return Ok(Reached::NotYet(
                "what was asked for last may not be seen yet".to_owned(),
            ));
        }
        // An original that was about to be let go carries it.
        remove_tags(work.ec2(), &marked_originals, &[RESTORE]).await?;
        if let Some(id) = kept {
            remove_tags(work.ec2(), &marked, &[RESTORE]).await?;
            work.restore.notes.push(format!(
                "{id} was left to be looked at; remove it when that is done"
            ));
        }
        Ok(Reached::Yes)
    }

    /// Stops the candidate, for the new instance to have its room, or the original.
    pub(crate) async fn make_room(&self, work: &Work) -> Result<(), Trouble> {
        let restore = &work.restore;
        let is_needed = restore.has_cut_over() || restore.status == RestoreStatus::Returning;
        let candidate = restore.made.instances.get(&Part::Candidate);
        let Some(id) = candidate.filter(|_| is_needed) else {
            return Ok(());
        };
        let view = instance::look(work.ec2(), id).await?;
        if view.is_some_and(|view| view.state == "running") {
            instance::stop(work.ec2(), id).await?;
        }
        Ok(())
    }

    /// Has the candidate run, also where it was stopped to make room. Says how it stands.
    async fn keep_candidate(&self, work: &Work, id: &InstanceId) -> Result<String, Trouble> {
        let kept = format!("{id}, proved good, is kept under addresses of its own");
        let state = instance::look(work.ec2(), id).await?.map(|view| view.state);
        Ok(match state.as_deref() {
            Some("running") => kept,
            Some("stopped") => match instance::start(work.ec2(), id).await {
                Ok(()) => format!("{kept} and is started again"),
                Err(refusal) => format!(
                    "{kept} and is stopped, as it cannot be started: {}",
                    refusal.reason
                ),
            },
            state => format!("{kept} and is {}", state.unwrap_or("not shown by EC2")),
        })
    }

    /// Past the cut-over there is no way back. What stands is kept, and said: the candidate was proved good, and runs.
    pub(crate) async fn strand(&self, work: &mut Work, why: &str) -> Result<(), Trouble> {
        if !work.restore.has_cut_over() {
            let now = work.clock();
            let failure = format!("{why}. What was made stays");
            work.restore.failure.get_or_insert(failure);
            work.restore.end(now);
            return self.save(work).await;
        }
        let candidate = work.restore.made.instances.get(&Part::Candidate).cloned();
        let last = work.restore.made.instances.get(&Part::Final).cloned();
        let facts = work.restore.blueprint.original.clone();
        let interfaces: Vec<String> = facts
            .iter()
            .flat_map(|facts| facts.interfaces.keys().cloned())
            .collect();
        let volumes: Vec<String> = facts
            .iter()
            .flat_map(ending_volumes)
            .map(|id| id.to_string())
            .collect();
        let resource = &work.restore.resource_id;
        let kept = match candidate {
            None => None,
            Some(id) => Some(self.keep_candidate(work, &id).await?),
        };
        let states = interface::states(work.ec2(), &interfaces).await?;
        let states: Vec<String> = states
            .iter()
            .map(|(id, state)| format!("{id} ({state})"))
            .collect();
        let taken = match last {
            None => format!("of its interfaces there are {}", states.join(", ")),
            Some(id) => {
                let state = instance::look(work.ec2(), &id).await?.map(|view| view.state);
                let proved = if work.restore.made.proved.contains(&id) {
                    "was proved good"
                } else {
                    "was not proved good"
                };
                let state = state.as_deref().unwrap_or("not shown by EC2");
                format!(
                    "{id} is {state} and {proved}; of the interfaces there are {}",
                    states.join(", ")
                )
            }
        };
        let words: Vec<String> = [format!("{why}. {resource} has been let go")]
            .into_iter()
            .chain(kept)
            .chain([
                taken,
                format!("the original's volumes {} are kept", volumes.join(", ")),
            ])
            .collect();
        // Nothing of this may be taken for a leftover later on.
        let left = tidy::find(work.ec2(), &work.tag).await?;
        let mut tagged: Vec<String> = left.instances.iter().map(ToString::to_string).collect();
        tagged.extend(left.volumes.iter().map(|(volume, _)| volume.to_string()));
        tagged.extend(left.interfaces.iter().map(|(interface, _)| interface.clone()));
        let images = tidy::Leftovers {
            images: left.images,
            ..tidy::Leftovers::default()
        };
        let snapshots = tidy::Leftovers {
            snapshots: left.snapshots,
            ..tidy::Leftovers::default()
        };
        tidy::remove(work.ec2(), &images).await?;
        tidy::remove(work.ec2(), &snapshots).await?;
        remove_tags(work.ec2(), &tagged, &[RESTORE]).await?;
        let now = work.clock();
        work.restore.failure.get_or_insert(words.join("; "));
        work.restore.end(now);
        self.save(work).await
    }
}

/// The original and its volumes: they are never taken for something that was made, whatever they carry.
fn originals(work: &Work) -> BTreeMap<String, Tags> {
    let restore = &work.restore;
    let mut originals = BTreeMap::from([(restore.resource_id.to_string(), Tags::new())]);
    for standing in restore
        .blueprint
        .original
        .iter()
        .flat_map(|facts| facts.volumes.values())
    {
        if let Some(volume) = &standing.volume_id {
            originals.insert(volume.to_string(), Tags::new());
        }
    }
    originals
}

/// A new instance that stays, with what hangs on it.
fn parts_of(id: &InstanceId, left: &tidy::Leftovers) -> Vec<String> {
    let hangs = |view: &volume::VolumeView| {
        view.attachment
            .as_ref()
            .is_some_and(|(instance, ..)| instance == id)
    };
    let volumes = left.volumes.iter().filter(|(_, view)| hangs(view));
    let interfaces = left.interfaces.iter().filter(|(_, state)| state != "available");
    let mut parts = vec![id.to_string()];
    parts.extend(volumes.map(|(volume, _)| volume.to_string()));
    parts.extend(interfaces.map(|(interface, _)| interface.clone()));
    parts
}

/// Sets whether an interface ends with its instance.
async fn set_end(work: &Work, wanted: &InterfaceConfiguration, there: &InterfaceView) -> Result<(), Trouble> {
    if let (Some(ends), Some(attachment)) = (wanted.delete_on_termination, &there.attachment_id)
        && ends != there.delete_on_termination
    {
        interface::set_end(work.ec2(), &there.id, attachment, ends).await?;
    }
    Ok(())
}

/// What of a restore's things is not to stay.
fn passing(left: tidy::Leftovers, stays: &BTreeMap<String, Tags>) -> tidy::Leftovers {
    let goes = |id: &str| !stays.contains_key(id);
    tidy::Leftovers {
        instances: left
            .instances
            .into_iter()
            .filter(|id| goes(id.as_str()))
            .collect(),
        ending: left.ending,
        volumes: left
            .volumes
            .into_iter()
            .filter(|(id, _)| goes(id.as_str()))
            .collect(),
        interfaces: left.interfaces.into_iter().filter(|(id, _)| goes(id)).collect(),
        images: left
            .images
            .into_iter()
            .filter(|image| goes(&image.image_id))
            .collect(),
        snapshots: left
            .snapshots
            .into_iter()
            .filter(|id| goes(id.as_str()))
            .collect(),
    }
}

/// Takes the restore's tag off what stays. A thing with fifty tags of the user's own gets the last of them only now.
async fn untag(work: &Work, stays: &BTreeMap<String, Tags>) -> Result<(), Trouble> {
    let ids: Vec<String> = stays.keys().cloned().collect();
    remove_tags(work.ec2(), &ids, &[RESTORE]).await?;
    let mut alike: BTreeMap<&Tags, Vec<String>> = BTreeMap::new();
    for (id, tags) in stays {
        alike.entry(tags).or_default().push(id.clone());
    }
    for (tags, ids) in alike {
        set_tags(work.ec2(), &ids, tags).await?;
    }
    Ok(())
}

/// A volume that hangs on no instance has no such flag; where it was attached, the flag was set.
fn with_flags(
    mut found: Vec<VolumeConfiguration>,
    target: &InstanceConfiguration,
) -> Vec<VolumeConfiguration> {
    for volume in &mut found {
        if let Some(wanted) = target
            .volumes
            .iter()
            .find(|wanted| wanted.device == volume.device)
        {
            volume.is_boot = wanted.is_boot;
            if volume.delete_on_termination.is_none() {
                volume.delete_on_termination = wanted.delete_on_termination;
            }
        }
    }
    found
}
