//! Network interfaces and elastic addresses.

use super::{PAGE, filter, is_gone};
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{AttributeBooleanValue, NetworkInterfaceAttachmentChanges};
use std::collections::BTreeMap;

/// Sets whether an interface ends with its instance.
///
/// # Errors
/// EC2's refusal.
pub async fn set_end(ec2: &Client, interface: &str, attachment: &str, ends: bool) -> Result<(), Refusal> {
    let changes = NetworkInterfaceAttachmentChanges::builder()
        .attachment_id(attachment)
        .delete_on_termination(ends)
        .build();
    let modify = ec2
        .modify_network_interface_attribute()
        .network_interface_id(interface);
    let sent = modify.attachment(changes).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Sets whether an interface takes only what is addressed to it.
///
/// # Errors
/// EC2's refusal.
pub async fn set_source_dest_check(ec2: &Client, interface: &str, check: bool) -> Result<(), Refusal> {
    let value = AttributeBooleanValue::builder().value(check).build();
    let modify = ec2
        .modify_network_interface_attribute()
        .network_interface_id(interface);
    let sent = modify.source_dest_check(value).send().await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// The states of interfaces, of those that are there.
///
/// # Errors
/// EC2's refusal.
pub async fn states(ec2: &Client, interfaces: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    if interfaces.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut found = BTreeMap::new();
    let mut pages = ec2
        .describe_network_interfaces()
        .filters(filter(
            "network-interface-id",
            interfaces.iter().map(String::as_str),
        ))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        found.extend(page.network_interfaces().iter().filter_map(|interface| {
            let state = interface.status().map_or("unknown", |state| state.as_str());
            Some((interface.network_interface_id()?.to_owned(), state.to_owned()))
        }));
    }
    Ok(found)
}

/// Gives an elastic address to a private address of an interface, from whoever has it.
///
/// # Errors
/// EC2's refusal.
pub async fn associate(
    ec2: &Client,
    allocation: &str,
    interface: &str,
    private: &str,
) -> Result<(), Refusal> {
    let sent = ec2
        .associate_address()
        .allocation_id(allocation)
        .network_interface_id(interface)
        .private_ip_address(private)
        .allow_reassociation(true)
        .send()
        .await;
    sent.map(drop).map_err(|error| refusal(&error))
}

/// Who has each of these elastic addresses: the interface and the private address there.
///
/// # Errors
/// EC2's refusal.
pub async fn holders(
    ec2: &Client,
    allocations: &[String],
) -> Result<BTreeMap<String, (String, String)>, Refusal> {
    if allocations.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = ec2
        .describe_addresses()
        .filters(filter("allocation-id", allocations.iter().map(String::as_str)))
        .send()
        .await
        .map_err(|error| refusal(&error))?;
    Ok(answer
        .addresses()
        .iter()
        .filter_map(|address| {
            let interface = address.network_interface_id().unwrap_or_default().to_owned();
            let private = address.private_ip_address().unwrap_or_default().to_owned();
            Some((address.allocation_id()?.to_owned(), (interface, private)))
        })
        .collect())
}

/// Deletes an interface. One that is gone is fine.
///
/// # Errors
/// EC2's refusal.
pub async fn delete(ec2: &Client, interface: &str) -> Result<(), Refusal> {
    let sent = ec2
        .delete_network_interface()
        .network_interface_id(interface)
        .send()
        .await;
    match sent.map_err(|error| refusal(&error)) {
        Err(refusal) if !is_gone(&refusal) => Err(refusal),
        _ => Ok(()),
    }
}
