//! Copies in other regions and accounts: what they hold, whose they are, and what happens when one cannot be made.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::Status;
use holdfast_core::ids::PlanId;
use holdfast_core::job::JobStatus;
use holdfast_core::tags;
use holdfast_core::vault::{VaultBackup, backup_key};
use holdfast_tests::account::{Account, Stack, make_key};
use holdfast_tests::application::{Encryption, blocks, ebs_of, start_instance};
use holdfast_tests::audit::{Audited, audit};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn plan_id() -> PlanId {
    PlanId::try_from("nightly").unwrap()
}

fn plan(replicas: &[Value]) -> Value {
    json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "tags": {"team": "shop"},
        "retention": [{"keep": "newest", "count": 3}],
        "replicas": replicas,
    }})
}

/// Takes one recovery point with its replicas.
async fn back_up(account: &Account, vaults: &[&Vault], replicas: &[Value]) -> Audited {
    let mut bench = Bench::new(account, KillSwitch::never(), Repeat::Once).await;
    for vault in vaults {
        bench = bench.with_vault(vault).await;
    }
    let execution = bench.back_up(plan(replicas), "first").await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    audit(account, "nightly").await.remove(0)
}

fn message(audited: &Audited) -> &str {
    audited.job.message.as_deref().unwrap_or_default()
}

