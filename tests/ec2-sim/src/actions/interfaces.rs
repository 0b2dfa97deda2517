//! `CreateNetworkInterface`, `DeleteNetworkInterface`, `AttachNetworkInterface`, `DetachNetworkInterface` and
//! `ModifyNetworkInterfaceAttribute`.

use std::collections::BTreeSet;

use crate::error::Ec2Error;
use crate::ids::{InterfaceAttachmentId, InterfaceId};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::TokenUse;
use crate::world::instance::InstanceState;
use crate::world::interface::{Interface, InterfaceAttachment};
use crate::xml::Xml;

use super::Scope;
use super::addresses::interface_not_found;
use super::describe_interfaces::write_interface;
use super::instance_types::check_interfaces;
use super::interface_spec::InterfaceSpec;
use super::new_interfaces::{interface_in_use, new_interface};
use super::volumes::{remember, replay};

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let made = replay(scope, TokenUse::CreateNetworkInterface, params)?;
    let id = match made.and_then(|made| made.into_iter().next()) {
        Some(id) => id,
        None => create_new(scope, params)?.to_string(),
    };
    let interface = scope.interface(&id)?;
    let mut xml = Xml::new();
    xml.block("networkInterface", |xml| write_interface(interface, scope, xml))
        .maybe("clientToken", params.text("ClientToken"));
    Ok(xml)
}

fn create_new(scope: &mut Scope<'_>, params: &Params) -> Result<InterfaceId, Ec2Error> {
    let subnet = params.required("SubnetId")?.to_owned();
    let spec = InterfaceSpec::read_created(params)?;
    scope.check_groups(spec.groups.iter().map(String::as_str))?;
    let tags = Tags::specified(params, "network-interface", &["network-interface"])?;
    let interface = new_interface(scope, &spec, &subnet, &tags, false)?;
    let id = interface.id.clone();
    let named = BTreeSet::from([id.to_string()]);
    scope.region.interfaces.insert(id.clone(), interface);
    remember(scope, TokenUse::CreateNetworkInterface, params, named);
    Ok(id)
}

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let interface = scope.free_interface(params.required("NetworkInterfaceId")?)?;
    let id = interface.id.clone();
    if let Some(gone) = scope.region.interfaces.remove(&id)
        && let Some(subnet) = scope.region.network.subnet_mut(&gone.subnet)
    {
        gone.give_back(subnet);
    }
    scope.region.settle_associations();
    Ok(Xml::done())
}

