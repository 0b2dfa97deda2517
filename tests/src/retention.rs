//! Recovery points as backups leave them, written in a few calls each, and retention over them.

use crate::account::Account;
use crate::killer::KillSwitch;
use crate::vault::Vault;
use crate::workflow::Bench;
use apply_retention::{ApplyRetention, Ledger};
use asl_runner::StateMachine;
use aws_config::SdkConfig;
use holdfast_aws::seal::derive_seal_key;
use holdfast_aws::vault::{VaultCatalog, s3_client};
use holdfast_core::backup::{Backup, BackupSnapshot, BackupStatus};
use holdfast_core::ids::{
    InstanceId, Occasion, PlanId, RecoveryPointId, SnapshotId, VolumeId, derive_run_ids,
};
use holdfast_core::job::{Job, JobKind, JobStatus, Progress};
use holdfast_core::pacing::cut_batches;
use holdfast_core::plan::BackupPlan;
use holdfast_core::recovery_point::{ConsistencyGrade, Manifest, Outcome, RecoveryPoint};
use holdfast_core::selection::manifest_id;
use holdfast_core::tags::{self, SnapshotIdentity};
use holdfast_core::vault::{VaultBackup, VaultCopy, VaultPoint};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A recovery point that is to be written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its moment; it ends a minute later.
    pub moment: Timestamp,
    /// Instances with a good backup.
    pub good: Vec<InstanceId>,
    /// Instances whose backup failed, with a snapshot left behind each.
    pub failed: Vec<InstanceId>,
}

/// A recovery point that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its id.
    pub id: RecoveryPointId,
    /// Its snapshots, those of good backups first.
    pub snapshots: Vec<String>,
}

/// The instance of that number. No simulator knows it.
///
/// # Panics
/// Never: it is an id.
#[must_use]
pub fn instance(number: u32) -> InstanceId {
    InstanceId::try_from(format!("i-{number:017x}")).expect("an instance id")
}

/// A complete recovery point of these instances.
#[must_use]
pub fn whole(moment: Timestamp, instances: impl IntoIterator<Item = u32>) -> Draft {
    Draft {
        moment,
        good: instances.into_iter().map(instance).collect(),
        failed: Vec::new(),
    }
}

/// One recovery point a day, the newest so many hours before `now`, all of instance 1.
#[must_use]
pub fn daily(points: i64, now: Timestamp) -> Vec<Draft> {
    (0..points)
        .map(|days| whole(now - SignedDuration::from_hours(10 + 24 * days), [1]))
        .collect()
}

/// A plan called `nightly` with these rules.
///
/// # Panics
/// The rules cannot be taken.
#[must_use]
pub fn plan(rules: &Value) -> BackupPlan {
    let plan = json!({
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": rules,
    });
    BackupPlan::parse("", &plan).expect("a plan that can be taken")
}

/// Writes recovery points of ended jobs with their real, sealed snapshots, in the order of the drafts.
///
/// # Panics
/// The local stack does not answer as it should.
pub async fn write_points(account: &Account, plan: &BackupPlan, drafts: &[Draft]) -> Vec<Written> {
    let count: usize = drafts
        .iter()
        .map(|draft| draft.good.len() + draft.failed.len())
        .sum();
    let mut snapshots = make_snapshots(account, count).await.into_iter();
    let mut written = Vec::new();
    for draft in drafts {
        let of_point: Vec<BackupSnapshot> = snapshots
            .by_ref()
            .take(draft.good.len() + draft.failed.len())
            .collect();
        written.push(write_point(account, plan, draft, of_point).await);
    }
    written
}

async fn make_snapshots(account: &Account, count: usize) -> Vec<BackupSnapshot> {
    let simulator = &account.simulator;
    let made = simulator
        .post("scene/snapshots", json!({"count": count}))
        .await
        .expect("the simulator makes snapshots");
    let known = simulator
        .ask(Method::GET, "snapshots", None)
        .await
        .expect("the simulator lists them");
    let volumes: BTreeMap<&str, &str> = known
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|snapshot| Some((snapshot["snapshot_id"].as_str()?, snapshot["volume_id"].as_str()?)))
        .collect();
    let ids = made["snapshot_ids"].as_array().into_iter().flatten();
    ids.filter_map(Value::as_str)
        .map(|id| BackupSnapshot {
            snapshot_id: SnapshotId::try_from(id).expect("a snapshot id"),
            volume_id: VolumeId::try_from(volumes[id]).expect("a volume id"),
            started_at: Timestamp::UNIX_EPOCH,
            size_gib: 8,
            encrypted: false,
        })
        .collect()
}

