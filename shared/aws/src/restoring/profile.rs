//! Instance profiles: whether an instance can be launched with them.

use crate::failure::reason_of;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_iam::Client;
use aws_sdk_iam::config::Builder;
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::types::InstanceProfile;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A client that gives up soon: IAM answers from one region of a partition only, and that may be the one which is lost.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(6));
    let config = Builder::from(config)
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .timeout_config(timeouts.build());
    Client::from_conf(config.build())
}

/// What is wrong with those of the profiles that no instance can be launched with. Where IAM does not answer they are
/// left to the launch: a restore must not wait for IAM.
pub async fn unusable(iam: &Client, arns: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut unusable = BTreeMap::new();
    for arn in arns {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let answer = iam
            .get_instance_profile()
            .instance_profile_name(name)
            .send()
            .await;
        let problem = match answer {
            Ok(answer) => answer.instance_profile().and_then(|found| problem_of(arn, found)),
            Err(error) if error.code() == Some("NoSuchEntity") => {
                Some(format!("there is no instance profile {arn}"))
            }
            Err(error) => {
                tracing::warn!(
                    profile = arn,
                    error = reason_of(&error),
                    "cannot look at the instance profiles"
                );
                break;
            }
        };
        unusable.extend(problem.map(|problem| (arn.clone(), problem)));
    }
    unusable
}

/// A name is unique in an account, whatever the path; an ARN has both.
fn problem_of(arn: &str, found: &InstanceProfile) -> Option<String> {
    if found.arn() != arn {
        Some(format!("there is no instance profile {arn}, but {}", found.arn()))
    } else if found.roles().is_empty() {
        Some(format!("the instance profile {arn} has no role"))
    } else {
        None
    }
}