pub(super) fn attach(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let device_index = params
        .parsed("DeviceIndex")?
        .ok_or_else(|| Ec2Error::missing("DeviceIndex"))?;
    let card_index = params.parsed("NetworkCardIndex")?.unwrap_or_default();
    let instance = scope.instance(params.required("InstanceId")?)?;
    let interface = scope.interface(params.required("NetworkInterfaceId")?)?;
    if interface.attachment.is_some() {
        return Err(interface_in_use(interface.id.as_str()));
    }
    if interface.zone != instance.zone {
        return Err(Ec2Error::invalid_combination(
            "You may not attach a network interface to an instance if they are not in the same availability zone",
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
    let is_taken = |other: &Interface| {
        other.attachment.as_ref().is_some_and(|attachment| {
            (attachment.card_index, attachment.device_index) == (card_index, device_index)
        })
    };
    check_interfaces(&instance.launch.instance_type, instance.interfaces.len() + 1)?;
    if instance.interfaces(scope.region).any(is_taken) {
        return Err(Ec2Error::invalid_value(format!(
            "Instance '{}' already has an interface attached at device index '{device_index}'.",
            instance.id
        )));
    }
    let attachment = InterfaceAttachment {
        id: InterfaceAttachmentId::next(scope.ids),
        instance: instance.id.clone(),
        device_index,
        card_index,
        attached_at: scope.now,
        delete_on_termination: false,
    };
    let mut xml = Xml::new();
    xml.text("attachmentId", &attachment.id)
        .text("networkCardIndex", card_index);
    let id = interface.id.clone();
    scope
        .instance_mut(attachment.instance.as_str())?
        .interfaces
        .push(id.clone());
    scope.interface_mut(id.as_str())?.attachment = Some(attachment);
    scope.region.settle_associations();
    Ok(xml)
}

/// AWS's `Force` changes nothing here: an interface leaves at once.
pub(super) fn detach(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    params.flag("Force")?;
    let named = params.required("AttachmentId")?;
    let of_named = |interface: &&mut Interface| {
        interface
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.id.as_str() == named)
    };
    let interface = scope.region.interfaces.values_mut().find(of_named);
    let interface = interface.ok_or_else(|| attachment_not_found(named))?;
    let is_primary = interface
        .attachment
        .as_ref()
        .is_some_and(|attachment| attachment.device_index == 0 && attachment.card_index == 0);
    if is_primary {
        return Err(Ec2Error::new(
            "OperationNotPermitted",
            "The network interface at device index 0 cannot be detached.",
        ));
    }
    let id = interface.id.clone();
    let left = interface.attachment.take();
    interface.lent_public = None;
    if let Some(instance) = left.and_then(|left| scope.region.instances.get_mut(&left.instance)) {
        instance.interfaces.retain(|other| *other != id);
    }
    scope.region.settle_associations();
    Ok(Xml::done())
}

fn attachment_not_found(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidAttachmentID.NotFound",
        format!("The networkInterface attachment ID '{id}' does not exist"),
    )
}

/// One attribute at a time, as AWS has it.
pub(super) fn modify(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("NetworkInterfaceId")?;
    scope.interface(id)?;
    let groups = params.list("SecurityGroupId");
    scope.check_groups(groups.iter().copied())?;
    let description = params.text("Description.Value");
    let check = params.flag("SourceDestCheck.Value")?;
    let attachment = params.inner("Attachment");
    check_single(
        [
            ("description", description.is_some()),
            ("sourceDestCheck", check.is_some()),
            ("groupSet", !groups.is_empty()),
            ("attachment", !attachment.is_empty()),
        ]
        .into_iter(),
    )?;
    let interface = scope.interface_mut(id)?;
    if !attachment.is_empty() {
        change_attachment(interface, &attachment)?;
    }
    if let Some(description) = description {
        description.clone_into(&mut interface.description);
    }
    interface.source_dest_check = check.unwrap_or(interface.source_dest_check);
    if !groups.is_empty() {
        interface.groups = groups.into_iter().map(str::to_owned).collect();
    }
    Ok(Xml::done())
}

/// Refuses a call that changes no attribute or several.
pub(super) fn check_single(attributes: impl Iterator<Item = (&'static str, bool)>) -> Result<(), Ec2Error> {
    let given: Vec<&str> = attributes
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect();
    match given.as_slice() {
        [_] => Ok(()),
        [] => Err(Ec2Error::invalid_combination("No attributes specified.")),
        several => Err(Ec2Error::invalid_combination(format!(
            "Fields for multiple attribute types specified: {}",
            several.join(", ")
        ))),
    }
}

fn change_attachment(interface: &mut Interface, changes: &Params) -> Result<(), Ec2Error> {
    let named = changes.required("AttachmentId")?;
    let flag = changes
        .flag("DeleteOnTermination")?
        .ok_or_else(|| Ec2Error::missing("Attachment.DeleteOnTermination"))?;
    let attachment = interface.attachment.as_mut();
    let attachment = attachment.filter(|attachment| attachment.id.as_str() == named);
    attachment
        .ok_or_else(|| attachment_not_found(named))?
        .delete_on_termination = flag;
    Ok(())
}

impl Scope<'_> {
    fn interface_mut(&mut self, id: &str) -> Result<&mut Interface, Ec2Error> {
        let interface = self.region.interfaces.get_mut(id);
        interface.ok_or_else(|| interface_not_found(&[id]))
    }
}