async fn write_point(
    account: &Account,
    plan: &BackupPlan,
    draft: &Draft,
    snapshots: Vec<BackupSnapshot>,
) -> Written {
    let (job, point) = records(plan, draft);
    let (id, catalog) = (point.recovery_point_id.clone(), account.catalog());
    let sealing = account.functions(&KillSwitch::never()).snapshot_volumes;
    let key = derive_seal_key(&sealing.kms, &sealing.seal_key_id, &id)
        .await
        .expect("a seal's key");
    let instances: Vec<InstanceId> = draft.good.iter().chain(&draft.failed).cloned().collect();
    let mut backups = Vec::new();
    for (number, (resource, snapshot)) in instances.iter().zip(&snapshots).enumerate() {
        let identity = SnapshotIdentity {
            plan_id: plan.plan_id.clone(),
            job_id: job.job_id.clone(),
            recovery_point_id: id.clone(),
            moment: draft.moment,
            resource_id: resource.clone(),
            devices: vec![("/dev/xvda".to_owned(), snapshot.volume_id.clone())],
        };
        let tags = identity.to_tags(&key).expect("sealed tags");
        let tags = json!({"resource_id": snapshot.snapshot_id, "tags": tags});
        account
            .simulator
            .post("tags", tags)
            .await
            .expect("the simulator takes tags");
        let backup = Backup {
            status: BackupStatus::Completed,
            snapshots: vec![snapshot.clone()],
            ..Backup::intend(&id, &plan.plan_id, &job.job_id, resource, Some(0))
        };
        backups.push(if number < draft.good.len() {
            backup
        } else {
            backup.failed("it broke")
        });
    }
    if let Some(manifest) = &point.manifest {
        let batches = cut_batches(&id, &instances);
        catalog.ensure_batches(manifest, &batches).await.expect("batches");
    }
    catalog.ensure_backups(backups).await.expect("backups");
    catalog.open_job(&job, &point).await.expect("a job and its point");
    Written {
        id,
        snapshots: snapshots
            .iter()
            .map(|snapshot| snapshot.snapshot_id.to_string())
            .collect(),
    }
}

/// An ended job and its recovery point.
fn records(plan: &BackupPlan, draft: &Draft) -> (Job, RecoveryPoint) {
    let (job_id, recovery_point_id) = derive_run_ids(&plan.plan_id, &Occasion::Slot(draft.moment));
    let ended_at = draft.moment + SignedDuration::from_mins(1);
    let instances: Vec<InstanceId> = draft.good.iter().chain(&draft.failed).cloned().collect();
    let count = |instances: &[InstanceId]| u32::try_from(instances.len()).expect("few");
    let (completed, failed) = (count(&draft.good), count(&draft.failed));
    let status = match (completed, failed) {
        (_, 0) => JobStatus::Completed,
        (0, _) => JobStatus::Failed,
        _ => JobStatus::Partial,
    };
    let job = Job {
        job_id: job_id.clone(),
        kind: JobKind::Backup,
        status,
        status_since: ended_at,
        plan_id: plan.plan_id.clone(),
        recovery_point_id: recovery_point_id.clone(),
        execution_id: format!("arn:aws:states:us-east-1:0:execution:backup:{recovery_point_id}"),
        created_at: draft.moment,
        ended_at: Some(ended_at),
        progress: Progress::default(),
        message: Some("as written by a test".to_owned()),
        reported_at: Some(ended_at),
    };
    let point = RecoveryPoint {
        recovery_point_id,
        plan_id: plan.plan_id.clone(),
        job_id,
        moment: draft.moment,
        plan: plan.clone(),
        manifest: Some(Manifest {
            id: manifest_id(&instances),
            batches: 1,
            instances: count(&instances),
            missing: BTreeMap::new(),
        }),
        outcome: Some(Outcome {
            completed,
            failed,
            snapshots: completed,
            size_gib: 8 * u64::from(completed),
            stack_skew_ms: Some(0),
            consistency: Some(ConsistencyGrade::Crash),
            ended_at,
        }),
        hold: None,
        cbt_base: false,
        reading_until: None,
        retirement: None,
    };
    (job, point)
}

