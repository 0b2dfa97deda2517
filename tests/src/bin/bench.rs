//! The figures of the backup workflow: calls, transitions, virtual time and memory, from 10 to 10,000 instances.
//!
//! Counts and virtual time come from the real state machine with the real handlers in process, on the simulator's
//! clock. Memory is the peak of the real function binaries, each behind a Lambda Runtime API. Then how full EC2's copy
//! slots are kept, and what a restore of each mode takes. With `backup`, `copies` or `restores` as its argument it
//! measures only that.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so and ends")]

use asl_runner::{Environment, Options, Status, TaskError, TaskRequest};
use holdfast_core::backup::Backup;
use holdfast_core::ids::InstanceId;
use holdfast_core::job::JobStatus;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::audit::audit;
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::lambda_process::LambdaProcess;
use holdfast_tests::restoring::{back_up, execution_arn, start_rich};
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat, backup_machine, start_of_time};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];
const VOLUMES: u32 = 2;
const FUNCTIONS: [&str; 5] = [
    "open-job",
    "snapshot-volumes",
    "poll-completion",
    "apply-retention",
    "close-job",
];
/// Seconds that 10,000 `CreateSnapshots` calls take at least: a bucket of 100 that refills at 5 a second.
const THROTTLE_FLOOR: f64 = 1_980.0;

/// Backups whose whole records are weighed; those of a scene are all alike.
const SAMPLE: usize = 10;

struct Row {
    instances: u32,
    calls: f64,
    transitions: usize,
    history: usize,
    seconds: f64,
    throttled: f64,
    write_units: f64,
    peaks: BTreeMap<&'static str, u64>,
}

#[tokio::main]
async fn main() {
    let stack = Stack::from_environment();
    let part = std::env::args().nth(1);
    let wants = |name: &str| part.as_ref().is_none_or(|part| part == name);
    let mut report = String::new();
    if wants("backup") {
        let mut rows = Vec::new();
        for instances in SIZES {
            let mut row = count(&stack, instances).await;
            row.peaks = weigh(&stack, instances).await;
            rows.push(row);
        }
        report.push_str(&backup_report(&rows));
    }
    if wants("copies") {
        report.push_str(&copies(&stack).await);
    }
    if wants("restores") {
        report.push_str(&Box::pin(restores(&stack)).await);
    }
    #[expect(clippy::print_stdout, reason = "the report is what the command is for")]
    {
        print!("{report}");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.md");
    std::fs::write(path, report).expect("the report can be written");
}

async fn scene(stack: &Stack, instances: u32) -> (Account, Value) {
    let account = Account::new(stack).await;
    let scene = json!({
        "instances": instances, "volumes_per_instance": VOLUMES, "volume_size_gib": 8, "tags": {"app": "big"},
    });
    account.simulator.scene(scene).await.expect("the scene is set");
    account
        .simulator
        .post("settings", json!({"snapshot_base_seconds": 60}))
        .await
        .expect("snapshots take a minute");
    let plan = json!({
        "plan_id": "big",
        "selection": {"tags": [{"key": "app", "values": ["big"]}]},
        "retention": [{"keep": "newest", "count": 3}],
    });
    (account, json!({"plan": plan}))
}

/// Runs a whole backup on virtual time and counts.
async fn count(stack: &Stack, instances: u32) -> Row {
    let (account, input) = scene(stack, instances).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let execution = bench.back_up(input, "bench").await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    let seconds = bench.now().duration_since(start_of_time()).as_secs_f64();
    let summary = account
        .simulator
        .call_summary()
        .await
        .expect("the calls are counted");
    let point = audit(&account, "big").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Completed, "{:?}", point.job.message);
    assert_eq!(point.backups.len(), instances as usize);
    assert_eq!(point.snapshots.len(), (instances * VOLUMES) as usize);
    let ids: Vec<InstanceId> = point
        .backups
        .iter()
        .take(SAMPLE)
        .map(|backup| backup.resource_id.clone())
        .collect();
    let whole = account
        .catalog()
        .backups(&point.point.recovery_point_id, &ids)
        .await
        .expect("the backups' whole records");
    let units: usize = whole.iter().map(write_units).sum();
    Row {
        instances,
        calls: number(&summary["total"]) / f64::from(instances),
        transitions: execution.transitions,
        history: execution.history_events,
        seconds,
        throttled: number(&summary["throttled"]) / number(&summary["total"]),
        write_units: f64::from(u32::try_from(units).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(whole.len()).unwrap_or(u32::MAX)),
        peaks: BTreeMap::new(),
    }
}

