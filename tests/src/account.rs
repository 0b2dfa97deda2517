//! An account of a test's own on the local stack, with everything the functions need.

use crate::killer::KillSwitch;
use crate::simulator::Simulator;
use apply_retention::{ApplyRetention, Ledger, Table};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, GlobalSecondaryIndex};
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use close_job::CloseJob;
use copy_region::CopyRegion;
use holdfast_aws::catalog::Catalog;
use holdfast_aws::restoring::survey::Clients;
use holdfast_aws::schedules::Schedules;
use holdfast_aws::sessions::Sessions;
use holdfast_core::replica::Destination;
use manage_plan::ManagePlan;
use open_job::OpenJob;
use poll_completion::PollCompletion;
use restore_instance::{Points, RestoreInstance};
use snapshot_volumes::SnapshotVolumes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The region every test works in.
pub const REGION: &str = "us-east-1";
const TABLE: &str = "holdfast";

/// Where the local stack is, as `make test` says.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Everything but EC2 and EBS, and those too, through the front.
    pub endpoint: String,
    /// The simulator itself.
    pub simulator: String,
    /// The credentials of the account the template is deployed in.
    pub access_key: String,
    /// Their secret.
    pub secret_key: String,
    /// The file with the deployed stack's outputs.
    pub outputs: String,
}

impl Stack {
    /// Reads where the local stack is.
    ///
    /// # Panics
    /// A variable is missing: the tests run under `make test`, which starts the stack.
    #[must_use]
    pub fn from_environment() -> Self {
        let read = |name: &str| {
            #[expect(
                clippy::disallowed_methods,
                reason = "where the stack is, is configuration of the tests"
            )]
            std::env::var(name)
                .unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
        };
        Self {
            endpoint: read("AWS_ENDPOINT_URL"),
            simulator: read("HOLDFAST_SIM_URL"),
            access_key: read("AWS_ACCESS_KEY_ID"),
            secret_key: read("AWS_SECRET_ACCESS_KEY"),
            outputs: read("HOLDFAST_OUTPUTS"),
        }
    }

    pub(crate) fn config(access_key: &str, secret_key: &str, endpoint: &str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(endpoint)
            .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(
                Credentials::new(access_key, secret_key, None, None, "tests"),
            ))
            .retry_config(aws_config::retry::RetryConfig::standard().with_max_attempts(5))
            .http_client(KillSwitch::never().http_client())
            .sleep_impl(aws_smithy_async_sleep())
            .build()
    }

    /// The account the template is deployed in.
    #[must_use]
    pub fn deployed(&self) -> SdkConfig {
        Self::config(&self.access_key, &self.secret_key, &self.endpoint)
    }
}

fn aws_smithy_async_sleep() -> aws_smithy_async::rt::sleep::SharedAsyncSleep {
    aws_smithy_async::rt::sleep::SharedAsyncSleep::new(aws_smithy_async::rt::sleep::TokioSleep::new())
}

/// A fresh account with the catalog's table and the seal's key in it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its twelve digits.
    pub id: String,
    /// Its world in the simulator.
    pub simulator: Simulator,
    rest: SdkConfig,
    ec2: SdkConfig,
    seal_key_id: String,
    hop_key_arn: String,
    stack: Stack,
}

