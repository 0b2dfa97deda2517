//! Making things: volumes, images, instances.

use crate::RestoreInstance;
use crate::step::{Reached, Trouble, Work};
use holdfast_aws::restoring::instance::InstanceView;
use holdfast_aws::restoring::launch::LaunchOrder;
use holdfast_aws::restoring::{image, instance, launch, volume};
use holdfast_core::configuration::{Tags, VolumeConfiguration};
use holdfast_core::ids::{InstanceId, VolumeId};
use holdfast_core::restoring::Mode;
use holdfast_core::restoring::boot::BootWay;
use holdfast_core::restoring::step::Part;
use holdfast_core::restoring::tags::{RESTORE, creation_tags, image_name};
use holdfast_core::restoring::target::{VolumeOrder, candidate_interfaces};
use std::collections::BTreeMap;

/// How often the instance that takes an original's place is launched again, if EC2 ends it.
const RELAUNCHES: u32 = 3;

impl RestoreInstance {
    /// Makes every volume of its snapshot.
    pub(crate) async fn make_volumes(&self, work: &mut Work) -> Result<Reached, Trouble> {
        for order in work.restore.blueprint.volumes.clone() {
            if work.restore.made.volumes.contains_key(&order.device) {
                continue;
            }
            let token = work.token(&format!("volume {}", order.device));
            let id = make_volume(work, &order, &token).await?;
            work.restore.made.volumes.insert(order.device, id);
        }
        let ids: Vec<VolumeId> = work.restore.made.volumes.values().cloned().collect();
        are_there(work, &ids).await
    }

    /// The image that instances are launched from: registered of the snapshots, or made of the original.
    pub(crate) async fn obtain_image(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let restore = &work.restore;
        if restore.made.image_id.is_none() {
            let name = image_name(&restore.job_id, &restore.resource_id, "donor");
            let tags = restore_tags(work);
            let blueprint = &restore.blueprint;
            let id = if blueprint.way == Some(BootWay::OfOriginal) {
                let original = blueprint.original.as_ref();
                let root = blueprint.target.root_device_name.clone().unwrap_or_default();
                let there = match original {
                    Some(original) => original.volumes.keys().cloned().collect(),
                    None => devices_of(work, &restore.resource_id).await?,
                };
                let left_out: Vec<String> = there.into_iter().filter(|device| *device != root).collect();
                let ends = BTreeMap::new();
                image::create(work.ec2(), &name, &restore.resource_id, &left_out, &ends, &tags).await?
            } else {
                image::register(work.ec2(), &name, &blueprint.target, &blueprint.volumes, &tags).await?
            };
            work.restore.made.image_id = Some(id);
        }
        let id = work.restore.made.image_id.clone().unwrap_or_default();
        is_image_there(work, &id).await
    }

