//! What retention keeps, what it lets go, and what it never touches.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::{Options, Status};
use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, LockMode};
use holdfast_core::ids::PlanId;
use holdfast_core::message::ManagePlanRequest;
use holdfast_core::plan::BackupPlan;
use holdfast_core::tags;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::application::{Encryption, blocks, start_instance};
use holdfast_tests::audit::audit;
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::retention::{
    Draft, Written, apply, audit_retention, daily, dry_run, instance, plan, retention_machine, row,
    still_there, whole, write_points,
};
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat, start_of_time};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

const DAY: SignedDuration = SignedDuration::from_hours(24);

struct Case {
    account: Account,
    plan: BackupPlan,
}

impl Case {
    async fn new(rules: Value) -> Self {
        Self {
            account: Account::new(&Stack::from_environment()).await,
            plan: plan(&rules),
        }
    }

    async fn bench(&self) -> Bench<'_> {
        Bench::new(&self.account, KillSwitch::never(), Repeat::Once).await
    }

    async fn write(&self, drafts: &[Draft]) -> Vec<Written> {
        write_points(&self.account, &self.plan, drafts).await
    }

    async fn left(&self, written: &[Written]) -> Vec<String> {
        let ids: Vec<String> = written.iter().flat_map(|point| point.snapshots.clone()).collect();
        still_there(&self.account.simulator, &ids).await
    }

    async fn calls(&self, action: &str) -> u64 {
        let summary = self.account.simulator.call_summary().await.unwrap();
        summary["by_action"][action]["calls"].as_u64().unwrap_or(0)
    }

    /// Makes an AMI of a snapshot, as a user would.
    async fn make_image(&self, snapshot: &str) -> String {
        let root = BlockDeviceMapping::builder()
            .device_name("/dev/xvda")
            .ebs(EbsBlockDevice::builder().snapshot_id(snapshot).build())
            .build();
        let image = self
            .account
            .ec2()
            .register_image()
            .name("golden")
            .root_device_name("/dev/xvda")
            .block_device_mappings(root)
            .send()
            .await
            .unwrap();
        image.image_id().unwrap().to_owned()
    }
}

