//! Wires poll-completion to the Lambda runtime.

use holdfast_aws::{catalog::Catalog, environment, lambda};
use poll_completion::PollCompletion;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        Ok(PollCompletion {
            ec2: aws_sdk_ec2::Client::new(&config),
            catalog: Catalog::new(
                aws_sdk_dynamodb::Client::new(&config),
                environment::variable("HOLDFAST_TABLE")?,
            ),
        })
    };
    lambda::serve("poll-completion", build, PollCompletion::handle).await
}