impl Account {
    /// Makes an account with the deployed table's keys and indexes.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn new(stack: &Stack) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Tests run in processes of their own: the process tells accounts apart, the counter those of one test.
        let id = format!(
            "7{:07}{:04}",
            u64::from(std::process::id()) % 10_000_000,
            number % 10_000
        );
        let rest = Stack::config(&id, "test", &stack.endpoint);
        let ec2 = Stack::config(&id, "test", &stack.simulator);
        copy_table(
            &aws_sdk_dynamodb::Client::new(&stack.deployed()),
            &aws_sdk_dynamodb::Client::new(&rest),
        )
        .await;
        let key = aws_sdk_kms::Client::new(&rest)
            .create_key()
            .key_spec(KeySpec::Hmac256)
            .key_usage(KeyUsageType::GenerateVerifyMac)
            .send()
            .await
            .expect("the local stack makes an HMAC key");
        let seal_key_id = key
            .key_metadata()
            .map(|key| key.key_id().to_owned())
            .expect("a key has an id");
        let simulator = Simulator::new(&stack.simulator, &id);
        let hop_key_arn = make_key(&rest, None).await;
        Self {
            id,
            simulator,
            rest,
            ec2,
            seal_key_id,
            hop_key_arn,
            stack: stack.clone(),
        }
    }

    /// Makes an instance profile with a role of the same name, and gives its ARN. One that is there stays.
    ///
    /// # Panics
    /// The local stack does not take it.
    pub async fn make_profile(&self, name: &str) -> String {
        let iam = aws_sdk_iam::Client::new(&self.rest);
        let profile = iam
            .create_instance_profile()
            .instance_profile_name(name)
            .send()
            .await;
        match profile {
            Ok(_) => {}
            Err(error) if error.code() == Some("EntityAlreadyExists") => return self.profile_arn(name),
            Err(error) => panic!("an instance profile is made: {error:?}"),
        }
        iam.create_role()
            .role_name(name)
            .assume_role_policy_document(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#)
            .send()
            .await
            .expect("a role is made");
        iam.add_role_to_instance_profile()
            .instance_profile_name(name)
            .role_name(name)
            .send()
            .await
            .expect("the profile has its role");
        self.profile_arn(name)
    }

    fn profile_arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:instance-profile/{name}", self.id)
    }

    /// The account's functions, with a kill switch below their clients.
    #[must_use]
    pub fn functions(&self, switch: &KillSwitch) -> Functions {
        let with = |config: &SdkConfig| {
            config
                .clone()
                .into_builder()
                .http_client(switch.http_client())
                .build()
        };
        let (rest, ec2) = (with(&self.rest), aws_sdk_ec2::Client::new(&with(&self.ec2)));
        let catalog = Catalog::new(aws_sdk_dynamodb::Client::new(&rest), TABLE);
        let restore_instance = RestoreInstance {
            here: Clients {
                ec2: ec2.clone(),
                ..Clients::new(&rest)
            },
            config: rest.clone(),
            own: Destination {
                account_id: self.id.clone(),
                region: REGION.to_owned(),
            },
            catalog: catalog.clone(),
            points: Points::Table,
            events: aws_sdk_eventbridge::Client::new(&rest),
            event_bus: "default".to_owned(),
        };
        let sessions = Sessions::new(rest.clone(), &self.id);
        Functions {
            restore_instance,
            apply_retention: ApplyRetention {
                ec2: ec2.clone(),
                ledger: Ledger::Table(Table {
                    catalog: catalog.clone(),
                    kms: aws_sdk_kms::Client::new(&rest),
                    seal_key_id: self.seal_key_id.clone(),
                }),
            },
            copy_region: CopyRegion {
                ec2: ec2.clone(),
                kms: aws_sdk_kms::Client::new(&rest),
                seal_key_id: self.seal_key_id.clone(),
                hop_key_id: self.hop_key_arn.clone(),
                slots: 20,
                catalog: catalog.clone(),
                sessions: sessions.clone(),
            },
            open_job: OpenJob {
                ec2: ec2.clone(),
                catalog: catalog.clone(),
            },
            snapshot_volumes: SnapshotVolumes {
                ec2: ec2.clone(),
                kms: aws_sdk_kms::Client::new(&rest),
                seal_key_id: self.seal_key_id.clone(),
                catalog: catalog.clone(),
            },
            poll_completion: PollCompletion {
                ec2: ec2.clone(),
                catalog: catalog.clone(),
            },
            close_job: CloseJob {
                ec2: ec2.clone(),
                events: aws_sdk_eventbridge::Client::new(&rest),
                event_bus: "default".to_owned(),
                catalog: catalog.clone(),
            },
            manage_plan: ManagePlan {
                catalog,
                schedules: Schedules {
                    client: aws_sdk_scheduler::Client::new(&rest),
                    group: "default".to_owned(),
                    role_arn: format!("arn:aws:iam::{}:role/scheduler", self.id),
                    state_machine_arn: format!("arn:aws:states:{REGION}:{}:stateMachine:backup", self.id),
                    restore_state_machine_arn: format!(
                        "arn:aws:states:{REGION}:{}:stateMachine:restore",
                        self.id
                    ),
                },
                ec2,
                sessions,
            },
        }
    }

    /// The variables that a function's binary is started with in this account.
    #[must_use]
    pub fn function_variables(&self) -> BTreeMap<String, String> {
        let endpoint = self.rest.endpoint_url().unwrap_or_default();
        let simulator = self.ec2.endpoint_url().unwrap_or_default();
        [
            ("AWS_ACCESS_KEY_ID", self.id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ENDPOINT_URL_EC2", simulator),
            ("HOLDFAST_TABLE", TABLE),
            ("HOLDFAST_SEAL_KEY_ID", self.seal_key_id.as_str()),
            ("HOLDFAST_HOP_KEY_ID", self.hop_key_arn.as_str()),
            ("HOLDFAST_COPY_SLOTS", "20"),
            ("HOLDFAST_ACCOUNT_ID", self.id.as_str()),
            ("HOLDFAST_EVENT_BUS", "default"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    /// The catalog, without a kill switch.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        Catalog::new(aws_sdk_dynamodb::Client::new(&self.rest), TABLE)
    }

    /// Puts a word in place of an attribute of a record, as no function would.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn spoil_record(&self, pk: &str, sk: &str, attribute: &str) {
        self.set_attribute(pk, sk, attribute, "sideways").await;
    }

    /// Puts a text in place of an attribute of a record.
    ///
    /// # Panics
    /// The local stack does not answer as it should, or there is no such record.
    pub async fn set_attribute(&self, pk: &str, sk: &str, attribute: &str, text: &str) {
        self.set(pk, sk, attribute, AttributeValue::S(text.to_owned()))
            .await;
    }

    /// Sets a flag of a record, as a function does that is not part of this workflow.
    ///
    /// # Panics
    /// The local stack does not answer as it should, or there is no such record.
    pub async fn set_flag(&self, pk: &str, sk: &str, attribute: &str) {
        self.set(pk, sk, attribute, AttributeValue::Bool(true)).await;
    }

    async fn set(&self, pk: &str, sk: &str, attribute: &str, value: AttributeValue) {
        aws_sdk_dynamodb::Client::new(&self.rest)
            .update_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()))
            .update_expression("SET #attribute = :value")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":value", value)
            .send()
            .await
            .expect("there is such a record");
    }

    /// Clients of everything but EC2 are made from this.
    #[must_use]
    pub fn config(&self) -> &SdkConfig {
        &self.rest
    }

    /// Where the local stack is.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Lets another account use the key of hops, as the template does for the accounts of vaults.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn let_read_hops(&self, account: &str) {
        let policy = key_policy(&self.id, Some(account));
        aws_sdk_kms::Client::new(&self.rest)
            .put_key_policy()
            .key_id(&self.hop_key_arn)
            .policy(policy)
            .send()
            .await
            .expect("the key's policy is taken");
    }

    /// EC2 in this account.
    #[must_use]
    pub fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.ec2)
    }

    /// EBS direct in this account.
    #[must_use]
    pub fn ebs(&self) -> aws_sdk_ebs::Client {
        aws_sdk_ebs::Client::new(&self.ec2)
    }

    /// EventBridge Scheduler in this account.
    #[must_use]
    pub fn scheduler(&self) -> aws_sdk_scheduler::Client {
        aws_sdk_scheduler::Client::new(&self.rest)
    }
}