fn reasons(row: &Value) -> Vec<&str> {
    row["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason.as_str().unwrap())
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn five_rules_keep_what_they_promise() {
    let case = Case::new(json!([
        {"keep": "newest", "count": 3}, {"keep": "daily", "count": 5}, {"keep": "weekly", "count": 4},
        {"keep": "monthly", "count": 6}, {"keep": "yearly", "count": 2},
    ]))
    .await;
    let mut bench = case.bench().await;
    // One point a night since the 30th of December 2025, at midnight; now is the 24th of November 2026.
    let nights: Vec<Draft> = (0..1_000)
        .map(|days| whole(start_of_time() - DAY * days - SignedDuration::from_hours(2), [1]))
        .take_while(|draft| draft.moment >= at("2025-12-30T00:00:00Z"))
        .collect();
    let written = case.write(&nights).await;
    assert_eq!(written.len(), 330);
    let answers = apply(&mut bench).await;
    let left = audit_retention(&case.account).await;
    let kept: Vec<String> = left
        .kept
        .iter()
        .map(|moment| moment.strftime("%Y-%m-%d").to_string())
        .collect();
    assert_eq!(
        kept,
        [
            "2026-11-24",
            "2026-11-23",
            "2026-11-22",
            "2026-11-21",
            "2026-11-20",
            "2026-11-15",
            "2026-11-08",
            "2026-10-31",
            "2026-09-30",
            "2026-08-31",
            "2026-07-31",
            "2026-06-30",
            "2025-12-31",
        ]
    );
    assert_eq!(left.gone.len(), 330 - 13);
    assert_eq!(answers.last().unwrap()["kept"], 13);
    assert!(
        answers.len() <= 5,
        "317 snapshots take four bursts, not {}",
        answers.len()
    );
    let again = apply(&mut bench).await;
    assert_eq!(
        (again.len(), &again[0]["gone"], &again[0]["going"]),
        (1, &json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_dry_run_tells_what_will_happen_and_changes_nothing() {
    let case = Case::new(json!([{"keep": "newest", "count": 2}])).await;
    let mut bench = case.bench().await;
    let mut drafts = daily(4, start_of_time());
    drafts[3].good = vec![instance(1), instance(2)];
    let written = case.write(&drafts).await;
    let told = dry_run(&mut bench).await;
    assert_eq!(
        (&told["kept"], &told["going"], &told["left_out"]),
        (&json!(3), &json!(1), &json!(0))
    );
    let rows = told["points"].as_array().unwrap();
    let newest_first: Vec<&str> = rows
        .iter()
        .map(|row| row["recovery_point_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        newest_first,
        written.iter().map(|point| point.id.as_str()).collect::<Vec<_>>()
    );
    assert_eq!(reasons(row(&told, &written[1])), ["among the newest 2 points"]);
    assert_eq!(
        reasons(row(&told, &written[2])),
        ["no rule keeps it (the newest 2 points), and nothing protects it"]
    );
    assert_eq!(
        reasons(row(&told, &written[3])),
        [format!("last good backup of {}", instance(2))],
        "resources are named"
    );
    assert_eq!(told["gone_resources"][0]["resource_id"], instance(2).as_str());
    assert_eq!(case.calls("DeleteSnapshot").await, 0);
    assert_eq!(audit_retention(&case.account).await.kept.len(), 4);
    apply(&mut bench).await;
    let left = audit_retention(&case.account).await;
    assert_eq!(left.gone, [drafts[2].moment]);
    assert_eq!(left.kept.len(), 3);
}

#[tokio::test]
async fn retention_keeps_working_when_the_instance_is_gone() {
    let account = Account::new(&Stack::from_environment()).await;
    let scene =
        json!({"instances": 2, "volumes_per_instance": 2, "volume_size_gib": 8, "tags": {"app": "shop"}});
    let instances = account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let mut plan = json!({
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 2}],
    });
    let back_up = async |bench: &mut Bench<'_>, plan: &Value, day: u32| {
        let execution = bench.back_up(json!({"plan": plan}), &format!("day-{day}")).await;
        assert!(
            matches!(execution.status, Status::Succeeded(_)),
            "{:?}",
            execution.status
        );
        bench.pass(86_400.0).await;
    };
    for day in 0..3 {
        back_up(&mut bench, &plan, day).await;
    }
    assert_eq!(
        audit_retention(&account).await.kept.len(),
        2,
        "each backup lets the oldest point go"
    );
    let ec2 = account.ec2();
    ec2.terminate_instances()
        .instance_ids(&instances[0])
        .send()
        .await
        .unwrap();
    account
        .simulator
        .post("instances/vanish", json!({"instance_id": instances[0]}))
        .await
        .unwrap();
    for day in 3..6 {
        back_up(&mut bench, &plan, day).await;
    }
    let left = audit_retention(&account).await;
    assert_eq!(
        (left.kept.len(), left.gone.len()),
        (3, 3),
        "two by the rule, and the last with the gone instance"
    );
    let told = dry_run(&mut bench).await;
    let last = &told["points"][2];
    assert_eq!(reasons(last), [format!("last good backup of {}", instances[0])]);
    assert_eq!(
        told["gone_resources"],
        json!([{"resource_id": instances[0], "recovery_point_id": last["recovery_point_id"]}])
    );

    plan["expire_gone_resources"] = json!(true);
    back_up(&mut bench, &plan, 6).await;
    let left = audit_retention(&account).await;
    assert_eq!(
        (left.kept.len(), left.gone.len()),
        (2, 5),
        "the plan lets gone instances go"
    );
}

#[tokio::test]
async fn an_incremental_point_restores_in_full_after_older_ones_are_deleted() {
    let account = Account::new(&Stack::from_environment()).await;
    let volume = start_instance(&account, "db", &[Encryption::None])
        .await
        .remove(0);
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let plan = json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 1}],
    }});
    for day in 0..3_u64 {
        // Each day one more block changes: the newest snapshot holds one of its own, and needs the older ones' blocks.
        let bytes = format!("day {day}").into_bytes();
        account
            .simulator
            .put_content(&volume, (20 + day) * 512 * 1024, bytes)
            .await
            .unwrap();
        if day < 2 {
            bench.back_up(plan.clone(), &format!("day-{day}")).await;
            bench.pass(86_400.0).await;
        }
    }
    // The third without retention, so that its content can be read before the older ones go.
    bench.back_up_to_copies(plan, "day-2").await;
    let points = account
        .catalog()
        .list_recovery_points(&PlanId::try_from("nightly").unwrap())
        .await
        .unwrap();
    let id = points[0].recovery_point_id.as_str();
    let snapshot = account
        .simulator
        .snapshots(tags::RECOVERY_POINT, id)
        .await
        .unwrap()[0]
        .snapshot_id
        .clone();
    let before = blocks(&account.ebs(), &snapshot).await;
    assert!(before.len() >= 5, "{before:?}");
    bench.pass(86_400.0).await;
    apply(&mut bench).await;
    let left = audit_retention(&account).await;
    assert_eq!((left.kept.len(), left.gone.len()), (1, 2));
    assert_eq!(blocks(&account.ebs(), &snapshot).await, before);
}

