//! A place for replicas: another region of the account, or another account.

use crate::account::{Account, REGION, Stack, make_key};
use crate::simulator::{SimSnapshot, Simulator};
use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration,
};
use holdfast_aws::catalog::Catalog;
use holdfast_aws::restoring::survey::Clients;
use holdfast_aws::vault::VaultCatalog;
use holdfast_core::copying::{CopyJob, CopyState, SnapshotCopy};
use holdfast_core::ids::{PlanId, RecoveryPointId, SnapshotId};
use holdfast_core::replica::Destination;
use holdfast_core::tags;
use holdfast_core::vault::{VaultBackup, VaultPoint, point_key};
use restore_instance::{Points, RestoreInstance};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// A place for one account's replicas, with everything that the vault template makes for it but the function.
#[derive(Debug, Clone)]
pub struct Vault {
    /// Where it is.
    pub destination: Destination,
    /// Its world in the simulator.
    pub simulator: Simulator,
    /// The key of its copies.
    pub key_arn: String,
    /// The bucket of its catalog.
    pub bucket: String,
    role_arn: Option<String>,
    config: SdkConfig,
}

/// What the role of every test's vault asks for.
const EXTERNAL_ID: &str = "a test's own";

impl Vault {
    /// A place in another region of the account itself.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn in_region(account: &Account, region: &str) -> Self {
        Self::make(account, &account.id, region).await
    }

    /// A place in an account of its own.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn in_another_account(account: &Account, region: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!(
            "8{:07}{:04}",
            u64::from(std::process::id()) % 10_000_000,
            number % 10_000
        );
        account.let_read_hops(&id).await;
        let mut vault = Self::make(account, &id, region).await;
        vault.role_arn = Some(make_role(account.stack(), &id, &account.id, region).await);
        vault
    }

    /// A second place in the same other account.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn beside(&self, account: &Account, region: &str) -> Self {
        let id = &self.destination.account_id;
        let mut vault = Self::make(account, id, region).await;
        vault.role_arn = Some(make_role(account.stack(), id, &account.id, region).await);
        vault
    }

    async fn make(account: &Account, id: &str, region: &str) -> Self {
        let stack = account.stack();
        let config = Stack::config(id, "test", &stack.endpoint)
            .into_builder()
            .region(Region::new(region.to_owned()))
            .build();
        let destination = Destination {
            account_id: id.to_owned(),
            region: region.to_owned(),
        };
        let bucket = destination.bucket(&account.id);
        let vault = Self {
            simulator: Simulator::new(&stack.simulator, id).in_region(region),
            key_arn: make_key(&config, None).await,
            destination,
            bucket,
            role_arn: None,
            config,
        };
        vault.make_bucket().await;
        vault
    }

    async fn make_bucket(&self) {
        let s3 = self.s3();
        let mut create = s3.create_bucket().bucket(&self.bucket);
        if self.destination.region != REGION {
            let place = BucketLocationConstraint::from(self.destination.region.as_str());
            create = create.create_bucket_configuration(
                CreateBucketConfiguration::builder()
                    .location_constraint(place)
                    .build(),
            );
        }
        create.send().await.expect("the bucket is made");
        s3.put_bucket_versioning()
            .bucket(&self.bucket)
            .versioning_configuration(
                VersioningConfiguration::builder()
                    .status(BucketVersioningStatus::Enabled)
                    .build(),
            )
            .send()
            .await
            .expect("the bucket keeps versions");
    }

    /// The replica as a plan states it.
    #[must_use]
    pub fn replica(&self) -> Value {
        let mut replica = json!({"region": self.destination.region, "kms_key_arn": self.key_arn});
        if let Some(role) = &self.role_arn {
            replica["account"] = json!({
                "account_id": self.destination.account_id, "role_arn": role, "external_id": EXTERNAL_ID,
            });
        }
        replica
    }

    /// The vault's own restore-instance, with a table of its own: it reaches nothing but the vault's account and region.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn restore_instance(&self) -> RestoreInstance {
        let table = make_restore_table(&self.config).await;
        RestoreInstance {
            here: Clients::new(&self.config),
            config: self.config.clone(),
            own: self.destination.clone(),
            catalog: Catalog::new(aws_sdk_dynamodb::Client::new(&self.config), table),
            points: Points::Vault(VaultCatalog::new(
                self.s3(),
                &self.bucket,
                &self.destination.account_id,
            )),
            events: aws_sdk_eventbridge::Client::new(&self.config),
            event_bus: "default".to_owned(),
        }
    }

    /// Clients of the vault's own account are made from this.
    #[must_use]
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// S3 as the vault's own account.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// EC2 as the vault's own account.
    #[must_use]
    pub fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config)
    }

    /// An object of the catalog; none if it is not there.
    ///
    /// # Panics
    /// S3 does not answer as it should.
    pub async fn object(&self, key: &str) -> Option<Value> {
        let answer = self
            .s3()
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .ok()?;
        let bytes = answer
            .body
            .collect()
            .await
            .expect("the object's bytes")
            .into_bytes();
        Some(serde_json::from_slice(&bytes).expect("a record is JSON"))
    }

    /// The keys of the catalog's objects.
    ///
    /// # Panics
    /// S3 does not answer as it should.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let mut pages = self
            .s3()
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.expect("the bucket lists its objects");
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(str::to_owned)),
            );
        }
        keys
    }

    /// Every copy of a recovery point that lies here.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn copies(&self, point: &RecoveryPointId) -> Vec<SimSnapshot> {
        let mut found = self
            .simulator
            .snapshots(tags::RECOVERY_POINT, point.as_str())
            .await
            .expect("snapshots");
        found.retain(|snapshot| snapshot.copy_of.is_some());
        found
    }

    /// How many snapshots here count for nothing, by the catalog's records of a recovery point.
    ///
    /// # Panics
    /// The records cannot be read.
    pub async fn leftovers(&self, account: &Account, point: &RecoveryPointId) -> usize {
        let records = account
            .catalog()
            .copies_after(point, &self.destination, None, 1000)
            .await;
        records
            .expect("the copies can be listed")
            .iter()
            .map(|record| record.leftovers.len())
            .sum()
    }

    /// Checks what lies here of a recovery point against what the two catalogs say, and gives the copy job.
    ///
    /// The copy job has ended; every copy that its records name is there and complete, and nothing is there that they
    /// do not name; the source is shared with nobody and has no hop left; the vault's own catalog has every whole
    /// backup with all its copies, and nothing else.
    ///
    /// # Panics
    /// One of these does not hold.
    pub async fn audit(&self, account: &Account, plan: &PlanId, point: &RecoveryPointId) -> CopyJob {
        let catalog = account.catalog();
        let job = catalog
            .find_copy_job(point, &self.destination)
            .await
            .expect("the copy job can be read");
        let job = job.expect("there is a copy job");
        assert!(
            job.status.is_terminal() && job.ended_at.is_some(),
            "the copy job stays {}",
            job.status
        );
        assert!(job.flights.is_empty(), "flights are left: {:?}", job.flights);
        let mut records: Vec<SnapshotCopy> = Vec::new();
        loop {
            let after = records.last().map(|record| record.key.clone());
            let page = catalog
                .copies_after(point, &self.destination, after.as_ref(), 100)
                .await
                .expect("the copies can be listed");
            if page.is_empty() {
                break;
            }
            records.extend(page);
        }
        assert_eq!(records.len(), job.total as usize);
        let completed: Vec<&SnapshotCopy> = records
            .iter()
            .filter(|record| record.state == CopyState::Completed)
            .collect();
        let named: BTreeSet<&str> = completed
            .iter()
            .filter_map(|record| record.copy_id.as_ref())
            .chain(records.iter().flat_map(|record| &record.leftovers))
            .map(SnapshotId::as_str)
            .collect();
        let copies = self.copies(point).await;
        let there: BTreeSet<&str> = copies.iter().map(|copy| copy.snapshot_id.as_str()).collect();
        assert_eq!(
            there, named,
            "what lies in {} is what the catalog names",
            self.destination
        );
        for record in &completed {
            let id = record.copy_id.as_ref().expect("a complete copy has an id");
            let copy = copies
                .iter()
                .find(|copy| copy.snapshot_id == id.as_str())
                .expect("it is there");
            assert_eq!(copy.state, "completed");
            assert_eq!(copy.tags[tags::SOURCE_SNAPSHOT], record.key.snapshot_id.as_str());
        }
        self.audit_source(account, point).await;
        self.audit_catalog(plan, point, &job, &records).await;
        job
    }

    async fn audit_source(&self, account: &Account, point: &RecoveryPointId) {
        let own = account
            .simulator
            .snapshots(tags::RECOVERY_POINT, point.as_str())
            .await
            .expect("snapshots");
        for snapshot in own {
            assert!(
                !snapshot.tags.contains_key(tags::HOP),
                "the hop {} is left",
                snapshot.snapshot_id
            );
            assert!(
                snapshot.shared_with.is_empty(),
                "{} stays shared",
                snapshot.snapshot_id
            );
        }
    }

    async fn audit_catalog(
        &self,
        plan: &PlanId,
        point: &RecoveryPointId,
        job: &CopyJob,
        records: &[SnapshotCopy],
    ) {
        let keys = self.keys(&format!("catalog/{plan}/{point}/backups/")).await;
        assert_eq!(keys.len(), job.whole as usize, "{keys:?}");
        for key in keys {
            let record = self.object(&key).await.expect("it was listed");
            let backup: VaultBackup = serde_json::from_value(record).expect("a backup's replica");
            assert!(
                backup.backup.configuration.is_some(),
                "a restore needs the configuration"
            );
            let wanted: BTreeSet<&str> = records
                .iter()
                .filter(|record| record.key.resource_id == backup.backup.resource_id)
                .filter_map(|record| record.copy_id.as_ref().map(SnapshotId::as_str))
                .collect();
            let found: BTreeSet<&str> = backup
                .copies
                .iter()
                .map(|copy| copy.snapshot_id.as_str())
                .collect();
            assert_eq!(found, wanted);
            assert_eq!(found.len(), backup.backup.snapshots.len());
        }
        let left = records.iter().flat_map(|record| &record.leftovers);
        let Some(record) = self.object(&point_key(plan, point)).await else {
            assert_eq!(
                (job.whole, left.count()),
                (0, 0),
                "the replica is not in its catalog"
            );
            return;
        };
        let record: VaultPoint = serde_json::from_value(record).expect("a replica's record");
        assert_eq!((record.whole, record.lacking), (job.whole, job.lacking));
        for id in left {
            assert!(
                record.leftovers.contains(id),
                "{id} is not left to the vault's retention"
            );
        }
    }
}