/// DynamoDB's write units for one backup: the intent, and three writes of the whole record, 1 KiB a unit. The length
/// of the record's JSON is a little more than what DynamoDB counts.
fn write_units(backup: &Backup) -> usize {
    let length = serde_json::to_string(backup).expect("a record is JSON").len();
    1 + 3 * length.div_ceil(1024)
}

/// Runs a whole backup through the function binaries and gives the peak memory of each in KiB.
async fn weigh(stack: &Stack, instances: u32) -> BTreeMap<&'static str, u64> {
    let (account, input) = scene(stack, instances).await;
    let mut processes = Processes {
        account: &account,
        running: BTreeMap::new(),
    };
    for function in FUNCTIONS {
        let binary = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug")).join(function);
        let process = LambdaProcess::start(&binary, &account.function_variables()).await;
        processes.running.insert(function, process);
    }
    let options = Options {
        execution_name: "weigh".to_owned(),
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:backup:weigh".to_owned(),
        start_time: processes.now(),
        max_transitions: 5_000,
    };
    let execution = backup_machine().start(input, &mut processes, options).await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    processes
        .running
        .iter()
        .map(|(function, process)| (*function, process.peak_kib()))
        .collect()
}

/// The functions as processes. They read the wall clock; a Wait moves the simulator's clock ahead of it.
struct Processes<'a> {
    account: &'a Account,
    running: BTreeMap<&'static str, LambdaProcess>,
}

impl Environment for Processes<'_> {
    async fn run_task(&mut self, task: TaskRequest<'_>) -> Result<Value, TaskError> {
        let function = task.arguments["FunctionName"].as_str().unwrap_or_default();
        let process = self
            .running
            .get_mut(function)
            .expect("a function of the state machine");
        match process.invoke(task.arguments["Payload"].clone()).await {
            Ok(payload) => Ok(json!({"StatusCode": 200, "Payload": payload})),
            Err(error) => {
                let name = error["errorType"].as_str().unwrap_or("Lambda.Unknown");
                Err(TaskError::new(name, error.to_string()))
            }
        }
    }

    async fn wait(&mut self, _state: &str, seconds: f64) {
        self.account
            .simulator
            .advance(seconds)
            .await
            .expect("the simulator's clock moves");
    }

    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the functions read the wall clock too")]
        Timestamp::now()
    }
}

/// Snapshots that are copied to measure how full the slots are.
const COPIED: u32 = 1_000;
/// Copies that EC2 lets be in progress.
const SLOTS: f64 = 20.0;