#[tokio::test]
async fn plan_tags_and_rules_land_on_each_backup() {
    let account = Account::new(&Stack::from_environment()).await;
    let scene =
        json!({"instances": 2, "volumes_per_instance": 2, "volume_size_gib": 8, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let rules = json!([{"keep": "daily", "count": 7}, {"keep": "younger_than", "age": "P30D"}]);
    let plan = json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "tags": {"team": "shop", "cost-centre": "42"},
        "retention": rules,
    }});
    bench.back_up(plan, "first").await;
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(audited.snapshots.len(), 4);
    for snapshot in &audited.snapshots {
        assert_eq!(
            (
                snapshot.tags["team"].as_str(),
                snapshot.tags["cost-centre"].as_str()
            ),
            ("shop", "42")
        );
        assert_eq!(snapshot.tags[tags::PLAN], "nightly");
    }
    assert_eq!(
        serde_json::to_value(&audited.point.plan.retention).unwrap(),
        rules
    );
}

#[rstest]
#[case::enabled(false)]
#[case::disabled(true)]
#[tokio::test]
async fn a_snapshot_in_use_by_an_image_is_deferred_also_when_the_image_is_disabled(#[case] disable: bool) {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let drafts = daily(3, start_of_time());
    let written = case.write(&drafts).await;
    let image = case.make_image(&written[1].snapshots[0]).await;
    let ec2 = case.account.ec2();
    if disable {
        ec2.disable_image().image_id(&image).send().await.unwrap();
    }
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!(
        (&answer["kept"], &answer["gone"], &answer["deferred"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let told = dry_run(&mut bench).await;
    assert_eq!(
        reasons(row(&told, &written[1])),
        ["an AMI is made of its snapshots"]
    );
    assert_eq!(case.left(&written[1..2]).await, written[1].snapshots);

    ec2.deregister_image().image_id(&image).send().await.unwrap();
    apply(&mut bench).await;
    assert_eq!(audit_retention(&case.account).await.kept, [drafts[0].moment]);
}

#[tokio::test]
async fn an_image_made_while_its_point_goes_defers_one_snapshot_and_not_the_others() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let drafts = [
        whole(start_of_time() - SignedDuration::from_hours(10), [1, 2, 3]),
        whole(start_of_time() - SignedDuration::from_hours(34), [1, 2, 3]),
    ];
    let written = case.write(&drafts).await;
    let refuse = json!({"action": "DeleteSnapshot", "nth": 1, "times": 3, "kind": "error",
        "code": "UnauthorizedOperation", "message": "You are not authorized to perform this operation.", "status": 403});
    case.account.simulator.post("faults", refuse).await.unwrap();
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!(
        (&answer["going"], &answer["gone"], &answer["deferred"]),
        (&json!(1), &json!(0), &json!(3))
    );
    let told = dry_run(&mut bench).await;
    let deferred = row(&told, &written[1])["deferred"].as_object().unwrap();
    assert_eq!(deferred.len(), 3);
    assert!(
        deferred
            .values()
            .all(|why| why.as_str().unwrap().contains("not authorized")),
        "{deferred:?}"
    );

    let in_use = &written[1].snapshots[1];
    let image = case.make_image(in_use).await;
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!((&answer["gone"], &answer["deferred"]), (&json!(0), &json!(1)));
    let told = dry_run(&mut bench).await;
    let going = row(&told, &written[1]);
    assert_eq!(going["keep"], false);
    let why = going["deferred"][in_use].as_str().unwrap();
    assert!(why.contains(&image), "{why}");
    assert_eq!(case.left(&written[1..]).await, vec![in_use.clone()]);

    case.account
        .ec2()
        .deregister_image()
        .image_id(&image)
        .send()
        .await
        .unwrap();
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!((&answer["gone"], &answer["deferred"]), (&json!(1), &json!(0)));
    assert_eq!(audit_retention(&case.account).await.gone, [drafts[1].moment]);
}

#[tokio::test]
async fn a_locked_snapshot_keeps_its_point_until_the_lock_ends() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(2, start_of_time())).await;
    case.account
        .ec2()
        .lock_snapshot()
        .snapshot_id(&written[1].snapshots[0])
        .lock_mode(LockMode::Governance)
        .lock_duration(1)
        .send()
        .await
        .unwrap();
    apply(&mut bench).await;
    let told = dry_run(&mut bench).await;
    assert_eq!(reasons(row(&told, &written[1])), ["a snapshot is locked"]);
    bench.pass(2.0 * 86_400.0).await;
    apply(&mut bench).await;
    assert_eq!(audit_retention(&case.account).await.gone.len(), 1);
}

