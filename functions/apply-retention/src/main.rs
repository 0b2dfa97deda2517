//! Wires apply-retention to the Lambda runtime: over the catalog table, or in a vault over the vault's catalog.

use apply_retention::{ApplyRetention, Ledger, Table, Vault};
use holdfast_aws::vault::{VaultCatalog, s3_client};
use holdfast_aws::{catalog::Catalog, environment, lambda};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        let ledger = match environment::variable("HOLDFAST_VAULT_BUCKET") {
            Ok(bucket) => Ledger::Vault(Vault {
                catalog: VaultCatalog::new(
                    s3_client(&config),
                    bucket,
                    environment::variable("HOLDFAST_ACCOUNT_ID")?,
                ),
                minimum_days: environment::number("HOLDFAST_MINIMUM_DAYS")?,
            }),
            Err(_) => Ledger::Table(Table {
                catalog: Catalog::new(
                    aws_sdk_dynamodb::Client::new(&config),
                    environment::variable("HOLDFAST_TABLE")?,
                ),
                kms: aws_sdk_kms::Client::new(&config),
                seal_key_id: environment::variable("HOLDFAST_SEAL_KEY_ID")?,
            }),
        };
        Ok(ApplyRetention {
            ec2: aws_sdk_ec2::Client::new(&config),
            ledger,
        })
    };
    lambda::serve("apply-retention", build, ApplyRetention::handle).await
}
