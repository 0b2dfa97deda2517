//! The deployed template: real state machine, real Lambda processes, IAM enforced, real bytes on the volumes.
//!
//! The tests share the one deployed stack; each has an application and a plan of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use aws_sdk_sfn::types::ExecutionStatus;
use coldsnap::SnapshotDownloader;
use holdfast_core::ids::hex_prefix;
use holdfast_tests::account::Stack;
use holdfast_tests::deployed::Deployed;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_plans_instances_become_a_recovery_point_that_holds_every_byte() {
    let deployed = Deployed::find(&Stack::from_environment());
    let app = deployed.unique("shop");
    let volumes = deployed.application(&app).await;
    let images = tempfile::tempdir().unwrap();
    for (number, volume) in volumes.iter().enumerate() {
        let image = file_system(images.path(), number);
        deployed.load(volume, &image).await;
    }

    let plan = json!({
        "plan_id": app,
        "selection": {"tags": [{"key": "app", "values": [app]}]},
        "tags": {"team": "shop"},
        "retention": [{"keep": "daily", "count": 7}],
    });
    let saved = deployed
        .manage_plan(&json!({"action": "put", "plan": plan}))
        .await
        .unwrap();
    assert_eq!(saved["plans"][0]["version"], 1);

    let output = deployed
        .output_of(&deployed.start(&json!({"plan_id": app})).await)
        .await;
    assert_eq!(output["status"], "COMPLETED", "{output}");

    // Other bytes on the live volumes: the snapshots must hold the old ones.
    let before: Vec<Value> = deployed.digests(&volumes).await;
    for volume in &volumes {
        deployed.overwrite(volume).await;
    }
    let snapshots = deployed
        .snapshots(output["recovery_point_id"].as_str().unwrap())
        .await;
    assert_eq!(snapshots.len(), volumes.len());
    let downloader = SnapshotDownloader::new(deployed.ebs());
    for (volume, digest) in volumes.iter().zip(&before) {
        let snapshot = snapshots
            .iter()
            .find(|snapshot| snapshot.volume_id() == Some(volume))
            .and_then(|snapshot| snapshot.snapshot_id())
            .expect("each volume has its snapshot");
        let path = images.path().join(format!("{snapshot}.img"));
        downloader
            .download_to_file(snapshot, &path, None, None, None)
            .await
            .expect("coldsnap reads the snapshot");
        let content = std::fs::read(&path).unwrap();
        assert_blocks_equal(&content, digest, snapshot);
        let check = std::process::Command::new("e2fsck")
            .args(["-f", "-n"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            check.status.success(),
            "{snapshot}: {}",
            String::from_utf8_lossy(&check.stdout)
        );
        std::fs::remove_file(&path).unwrap();
    }
    println!(
        "R8 backup: {} snapshots equal their volumes byte for byte and check clean",
        snapshots.len()
    );
}

/// Makes an ext4 file system with files of its own in it, without mounting anything.
fn file_system(folder: &Path, number: usize) -> std::path::PathBuf {
    let files = folder.join(format!("files-{number}"));
    std::fs::create_dir_all(files.join("data")).unwrap();
    for file in 0..20 {
        let text = format!("volume {number} file {file}\n").repeat(1000 * (file + 1));
        std::fs::write(files.join("data").join(format!("{file}.txt")), text).unwrap();
    }
    let image = folder.join(format!("volume-{number}.img"));
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let made = std::process::Command::new("mkfs.ext4")
        .args(["-q", "-d"])
        .arg(&files)
        .arg(&image)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    image
}

/// Every block that the volume held is in `content`, and nothing else is.
fn assert_blocks_equal(content: &[u8], digest: &Value, snapshot: &str) {
    const BLOCK: usize = 512 * 1024;
    let blocks = digest["blocks"].as_array().expect("a digest lists blocks");
    assert!(!blocks.is_empty(), "an empty volume proves nothing");
    let mut expected = std::collections::BTreeMap::new();
    for block in blocks {
        expected.insert(block[0].as_u64().unwrap(), block[1].as_str().unwrap().to_owned());
    }
    for (index, bytes) in (0_u64..).zip(content.chunks(BLOCK)) {
        match expected.remove(&index) {
            Some(wanted) => {
                let sum = hex_prefix(&Sha256::digest(bytes), 32);
                assert_eq!(sum, wanted, "block {index} of {snapshot}");
            }
            None => assert!(
                bytes.iter().all(|byte| *byte == 0),
                "block {index} of {snapshot} should be empty"
            ),
        }
    }
    assert!(expected.is_empty(), "{snapshot} lacks blocks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_and_takes_the_recovery_point_of_its_slot() {
    let deployed = Deployed::find(&Stack::from_environment());
    let app = deployed.unique("slot");
    deployed.application(&app).await;
    let slot = deployed.seconds_from_now(5);
    let mut plan = json!({
        "plan_id": app,
        "selection": {"tags": [{"key": "app", "values": [app]}]},
        "retention": [{"keep": "newest", "count": 3}],
        "schedules": [{"expression": format!("at({})", slot.strftime("%Y-%m-%dT%H:%M:%S"))}],
    });
    deployed
        .manage_plan(&json!({"action": "put", "plan": plan}))
        .await
        .unwrap();
    let execution = deployed.wait_for_execution(&app).await;
    let output = deployed.output_of(&execution).await;
    assert_eq!(output["status"], "COMPLETED", "{output}");
    let id = output["recovery_point_id"].as_str().unwrap();
    let moment = slot.strftime("rp-%Y%m%dT%H%M%SZ-").to_string();
    assert!(id.starts_with(&moment), "{id} does not stand for the slot {slot}");

    plan["schedules"][0]["expression"] = json!("cron(0 2 * * ? *)");
    let changed = deployed
        .manage_plan(&json!({"action": "put", "plan": plan}))
        .await
        .unwrap();
    assert_eq!(changed["plans"][0]["version"], 2);
    assert_eq!(deployed.schedules_of(&app).await.len(), 1);
    let listed = deployed.manage_plan(&json!({"action": "list"})).await.unwrap();
    assert!(listed.to_string().contains(&app), "{listed}");

    deployed
        .manage_plan(&json!({"action": "delete", "plan_id": app}))
        .await
        .unwrap();
    assert!(deployed.schedules_of(&app).await.is_empty());
    let gone = deployed
        .manage_plan(&json!({"action": "get", "plan_id": app}))
        .await
        .unwrap_err();
    assert!(
        gone.contains("PermanentError") && gone.contains("plan_id"),
        "{gone}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_plans_and_inputs_are_refused_with_the_fields_name() {
    let deployed = Deployed::find(&Stack::from_environment());
    let good = json!({"plan_id": deployed.unique("bad"), "selection": {"tags": [{"key": "app"}]},
        "retention": [{"keep": "newest", "count": 1}]});
    for (field, value) in [
        ("schedules", json!([{"expression": "cron(0 2 * * * *)"}])),
        ("time_zone", json!("Mars/Olympus")),
        ("retention", json!([])),
        ("tags", json!({"aws:reserved": "x"})),
        ("selection", json!({})),
        ("colour", json!("blue")),
    ] {
        let mut plan = good.clone();
        plan[field] = value;
        let refused = deployed
            .manage_plan(&json!({"action": "put", "plan": plan}))
            .await
            .unwrap_err();
        assert!(
            refused.contains("PermanentError") && refused.contains(&format!("plan.{field}")),
            "{refused}"
        );
    }
    let execution = deployed.start(&json!({"plan_id": "no-such-plan"})).await;
    let (status, cause) = deployed.end_of(&execution).await;
    assert_eq!(status, ExecutionStatus::Failed);
    assert!(cause.contains("no-such-plan"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_is_stopped_leaves_no_job_running() {
    let deployed = Deployed::find(&Stack::from_environment());
    let app = deployed.unique("stop");
    let volumes = deployed.application(&app).await;
    deployed.hold_snapshots(&volumes).await;
    let plan = json!({"plan_id": app, "selection": {"tags": [{"key": "app", "values": [app]}]},
        "retention": [{"keep": "newest", "count": 1}]});
    let execution = deployed.start(&json!({"plan": plan})).await;
    let job = deployed.wait_for_job(&app, "RUNNING").await;
    deployed.stop(&execution).await;
    deployed.wait_for_job_status(&job, "ABORTED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_whose_reply_is_lost_is_looked_up_and_tagged_like_its_source() {
    let deployed = Deployed::find(&Stack::from_environment());
    let app = deployed.unique("lost");
    let volumes = deployed.application(&app).await;
    // With a tag of AWS's own on the volume, EC2 cannot copy the volume's tags in the creating call.
    let tags = json!({"aws:cloudformation:stack-name": "shop", "Name": "orders"});
    deployed.tag(&volumes[0], &tags).await;
    deployed.lose_reply("CreateSnapshots", &app).await;
    let plan = json!({"plan_id": app, "selection": {"tags": [{"key": "app", "values": [app]}]},
        "retention": [{"keep": "newest", "count": 1}]});
    let output = deployed
        .output_of(&deployed.start(&json!({"plan": plan})).await)
        .await;
    assert_eq!(output["status"], "COMPLETED", "{output}");
    let snapshots = deployed
        .snapshots(output["recovery_point_id"].as_str().unwrap())
        .await;
    assert_eq!(snapshots.len(), volumes.len());
    let tagged = snapshots
        .iter()
        .find(|snapshot| snapshot.volume_id() == Some(&volumes[0]))
        .unwrap();
    let has_name = tagged
        .tags()
        .iter()
        .any(|tag| tag.key() == Some("Name") && tag.value() == Some("orders"));
    assert!(has_name, "{:?}", tagged.tags());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_close_job_cannot_read_is_kept() {
    let deployed = Deployed::find(&Stack::from_environment());
    deployed.send_event("CloseJob", &json!({})).await;
    deployed.wait_for_use("CloseJob", "sqs:SendMessage").await;
}