    /// Launches a new instance, and waits until it runs.
    pub(crate) async fn launch(&self, work: &mut Work, part: Part) -> Result<Reached, Trouble> {
        let id = if let Some(id) = work.restore.made.instances.get(&part) {
            id.clone()
        } else {
            let id = launch_part(work, part).await?;
            work.restore.made.instances.insert(part, id.clone());
            id
        };
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Ok(Reached::NotYet(format!("EC2 does not show {id} yet")));
        };
        match view.state.as_str() {
            "running" => Ok(Reached::Yes),
            "pending" => Ok(Reached::NotYet(format!("{id} is pending"))),
            // Its boot volume is being exchanged, or somebody has stopped it: the next step sees to it.
            "stopping" | "stopped"
                if work
                    .restore
                    .blueprint
                    .way
                    .as_ref()
                    .is_some_and(BootWay::exchanges_boot_volume) =>
            {
                Ok(Reached::Yes)
            }
            state => {
                let why = format!(
                    "{id} is {state}: {}",
                    view.reason.unwrap_or_else(|| "EC2 gives no reason".to_owned())
                );
                let may_launch_again = work.restore.has_cut_over() && part == Part::Final;
                let made = &mut work.restore.made;
                if !may_launch_again || made.relaunches >= RELAUNCHES {
                    return Err(Trouble::Hopeless(why));
                }
                // There is no way back, and EC2 has ended it: another one is launched.
                made.relaunches += 1;
                made.instances.remove(&part);
                made.boot_volumes.remove(&part);
                work.restore.note(why.clone());
                Ok(Reached::NotYet(why))
            }
        }
    }

    /// Stops a new instance, takes the image's boot volume off, puts the restored one on, starts it.
    pub(crate) async fn exchange_boot_volume(&self, work: &mut Work, part: Part) -> Result<Reached, Trouble> {
        let id = work.made(part)?;
        let Some(order) = work
            .restore
            .blueprint
            .volumes
            .iter()
            .find(|order| order.is_boot)
            .cloned()
        else {
            return Err(Trouble::Hopeless("the backup holds no boot volume".to_owned()));
        };
        let restored = if let Some(volume) = work.restore.made.boot_volumes.get(&part) {
            volume.clone()
        } else {
            let what = format!("boot volume of the {part}");
            let token = work.token(&attempt(&what, work.restore.made.relaunches));
            let volume = make_volume(work, &order, &token).await?;
            work.restore.made.boot_volumes.insert(part, volume.clone());
            volume
        };
        let Some(view) = instance::look(work.ec2(), &id).await? else {
            return Ok(Reached::NotYet(format!("EC2 does not show {id} yet")));
        };
        if view.is_ending() {
            return Err(Trouble::Hopeless(format!("{id} is {}", view.state)));
        }
        let root = view.root_device.clone();
        let there = view.volumes.get(&root).cloned();
        let is_exchanged = there.as_ref().is_some_and(|(volume, _)| *volume == restored);
        let stays_stopped = work.restore.blueprint.mode == Mode::Image;
        match (view.state.as_str(), is_exchanged) {
            ("running", true) => Ok(Reached::Yes),
            ("stopped", true) => {
                self.finish_exchange(work, part, &id, &root, &view).await?;
                if stays_stopped {
                    return Ok(Reached::Yes);
                }
                instance::start(work.ec2(), &id).await?;
                Ok(Reached::NotYet(format!(
                    "{id} is starting with its restored boot volume"
                )))
            }
            ("running", false) => {
                instance::stop(work.ec2(), &id).await?;
                Ok(Reached::NotYet(format!(
                    "{id} is stopping for its boot volume to be exchanged"
                )))
            }
            ("stopped", false) => {
                if let Some((image_volume, _)) = there {
                    volume::detach(work.ec2(), &image_volume).await?;
                    return Ok(Reached::NotYet(format!("{image_volume} is being detached")));
                }
                match are_there(work, std::slice::from_ref(&restored)).await? {
                    Reached::Yes => {}
                    not_yet @ Reached::NotYet(_) => return Ok(not_yet),
                }
                volume::attach(work.ec2(), &restored, &id, &root).await?;
                Ok(Reached::NotYet(format!("{restored} is being attached")))
            }
            (state, _) => Ok(Reached::NotYet(format!("{id} is {state}"))),
        }
    }

    /// What follows once the restored boot volume hangs on the stopped instance. The image's own one goes when the
    /// restore has ended; it carries the restore's tag.
    async fn finish_exchange(
        &self,
        work: &Work,
        part: Part,
        id: &InstanceId,
        root: &str,
        view: &InstanceView,
    ) -> Result<(), Trouble> {
        let target = &work.restore.blueprint.target;
        let wanted = target.volumes.iter().find(|volume| volume.is_boot);
        let ends = part == Part::Candidate
            || wanted.is_none_or(|volume| volume.delete_on_termination != Some(false));
        if view.volumes.get(root).is_some_and(|(_, now)| *now != ends) {
            let flags = BTreeMap::from([(root.to_owned(), ends)]);
            instance::set_volume_ends(work.ec2(), id, &flags).await?;
        }
        if let Some(user_data) = &target.user_data {
            instance::set_user_data(work.ec2(), id, user_data).await?;
        }
        Ok(())
    }

    /// Terminates the candidate, and waits until its addresses are free.
    pub(crate) async fn remove_candidate(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let id = work.made(Part::Candidate)?;
        match instance::look(work.ec2(), &id).await? {
            None => Ok(Reached::Yes),
            Some(view) if view.state == "terminated" => Ok(Reached::Yes),
            Some(view) if view.state == "shutting-down" => {
                Ok(Reached::NotYet(format!("{id} is shutting down")))
            }
            Some(_) => {
                instance::terminate(work.ec2(), std::slice::from_ref(&id)).await?;
                Ok(Reached::NotYet(format!("{id} is being terminated")))
            }
        }
    }

    /// Attaches the volumes to the instance that was named.
    pub(crate) async fn attach_volumes(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let Some(attach) = work.restore.blueprint.attach.clone() else {
            return Ok(Reached::Yes);
        };
        let id = &attach.instance_id;
        let made = work.restore.made.volumes.clone();
        let standing = volume::look(work.ec2(), made.values()).await?;
        let mut open = Vec::new();
        let mut flags = BTreeMap::new();
        for (captured, device) in &attach.devices {
            let Some(volume) = made.get(captured) else {
                continue;
            };
            let wanted = work
                .restore
                .blueprint
                .target
                .volumes
                .iter()
                .find(|wanted| wanted.device == *captured);
            flags.insert(
                device.clone(),
                wanted.is_some_and(|wanted| wanted.delete_on_termination == Some(true)),
            );
            match standing.get(volume).and_then(|view| view.attachment.as_ref()) {
                Some((instance, at, state)) if instance == id && at == device && state == "attached" => {}
                Some(_) => open.push(volume.to_string()),
                None => {
                    volume::attach(work.ec2(), volume, id, device).await?;
                    open.push(volume.to_string());
                }
            }
        }
        if !open.is_empty() {
            return Ok(Reached::NotYet(format!("{} are being attached", open.join(", "))));
        }
        instance::set_volume_ends(work.ec2(), id, &flags).await?;
        Ok(Reached::Yes)
    }

    /// Makes the machine image that was asked for.
    pub(crate) async fn make_image(&self, work: &mut Work) -> Result<Reached, Trouble> {
        let restore = &work.restore;
        if restore.made.machine_image_id.is_none() {
            let name = restore.blueprint.image_name.clone();
            let name = name.unwrap_or_else(|| image_name(&restore.job_id, &restore.resource_id, "image"));
            let target = &restore.blueprint.target;
            let tags = creation_tags(&target.tags, &work.tag);
            let id = match restore.made.instances.get(&Part::Candidate) {
                // The candidate's volumes all end with it; those of the image's instances as they were captured.
                Some(candidate) => {
                    let ends = target.volumes.iter();
                    let ends = ends
                        .filter_map(|volume| Some((volume.device.clone(), volume.delete_on_termination?)));
                    image::create(work.ec2(), &name, candidate, &[], &ends.collect(), &tags).await?
                }
                None => image::register(work.ec2(), &name, target, &restore.blueprint.volumes, &tags).await?,
            };
            let found = image::find(work.ec2(), "image-id", &id).await?;
            if found.is_some_and(|found| found.tags.get(RESTORE) != Some(&work.tag)) {
                return Err(Trouble::Hopeless(format!(
                    "image.name: {name:?} is the name of {id} already; give another name"
                )));
            }
            work.restore.made.machine_image_id = Some(id);
        }
        let id = work.restore.made.machine_image_id.clone().unwrap_or_default();
        is_image_there(work, &id).await
    }
}

