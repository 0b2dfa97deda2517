//! Instances: how they stand, and what is asked of them.

use super::{PAGE, filter, is_gone};
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, EbsInstanceBlockDeviceSpecification, InstanceBlockDeviceMappingSpecification,
    SecureBlobAttributeValue,
};
use holdfast_core::configuration::InterfacePlace;
use holdfast_core::ids::{InstanceId, VolumeId};
use std::collections::BTreeMap;

/// An instance as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceView {
    /// Its state: `running`, `stopped` and so on.
    pub state: String,
    /// Why it is in that state, in EC2's words.
    pub reason: Option<String>,
    /// The volume at each device, and whether it ends with the instance.
    pub volumes: BTreeMap<String, (VolumeId, bool)>,
    /// Its interfaces by where they stand.
    pub interfaces: BTreeMap<InterfacePlace, InterfaceView>,
    /// The device of its boot volume.
    pub root_device: String,
    /// Its first private address.
    pub private_address: Option<String>,
}

/// An interface of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceView {
    /// The interface.
    pub id: String,
    /// Its attachment.
    pub attachment_id: Option<String>,
    /// Whether it ends with the instance.
    pub delete_on_termination: bool,
    /// Its private addresses, the primary one first.
    pub addresses: Vec<String>,
}

impl InstanceView {
    /// Whether it is gone, or on its way.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.state.as_str(), "shutting-down" | "terminated")
    }
}

/// Looks at one instance; none while EC2 does not show it.
///
/// # Errors
/// EC2's refusal.
pub async fn look(ec2: &Client, id: &InstanceId) -> Result<Option<InstanceView>, Refusal> {
    // A filter, not an id: an unknown id fails the call, and a new instance is unknown for a while.
    let mut pages = ec2
        .describe_instances()
        .filters(filter("instance-id", [id.as_str()]))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        let mut reservations = page.reservations().iter();
        if let Some(instance) = reservations.find_map(|reservation| reservation.instances().first()) {
            return Ok(Some(view(instance)));
        }
    }
    Ok(None)
}

fn view(instance: &aws_sdk_ec2::types::Instance) -> InstanceView {
    let volumes = instance.block_device_mappings().iter().filter_map(|mapping| {
        let ebs = mapping.ebs()?;
        let volume = VolumeId::try_from(ebs.volume_id()?).ok()?;
        let device = mapping.device_name()?.to_owned();
        Some((device, (volume, ebs.delete_on_termination().unwrap_or(false))))
    });
    let interfaces = instance.network_interfaces().iter().filter_map(|interface| {
        let attachment = interface.attachment()?;
        let mut addresses: Vec<_> = interface.private_ip_addresses().iter().collect();
        addresses.sort_by_key(|address| !address.primary().unwrap_or(false));
        let place = InterfacePlace {
            card: attachment.network_card_index().unwrap_or(0),
            index: attachment.device_index()?,
        };
        Some((
            place,
            InterfaceView {
                id: interface.network_interface_id()?.to_owned(),
                attachment_id: attachment.attachment_id().map(str::to_owned),
                delete_on_termination: attachment.delete_on_termination().unwrap_or(false),
                addresses: addresses
                    .iter()
                    .filter_map(|address| address.private_ip_address().map(str::to_owned))
                    .collect(),
            },
        ))
    });
    InstanceView {
        state: instance
            .state()
            .and_then(|state| state.name())
            .map_or_else(|| "unknown".to_owned(), |name| name.as_str().to_owned()),
        reason: instance
            .state_reason()
            .and_then(|reason| reason.message())
            .filter(|message| !message.is_empty())
            .map(str::to_owned),
        volumes: volumes.collect(),
        interfaces: interfaces.collect(),
        root_device: instance.root_device_name().unwrap_or_default().to_owned(),
        private_address: instance.private_ip_address().map(str::to_owned),
    }
}

/// Asks for an instance to be stopped.
///
/// # Errors
/// EC2's refusal.
pub async fn stop(ec2: &Client, id: &InstanceId) -> Result<(), Refusal> {
    let sent = ec2.stop_instances().instance_ids(id.as_str()).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Asks for an instance to be started.
///
/// # Errors
/// EC2's refusal.
pub async fn start(ec2: &Client, id: &InstanceId) -> Result<(), Refusal> {
    let sent = ec2.start_instances().instance_ids(id.as_str()).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Asks for instances to be terminated. Those that are gone are fine.
///
/// # Errors
/// EC2's refusal.
pub async fn terminate(ec2: &Client, ids: &[InstanceId]) -> Result<(), Refusal> {
    for id in ids {
        let sent = ec2.terminate_instances().instance_ids(id.as_str()).send().await;
        match sent.map_err(|error| refusal(&error)) {
            Err(refusal) if !is_gone(&refusal) => return Err(refusal),
            _ => {}
        }
    }
    Ok(())
}

/// Sets whether an instance is protected from being stopped.
///
/// # Errors
/// EC2's refusal.
pub async fn protect_from_stop(ec2: &Client, id: &InstanceId, protected: bool) -> Result<(), Refusal> {
    let value = AttributeBooleanValue::builder().value(protected).build();
    let modify = ec2.modify_instance_attribute().instance_id(id.as_str());
    let sent = modify.disable_api_stop(value).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Sets whether an instance is protected from being terminated.
///
/// # Errors
/// EC2's refusal.
pub async fn protect_from_termination(ec2: &Client, id: &InstanceId, protected: bool) -> Result<(), Refusal> {
    let value = AttributeBooleanValue::builder().value(protected).build();
    let modify = ec2.modify_instance_attribute().instance_id(id.as_str());
    let sent = modify.disable_api_termination(value).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Sets the user data of a stopped instance: `base64`, as EC2 gives it.
///
/// # Errors
/// EC2's refusal.
pub async fn set_user_data(ec2: &Client, id: &InstanceId, base64: &str) -> Result<(), Refusal> {
    // EC2 takes the attribute's value in base64, and the SDK encodes it: what is in hand is encoded already.
    let plain = aws_smithy_types::base64::decode(base64)
        .map_err(|error| super::refused(format!("the captured user data is not base64: {error}")))?;
    let value = SecureBlobAttributeValue::builder()
        .value(Blob::new(plain))
        .build();
    let modify = ec2.modify_instance_attribute().instance_id(id.as_str());
    let sent = modify.user_data(value).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Sets whether volumes end with the instance, by their devices.
///
/// # Errors
/// EC2's refusal.
pub async fn set_volume_ends(
    ec2: &Client,
    id: &InstanceId,
    ends: &BTreeMap<String, bool>,
) -> Result<(), Refusal> {
    if ends.is_empty() {
        return Ok(());
    }
    let mappings = ends.iter().map(|(device, ends)| {
        let ebs = EbsInstanceBlockDeviceSpecification::builder()
            .delete_on_termination(*ends)
            .build();
        InstanceBlockDeviceMappingSpecification::builder()
            .device_name(device)
            .ebs(ebs)
            .build()
    });
    let modify = ec2.modify_instance_attribute().instance_id(id.as_str());
    let sent = modify
        .set_block_device_mappings(Some(mappings.collect()))
        .send()
        .await;
    sent.map(drop).map_err(|error| refusal(&error))
}
