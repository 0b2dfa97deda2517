//! Wires snapshot-volumes to the Lambda runtime.

use holdfast_aws::{catalog::Catalog, environment, lambda};
use snapshot_volumes::SnapshotVolumes;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        Ok(SnapshotVolumes {
            ec2: aws_sdk_ec2::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            seal_key_id: environment::variable("HOLDFAST_SEAL_KEY_ID")?,
            catalog: Catalog::new(
                aws_sdk_dynamodb::Client::new(&config),
                environment::variable("HOLDFAST_TABLE")?,
            ),
        })
    };
    lambda::serve("snapshot-volumes", build, SnapshotVolumes::handle).await
}