/// Makes the role that the source assumes, with more rights than it needs: what it may do is tested where the template
/// is deployed.
async fn make_role(stack: &Stack, vault: &str, source: &str, region: &str) -> String {
    let name = format!("holdfast-vault-{source}-{region}");
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{source}:root")},
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    }]});
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": ["ec2:*", "s3:*", "kms:*"], "Resource": "*",
    }]});
    ask_iam(
        stack,
        vault,
        &[
            ("Action", "CreateRole"),
            ("RoleName", &name),
            ("AssumeRolePolicyDocument", &trust.to_string()),
        ],
    )
    .await;
    ask_iam(
        stack,
        vault,
        &[
            ("Action", "PutRolePolicy"),
            ("RoleName", &name),
            ("PolicyName", "all"),
            ("PolicyDocument", &policy.to_string()),
        ],
    )
    .await;
    format!("arn:aws:iam::{vault}:role/{name}")
}

/// One call of IAM as an account's root. The local stack reads who calls from the credential's scope and checks no
/// signature of root.
async fn ask_iam(stack: &Stack, account: &str, form: &[(&str, &str)]) {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={account}/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
    );
    let answer = reqwest::Client::new()
        .post(&stack.endpoint)
        .header("authorization", authorization)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encode(form))
        .send()
        .await
        .expect("IAM answers");
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap_or_default()
    );
}

/// A form as IAM reads it.
fn encode(form: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let version = ("Version", "2010-05-08");
    let pairs = form.iter().chain([&version]);
    pairs
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The table of a vault's restores, as the template makes it.
async fn make_restore_table(config: &SdkConfig) -> &'static str {
    const TABLE: &str = "holdfast-restores";
    let attribute = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .expect("an attribute")
    };
    let key = |name: &str, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .expect("a key")
    };
    aws_sdk_dynamodb::Client::new(config)
        .create_table()
        .table_name(TABLE)
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("sk"))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .expect("the vault takes the table");
    TABLE
}