/// Applies retention to the plan `nightly` until nothing is left to do, and gives every answer.
///
/// # Panics
/// The function fails, or goes on for ever.
pub async fn apply(bench: &mut Bench<'_>) -> Vec<Value> {
    let mut answers = Vec::new();
    while answers.len() < 1_000 {
        let request = json!({"action": "apply", "plan_id": "nightly"});
        let answer = bench
            .invoke("apply-retention", request)
            .await
            .expect("retention is applied");
        answers.push(answer.clone());
        if answer["finished"] == true {
            return answers;
        }
        bench.wait_until(&answer).await;
    }
    panic!("retention goes on for ever: {:?}", answers.last());
}

/// What a dry run of the plan called `nightly` answers.
///
/// # Panics
/// If apply-retention fails.
pub async fn dry_run(bench: &mut Bench<'_>) -> Value {
    let request = json!({"action": "apply", "plan_id": "nightly", "dry_run": true});
    bench
        .invoke("apply-retention", request)
        .await
        .expect("apply-retention")
}

/// The row of a recovery point in the answer of a dry run.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn row<'a>(answer: &'a Value, point: &Written) -> &'a Value {
    let rows = answer["points"].as_array().expect("the points of a dry run");
    rows.iter()
        .find(|row| row["recovery_point_id"] == point.id.as_str())
        .expect("a row of this recovery point")
}

/// The state machine that applies retention to every plan, with the function's name in place of its ARN.
///
/// # Panics
/// The file cannot be read.
#[must_use]
pub fn retention_machine() -> StateMachine {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../statemachines/retention.asl.json");
    let text = std::fs::read_to_string(path).expect("the state machine's file is there");
    let name = (
        "ApplyRetentionFunctionArn".to_owned(),
        "apply-retention".to_owned(),
    );
    StateMachine::parse(&text, &BTreeMap::from([name])).expect("the state machine's file can be read")
}

/// What retention has left of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Moments of the points that are whole, newest first.
    pub kept: Vec<Timestamp>,
    /// Moments of the points that are on their way out.
    pub going: Vec<Timestamp>,
    /// Moments of the points of which nothing is left.
    pub gone: Vec<Timestamp>,
}

/// Checks what is left of the plan `nightly`: of a point that is kept every snapshot is there; of a gone one neither a
/// snapshot nor a record but its own, which says when it was gone and when it will be forgotten.
///
/// # Panics
/// One of these does not hold.
pub async fn audit_retention(account: &Account) -> Left {
    let catalog = account.catalog();
    let plan_id = PlanId::try_from("nightly").expect("a plan id");
    let mut left = Left::default();
    for point in catalog.list_recovery_points(&plan_id).await.expect("points") {
        let id = &point.recovery_point_id;
        let there = account
            .simulator
            .snapshots(tags::RECOVERY_POINT, id.as_str())
            .await
            .expect("snapshots");
        let there: Vec<&str> = there
            .iter()
            .map(|snapshot| snapshot.snapshot_id.as_str())
            .collect();
        let backups = catalog.page_of_backups(id, None).await.expect("backups").backups;
        match point.retirement.map(|retirement| retirement.ended_at) {
            Some(Some(_)) => {
                assert_eq!(there, [""; 0], "snapshots of {id} are left");
                assert_eq!(backups, [], "backups of {id} are left");
                let manifest = point.manifest.expect("a manifest");
                let batches = catalog.list_batches(id, &manifest).await.expect("batches");
                assert_eq!(batches, [], "batches of {id} are left");
                left.gone.push(point.moment);
            }
            Some(None) => left.going.push(point.moment),
            None => {
                let named = backups.iter().flat_map(|backup| &backup.snapshots);
                for snapshot in named {
                    let snapshot = snapshot.snapshot_id.as_str();
                    assert!(there.contains(&snapshot), "{snapshot} of {id} is lost");
                }
                left.kept.push(point.moment);
            }
        }
    }
    left
}

/// The function as a vault's template deploys it, with a kill switch below its clients.
#[must_use]
pub fn retention_of(vault: &Vault, switch: &KillSwitch, minimum_days: u32) -> ApplyRetention {
    let config: SdkConfig = vault
        .config()
        .clone()
        .into_builder()
        .http_client(switch.http_client())
        .build();
    ApplyRetention {
        ec2: aws_sdk_ec2::Client::new(&config),
        ledger: Ledger::Vault(apply_retention::Vault {
            catalog: VaultCatalog::new(s3_client(&config), &vault.bucket, &vault.destination.account_id),
            minimum_days,
        }),
    }
}

