//! Wires close-job to the Lambda runtime.

use close_job::CloseJob;
use holdfast_aws::{catalog::Catalog, environment, lambda};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        Ok(CloseJob {
            ec2: aws_sdk_ec2::Client::new(&config),
            events: aws_sdk_eventbridge::Client::new(&config),
            event_bus: environment::variable("HOLDFAST_EVENT_BUS")?,
            catalog: Catalog::new(
                aws_sdk_dynamodb::Client::new(&config),
                environment::variable("HOLDFAST_TABLE")?,
            ),
        })
    };
    lambda::serve("close-job", build, CloseJob::handle).await
}
