//! Runs the real backup state machine with the real handlers, in process, on the simulator's clock.

use crate::account::{Account, Functions};
use crate::killer::KillSwitch;
use crate::vault::Vault;
use apply_retention::ApplyRetention;
use asl_runner::{Environment, Execution, Options, StateMachine, TaskError, TaskRequest};
use holdfast_aws::failure::Failure;
use holdfast_core::failure::parse_document;
use jiff::{SignedDuration, Timestamp};
use restore_instance::RestoreInstance;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;

/// How often each task is run before its answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Once, as meant.
    Once,
    /// Twice, one after the other; the second answer is taken.
    Twice,
    /// Twice at the same time; the second answer is taken.
    Together,
    /// Once, after all earlier tasks of the execution have been run once more, as by late doubles.
    Late,
}

/// The test's side of the state machine.
#[derive(Debug)]
pub struct Bench<'a> {
    account: &'a Account,
    vaults: Vec<&'a Vault>,
    functions: Box<Functions>,
    switch: KillSwitch,
    repeat: Repeat,
    /// Every task so far.
    tasks: Vec<(String, Value)>,
    /// How many AWS calls had been made when each function was first run.
    first_calls: BTreeMap<String, u32>,
    /// After how many steps of a restore somebody has its job stopped.
    stops_after: Option<usize>,
    steps: usize,
    now: Timestamp,
}

/// When every test's clock starts.
///
/// # Panics
/// Never: the text is a moment.
#[must_use]
pub fn start_of_time() -> Timestamp {
    "2026-11-24T02:00:00Z".parse().expect("a moment")
}

