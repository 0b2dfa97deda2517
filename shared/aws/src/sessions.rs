//! Clients in the places where copies go: other regions, and other accounts through a role there.

use crate::failure::Failure;
use aws_config::{Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use holdfast_core::replica::{Destination, Replica};
use std::time::SystemTime;

/// What an assumed session is called in the other account's trail.
const SESSION: &str = "holdfast-copy-region";

/// Opens sessions from the function's own account and region.
#[derive(Debug, Clone)]
pub struct Sessions {
    config: SdkConfig,
    own: Destination,
}

/// A session in a destination.
#[derive(Debug, Clone)]
pub struct Session {
    config: SdkConfig,
}

impl Sessions {
    /// Sessions of an account whose clients are made from `config`.
    #[must_use]
    pub fn new(config: SdkConfig, account_id: impl Into<String>) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self {
            config,
            own: Destination {
                account_id: account_id.into(),
                region,
            },
        }
    }

    /// The function's own account and region.
    #[must_use]
    pub fn own(&self) -> &Destination {
        &self.own
    }

    /// A session where a replica's copies go.
    ///
    /// # Errors
    /// The role in the other account cannot be assumed.
    pub async fn open(&self, replica: &Replica) -> Result<Session, Failure> {
        let region = Region::new(replica.region.clone());
        let config = self.config.to_builder().region(region);
        let Some(account) = &replica.account else {
            return Ok(Session {
                config: config.build(),
            });
        };
        let what = || {
            format!(
                "assuming {} with the replica's external id; see that infra/vault-account.yaml is deployed there for \
                 account {}",
                account.role_arn, self.own.account_id
            )
        };
        let answer = aws_sdk_sts::Client::new(&self.config)
            .assume_role()
            .role_arn(&account.role_arn)
            .role_session_name(SESSION)
            .set_external_id(account.external_id.clone())
            .send()
            .await
            .map_err(|error| Failure::call(what(), error))?;
        let given = answer
            .credentials()
            .ok_or_else(|| Failure::permanent(format!("{}: STS answered without credentials", what())))?;
        let credentials = Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            SystemTime::try_from(*given.expiration()).ok(),
            "AssumeRole",
        );
        Ok(Session {
            config: config
                .credentials_provider(SharedCredentialsProvider::new(credentials))
                .build(),
        })
    }
}

impl Session {
    /// EC2 there.
    #[must_use]
    pub fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config)
    }

    /// KMS there.
    #[must_use]
    pub fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.config)
    }

    /// S3 there.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        // A bucket's name in the path: the local stack has no host for each bucket.
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }
}