/// Writes replicas of the plan `nightly` into a vault as copy-region leaves them, one copy of each backup, started a
/// minute after the point's moment. `shape` may change a record before it is written.
///
/// # Panics
/// The local stack does not answer as it should.
pub async fn write_replicas(
    vault: &Vault,
    plan: &BackupPlan,
    drafts: &[Draft],
    now: Timestamp,
    shape: impl Fn(&mut VaultPoint),
) -> Vec<Written> {
    let catalog = VaultCatalog::new(vault.s3(), &vault.bucket, &vault.destination.account_id);
    let mut written = Vec::new();
    for draft in drafts {
        let (job, point) = records(plan, draft);
        let id = point.recovery_point_id.clone();
        let copied_at = draft.moment + SignedDuration::from_mins(1);
        let mut backups = Vec::new();
        for resource in &draft.good {
            let copy = make_copy(vault, &point, resource, now.duration_since(copied_at)).await;
            let backup = Backup {
                status: BackupStatus::Completed,
                ..Backup::intend(&id, &plan.plan_id, &job.job_id, resource, Some(0))
            };
            backups.push(VaultBackup {
                backup,
                copies: vec![copy],
            });
        }
        let mut leftovers = Vec::new();
        for resource in &draft.failed {
            let copy = make_copy(vault, &point, resource, now.duration_since(copied_at)).await;
            leftovers.push(copy.snapshot_id);
        }
        let copies = backups
            .iter()
            .flat_map(|backup| &backup.copies)
            .map(|copy| &copy.snapshot_id);
        let snapshots = copies.chain(&leftovers).map(ToString::to_string).collect();
        let mut replica = VaultPoint {
            recovery_point_id: id.clone(),
            plan_id: plan.plan_id.clone(),
            job_id: job.job_id,
            moment: draft.moment,
            source: vault.destination.clone(),
            outcome: point.outcome.expect("an outcome"),
            whole: u32::try_from(backups.len()).expect("few"),
            lacking: u32::try_from(leftovers.len()).expect("few"),
            copied_at,
            retention: plan.retention.clone(),
            time_zone: plan.time_zone.clone(),
            expire_gone_resources: plan.expire_gone_resources,
            lock: None,
            archive: None,
            leftovers,
        };
        replica.outcome.failed = 0;
        shape(&mut replica);
        catalog.write_backups(&backups).await.expect("backups");
        catalog.write_point(&replica).await.expect("a replica");
        written.push(Written { id, snapshots });
    }
    written
}

async fn make_copy(
    vault: &Vault,
    point: &RecoveryPoint,
    resource: &InstanceId,
    age: SignedDuration,
) -> VaultCopy {
    let source = "snap-0123456789abcdef0";
    // A replica of a moment to come cannot have been copied before now.
    let age = age.max(SignedDuration::ZERO);
    let tags = json!({
        tags::PLAN: point.plan_id, tags::RECOVERY_POINT: point.recovery_point_id,
        tags::RESOURCE: resource, tags::SOURCE_SNAPSHOT: source,
    });
    let scene = json!({"count": 1, "tags": tags, "spread_seconds": age.as_secs_f64()});
    let made = vault
        .simulator
        .post("scene/snapshots", scene)
        .await
        .expect("the simulator makes a copy");
    VaultCopy {
        snapshot_id: SnapshotId::try_from(made["snapshot_ids"][0].as_str().unwrap_or_default())
            .expect("an id"),
        source_snapshot_id: SnapshotId::try_from(source).expect("an id"),
        volume_id: VolumeId::try_from("vol-0123456789abcdef0").expect("an id"),
    }
}

/// Which of these snapshots are still in a vault's or account's simulator.
///
/// # Panics
/// The simulator does not answer.
pub async fn still_there(simulator: &crate::simulator::Simulator, snapshots: &[String]) -> Vec<String> {
    let known = simulator
        .ask(Method::GET, "snapshots", None)
        .await
        .expect("the simulator lists snapshots");
    let there = known
        .as_array()
        .into_iter()
        .flatten()
        .filter(|snapshot| snapshot["deleted"] == false);
    let there: Vec<&str> = there
        .filter_map(|snapshot| snapshot["snapshot_id"].as_str())
        .collect();
    snapshots
        .iter()
        .filter(|id| there.contains(&id.as_str()))
        .cloned()
        .collect()
}
