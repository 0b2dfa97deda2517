//! Having EC2 replace the root volume of a running instance.

use super::{filter, refused};
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use holdfast_core::ids::{InstanceId, SnapshotId};

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It is in this state, which is none of its ends.
    AtWork(String),
    /// The volume is replaced.
    Succeeded,
    /// It is not, in this state.
    Failed(String),
}

/// Asks for the root volume to be replaced by one of this snapshot. Asked again with the same token, EC2 gives the same
/// task. The volume that was there is kept.
///
/// # Errors
/// EC2's refusal.
pub async fn create(
    ec2: &Client,
    instance: &InstanceId,
    snapshot: &SnapshotId,
    token: &str,
) -> Result<String, Refusal> {
    let answer = ec2
        .create_replace_root_volume_task()
        .instance_id(instance.as_str())
        .snapshot_id(snapshot.as_str())
        .delete_replaced_root_volume(false)
        .client_token(token)
        .send()
        .await
        .map_err(|error| refusal(&error))?;
    let task = answer
        .replace_root_volume_task()
        .and_then(|task| task.replace_root_volume_task_id());
    task.map(str::to_owned)
        .ok_or_else(|| refused("EC2 answered without a task"))
}

/// Looks at a task; none while EC2 does not show it.
///
/// # Errors
/// EC2's refusal.
pub async fn look(ec2: &Client, task: &str) -> Result<Option<TaskState>, Refusal> {
    let answer = ec2
        .describe_replace_root_volume_tasks()
        .replace_root_volume_task_ids(task)
        .send()
        .await
        .map_err(|error| refusal(&error));
    let answer = match answer {
        Err(refusal) if super::is_gone(&refusal) => return Ok(None),
        answer => answer?,
    };
    Ok(answer.replace_root_volume_tasks().first().map(|task| {
        let state = task.task_state().map_or("unknown", |state| state.as_str());
        match state {
            "succeeded" => TaskState::Succeeded,
            "failed" | "failed-detached" => TaskState::Failed(state.to_owned()),
            _ => TaskState::AtWork(state.to_owned()),
        }
    }))
}

/// A task of this instance that has not ended.
///
/// # Errors
/// EC2's refusal.
pub async fn at_work(ec2: &Client, instance: &InstanceId) -> Result<Option<String>, Refusal> {
    let mut pages = ec2
        .describe_replace_root_volume_tasks()
        .filters(filter("instance-id", [instance.as_str()]))
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        for task in page.replace_root_volume_tasks() {
            let state = task.task_state().map_or("unknown", |state| state.as_str());
            if !matches!(state, "succeeded" | "failed" | "failed-detached") {
                return Ok(task.replace_root_volume_task_id().map(str::to_owned));
            }
        }
    }
    Ok(None)
}