/// Every copy in a vault equals its source, block for block.
async fn assert_equal_blocks(account: &Account, vault: &Vault, audited: &Audited) -> usize {
    let mut copies = vault.copies(&audited.point.recovery_point_id).await;
    // A first attempt that a key stood in the way of is left to the vault's retention.
    copies.retain(|copy| copy.state == "completed");
    for copy in &copies {
        let source = blocks(&account.ebs(), &copy.tags[tags::SOURCE_SNAPSHOT]).await;
        assert!(source.len() >= 3, "an empty snapshot proves nothing");
        assert_eq!(
            blocks(&ebs_of(vault), &copy.snapshot_id).await,
            source,
            "{}",
            copy.snapshot_id
        );
    }
    copies.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_in_another_region_hold_every_block_tag_and_configuration() {
    let account = Account::new(&Stack::from_environment()).await;
    let key = make_key(account.config(), None).await;
    let volumes = start_instance(&account, "web", &[Encryption::None, Encryption::DefaultKey]).await;
    start_instance(&account, "db", &[Encryption::Key(key)]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let audited = back_up(&account, &[&vault], &[vault.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let point = &audited.point.recovery_point_id;
    let copies = vault.audit(&account, &plan_id(), point).await;
    assert_eq!(
        (copies.status, copies.completed, copies.whole),
        (JobStatus::Completed, 3, 2)
    );
    assert_eq!(assert_equal_blocks(&account, &vault, &audited).await, 3);
    for copy in vault.copies(point).await {
        assert_eq!(copy.kms_key_id.as_deref(), Some(vault.key_arn.as_str()));
        assert_eq!(copy.tags["team"], "shop");
        assert!(matches!(copy.tags["Name"].as_str(), "web" | "db"));
        assert_eq!(copy.tags[tags::SOURCE_REGION], "us-east-1");
        assert_eq!(copy.tags[tags::SOURCE_ACCOUNT], account.id);
    }
    let sources: BTreeSet<String> = vault
        .copies(point)
        .await
        .iter()
        .map(|copy| copy.tags[tags::SOURCE_VOLUME].clone())
        .collect();
    assert!(volumes.iter().all(|volume| sources.contains(volume)));
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_snapshots_reach_another_account_under_its_own_key() {
    let account = Account::new(&Stack::from_environment()).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let shareable = make_key(
        account.config(),
        Some((&account.id, &vault.destination.account_id)),
    )
    .await;
    let private = make_key(account.config(), None).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::DefaultKey]).await;
    start_instance(
        &account,
        "db",
        &[Encryption::Key(shareable), Encryption::Key(private)],
    )
    .await;
    let audited = back_up(&account, &[&vault], &[vault.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let point = &audited.point.recovery_point_id;
    let copies = vault.audit(&account, &plan_id(), point).await;
    assert_eq!((copies.completed, copies.whole), (4, 2));
    assert_eq!(
        vault.leftovers(&account, point).await,
        1,
        "the try under the key that the vault may not use"
    );
    assert_eq!(assert_equal_blocks(&account, &vault, &audited).await, 4);
    for copy in vault.copies(point).await {
        assert_eq!(copy.kms_key_id.as_deref(), Some(vault.key_arn.as_str()));
    }
    let ever = account
        .simulator
        .snapshots_ever(tags::RECOVERY_POINT, point.as_str())
        .await
        .unwrap();
    let hops = ever
        .iter()
        .filter(|snapshot| snapshot.tags.contains_key(tags::HOP));
    assert_eq!(
        hops.count(),
        2,
        "one hop for the default key, one for the key that the vault may not use"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_needs_nothing_of_its_source() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "db", &[Encryption::DefaultKey, Encryption::None]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let audited = back_up(&account, &[&vault], &[vault.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let mut digests = BTreeMap::new();
    for snapshot in &audited.backups[0].snapshots {
        let id = snapshot.snapshot_id.to_string();
        digests.insert(id.clone(), blocks(&account.ebs(), &id).await);
    }
    let fault = json!({"action": "*", "kind": "error", "code": "InternalError", "message": "gone", "status": 500,
        "nth": 1, "times": 1_000_000});
    account.simulator.post("faults", fault).await.unwrap();
    assert!(
        account.ec2().describe_volumes().send().await.is_err(),
        "the source is out of reach"
    );

    let backup = &audited.backups[0];
    let key = backup_key(&plan_id(), &backup.recovery_point_id, &backup.resource_id);
    let record: VaultBackup = serde_json::from_value(vault.object(&key).await.unwrap()).unwrap();
    let configuration = record.backup.configuration.expect("what a restore needs");
    assert_eq!(configuration.instance_type.as_deref(), Some("t3.micro"));
    for copy in &record.copies {
        let device = configuration
            .volumes
            .iter()
            .find(|volume| volume.volume_id == copy.volume_id);
        assert!(device.is_some(), "each copy has its device");
        let volume = vault
            .ec2()
            .create_volume()
            .availability_zone(format!("{}a", vault.destination.region))
            .snapshot_id(copy.snapshot_id.as_str())
            .send()
            .await
            .expect("a volume from the copy");
        assert_eq!(volume.size(), Some(1));
        let read = blocks(&ebs_of(&vault), copy.snapshot_id.as_str()).await;
        assert_eq!(read, digests[copy.source_snapshot_id.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_destination_leaves_the_others_alone() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    let good = Vault::in_region(&account, "eu-central-1").await;
    let other = Vault::in_another_account(&account, "eu-west-1").await;
    let mut closed = other.replica();
    closed["account"]["external_id"] = json!("not the one");
    let audited = back_up(&account, &[&good, &other], &[closed, good.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Partial);
    for word in [
        "1 of 2 replicas made",
        "eu-west-1",
        "AccessDenied",
        "infra/vault-account.yaml",
    ] {
        assert!(message(&audited).contains(word), "{word}: {}", message(&audited));
    }
    let point = &audited.point.recovery_point_id;
    assert_eq!(
        good.audit(&account, &plan_id(), point).await.status,
        JobStatus::Completed
    );
    let failed = other.audit(&account, &plan_id(), point).await;
    assert_eq!((failed.status, failed.begun), (JobStatus::Failed, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_ends_in_error_is_made_again() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let job = bench.back_up_to_copies(plan(&[vault.replica()]), "first").await;
    let sources = account.simulator.snapshots("team", "shop").await.unwrap();
    let fail = json!({"copy_of": sources[0].snapshot_id, "message": "An internal error occurred.", "after_seconds": 3});
    vault.simulator.post("snapshots/fail", fail).await.unwrap();
    run_side_by_side(&mut bench, &[job]).await;
    let execution = format!("arn:aws:states:us-east-1:{}:execution:backup:first", account.id);
    bench
        .invoke("close-job", json!({"execution_id": execution}))
        .await
        .unwrap();
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!(copies.completed, 1);
    let left = vault.leftovers(&account, &audited.point.recovery_point_id).await;
    assert_eq!(left, 1, "the failed one is left to retention");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ec2_accepts_and_cannot_use_is_found_and_explained() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::DefaultKey]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    aws_sdk_kms::Client::new(vault.config())
        .disable_key()
        .key_id(&vault.key_arn)
        .send()
        .await
        .unwrap();
    let audited = back_up(&account, &[&vault], &[vault.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Partial);
    for word in ["Given key ID is not accessible", &vault.key_arn, "is enabled"] {
        assert!(message(&audited).contains(word), "{word}: {}", message(&audited));
    }
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!(
        (copies.status, copies.completed, copies.failed),
        (JobStatus::Failed, 0, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_backups_that_the_replica_asks_for_are_copied() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    start_instance(&account, "db", &[Encryption::None, Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut replica = vault.replica();
    replica["only_tags"] = json!([{"key": "Name", "values": ["db"]}]);
    let audited = back_up(&account, &[&vault], &[replica]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!((copies.total, copies.whole), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_locked_as_the_plan_says() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut replica = vault.replica();
    replica["lock"] = json!({"mode": "compliance", "days": 30, "cool_off_hours": 1});
    let audited = back_up(&account, &[&vault], &[replica]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let copy = vault.copies(&audited.point.recovery_point_id).await.remove(0);
    let locked = vault
        .ec2()
        .describe_locked_snapshots()
        .snapshot_ids(&copy.snapshot_id)
        .send()
        .await
        .unwrap();
    let lock = &locked.snapshots()[0];
    assert_eq!(
        (lock.lock_duration(), lock.cool_off_period()),
        (Some(30), Some(1))
    );
    let refused = vault
        .ec2()
        .delete_snapshot()
        .snapshot_id(&copy.snapshot_id)
        .send()
        .await;
    assert!(refused.is_err(), "a locked copy cannot be deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn later_copies_are_incremental() {
    let account = Account::new(&Stack::from_environment()).await;
    let volumes = start_instance(&account, "web", &[Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    bench.back_up(plan(&[vault.replica()]), "first").await;
    bench.pass(3_600.0).await;
    account
        .simulator
        .put_content(&volumes[0], 0, vec![7; 512 * 1024])
        .await
        .unwrap();
    bench.back_up(plan(&[vault.replica()]), "second").await;
    let points = audit(&account, "nightly").await;
    assert_eq!(points.len(), 2);
    let blocks_of = async |audited: &Audited| -> (bool, u64) {
        let all = vault
            .simulator
            .ask(reqwest::Method::GET, "snapshots", None)
            .await
            .unwrap();
        let ours = all.as_array().unwrap().iter().find(|snapshot| {
            snapshot["tags"][tags::RECOVERY_POINT] == json!(audited.point.recovery_point_id)
        });
        let ours = ours.expect("a copy");
        (
            ours["incremental"].as_bool().unwrap(),
            ours["copied_blocks"].as_u64().unwrap(),
        )
    };
    assert_eq!(blocks_of(&points[1]).await, (false, 3));
    assert_eq!(blocks_of(&points[0]).await, (true, 1), "one block has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_limit_is_a_queue_and_not_a_failure() {
    let account = Account::new(&Stack::from_environment()).await;
    let scene = json!({"instances": 25, "volumes_per_instance": 2, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    account
        .simulator
        .post("settings", json!({"copy_base_seconds": 60}))
        .await
        .unwrap();
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let audited = back_up(&account, &[&vault], &[vault.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!(copies.completed, 50);
    let summary = account.simulator.call_summary().await.unwrap();
    println!("copies: {summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_somebody_else_holds_are_waited_for() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    // Copies made by hand hold all slots for some minutes.
    let made = account
        .simulator
        .post("scene/snapshots", json!({"count": 20}))
        .await
        .unwrap();
    account
        .simulator
        .post("settings", json!({"copy_base_seconds": 300}))
        .await
        .unwrap();
    for id in made["snapshot_ids"].as_array().unwrap() {
        vault
            .ec2()
            .copy_snapshot()
            .source_region("us-east-1")
            .source_snapshot_id(id.as_str().unwrap())
            .send()
            .await
            .unwrap();
    }
    let execution = bench.back_up(plan(&[vault.replica()]), "first").await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!((copies.completed, copies.failed), (2, 0));
}

/// Runs copy rounds of several jobs side by side, each when it asks to be run. Gives when each had ended.
async fn run_side_by_side(bench: &mut Bench<'_>, jobs: &[String]) -> BTreeMap<String, Timestamp> {
    let mut due: BTreeMap<String, Timestamp> = jobs.iter().map(|job| (job.clone(), bench.now())).collect();
    let mut ended = BTreeMap::new();
    while let Some((job, at)) = due
        .iter()
        .min_by_key(|(_, at)| **at)
        .map(|(job, at)| (job.clone(), *at))
    {
        let wait = at.duration_since(bench.now()).as_secs_f64();
        if wait > 0.0 {
            bench.pass(wait).await;
        }
        let request = json!({"action": "copy", "job_id": job, "destination": 0});
        let answer = bench.invoke("copy-region", request).await.unwrap();
        if answer["finished"] == true {
            ended.insert(job.clone(), bench.now());
            due.remove(&job);
        } else {
            due.insert(job, answer["wait_until"].as_str().unwrap().parse().unwrap());
        }
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_slots_are_shared_fairly_between_recovery_points() {
    let account = Account::new(&Stack::from_environment()).await;
    let many = json!({"instances": 50, "volumes_per_instance": 2, "tags": {"app": "large"}});
    account.simulator.scene(many).await.unwrap();
    let few = json!({"instances": 2, "volumes_per_instance": 2, "tags": {"app": "small"}});
    account.simulator.scene(few).await.unwrap();
    account
        .simulator
        .post("settings", json!({"copy_base_seconds": 100}))
        .await
        .unwrap();
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let mut jobs = Vec::new();
    for app in ["large", "small"] {
        let plan = json!({"plan": {"plan_id": app, "selection": {"tags": [{"key": "app", "values": [app]}]},
            "retention": [{"keep": "newest", "count": 1}], "replicas": [vault.replica()]}});
        jobs.push(bench.back_up_to_copies(plan, app).await);
    }
    let began = bench.now();
    let ended = run_side_by_side(&mut bench, &jobs).await;
    let took = |job: &String| ended[job].duration_since(began).as_secs();
    // 104 copies of 100 s in 20 slots take 520 s at least. The small one waits for one generation, not for all.
    assert!(took(&jobs[1]) <= 250, "the small one took {} s", took(&jobs[1]));
    assert!(took(&jobs[0]) <= 620, "the large one took {} s", took(&jobs[0]));
    println!(
        "copies: 4 beside 100 in 20 slots ended after {} s, the 100 after {} s",
        took(&jobs[1]),
        took(&jobs[0])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_is_stopped_leaves_no_share_and_no_hop() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::DefaultKey]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    for simulator in [&account.simulator, &vault.simulator] {
        simulator
            .post("settings", json!({"copy_base_seconds": 600}))
            .await
            .unwrap();
    }
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once)
        .await
        .with_vault(&vault)
        .await;
    let job = bench.back_up_to_copies(plan(&[vault.replica()]), "first").await;
    let round = json!({"action": "copy", "job_id": job, "destination": 0});
    for _ in 0..3 {
        bench.invoke("copy-region", round.clone()).await.unwrap();
        bench.pass(5.0).await;
    }
    let execution = format!("arn:aws:states:us-east-1:{}:execution:backup:first", account.id);
    let stopped = json!({"action": "end_all", "execution_id": execution, "failure": {"error": "ABORTED"}});
    for _ in 0..2 {
        let answer = bench.invoke("copy-region", stopped.clone()).await.unwrap();
        assert_eq!(answer["finished"], true);
    }
    let close = json!({"execution_id": execution, "failure": {"error": "ABORTED"}});
    bench.invoke("close-job", close).await.unwrap();
    let late = bench.invoke("copy-region", round).await.unwrap();
    assert_eq!(late["finished"], true, "a late double begins nothing");
    bench.pass(1_200.0).await;
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(audited.job.status, JobStatus::Aborted);
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!(copies.status, JobStatus::Aborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_just_before_the_end_is_waited_for() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::None]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once)
        .await
        .with_vault(&vault)
        .await;
    let job = bench.back_up_to_copies(plan(&[vault.replica()]), "first").await;
    let lost = json!({"action": "CopySnapshot", "kind": "lose_reply", "nth": 1, "times": 2});
    vault.simulator.post("faults", lost).await.unwrap();
    vault
        .simulator
        .post("settings", json!({"visibility_delay_seconds": 60}))
        .await
        .unwrap();
    let round = json!({"action": "copy", "job_id": job, "destination": 0});
    bench.invoke("copy-region", round).await.unwrap();
    let execution = format!("arn:aws:states:us-east-1:{}:execution:backup:first", account.id);
    let stopped = json!({"action": "end_all", "execution_id": execution, "failure": {"error": "ABORTED"}});
    let refused = bench.invoke("copy-region", stopped.clone()).await.unwrap_err();
    assert_eq!(refused.error, "RetryableError", "{}", refused.cause);
    bench.pass(125.0).await;
    bench.invoke("copy-region", stopped).await.unwrap();
    bench
        .invoke(
            "close-job",
            json!({"execution_id": execution, "failure": {"error": "ABORTED"}}),
        )
        .await
        .unwrap();
    let audited = audit(&account, "nightly").await.remove(0);
    let point = &audited.point.recovery_point_id;
    let copies = vault.audit(&account, &plan_id(), point).await;
    assert_eq!((copies.status, copies.completed), (JobStatus::Aborted, 0));
    assert_eq!(
        vault.leftovers(&account, point).await,
        2,
        "both are left to the vault's retention"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_for_and_throws_no_copy_away() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let job = bench.back_up_to_copies(plan(&[vault.replica()]), "first").await;
    let round = json!({"action": "copy", "job_id": job, "destination": 0});
    bench.invoke("copy-region", round).await.unwrap();
    let mut end = json!({"action": "end", "job_id": job, "destination": 0,
        "failure": {"error": "RetryableError", "cause": "EC2 does not answer"}});
    let answer = bench.invoke("copy-region", end.clone()).await.unwrap();
    assert_eq!(answer["finished"], false);
    run_side_by_side(&mut bench, std::slice::from_ref(&job)).await;
    let execution = format!("arn:aws:states:us-east-1:{}:execution:backup:first", account.id);
    bench
        .invoke("close-job", json!({"execution_id": execution}))
        .await
        .unwrap();
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    end["failure"]["error"] = json!("PermanentError");
    let answer = bench.invoke("copy-region", end).await.unwrap();
    assert_eq!(answer["finished"], true, "what has ended stays as it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_regions_of_one_account_share_a_snapshot_until_both_have_it() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::None]).await;
    let near = Vault::in_another_account(&account, "eu-central-1").await;
    let far = near.beside(&account, "eu-west-1").await;
    let audited = back_up(&account, &[&near], &[near.replica(), far.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Completed, "{}", message(&audited));
    for vault in [&near, &far] {
        let copies = vault
            .audit(&account, &plan_id(), &audited.point.recovery_point_id)
            .await;
        assert_eq!((copies.status, copies.completed), (JobStatus::Completed, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_forbids_copies_ends_and_says_so() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None, Encryption::None]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once)
        .await
        .with_vault(&vault)
        .await;
    let denied = json!({"action": "*", "kind": "error", "code": "UnauthorizedOperation",
        "message": "You are not authorized to perform this operation.", "status": 403, "nth": 1, "times": 1_000});
    vault.simulator.post("faults", denied).await.unwrap();
    let execution = bench.back_up(plan(&[vault.replica()]), "first").await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    vault
        .simulator
        .ask(reqwest::Method::DELETE, "faults", None)
        .await
        .unwrap();
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(audited.job.status, JobStatus::Partial);
    for word in ["0 of 1 replicas made", "UnauthorizedOperation", "eu-central-1"] {
        assert!(message(&audited).contains(word), "{word}: {}", message(&audited));
    }
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!(copies.status, JobStatus::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_one_name_in_two_regions_are_not_mixed_in_one_vault() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let other = vault
        .s3()
        .put_object()
        .bucket(&vault.bucket)
        .key("sources/nightly/eu-west-3.json");
    other.body(b"\"eu-west-3\"".to_vec().into()).send().await.unwrap();
    let audited = back_up(&account, &[&vault], &[vault.replica()]).await;
    assert_eq!(audited.job.status, JobStatus::Partial);
    for word in ["a plan nightly of eu-west-3", "another name"] {
        assert!(message(&audited).contains(word), "{word}: {}", message(&audited));
    }
    let copies = vault
        .audit(&account, &plan_id(), &audited.point.recovery_point_id)
        .await;
    assert_eq!((copies.status, copies.begun), (JobStatus::Failed, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inline_plan_cannot_copy_onto_itself() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "web", &[Encryption::None]).await;
    let audited = back_up(&account, &[], &[json!({"region": "us-east-1"})]).await;
    assert_eq!(audited.job.status, JobStatus::Partial);
    assert!(
        message(&audited).contains("replicas[0].region"),
        "{}",
        message(&audited)
    );
}
