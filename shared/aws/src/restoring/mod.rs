//! What a restore reads and does at EC2 and its neighbours.
//!
//! Every call that makes something carries a client token or a name that follows from job and resource, so it can be
//! made again; every other call asks for a state, and is made only where the state is another one.

pub mod image;
pub mod instance;
pub mod interface;
pub mod launch;
pub mod profile;
pub mod proof;
pub mod replace_root;
pub mod survey;
pub mod target_group;
pub mod tidy;
pub mod volume;

use crate::convert::{filter, tags_to};
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use holdfast_core::configuration::Tags;
use holdfast_core::failure::ErrorClass;

/// As many as EC2 gives in one page.
const PAGE: i32 = 1000;
/// As many values as one filter takes.
const VALUES: usize = 200;

fn tag_specification(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(tags_to(tags)))
        .build()
}

/// Sets tags on things that are there. Setting them again changes nothing.
///
/// # Errors
/// EC2's refusal.
pub async fn set_tags(ec2: &Client, resources: &[String], tags: &Tags) -> Result<(), Refusal> {
    if resources.is_empty() || tags.is_empty() {
        return Ok(());
    }
    ec2.create_tags()
        .set_resources(Some(resources.to_vec()))
        .set_tags(Some(tags_to(tags)))
        .send()
        .await
        .map(drop)
        .map_err(|error| refusal(&error))
}

/// Sets tags on things that are there, where they have room for them: EC2 takes 50 of a user's. Gives those without.
///
/// # Errors
/// EC2's refusal.
pub async fn set_tags_where_room(
    ec2: &Client,
    resources: &[String],
    tags: &Tags,
) -> Result<Vec<String>, Refusal> {
    let is_full = |refusal: &Refusal| refusal.code.as_deref() == Some("TagLimitExceeded");
    match set_tags(ec2, resources, tags).await {
        Err(refusal) if is_full(&refusal) => {}
        other => return other.map(|()| Vec::new()),
    }
    // One of them has no room, and the call says nothing of the others.
    let mut full = Vec::new();
    for resource in resources {
        match set_tags(ec2, std::slice::from_ref(resource), tags).await {
            Err(refusal) if is_full(&refusal) => full.push(resource.clone()),
            other => other?,
        }
    }
    Ok(full)
}

/// Takes tags off, whatever their values. What is gone, or has no such tag, is fine.
///
/// # Errors
/// EC2's refusal.
pub async fn remove_tags(ec2: &Client, resources: &[String], keys: &[&str]) -> Result<(), Refusal> {
    if resources.is_empty() {
        return Ok(());
    }
    let tags = keys.iter().map(|key| Tag::builder().key(*key).build()).collect();
    let done = ec2
        .delete_tags()
        .set_resources(Some(resources.to_vec()))
        .set_tags(Some(tags))
        .send()
        .await;
    match done.map_err(|error| refusal(&error)) {
        Err(refusal) if !is_gone(&refusal) => Err(refusal),
        _ => Ok(()),
    }
}

/// Whether EC2 says that there is no such thing.
#[must_use]
pub fn is_gone(refusal: &Refusal) -> bool {
    refusal
        .code
        .as_deref()
        .is_some_and(|code| code.ends_with(".NotFound") || code == "InvalidAMIID.Unavailable")
}

/// A refusal for good, in our own words.
fn refused(reason: impl Into<String>) -> Refusal {
    Refusal {
        class: ErrorClass::Refused,
        code: None,
        reason: reason.into(),
    }
}