/// Copies one recovery point to another region, on virtual time, and tells how full EC2's slots were kept.
async fn copies(stack: &Stack) -> String {
    let account = Account::new(stack).await;
    let scene = json!({
        "instances": COPIED / VOLUMES, "volumes_per_instance": VOLUMES, "volume_size_gib": 8, "tags": {"app": "big"},
    });
    let vault = Vault::in_region(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    account.simulator.scene(scene).await.expect("the scene is set");
    let settings = json!({"copy_base_seconds": 120, "copy_jitter": 0.5});
    account
        .simulator
        .post("settings", settings)
        .await
        .expect("copies take two to three minutes");
    let plan = json!({"plan": {
        "plan_id": "big",
        "selection": {"tags": [{"key": "app", "values": ["big"]}]},
        "retention": [{"keep": "newest", "count": 3}],
        "replicas": [vault.replica()],
    }});
    let job = bench.back_up_to_copies(plan, "copies").await;
    let before = account
        .simulator
        .call_summary()
        .await
        .expect("the calls are counted");
    let request = json!({"action": "copy", "job_id": job, "destination": 0});
    let mut rounds = 0_u32;
    loop {
        rounds += 1;
        let answer = bench
            .invoke("copy-region", request.clone())
            .await
            .expect("a round");
        if answer["finished"] == true {
            break;
        }
        bench.wait_until(&answer).await;
    }
    let after = account
        .simulator
        .call_summary()
        .await
        .expect("the calls are counted");
    let copies = completed_copies(&vault).await;
    assert_eq!(copies.len(), COPIED as usize, "every snapshot has its copy");
    let busy: f64 = copies
        .iter()
        .map(|(start, end)| end.duration_since(*start).as_secs_f64())
        .sum();
    let first = copies.iter().map(|(start, _)| *start).min().expect("copies");
    let last = copies.iter().map(|(_, end)| *end).max().expect("copies");
    let makespan = last.duration_since(first).as_secs_f64();
    let calls = (number(&after["total"]) - number(&before["total"])) / f64::from(COPIED);
    let refused = number(&after["throttled"]) - number(&before["throttled"]);
    format!(
        "\n| copies of {COPIED} snapshots in {SLOTS} slots | measured |\n|---|---:|\n\
         | slot occupancy (target ≥ 95 %) | {:.1} % |\n\
         | virtual seconds ÷ the floor of {:.0} s | {:.3} |\n\
         | EC2 calls per copied snapshot | {calls:.2} |\n\
         | rounds per copied snapshot | {:.2} |\n\
         | calls throttled | {refused} |\n",
        100.0 * busy / (SLOTS * makespan),
        busy / SLOTS,
        makespan / (busy / SLOTS),
        f64::from(rounds) / f64::from(COPIED),
    )
}

/// When each copy in a vault was started and completed.
async fn completed_copies(vault: &Vault) -> Vec<(Timestamp, Timestamp)> {
    let moment = |time: Option<&aws_smithy_types::DateTime>| {
        time.and_then(|time| Timestamp::from_millisecond(time.to_millis().ok()?).ok())
    };
    let ec2 = vault.ec2();
    let mut pages = ec2
        .describe_snapshots()
        .owner_ids("self")
        .max_results(1000)
        .into_paginator()
        .items()
        .send();
    let mut copies = Vec::new();
    while let Some(copy) = pages.next().await {
        let copy = copy.expect("the copies are listed");
        let (start, end) = (moment(copy.start_time()), moment(copy.completion_time()));
        copies.push((start.expect("a start"), end.expect("a complete copy")));
    }
    copies
}

/// How long an instance takes to start or stop, and its status checks to pass.
const TRANSITION: u32 = 30;
const CHECKS: u32 = 60;
/// Instances that are restored together.
const TOGETHER: usize = 10;

/// What is measured: a name for the table, and what is asked for.
fn restore_requests() -> Vec<(&'static str, Value)> {
    let beside = json!({"private_address": "automatic", "elastic_ips": "leave"});
    vec![
        ("clone", json!({"mode": "clone"})),
        (
            "non-destructive recovery",
            json!({"mode": "non_destructive", "overrides": beside}),
        ),
        ("destructive recovery", json!({"mode": "destructive"})),
        ("in place, all volumes", json!({"mode": "in_place"})),
        (
            "in place, the root volume",
            json!({"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}}),
        ),
        ("volumes", json!({"mode": "volumes"})),
        ("machine image", json!({"mode": "image"})),
    ]
}

/// Restores one instance in each mode, on virtual time, and ten together against ten one after the other.
async fn restores(stack: &Stack) -> String {
    let mut text = String::from(
        "\n| restore of one instance with three volumes and two interfaces | EC2 calls | of them changing something | \
         transitions | virtual seconds |\n|---|---:|---:|---:|---:|\n",
    );
    for (name, request) in restore_requests() {
        let (account, mut bench) = restorable(stack, true).await;
        let before = calls(account).await;
        let began = bench.now();
        let mut input = json!({"plan_id": "nightly"});
        for (field, value) in request.as_object().into_iter().flatten() {
            input[field] = value.clone();
        }
        let execution = bench.restore(input, "restore").await;
        let Status::Succeeded(output) = &execution.status else {
            panic!("{name}: {:?}", execution.status);
        };
        assert_eq!(output["status"], "COMPLETED", "{name}: {output:#}");
        let after = calls(account).await;
        let seconds = bench.now().duration_since(began).as_secs();
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {seconds} |",
            after.0 - before.0,
            after.1 - before.1,
            execution.transitions
        );
    }
    let together = Box::pin(ten(stack, true)).await;
    let in_turn = Box::pin(ten(stack, false)).await;
    let _ = writeln!(
        text,
        "\n| {TOGETHER} clones | EC2 calls per instance | virtual seconds |\n|---|---:|---:|\n\
         | side by side | {:.1} | {:.0} |\n| one after the other | {:.1} | {:.0} |\n\n\
         Side by side they take {:.2} of the time that they take one after the other.",
        together.0,
        together.1,
        in_turn.0,
        in_turn.1,
        together.1 / in_turn.1
    );
    text
}

/// An account with something to restore, backed up, in which instances take their time.
async fn restorable(stack: &Stack, rich: bool) -> (&'static Account, Bench<'static>) {
    // The bench borrows the account for as long as it measures; there are few, and they end with the process.
    let account: &'static Account = Box::leak(Box::new(Account::new(stack).await));
    if rich {
        start_rich(account).await;
    } else {
        let scene = json!({
            "instances": TOGETHER, "volumes_per_instance": VOLUMES, "volume_size_gib": 8, "tags": {"app": "shop"},
        });
        account.simulator.scene(scene).await.expect("the scene is set");
    }
    let mut bench = Bench::new(account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let settings = json!({
        "instance_transition_seconds": TRANSITION, "status_check_seconds": CHECKS, "replace_root_seconds": TRANSITION,
    });
    account
        .simulator
        .post("settings", settings)
        .await
        .expect("instances take their time");
    bench.pass(600.0).await;
    (account, bench)
}

/// How many calls there were, and how many of them change something.
async fn calls(account: &Account) -> (u64, u64) {
    let summary = account
        .simulator
        .call_summary()
        .await
        .expect("the calls are counted");
    let all = summary["total"].as_u64().unwrap_or(0);
    let actions = summary["by_action"].as_object().cloned().unwrap_or_default();
    let changing = actions
        .iter()
        .filter(|(action, _)| !action.starts_with("Describe") && !action.starts_with("Get"))
        .filter_map(|(_, tally)| tally["calls"].as_u64())
        .sum();
    (all, changing)
}

/// Clones ten instances, side by side as a Distributed Map's children go, or one after the other. Gives EC2 calls per
/// instance and virtual seconds.
async fn ten(stack: &Stack, together: bool) -> (f64, f64) {
    let (account, mut bench) = restorable(stack, false).await;
    let before = calls(account).await;
    let began = bench.now();
    let input = json!({"plan_id": "nightly", "mode": "clone"});
    let prepare = json!({
        "action": "prepare", "input": input, "execution_id": execution_arn(account, "ten"), "started_at": began,
    });
    let prepared = bench
        .invoke("restore-instance", prepare)
        .await
        .expect("the restore is prepared");
    // When each is to be looked at next. What is looked at first moves the clock for all.
    let mut open: BTreeMap<usize, Timestamp> = (0..TOGETHER).map(|number| (number, began)).collect();
    while !open.is_empty() {
        let next = if together {
            open.iter().min_by_key(|(number, at)| (**at, **number))
        } else {
            open.iter().next()
        };
        let Some((&number, &at)) = next else {
            break;
        };
        let ahead = at.duration_since(bench.now()).as_secs_f64();
        bench.pass(ahead.max(0.0)).await;
        let step = json!({"action": "step", "job_id": prepared["job_id"], "wave": 0, "number": number});
        let answer = bench.invoke("restore-instance", step).await.expect("a step");
        if answer["finished"] == true {
            open.remove(&number);
        } else {
            let at = answer["wait_until"].as_str().and_then(|at| at.parse().ok());
            open.insert(number, at.expect("a moment"));
        }
    }
    let after = calls(account).await;
    let count = f64::from(u32::try_from(TOGETHER).unwrap_or(u32::MAX));
    let made = f64::from(u32::try_from(after.0 - before.0).unwrap_or(u32::MAX));
    (made / count, bench.now().duration_since(began).as_secs_f64())
}

fn number(value: &Value) -> f64 {
    f64::from(u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX))
}

/// The exponent of growth from the first row to the last.
fn exponent(rows: &[Row], figure: impl Fn(&Row) -> f64) -> f64 {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return 0.0;
    };
    (figure(last) / figure(first)).ln() / (f64::from(last.instances) / f64::from(first.instances)).ln()
}

fn backup_report(rows: &[Row]) -> String {
    let mut text = String::from(
        "| instances | P1 EC2 calls per instance | P2 transitions | history events | P3 virtual seconds | throttled | write units per instance |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {:.3} | {} | {} | {:.0} | {:.2} % | {:.1} |",
            row.instances,
            row.calls,
            row.transitions,
            row.history,
            row.seconds,
            100.0 * row.throttled,
            row.write_units
        );
    }
    text.push_str("\n| instances | open-job | snapshot-volumes | poll-completion | apply-retention | close-job |\n|---:|---:|---:|---:|---:|---:|\n");
    for row in rows {
        let mib = |function: &str| f64::from(u32::try_from(row.peaks[function]).unwrap_or(u32::MAX)) / 1024.0;
        let peaks = FUNCTIONS.map(|function| format!("{:.1} MiB", mib(function)));
        let _ = writeln!(text, "| {} | {} |", row.instances, peaks.join(" | "));
    }
    let last = rows.last().map_or(0.0, |row| row.seconds);
    let _ = writeln!(
        text,
        "\nP3: {:.3} x the throttle floor of {THROTTLE_FLOOR} s at 10,000 instances.\n\
         P4: job time grows with exponent {:.2}; peak memory with {}.",
        last / THROTTLE_FLOOR,
        exponent(rows, |row| row.seconds),
        FUNCTIONS
            .map(|function| {
                let grown = exponent(rows, |row| {
                    f64::from(u32::try_from(row.peaks[function]).unwrap_or(u32::MAX))
                });
                format!("{grown:.2} ({function})")
            })
            .join(", "),
    );
    text
}