/// Every function of the account, ready to be called.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the functions under their own names")]
pub struct Functions {
    pub open_job: OpenJob,
    pub snapshot_volumes: SnapshotVolumes,
    pub poll_completion: PollCompletion,
    pub copy_region: CopyRegion,
    pub apply_retention: ApplyRetention,
    pub close_job: CloseJob,
    pub manage_plan: ManagePlan,
    pub restore_instance: RestoreInstance,
}

/// Makes a key for encryption. With `user`, an account and another, both may use it.
///
/// # Panics
/// The local stack does not answer as it should.
pub async fn make_key(config: &SdkConfig, user: Option<(&str, &str)>) -> String {
    let key = aws_sdk_kms::Client::new(config)
        .create_key()
        .set_policy(user.map(|(own, user)| key_policy(own, Some(user))))
        .send()
        .await
        .expect("the local stack makes a key");
    let key = key.key_metadata().expect("a key has metadata");
    key.arn().expect("a key has an ARN").to_owned()
}

fn key_policy(own: &str, user: Option<&str>) -> String {
    let principals: Vec<String> = [Some(own), user]
        .into_iter()
        .flatten()
        .map(|account| format!("arn:aws:iam::{account}:root"))
        .collect();
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "kms:*", "Resource": "*"}],
    })
    .to_string()
}

async fn copy_table(from: &aws_sdk_dynamodb::Client, to: &aws_sdk_dynamodb::Client) {
    let tables = from
        .list_tables()
        .send()
        .await
        .expect("the deployed account lists its tables");
    let name = tables
        .table_names()
        .iter()
        .find(|name| name.to_lowercase().contains("holdfast"))
        .expect("the template is deployed with its table")
        .clone();
    let table = from
        .describe_table()
        .table_name(name)
        .send()
        .await
        .expect("the deployed table is described");
    let table = table.table.expect("a described table");
    let indexes = table.global_secondary_indexes().iter().map(|index| {
        GlobalSecondaryIndex::builder()
            .set_index_name(index.index_name.clone())
            .set_key_schema(index.key_schema.clone())
            .set_projection(index.projection.clone())
            .build()
            .expect("an index of the deployed table")
    });
    to.create_table()
        .table_name(TABLE)
        .set_key_schema(table.key_schema.clone())
        .set_attribute_definitions(table.attribute_definitions.clone())
        .set_global_secondary_indexes(Some(indexes.collect()))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .expect("the test's account takes the table");
}