#[tokio::test]
async fn a_snapshot_made_by_hand_is_never_touched() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let by_hand = async |tags: Value| {
        let scene = json!({"count": 3, "tags": tags});
        let made = case
            .account
            .simulator
            .post("scene/snapshots", scene)
            .await
            .unwrap();
        serde_json::from_value::<Vec<String>>(made["snapshot_ids"].clone()).unwrap()
    };
    let mut strangers = by_hand(json!({})).await;
    strangers.extend(by_hand(json!({"app": "shop", tags::PLAN: "nightly"})).await);
    case.write(&daily(5, start_of_time())).await;
    apply(&mut bench).await;
    assert_eq!(audit_retention(&case.account).await.gone.len(), 4);
    assert_eq!(still_there(&case.account.simulator, &strangers).await, strangers);
}

#[tokio::test]
async fn a_forged_tag_condemns_nothing() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let drafts = daily(3, start_of_time());
    let written = case.write(&drafts).await;
    let condemned = &written[2].snapshots[0];
    // A stranger with every tag of a snapshot that goes, its seal included.
    let sealed = case
        .account
        .simulator
        .ask(reqwest::Method::GET, &format!("tags?resource={condemned}"), None)
        .await
        .unwrap();
    let scene = json!({"count": 1, "tags": sealed});
    let made = case
        .account
        .simulator
        .post("scene/snapshots", scene)
        .await
        .unwrap();
    let forged = vec![made["snapshot_ids"][0].as_str().unwrap().to_owned()];
    // And a snapshot of ours that somebody has given another point's name, so that its seal breaks.
    let renamed = &written[1].snapshots[0];
    let rename = json!({"resource_id": renamed, "tags": {tags::RECOVERY_POINT: written[2].id}});
    case.account.simulator.post("tags", rename).await.unwrap();

    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!((&answer["gone"], &answer["deferred"]), (&json!(1), &json!(1)));
    assert_eq!(still_there(&case.account.simulator, &forged).await, forged);
    assert_eq!(case.left(&written[1..2]).await, written[1].snapshots);
    assert!(
        case.left(&written[2..]).await.is_empty(),
        "what is really ours goes"
    );
    let told = dry_run(&mut bench).await;
    assert_eq!(
        row(&told, &written[1])["deferred"][renamed],
        "its tags do not say that it is ours"
    );
}

#[tokio::test]
async fn a_hold_keeps_a_point_until_it_is_released() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(3, start_of_time())).await;
    let third = &written[2];
    let hold = |reason: &str| json!({"action": "hold", "plan_id": "nightly", "recovery_point_id": third.id, "reason": reason});
    let answer = bench
        .invoke("apply-retention", hold("an audit looks at it"))
        .await
        .unwrap();
    assert_eq!(answer["points"][0]["hold"]["reason"], "an audit looks at it");
    assert_eq!(reasons(&answer["points"][0]), ["held"]);
    apply(&mut bench).await;
    assert_eq!(audit_retention(&case.account).await.kept.len(), 2);
    assert_eq!(case.left(&written[2..]).await, third.snapshots);

    let release = json!({"action": "release", "plan_id": "nightly", "recovery_point_id": third.id});
    let answer = bench.invoke("apply-retention", release.clone()).await.unwrap();
    assert_eq!(
        (&answer["points"][0]["keep"], &answer["points"][0]["hold"]),
        (&json!(false), &Value::Null)
    );
    bench.invoke("apply-retention", release.clone()).await.unwrap();
    apply(&mut bench).await;
    assert_eq!(audit_retention(&case.account).await.kept.len(), 1);

    for (request, problem) in [
        (hold("too late"), "is being deleted"),
        (release, "is being deleted"),
        (hold(" "), "reason: 0 characters"),
        (hold(&"x".repeat(501)), "reason: 501 characters"),
        (
            json!({"action": "hold", "plan_id": "weekly", "recovery_point_id": third.id, "reason": "x"}),
            "recovery_point_id: plan weekly has no recovery point",
        ),
    ] {
        let refused = bench.invoke("apply-retention", request).await.unwrap_err();
        assert_eq!(refused.error, "PermanentError");
        assert!(refused.cause.contains(problem), "{}", refused.cause);
    }
}

