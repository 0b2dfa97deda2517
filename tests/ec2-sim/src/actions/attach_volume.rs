//! `AttachVolume` and `DetachVolume`.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::instance::{Instance, InstanceState};
use crate::world::volume::{Attachment, Volume};
use crate::xml::Xml;

use super::Scope;
use super::volumes::write_attachment;

/// Instances that a volume can be attached to at once, when it may be attached several times.
const MOST_ATTACHMENTS: usize = 16;

pub(super) fn attach(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let device = params.required("Device")?.to_owned();
    let volume = scope.volume(params.required("VolumeId")?)?;
    let instance = scope.instance(params.required("InstanceId")?)?;
    check_free(volume, instance)?;
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
    volume.attachments.push(attachment);
    Ok(xml)
}

/// Refuses a volume that an instance has, unless it may be attached several times and is not attached to this one.
fn check_free(volume: &Volume, instance: &Instance) -> Result<(), Ec2Error> {
    let is_there = volume.attachment_to(instance.id.as_str()).is_some();
    if volume.attachments.is_empty() || (volume.multi_attach && !is_there) {
        if volume.attachments.len() < MOST_ATTACHMENTS {
            return Ok(());
        }
        return Err(Ec2Error::new(
            "AttachmentLimitExceeded",
            format!("{} is attached to {MOST_ATTACHMENTS} instances.", volume.id),
        ));
    }
    Err(Ec2Error::new(
        "VolumeInUse",
        format!("{} is already attached to an instance", volume.id),
    ))
}

pub(super) fn detach(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let volume = scope.volume(params.required("VolumeId")?)?;
    let instance = params.text("InstanceId");
    let attachment = match (volume.attachments.as_slice(), instance) {
        ([], _) => {
            return Err(Ec2Error::new(
                "IncorrectState",
                format!("Volume '{}' is in the 'available' state.", volume.id),
            ));
        }
        ([_, _, ..], None) => return Err(Ec2Error::missing("InstanceId")),
        ([first, ..], None) => Some(first),
        (_, Some(instance)) => volume.attachment_to(instance),
    };
    let device = params.text("Device");
    let attachment = attachment.filter(|attachment| device.is_none_or(|device| device == attachment.device));
    let attachment = attachment.cloned().ok_or_else(|| {
        Ec2Error::new(
            "InvalidAttachment.NotFound",
            format!("The volume '{}' is not attached as specified.", volume.id),
        )
    })?;
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
    scope
        .volume_mut(volume.as_str())?
        .leave(attachment.instance.as_str());
    Ok(xml)
}
