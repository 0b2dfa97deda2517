//! `AttachVolume` and `DetachVolume`.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::instance::InstanceState;
use crate::world::volume::Attachment;
use crate::xml::Xml;

use super::Scope;
use super::volumes::write_attachment;

pub(super) fn attach(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let device = params.required("Device")?.to_owned();
    let volume = scope.volume(params.required("VolumeId")?)?;
    let instance = scope.instance(params.required("InstanceId")?)?;
    if volume.attachment.is_some() {
        return Err(Ec2Error::new(
            "VolumeInUse",
            format!("{} is already attached to an instance", volume.id),
        ));
    }
    if volume.zone != instance.zone {
        return Err(Ec2Error::new(
            "InvalidVolume.ZoneMismatch",
            format!(
                "The volume '{}' is not in the same availability zone as instance '{}'",
                volume.id, instance.id
            ),
        ));
    }
    if !matches!(
        instance.state(scope.now),
        InstanceState::Running | InstanceState::Stopped
    ) {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!("Instance '{}' is not 'running'.", instance.id),
        ));
    }
    if instance
        .attached(scope.region)
        .any(|(_, attachment)| attachment.device == device)
    {
        return Err(Ec2Error::invalid_value(format!(
            "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        )));
    }
    let attachment = Attachment {
        instance: instance.id.clone(),
        device,
        attached_at: scope.now,
        delete_on_termination: false,
    };
    let volume = volume.id.clone();
    scope
        .instance_mut(attachment.instance.as_str())?
        .volumes
        .push(volume.clone());
    let volume = scope.volume_mut(volume.as_str())?;
    let mut xml = Xml::new();
    write_attachment(volume, &attachment, "attaching", &mut xml);
    volume.attachment = Some(attachment);
    Ok(xml)
}

pub(super) fn detach(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let volume = scope.volume(params.required("VolumeId")?)?;
    let Some(attachment) = volume.attachment.clone() else {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!("Volume '{}' is in the 'available' state.", volume.id),
        ));
    };
    let elsewhere = params
        .text("InstanceId")
        .is_some_and(|instance| !volume.is_attached_to(instance))
        || params
            .text("Device")
            .is_some_and(|device| device != attachment.device);
    if elsewhere {
        return Err(Ec2Error::new(
            "InvalidAttachment.NotFound",
            format!("The volume '{}' is not attached as specified.", volume.id),
        ));
    }
    let mut xml = Xml::new();
    write_attachment(volume, &attachment, "detaching", &mut xml);
    let volume = volume.id.clone();
    if let Some(instance) = scope.region.instances.get_mut(&attachment.instance) {
        let is_root = attachment.device == instance.root_device;
        if is_root && instance.state(scope.now) == InstanceState::Running {
            return Err(Ec2Error::new(
                "OperationNotPermitted",
                format!(
                    "Unable to detach root volume '{volume}' from instance '{}'",
                    instance.id
                ),
            ));
        }
        instance.volumes.retain(|id| *id != volume);
    }
    scope.volume_mut(volume.as_str())?.attachment = None;
    Ok(xml)
}