#[tokio::test]
async fn lists_longer_than_a_page_are_read_to_the_end() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let drafts = [
        whole(start_of_time() - SignedDuration::from_hours(10), 0..1),
        whole(start_of_time() - SignedDuration::from_hours(34), 0..1_250),
    ];
    let mut drafts = drafts.to_vec();
    drafts[0].good = drafts[1].good.clone();
    let written = case.write(&drafts).await;
    let answers = apply(&mut bench).await;
    assert!(
        (13..=14).contains(&answers.len()),
        "1,250 snapshots take 13 bursts, not {}",
        answers.len()
    );
    assert_eq!(audit_retention(&case.account).await.gone, [drafts[1].moment]);
    assert_eq!(case.left(&written[..1]).await.len(), 1_250);
    let summary = case.account.simulator.call_summary().await.unwrap();
    assert_eq!(
        summary["by_action"]["DeleteSnapshot"]["throttled"], 0,
        "{summary}"
    );
    assert_eq!(
        case.calls("DeleteSnapshot").await,
        1_250,
        "each is deleted by one call"
    );
}

#[tokio::test]
async fn a_burst_that_just_holds_what_was_begun_leaves_nothing_behind() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    case.write(&daily(131, start_of_time())).await;
    let empty = json!({"action": "DeleteSnapshot", "kind": "throttle", "nth": 1, "times": 9_999});
    case.account.simulator.post("faults", empty).await.unwrap();
    let request = json!({"action": "apply", "plan_id": "nightly"});
    let answer = bench.invoke("apply-retention", request).await.unwrap();
    assert_eq!((&answer["finished"], &answer["gone"]), (&json!(false), &json!(0)));
    let left = audit_retention(&case.account).await;
    assert_eq!(
        (left.going.len(), left.kept.len()),
        (100, 31),
        "as many intents as the bucket holds"
    );
    case.account
        .simulator
        .ask(reqwest::Method::DELETE, "faults", None)
        .await
        .unwrap();
    bench.wait_until(&answer).await;
    apply(&mut bench).await;
    let left = audit_retention(&case.account).await;
    assert_eq!((left.kept.len(), left.gone.len()), (1, 130));
}

#[tokio::test]
async fn a_third_of_all_calls_throttled_delays_retention_and_deletes_nothing_else() {
    let case = Case::new(json!([{"keep": "newest", "count": 2}])).await;
    let mut bench = case.bench().await;
    let drafts: Vec<Draft> = daily(6, start_of_time())
        .into_iter()
        .map(|draft| whole(draft.moment, 0..30))
        .collect();
    case.write(&drafts).await;
    let fault = json!({"action": "*", "kind": "throttle", "share": 0.3, "seed": 7});
    case.account.simulator.post("faults", fault).await.unwrap();
    apply(&mut bench).await;
    let left = audit_retention(&case.account).await;
    assert_eq!((left.kept.len(), left.gone.len()), (2, 4));
}

#[tokio::test]
async fn what_a_point_without_a_good_backup_left_behind_is_removed() {
    let case = Case::new(json!([{"keep": "newest", "count": 3}])).await;
    let mut bench = case.bench().await;
    let mut drafts = daily(3, start_of_time());
    drafts[1].failed = vec![instance(1), instance(2)];
    drafts[1].good.clear();
    drafts[2].failed = vec![instance(2)];
    let written = case.write(&drafts).await;
    apply(&mut bench).await;
    let left = audit_retention(&case.account).await;
    assert_eq!(
        (left.kept, left.gone),
        (vec![drafts[0].moment, drafts[2].moment], vec![drafts[1].moment])
    );
    assert!(case.left(&written[1..2]).await.is_empty());
    assert_eq!(
        case.left(&written[2..]).await.len(),
        2,
        "a PARTIAL point stays whole"
    );
}

