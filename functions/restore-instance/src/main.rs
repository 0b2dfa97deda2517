//! Wires restore-instance to the Lambda runtime: over the catalog table, or in a vault over the vault's catalog.

use holdfast_aws::restoring::survey::Clients;
use holdfast_aws::vault::{VaultCatalog, s3_client};
use holdfast_aws::{catalog::Catalog, environment, lambda};
use holdfast_core::replica::Destination;
use restore_instance::{Points, RestoreInstance};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        let own = Destination {
            account_id: environment::variable("HOLDFAST_ACCOUNT_ID")?,
            region: config.region().map(ToString::to_string).unwrap_or_default(),
        };
        let points = match environment::variable("HOLDFAST_VAULT_BUCKET") {
            Ok(bucket) => Points::Vault(VaultCatalog::new(s3_client(&config), bucket, &own.account_id)),
            Err(_) => Points::Table,
        };
        Ok(RestoreInstance {
            here: Clients::new(&config),
            events: aws_sdk_eventbridge::Client::new(&config),
            event_bus: environment::variable("HOLDFAST_EVENT_BUS")?,
            catalog: Catalog::new(
                aws_sdk_dynamodb::Client::new(&config),
                environment::variable("HOLDFAST_TABLE")?,
            ),
            points,
            own,
            config,
        })
    };
    lambda::serve("restore-instance", build, RestoreInstance::handle).await
}
