//! Wires copy-region to the Lambda runtime.

use copy_region::CopyRegion;
use holdfast_aws::{catalog::Catalog, environment, lambda, sessions::Sessions};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        Ok(CopyRegion {
            ec2: aws_sdk_ec2::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            seal_key_id: environment::variable("HOLDFAST_SEAL_KEY_ID")?,
            hop_key_id: environment::variable("HOLDFAST_HOP_KEY_ID")?,
            slots: environment::number("HOLDFAST_COPY_SLOTS")?,
            catalog: Catalog::new(
                aws_sdk_dynamodb::Client::new(&config),
                environment::variable("HOLDFAST_TABLE")?,
            ),
            sessions: Sessions::new(config, environment::variable("HOLDFAST_ACCOUNT_ID")?),
        })
    };
    lambda::serve("copy-region", build, CopyRegion::handle).await
}