#[rstest]
#[case::images("DescribeImages")]
#[case::locks("DescribeLockedSnapshots")]
#[case::snapshots("DescribeSnapshots")]
#[tokio::test]
async fn what_cannot_be_looked_up_stays(#[case] action: &str) {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(3, start_of_time())).await;
    let refuse = json!({"action": action, "nth": 1, "times": 999, "kind": "error",
        "code": "UnauthorizedOperation", "message": "You are not authorized to perform this operation.", "status": 403});
    case.account.simulator.post("faults", refuse).await.unwrap();
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!((&answer["kept"], &answer["going"]), (&json!(3), &json!(0)));
    let told = dry_run(&mut bench).await;
    assert_eq!(reasons(row(&told, &written[2])), ["its listing is incomplete"]);
    assert_eq!(case.calls("DeleteSnapshot").await, 0);
}

#[rstest]
#[case::of_the_recovery_point("rp-", "outcome")]
#[case::of_a_backup("BACKUP#", "status")]
#[tokio::test]
async fn a_record_that_cannot_be_read_costs_space_and_no_history(
    #[case] record: &str,
    #[case] attribute: &str,
) {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(3, start_of_time())).await;
    let id = written[1].id.as_str();
    let (pk, sk) = match record {
        "rp-" => ("PLAN#nightly".to_owned(), id.to_owned()),
        _ => (id.to_owned(), format!("BACKUP#{}", instance(1))),
    };
    case.account.spoil_record(&pk, &sk, attribute).await;
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!(answer["gone"], 1);
    assert_eq!(
        case.left(&written).await,
        [written[0].snapshots.clone(), written[1].snapshots.clone()].concat()
    );
}

#[tokio::test]
async fn a_point_that_a_job_works_on_stays() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(3, start_of_time())).await;
    let points = case
        .account
        .catalog()
        .list_recovery_points(&case.plan.plan_id)
        .await
        .unwrap();
    case.account
        .set_attribute(&format!("JOB#{}", points[2].job_id), "JOB", "status", "RUNNING")
        .await;
    apply(&mut bench).await;
    let told = dry_run(&mut bench).await;
    assert_eq!(reasons(row(&told, &written[2])), ["a job works on it"]);
    assert_eq!(case.left(&written[2..]).await, written[2].snapshots);
    assert_eq!(audit_retention(&case.account).await.gone.len(), 1);
}

#[tokio::test]
async fn the_snapshot_that_cbt_depends_on_is_kept_whatever_retention_says() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(3, start_of_time())).await;
    let pk = format!("PLAN#{}", case.plan.plan_id);
    case.account
        .set_flag(&pk, written[2].id.as_str(), "cbt_base")
        .await;
    apply(&mut bench).await;
    let told = dry_run(&mut bench).await;
    assert_eq!(
        reasons(row(&told, &written[2])),
        ["base of the next incremental image"]
    );
    assert_eq!(case.left(&written[2..]).await, written[2].snapshots);
    assert_eq!(audit_retention(&case.account).await.gone.len(), 1);
}

#[tokio::test]
async fn any_of_many_generations_gives_a_new_volume_with_its_content() {
    let account = Account::new(&Stack::from_environment()).await;
    let volume = start_instance(&account, "db", &[Encryption::None])
        .await
        .remove(0);
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let plan = json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 5}],
    }});
    let digest = async |volume: &str| {
        let route = format!("volumes/{volume}/digest");
        let digest = account
            .simulator
            .ask(reqwest::Method::GET, &route, None)
            .await
            .unwrap();
        digest["blocks"].clone()
    };
    let mut generations = Vec::new();
    for day in 0..7_u64 {
        let bytes = format!("day {day}").into_bytes();
        account
            .simulator
            .put_content(&volume, 40 * 512 * 1024, bytes)
            .await
            .unwrap();
        generations.push(digest(&volume).await);
        bench.back_up(plan.clone(), &format!("day-{day}")).await;
        bench.pass(86_400.0).await;
    }
    let plan_id = PlanId::try_from("nightly").unwrap();
    let points = account.catalog().list_recovery_points(&plan_id).await.unwrap();
    let standing: Vec<_> = points.iter().filter(|point| point.retirement.is_none()).collect();
    assert_eq!(standing.len(), 5);
    for (point, content) in standing.iter().zip(generations.iter().rev()) {
        let id = point.recovery_point_id.as_str();
        let snapshot = account
            .simulator
            .snapshots(tags::RECOVERY_POINT, id)
            .await
            .unwrap()
            .remove(0);
        let made = account
            .ec2()
            .create_volume()
            .availability_zone("us-east-1a")
            .snapshot_id(&snapshot.snapshot_id)
            .send()
            .await
            .unwrap();
        assert_eq!(digest(made.volume_id().unwrap()).await, *content, "{id}");
    }
}