/// The tag that everything carries which a restore makes.
pub(crate) fn restore_tags(work: &Work) -> Tags {
    Tags::from([(RESTORE.to_owned(), work.tag.clone())])
}

async fn make_volume(work: &Work, order: &VolumeOrder, token: &str) -> Result<VolumeId, Trouble> {
    let wanted = wanted_volume(work, &order.device)?;
    let zone = wanted.availability_zone.clone().unwrap_or_default();
    let tags = creation_tags(&wanted.tags, &work.tag);
    Ok(volume::create(work.ec2(), order, wanted, &zone, token, &tags).await?)
}

fn wanted_volume<'a>(work: &'a Work, device: &str) -> Result<&'a VolumeConfiguration, Trouble> {
    let volumes = &work.restore.blueprint.target.volumes;
    let wanted = volumes.iter().find(|volume| volume.device == device);
    wanted.ok_or_else(|| Trouble::Hopeless(format!("{device} is no device of the blueprint")))
}

/// Whether volumes can be attached, or are.
pub(crate) async fn are_there(work: &Work, ids: &[VolumeId]) -> Result<Reached, Trouble> {
    let standing = volume::look(work.ec2(), ids).await?;
    for id in ids {
        match standing.get(id).map(|view| view.state.as_str()) {
            Some("available" | "in-use") => {}
            Some("error") => return Err(Trouble::Hopeless(format!("{id} ended in error"))),
            Some(state) => return Ok(Reached::NotYet(format!("{id} is {state}"))),
            None => return Ok(Reached::NotYet(format!("EC2 does not show {id} yet"))),
        }
    }
    Ok(Reached::Yes)
}

