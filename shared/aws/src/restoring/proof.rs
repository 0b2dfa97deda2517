//! Proving an instance good: EC2's status checks, a command of the user's own, a function of the user's own.

use super::{filter, is_gone};
use crate::copies::refusal;
use crate::failure::{Failure, reason_of};
use crate::snapshots::Refusal;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::InstanceId;
use holdfast_core::restoring::request::{LambdaProof, SsmProof};
use serde::Deserialize;
use serde_json::Value;

/// What a proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is good.
    Good,
    /// Nothing can be said yet, and why.
    NotYet(String),
    /// It is not good, and why.
    Bad(String),
}

/// EC2's own checks of an instance and of what is below it.
///
/// # Errors
/// EC2's refusal.
pub async fn status_checks(ec2: &aws_sdk_ec2::Client, id: &InstanceId) -> Result<Verdict, Refusal> {
    let answer = ec2
        .describe_instance_status()
        .filters(filter("instance-state-name", ["running"]))
        .instance_ids(id.as_str())
        .send()
        .await;
    let answer = match answer.map_err(|error| refusal(&error)) {
        // A new instance is unknown for a while.
        Err(refusal) if is_gone(&refusal) => {
            return Ok(Verdict::NotYet("EC2 does not know it yet".to_owned()));
        }
        answer => answer?,
    };
    let Some(status) = answer.instance_statuses().first() else {
        return Ok(Verdict::NotYet("EC2 shows no status of it yet".to_owned()));
    };
    let word = |summary: Option<&aws_sdk_ec2::types::InstanceStatusSummary>| {
        summary
            .and_then(|summary| summary.status())
            .map_or("unknown", |status| status.as_str())
            .to_owned()
    };
    let (instance, system) = (word(status.instance_status()), word(status.system_status()));
    if instance == "ok" && system == "ok" {
        Ok(Verdict::Good)
    } else {
        // An instance can be impaired while it boots and well a little later: the deadline decides.
        Ok(Verdict::NotYet(format!(
            "its status checks say {instance} for the instance and {system} for the system"
        )))
    }
}

/// Sends a command. Gives its id; none while the instance does not answer to Systems Manager.
///
/// # Errors
/// Systems Manager's refusal.
pub async fn send_command(
    ssm: &aws_sdk_ssm::Client,
    id: &InstanceId,
    proof: &SsmProof,
    comment: &str,
) -> Result<Option<String>, Refusal> {
    let mut send = ssm
        .send_command()
        .instance_ids(id.as_str())
        .document_name(&proof.document)
        .comment(comment);
    for (name, values) in &proof.parameters {
        send = send.parameters(name, values.clone());
    }
    match send.send().await {
        Ok(answer) => Ok(answer
            .command()
            .and_then(|command| command.command_id())
            .map(str::to_owned)),
        Err(error) if error.code() == Some("InvalidInstanceId") => Ok(None),
        Err(error) => Err(refusal(&error)),
    }
}

/// What became of a command.
///
/// # Errors
/// Systems Manager's refusal.
pub async fn command(ssm: &aws_sdk_ssm::Client, id: &InstanceId, command: &str) -> Result<Verdict, Refusal> {
    let answer = ssm
        .get_command_invocation()
        .command_id(command)
        .instance_id(id.as_str())
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.code() == Some("InvocationDoesNotExist") => {
            return Ok(Verdict::NotYet(format!(
                "the command {command} has not reached it"
            )));
        }
        Err(error) => return Err(refusal(&error)),
    };
    let status = answer
        .status()
        .map_or("Pending", |status| status.as_str())
        .to_owned();
    Ok(match status.as_str() {
        "Success" => Verdict::Good,
        "Pending" | "InProgress" | "Delayed" => Verdict::NotYet(format!("the command {command} is {status}")),
        _ => {
            let output = answer.standard_output_content().unwrap_or_default().trim();
            let error = answer.standard_error_content().unwrap_or_default().trim();
            let said: String = [output, error].join(" ").trim().chars().take(500).collect();
            Verdict::Bad(format!("the command {command} ended as {status}: {said}"))
        }
    })
}

/// Asks a function of the user's own.
///
/// # Errors
/// The function cannot be asked.
pub async fn ask_function(
    lambda: &aws_sdk_lambda::Client,
    proof: &LambdaProof,
    question: &Value,
) -> Result<Verdict, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        proved: Option<bool>,
        #[serde(default)]
        reason: String,
    }
    let name = &proof.function_name;
    let answer = lambda
        .invoke()
        .function_name(name)
        .payload(Blob::new(question.to_string()))
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            return match crate::failure::class_of(&error) {
                ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown => Ok(Verdict::NotYet(
                    format!("{name} cannot be asked: {}", reason_of(&error)),
                )),
                ErrorClass::Gone | ErrorClass::Refused => Ok(Verdict::Bad(format!(
                    "{name} cannot be asked: {}",
                    reason_of(&error)
                ))),
            };
        }
    };
    let payload = answer
        .payload()
        .map(|payload| payload.as_ref().to_vec())
        .unwrap_or_default();
    if let Some(error) = answer.function_error() {
        let said = String::from_utf8_lossy(&payload);
        return Ok(Verdict::NotYet(format!("{name} failed ({error}): {said}")));
    }
    Ok(match serde_json::from_slice::<Answer>(&payload) {
        Ok(Answer {
            proved: Some(true), ..
        }) => Verdict::Good,
        Ok(Answer {
            proved: Some(false),
            reason,
        }) => Verdict::Bad(format!("{name} says no: {reason}")),
        Ok(Answer { proved: None, reason }) => Verdict::NotYet(format!("{name} cannot say yet: {reason}")),
        Err(error) => Verdict::Bad(format!(
            "{name} answered what is no answer ({error}); it must give {{\"proved\": true}}, false or null"
        )),
    })
}