#[tokio::test]
async fn retention_during_a_running_copy_leaves_its_source_alone() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "db", &[Encryption::None, Encryption::None]).await;
    let vault = Vault::in_region(&account, "eu-central-1").await;
    account
        .simulator
        .post("settings", json!({"copy_base_seconds": 600_000}))
        .await
        .unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let input = |replicas: Value| {
        json!({"plan": {
            "plan_id": "nightly",
            "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
            "retention": [{"keep": "newest", "count": 1}],
            "replicas": replicas,
        }})
    };
    let mut replica = vault.replica();
    replica["deadline_hours"] = json!(720);
    let job = bench.back_up_to_copies(input(json!([replica])), "copied").await;
    let round = json!({"action": "copy", "job_id": job, "destination": 0});
    bench.invoke("copy-region", round).await.unwrap();
    bench.pass(86_400.0).await;
    bench.back_up(input(json!([])), "next").await;
    bench.pass(86_400.0).await;
    apply(&mut bench).await;
    let plan_id = PlanId::try_from("nightly").unwrap();
    let points = account.catalog().list_recovery_points(&plan_id).await.unwrap();
    let copied = &points[1];
    assert!(copied.retirement.is_none(), "{:?}", copied.retirement);
    let id = copied.recovery_point_id.as_str();
    assert_eq!(
        account
            .simulator
            .snapshots(tags::RECOVERY_POINT, id)
            .await
            .unwrap()
            .len(),
        2
    );
    let told = dry_run(&mut bench).await;
    assert_eq!(told["points"][1]["reasons"], json!(["a job works on it"]));
}

#[tokio::test]
async fn a_deleted_plan_lets_its_points_go_by_its_last_rules() {
    let case = Case::new(json!([{"keep": "newest", "count": 4}])).await;
    let mut bench = case.bench().await;
    case.write(&daily(4, start_of_time())).await;
    let manage = &bench.functions().manage_plan.clone();
    let last = serde_json::to_value(plan(&json!([{"keep": "newest", "count": 2}]))).unwrap();
    manage
        .handle(ManagePlanRequest::Put { plan: last }, bench.now())
        .await
        .unwrap();
    let plan_id = case.plan.plan_id.clone();
    manage
        .handle(ManagePlanRequest::Delete { plan_id }, bench.now())
        .await
        .unwrap();
    apply(&mut bench).await;
    let left = audit_retention(&case.account).await;
    assert_eq!((left.kept.len(), left.gone.len()), (2, 2));
}

/// Runs retention over all plans of the account, as the daily schedule does.
async fn run_over_all_plans(bench: &mut Bench<'_>) -> asl_runner::Execution {
    let options = Options {
        execution_name: "daily".to_owned(),
        execution_arn: "arn:aws:states:us-east-1:0:execution:retention:daily".to_owned(),
        start_time: bench.now(),
        max_transitions: 1_000,
    };
    retention_machine().start(json!({}), bench, options).await
}