async fn is_image_there(work: &Work, id: &str) -> Result<Reached, Trouble> {
    let Some(view) = image::find(work.ec2(), "image-id", id).await? else {
        return Ok(Reached::NotYet(format!("EC2 does not show {id} yet")));
    };
    match view.state.as_str() {
        "available" => Ok(Reached::Yes),
        "pending" => Ok(Reached::NotYet(format!("{id} is pending"))),
        state => Err(Trouble::Hopeless(format!(
            "{id} is {state}: {}",
            view.reason.unwrap_or_else(|| "EC2 gives no reason".to_owned())
        ))),
    }
}

async fn devices_of(work: &Work, id: &InstanceId) -> Result<Vec<String>, Trouble> {
    let view = instance::look(work.ec2(), id).await?;
    Ok(view
        .map(|view| view.volumes.into_keys().collect())
        .unwrap_or_default())
}

/// What a token is for, when it is not the first time.
fn attempt(what: &str, before: u32) -> String {
    match before {
        0 => what.to_owned(),
        before => format!("{what}, {before}"),
    }
}

async fn launch_part(work: &Work, part: Part) -> Result<InstanceId, Trouble> {
    let restore = &work.restore;
    let blueprint = &restore.blueprint;
    let Some(way) = &blueprint.way else {
        return Err(Trouble::Hopeless("the blueprint names no image".to_owned()));
    };
    let image_id = match way {
        BootWay::Donor { image_id, .. } => image_id.clone(),
        BootWay::Registered | BootWay::OfOriginal => restore.made.image_id.clone().unwrap_or_default(),
    };
    let (interfaces, instance_tags) = match part {
        Part::Final => (
            blueprint.target.interfaces.clone(),
            creation_tags(&blueprint.target.tags, &work.tag),
        ),
        Part::Candidate => {
            // It carries none of the user's tags: nothing that goes by tags is to take it for the real one.
            let name = format!("holdfast: candidate for {}", restore.resource_id);
            let mut tags = restore_tags(work);
            tags.insert("Name".to_owned(), name);
            (candidate_interfaces(&blueprint.target.interfaces), tags)
        }
    };
    let order = LaunchOrder {
        image_id: &image_id,
        way,
        target: &blueprint.target,
        interfaces: &interfaces,
        volumes: &blueprint.volumes,
        ends_with_instance: part == Part::Candidate,
        sets_cpu_options: blueprint.sets_cpu_options,
        token: &work.token(&attempt(&format!("instance {part}"), restore.made.relaunches)),
        instance_tags: &instance_tags,
        other_tags: &restore_tags(work),
    };
    Ok(launch::launch(work.ec2(), &order).await?)
}
