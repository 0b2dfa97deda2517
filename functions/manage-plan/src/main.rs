//! Wires manage-plan to the Lambda runtime.

use holdfast_aws::{catalog::Catalog, environment, lambda, schedules::Schedules, sessions::Sessions};
use manage_plan::ManagePlan;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let build = async {
        let config = environment::sdk_config().await;
        Ok(ManagePlan {
            catalog: Catalog::new(
                aws_sdk_dynamodb::Client::new(&config),
                environment::variable("HOLDFAST_TABLE")?,
            ),
            schedules: Schedules {
                client: aws_sdk_scheduler::Client::new(&config),
                group: environment::variable("HOLDFAST_SCHEDULE_GROUP")?,
                role_arn: environment::variable("HOLDFAST_SCHEDULE_ROLE_ARN")?,
                state_machine_arn: environment::variable("HOLDFAST_STATE_MACHINE_ARN")?,
                restore_state_machine_arn: environment::variable("HOLDFAST_RESTORE_STATE_MACHINE_ARN")?,
            },
            ec2: aws_sdk_ec2::Client::new(&config),
            sessions: Sessions::new(config, environment::variable("HOLDFAST_ACCOUNT_ID")?),
        })
    };
    lambda::serve("manage-plan", build, ManagePlan::handle).await
}