impl<'a> Bench<'a> {
    /// Stops the account's clock and gets its functions ready, with a kill switch below them.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn new(account: &'a Account, switch: KillSwitch, repeat: Repeat) -> Self {
        account
            .simulator
            .freeze(start_of_time())
            .await
            .expect("the simulator's clock stops");
        Self {
            account,
            vaults: Vec::new(),
            functions: Box::new(account.functions(&switch)),
            switch,
            repeat,
            tasks: Vec::new(),
            first_calls: BTreeMap::new(),
            stops_after: None,
            steps: 0,
            now: start_of_time(),
        }
    }

    /// Lets the clock of a vault's account go with this one. A place in the account itself has its clock already.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn with_vault(mut self, vault: &'a Vault) -> Self {
        if vault.destination.account_id != self.account.id {
            vault
                .simulator
                .freeze(self.now)
                .await
                .expect("the vault's clock stops");
            self.vaults.push(vault);
        }
        self
    }

    /// Puts another apply-retention in place of the account's: a vault's.
    #[must_use]
    pub fn with_retention(mut self, retention: ApplyRetention) -> Self {
        self.functions.apply_retention = retention;
        self
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn pass(&mut self, seconds: f64) {
        let vaults = self.vaults.iter().map(|vault| &vault.simulator);
        for simulator in std::iter::once(&self.account.simulator).chain(vaults) {
            simulator
                .advance(seconds)
                .await
                .expect("the simulator's clock moves");
        }
        self.now += SignedDuration::from_secs_f64(seconds);
    }

    /// The account's functions under the switch.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Runs one backup execution from its start to its end.
    ///
    /// # Panics
    /// The state machine's file cannot be read.
    pub async fn back_up(&mut self, input: Value, execution: &str) -> Execution {
        let machine = backup_machine();
        let options = Options {
            execution_name: execution.to_owned(),
            execution_arn: format!(
                "arn:aws:states:us-east-1:{}:execution:backup:{execution}",
                self.account.id
            ),
            start_time: self.now,
            max_transitions: 5_000,
        };
        machine.start(input, self, options).await
    }

    /// Runs one restore execution from its start to its end.
    ///
    /// # Panics
    /// The state machine's file cannot be read.
    pub async fn restore(&mut self, input: Value, execution: &str) -> Execution {
        self.restore_up_to(input, execution, 20_000).await
    }

    /// Has the job of the next restore stopped after so many of its steps were run.
    pub fn stop_after(&mut self, steps: usize) {
        self.stops_after = Some(self.steps + steps);
    }

    /// Runs one restore execution until it ends, or until so many transitions are done: as if somebody stopped it.
    ///
    /// # Panics
    /// The state machine's file cannot be read.
    pub async fn restore_up_to(&mut self, input: Value, execution: &str, transitions: usize) -> Execution {
        let machine = restore_machine();
        let options = Options {
            execution_name: execution.to_owned(),
            execution_arn: format!(
                "arn:aws:states:us-east-1:{}:execution:restore:{execution}",
                self.account.id
            ),
            start_time: self.now,
            max_transitions: transitions,
        };
        machine.start(input, self, options).await
    }

    /// Puts another restore-instance in place of the account's: a vault's.
    #[must_use]
    pub fn with_restore(mut self, restore: RestoreInstance) -> Self {
        self.functions.restore_instance = restore;
        self
    }

    /// Runs a backup by hand up to where its copies begin, and gives the job.
    ///
    /// # Panics
    /// A function fails.
    pub async fn back_up_to_copies(&mut self, input: Value, execution: &str) -> String {
        let execution_id = format!(
            "arn:aws:states:us-east-1:{}:execution:backup:{execution}",
            self.account.id
        );
        let open = json!({"input": input, "execution_id": execution_id, "started_at": self.now});
        let opened = self.invoke("open-job", open).await.expect("the job opens");
        let job = opened["job_id"].as_str().expect("a job").to_owned();
        let mut batch = json!(0);
        loop {
            let request = json!({"job_id": job, "batch": batch});
            let answer = self.invoke("snapshot-volumes", request).await.expect("a batch");
            self.wait_until(&answer).await;
            batch = answer["next_batch"].clone();
            if answer["all_started"] == true {
                break;
            }
        }
        loop {
            let answer = self
                .invoke("poll-completion", json!({"job_id": job}))
                .await
                .expect("a poll");
            if answer["finished"] == true {
                return job;
            }
            self.wait_until(&answer).await;
        }
    }

    /// Lets time pass until a function wants to be asked again.
    ///
    /// # Panics
    /// Its answer does not say when.
    pub async fn wait_until(&mut self, answer: &Value) {
        let until: Timestamp = answer["wait_until"]
            .as_str()
            .and_then(|until| until.parse().ok())
            .expect("a moment");
        self.pass(until.duration_since(self.now).as_secs_f64().max(0.0))
            .await;
    }

    /// How many AWS calls had been made when a function was first run.
    ///
    /// # Panics
    /// It never was.
    #[must_use]
    pub fn calls_before(&self, function: &str) -> u32 {
        self.first_calls[function]
    }

    /// Calls a function as Lambda would, and again if the process is killed on the way, as Step Functions would.
    ///
    /// # Errors
    /// The function's own error, as the state machine sees it.
    pub async fn invoke(&mut self, function: &str, payload: Value) -> Result<Value, TaskError> {
        let calls = self.switch.calls();
        self.first_calls.entry(function.to_owned()).or_insert(calls);
        let attempt = async |bench: &Self| -> Option<Result<Value, TaskError>> {
            let call = bench.call(function, payload.clone());
            tokio::select! {
                biased;
                () = bench.switch.killed() => None,
                answer = call => (!bench.switch.dies_at_its_end()).then_some(answer),
            }
        };
        loop {
            let answer = match self.repeat {
                Repeat::Once => attempt(self).await,
                Repeat::Late => {
                    self.double_tasks().await;
                    attempt(self).await
                }
                Repeat::Twice => match attempt(self).await {
                    None => None,
                    Some(_) => attempt(self).await,
                },
                Repeat::Together => {
                    let (first, second) = tokio::join!(attempt(self), attempt(self));
                    first.and(second)
                }
            };
            match answer {
                Some(answer) => {
                    self.stop_if_wanted(&payload).await;
                    self.tasks.push((function.to_owned(), payload));
                    return answer;
                }
                None => self.switch.revive(),
            }
        }
    }

    async fn stop_if_wanted(&mut self, payload: &Value) {
        if payload["action"] != "step" {
            return;
        }
        self.steps += 1;
        if self.stops_after == Some(self.steps) {
            let stop = json!({"action": "abort", "job_id": payload["job_id"]});
            self.call("restore-instance", stop)
                .await
                .expect("the job is stopped");
        }
    }

    /// Runs every task so far once more. What doubles answer nobody waits for.
    ///
    /// # Panics
    /// One of them fails in a way that would be tried again: nothing is in its way here.
    pub async fn double_tasks(&self) {
        for (function, payload) in &self.tasks {
            if let Err(refusal) = self.call(function, payload.clone()).await {
                assert_ne!(refusal.error, "RetryableError", "{function}: {}", refusal.cause);
            }
        }
    }

    async fn call(&self, function: &str, payload: Value) -> Result<Value, TaskError> {
        let (functions, now) = (&self.functions, self.now);
        match function {
            "open-job" => run(payload, |request| functions.open_job.handle(request, now)).await,
            "snapshot-volumes" => {
                run(payload, |request| functions.snapshot_volumes.handle(request, now)).await
            }
            "poll-completion" => run(payload, |request| functions.poll_completion.handle(request, now)).await,
            "copy-region" => run(payload, |request| functions.copy_region.handle(request, now)).await,
            "apply-retention" => run(payload, |request| functions.apply_retention.handle(request, now)).await,
            "close-job" => run(payload, |request| functions.close_job.handle(request, now)).await,
            "restore-instance" => {
                run(payload, |request| functions.restore_instance.handle(request, now)).await
            }
            "manage-plan" => run(payload, |request| functions.manage_plan.handle(request, now)).await,
            other => Err(TaskError::new("Lambda.ResourceNotFoundException", other)),
        }
    }
}