#[tokio::test]
async fn a_run_over_all_plans_works_on_each_and_fails_for_the_one_it_cannot_work_on() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    for name in ["archive", "broken", "nightly"] {
        let mut plan = case.plan.clone();
        plan.plan_id = PlanId::try_from(name).unwrap();
        let points = if name == "archive" { 150 } else { 2 };
        write_points(&case.account, &plan, &daily(points, start_of_time())).await;
    }
    let points = case
        .account
        .catalog()
        .list_recovery_points(&PlanId::try_from("broken").unwrap())
        .await
        .unwrap();
    case.account
        .spoil_record("PLAN#broken", points[0].recovery_point_id.as_str(), "plan")
        .await;
    let execution = run_over_all_plans(&mut bench).await;
    let Status::Failed { error, cause } = &execution.status else {
        panic!("{:?}", execution.status);
    };
    assert_eq!(error, "PermanentError");
    assert!(
        cause.contains("1 of the plans, the last of them broken: ") && cause.contains("plan: "),
        "{cause}"
    );
    assert_eq!(
        case.calls("DeleteSnapshot").await,
        149 + 1,
        "the others are done, and the broken one untouched"
    );
    assert_eq!(audit_retention(&case.account).await.gone.len(), 1);
}

#[tokio::test]
async fn a_run_over_all_plans_that_is_stopped_says_why() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    assert!(
        matches!(run_over_all_plans(&mut bench).await.status, Status::Succeeded(_)),
        "no plan, nothing to do"
    );
    case.write(&daily(2, start_of_time())).await;
    // A limit that frees itself, only that it never does; the SDK does not try again for it by itself.
    let fault = json!({"action": "DescribeSnapshots", "nth": 1, "times": 99, "kind": "error",
        "code": "ResourceLimitExceeded", "message": "Too many.", "status": 400});
    case.account.simulator.post("faults", fault).await.unwrap();
    let execution = run_over_all_plans(&mut bench).await;
    let Status::Failed { error, cause } = &execution.status else {
        panic!("{:?}", execution.status);
    };
    assert_eq!(error, "PermanentError");
    assert!(
        cause.contains("nightly: RetryableError") && cause.contains("Too many"),
        "{cause}"
    );
    assert_eq!(audit_retention(&case.account).await.kept.len(), 2);
}

#[tokio::test]
async fn a_plan_that_fails_again_and_again_does_not_keep_the_next_one_from_its_turn() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let later = Case {
        account: case.account.clone(),
        plan: BackupPlan {
            plan_id: PlanId::try_from("tomorrow").unwrap(),
            ..case.plan.clone()
        },
    };
    case.write(&daily(2, start_of_time())).await;
    let written = later.write(&daily(2, start_of_time())).await;
    // As often as the first plan is tried, and not once more.
    let fault = json!({"action": "DescribeSnapshots", "nth": 1, "times": 9, "kind": "error",
        "code": "ResourceLimitExceeded", "message": "Too many.", "status": 400});
    case.account.simulator.post("faults", fault).await.unwrap();
    let execution = run_over_all_plans(&mut bench).await;
    let Status::Failed { cause, .. } = &execution.status else {
        panic!("{:?}", execution.status);
    };
    assert!(
        cause.contains("1 of the plans") && cause.contains("nightly"),
        "{cause}"
    );
    assert_eq!(later.left(&written).await, written[0].snapshots);
}

#[tokio::test]
async fn what_cannot_go_today_ends_the_run_and_holds_nothing_else_up() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let written = case.write(&daily(131, start_of_time())).await;
    let refused: Vec<&String> = written[21..].iter().flat_map(|point| &point.snapshots).collect();
    assert!(refused.len() > 100, "more than one burst");
    for id in &refused {
        let fault = json!({"action": "DeleteSnapshot", "match": id, "nth": 1, "times": 1_000, "kind": "error",
            "code": "UnauthorizedOperation", "message": "An SCP says no.", "status": 403});
        case.account.simulator.post("faults", fault).await.unwrap();
    }
    let answers = apply(&mut bench).await;
    assert!(answers.len() < 12, "{} calls", answers.len());
    // One burst's worth of refusals in the last call, for what was refused before comes last.
    assert!(
        answers.last().unwrap()["deferred"].as_u64() >= Some(100),
        "{answers:?}"
    );
    assert_eq!(case.left(&written[21..]).await.len(), refused.len());
    assert_eq!(
        case.left(&written[1..21]).await,
        Vec::<String>::new(),
        "all others are gone"
    );
}

#[tokio::test]
async fn a_plan_that_nobody_knows_is_named() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench().await;
    let request = json!({"action": "apply", "plan_id": "nightly"});
    let refused = bench.invoke("apply-retention", request).await.unwrap_err();
    assert_eq!(refused.error, "PermanentError");
    assert!(
        refused
            .cause
            .contains("plan_id: there is neither a plan nightly nor"),
        "{}",
        refused.cause
    );
}
