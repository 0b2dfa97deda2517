//! The figures of the backup workflow: calls, transitions, virtual time and memory, from 10 to 10,000 instances.
//!
//! Counts and virtual time come from the real state machine with the real handlers in process, on the simulator's
//! clock. Memory is the peak of the real function binaries, each behind a Lambda Runtime API.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so and ends")]

use asl_runner::{Environment, Options, Status, TaskError, TaskRequest};
use holdfast_core::backup::Backup;
use holdfast_core::ids::InstanceId;
use holdfast_core::job::JobStatus;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::audit::audit;
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::lambda_process::LambdaProcess;
use holdfast_tests::workflow::{Bench, Repeat, backup_machine, start_of_time};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];
const VOLUMES: u32 = 2;
const FUNCTIONS: [&str; 4] = ["open-job", "snapshot-volumes", "poll-completion", "close-job"];
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
    let mut rows = Vec::new();
    for instances in SIZES {
        let mut row = count(&stack, instances).await;
        row.peaks = weigh(&stack, instances).await;
        rows.push(row);
    }
    let report = report(&rows);
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
    let number = |value: &Value| f64::from(u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX));
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

/// The exponent of growth from the first row to the last.
fn exponent(rows: &[Row], figure: impl Fn(&Row) -> f64) -> f64 {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return 0.0;
    };
    (figure(last) / figure(first)).ln() / (f64::from(last.instances) / f64::from(first.instances)).ln()
}

fn report(rows: &[Row]) -> String {
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
    text.push_str("\n| instances | open-job | snapshot-volumes | poll-completion | close-job |\n|---:|---:|---:|---:|---:|\n");
    for row in rows {
        let mib = |function: &str| f64::from(u32::try_from(row.peaks[function]).unwrap_or(u32::MAX)) / 1024.0;
        let [a, b, c, d] = FUNCTIONS.map(mib);
        let _ = writeln!(
            text,
            "| {} | {a:.1} MiB | {b:.1} MiB | {c:.1} MiB | {d:.1} MiB |",
            row.instances
        );
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
