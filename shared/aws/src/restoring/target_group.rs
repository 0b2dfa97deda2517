//! Target groups of load balancers: whether an instance is registered by its id, and another one in its place.

use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetTypeEnum};
use holdfast_core::ids::InstanceId;
use holdfast_core::restoring::surroundings::TargetGroup;

/// The target groups of a VPC in which an instance is registered by its id. Those that know it by an address need
/// nothing: the address comes back.
///
/// # Errors
/// The load balancers' refusal.
pub async fn find(client: &Client, vpc: &str, instance: &InstanceId) -> Result<Vec<TargetGroup>, Refusal> {
    let mut pages = client.describe_target_groups().into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        for group in page.target_groups() {
            let by_instance = group.target_type() == Some(&TargetTypeEnum::Instance);
            let (Some(arn), true) = (
                group.target_group_arn(),
                by_instance && group.vpc_id() == Some(vpc),
            ) else {
                continue;
            };
            let health = client
                .describe_target_health()
                .target_group_arn(arn)
                .send()
                .await
                .map_err(|error| refusal(&error))?;
            let targets = health
                .target_health_descriptions()
                .iter()
                .filter_map(|health| health.target());
            found.extend(
                targets
                    .filter(|target| target.id() == Some(instance.as_str()))
                    .map(|target| TargetGroup {
                        arn: arn.to_owned(),
                        port: target.port(),
                    }),
            );
        }
    }
    Ok(found)
}

/// Registers one instance in a group and takes another one out. Asked again, nothing changes.
///
/// # Errors
/// The load balancers' refusal.
pub async fn replace(
    client: &Client,
    group: &TargetGroup,
    new: &InstanceId,
    old: &InstanceId,
) -> Result<(), Refusal> {
    let target = |id: &InstanceId| {
        TargetDescription::builder()
            .id(id.as_str())
            .set_port(group.port)
            .build()
    };
    let sent = client
        .register_targets()
        .target_group_arn(&group.arn)
        .targets(target(new))
        .send()
        .await;
    sent.map_err(|error| refusal(&error))?;
    let sent = client
        .deregister_targets()
        .target_group_arn(&group.arn)
        .targets(target(old))
        .send()
        .await;
    sent.map(drop).map_err(|error| refusal(&error))
}