/// The deployed state machine's file, with function names in place of ARNs.
///
/// # Panics
/// The file cannot be read.
#[must_use]
pub fn backup_machine() -> StateMachine {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../statemachines/backup.asl.json");
    let text = std::fs::read_to_string(path).expect("the state machine's file is there");
    let substitutions: BTreeMap<String, String> = [
        ("OpenJobFunctionArn", "open-job"),
        ("SnapshotVolumesFunctionArn", "snapshot-volumes"),
        ("PollCompletionFunctionArn", "poll-completion"),
        ("CopyRegionFunctionArn", "copy-region"),
        ("ApplyRetentionFunctionArn", "apply-retention"),
        ("CloseJobFunctionArn", "close-job"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    StateMachine::parse(&text, &substitutions).expect("the state machine's file can be read")
}

/// The deployed state machine's file of restores, with the function's name in place of its ARN.
///
/// # Panics
/// The file cannot be read.
#[must_use]
pub fn restore_machine() -> StateMachine {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../statemachines/restore.asl.json");
    let text = std::fs::read_to_string(path).expect("the state machine's file is there");
    let substitutions = BTreeMap::from([(
        "RestoreInstanceFunctionArn".to_owned(),
        "restore-instance".to_owned(),
    )]);
    StateMachine::parse(&text, &substitutions).expect("the state machine's file can be read")
}

async fn run<Request, Response, Answer>(
    payload: Value,
    handle: impl FnOnce(Request) -> Answer,
) -> Result<Value, TaskError>
where
    Request: DeserializeOwned,
    Response: Serialize,
    Answer: Future<Output = Result<Response, Failure>>,
{
    let answer = match parse_document::<Request>("", &payload) {
        Ok(request) => Box::pin(handle(request)).await,
        Err(invalid) => Err(Failure::permanent(invalid.to_string())),
    };
    match answer {
        Ok(response) => Ok(serde_json::to_value(response).expect("a response is JSON")),
        Err(failure) => {
            let cause = json!({"errorType": failure.name(), "errorMessage": failure.chain()});
            Err(TaskError::new(failure.name(), cause.to_string()))
        }
    }
}

impl Environment for Bench<'_> {
    async fn run_task(&mut self, task: TaskRequest<'_>) -> Result<Value, TaskError> {
        let function = task.arguments["FunctionName"].as_str().unwrap_or_default();
        let payload = self.invoke(function, task.arguments["Payload"].clone()).await?;
        Ok(json!({"StatusCode": 200, "Payload": payload}))
    }

    async fn wait(&mut self, _state: &str, seconds: f64) {
        self.pass(seconds).await;
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}
