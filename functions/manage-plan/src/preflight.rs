//! What can be known of a plan's replicas when it is saved: that region, role, key and vault are there and can be used.

use crate::ManagePlan;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType};
use holdfast_aws::failure::Failure;
use holdfast_aws::sessions::Session;
use holdfast_aws::vault::VaultCatalog;
use holdfast_core::failure::InvalidField;
use holdfast_core::plan::{BackupPlan, InvalidPlan};
use holdfast_core::replica::{Replica, validate_replicas_from};
use std::collections::BTreeMap;

/// The plan stands below this field of the request.
const FIELD: &str = "plan.replicas";

impl ManagePlan {
    /// Checks a plan's replicas where they are to be made. Nothing is saved before every one of them can be.
    ///
    /// # Errors
    /// Permanent: every field that cannot be used, and what to do. Retryable: AWS could not answer.
    pub(crate) async fn check_replicas(&self, plan: &BackupPlan) -> Result<(), Failure> {
        if plan.replicas.is_empty() {
            return Ok(());
        }
        let mut problems = validate_replicas_from(FIELD, &plan.replicas, self.sessions.own());
        let regions = self.regions().await?;
        for (index, replica) in plan.replicas.iter().enumerate() {
            let at = format!("{FIELD}[{index}]");
            let is_good = !problems.iter().any(|problem| problem.field.starts_with(&at));
            match regions.get(&replica.region).map(String::as_str) {
                Some("not-opted-in") => problems.push(InvalidField::new(
                    format!("{at}.region"),
                    format!("this account has not enabled {}; enable it first", replica.region),
                )),
                Some(_) if is_good => {
                    problems.extend(self.check_destination(plan, &at, replica).await?);
                }
                Some(_) => {}
                None => problems.push(InvalidField::new(
                    format!("{at}.region"),
                    format!(
                        "AWS has no region {}; give one such as eu-central-1",
                        replica.region
                    ),
                )),
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Failure::permanent(InvalidPlan { problems }.to_string()))
        }
    }

    /// Every region there is, with whether the account may use it.
    async fn regions(&self) -> Result<BTreeMap<String, String>, Failure> {
        let answer = self
            .ec2
            .describe_regions()
            .all_regions(true)
            .send()
            .await
            .map_err(|error| Failure::call("listing the regions", error))?;
        let regions = answer.regions().iter();
        Ok(regions
            .filter_map(|region| {
                let name = region.region_name()?.to_owned();
                Some((name, region.opt_in_status().unwrap_or_default().to_owned()))
            })
            .collect())
    }

    async fn check_destination(
        &self,
        plan: &BackupPlan,
        at: &str,
        replica: &Replica,
    ) -> Result<Option<InvalidField>, Failure> {
        let session = match self.sessions.open(replica).await {
            Ok(session) => session,
            Err(failure) => return named(format!("{at}.account.role_arn"), failure),
        };
        if let Some(key) = &replica.kms_key_arn
            && let Some(problem) = key_problem(&session, key).await?
        {
            return Ok(Some(InvalidField::new(format!("{at}.kms_key_arn"), problem)));
        }
        let destination = replica.destination(&self.sessions.own().account_id);
        let bucket = destination.bucket(&self.sessions.own().account_id);
        let vault = VaultCatalog::new(session.s3(), &bucket, &destination.account_id);
        match vault.check().await {
            Ok(()) => {
                let region = &self.sessions.own().region;
                match vault.check_source(&plan.plan_id, region).await {
                    Ok(()) => Ok(None),
                    Err(failure) => named(format!("{at}.region"), failure),
                }
            }
            Err(Failure::Permanent { .. }) => Ok(Some(InvalidField::new(
                format!("{at}.region"),
                format!(
                    "there is no bucket {bucket} that can be written to; deploy infra/vault-account.yaml in {destination} \
                     with SourceAccountId={}",
                    self.sessions.own().account_id
                ),
            ))),
            Err(failure) => Err(failure),
        }
    }
}

/// Why a key cannot encrypt copies, if it cannot.
async fn key_problem(session: &Session, key: &str) -> Result<Option<String>, Failure> {
    let answer = session.kms().describe_key().key_id(key).send().await;
    let answer = match answer.map_err(|error| Failure::call(format!("looking at the key {key}"), error)) {
        Ok(answer) => answer,
        Err(failure @ Failure::Permanent { .. }) => return Ok(Some(failure.chain())),
        Err(failure) => return Err(failure),
    };
    let Some(found) = answer.key_metadata() else {
        return Ok(Some(format!("KMS says nothing of {key}")));
    };
    Ok(if found.key_state() != Some(&KeyState::Enabled) {
        let state = found.key_state().map_or("unknown", KeyState::as_str);
        Some(format!("{key} is {state}; give a key that is enabled"))
    } else if found.key_usage() != Some(&KeyUsageType::EncryptDecrypt)
        || found.key_spec() != Some(&KeySpec::SymmetricDefault)
    {
        Some(format!(
            "{key} is no symmetric key for encryption, and EBS takes no other"
        ))
    } else {
        None
    })
}

/// A failure for good as the problem of a field.
fn named(field: String, failure: Failure) -> Result<Option<InvalidField>, Failure> {
    match failure {
        Failure::Permanent { .. } => Ok(Some(InvalidField::new(field, failure.chain()))),
        Failure::Retryable { .. } => Err(failure),
    }
}
