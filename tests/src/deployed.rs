//! The deployed stack, as an operator sees it: by its outputs, through AWS's own interfaces.

use crate::account::Stack;
use crate::simulator::Simulator;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, Filter, InstanceType, ResourceType, Snapshot, Tag, TagSpecification,
    VolumeType,
};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long anything on the deployed stack may take. It is generous: a test must not fail for a slow machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// The deployed stack.
#[derive(Debug, Clone)]
pub struct Deployed {
    config: SdkConfig,
    simulator: Simulator,
    state_machine: String,
    table: String,
    manage_plan: String,
}

impl Deployed {
    /// Finds the stack by the outputs that the deployment wrote.
    ///
    /// # Panics
    /// The stack is not deployed.
    #[must_use]
    pub fn find(stack: &Stack) -> Self {
        let config = stack.deployed();
        let outputs =
            std::fs::read_to_string(&stack.outputs).expect("the stack's outputs: run under `make test`");
        let outputs: Value = serde_json::from_str(&outputs).expect("the outputs are JSON");
        let output = |part: &str| {
            let found = outputs
                .as_object()
                .into_iter()
                .flatten()
                .find(|(key, _)| key.contains(part));
            let value = found.and_then(|(_, value)| value.as_str());
            value
                .unwrap_or_else(|| panic!("no output {part} in {outputs}"))
                .to_owned()
        };
        let identity = output("StateMachine");
        let account = identity
            .split(':')
            .nth(4)
            .expect("an ARN names its account")
            .to_owned();
        Self {
            simulator: Simulator::new(&stack.simulator, &account),
            state_machine: identity,
            table: output("Table"),
            manage_plan: output("ManagePlan"),
            config,
        }
    }

    /// A name that no other test and no earlier run uses.
    #[must_use]
    pub fn unique(&self, name: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!(
            "{name}-{}-{}-{number}",
            std::process::id(),
            wall_clock().as_second()
        )
    }

    /// The moment so many seconds from now, in whole seconds.
    ///
    /// # Panics
    /// It is beyond the end of time.
    #[must_use]
    pub fn seconds_from_now(&self, seconds: i64) -> Timestamp {
        Timestamp::from_second(wall_clock().as_second() + seconds).expect("a moment")
    }

    /// EBS direct.
    #[must_use]
    pub fn ebs(&self) -> aws_sdk_ebs::Client {
        aws_sdk_ebs::Client::new(&self.config)
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config)
    }

    fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    fn sfn(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.config)
    }

    /// Launches a two-instance application with three volumes, one encrypted, one instance stopped, tagged
    /// `app=<app>`. Gives its volumes.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn application(&self, app: &str) -> Vec<String> {
        let device = |name: &str, encrypted: bool| {
            let ebs = EbsBlockDevice::builder()
                .volume_size(1)
                .volume_type(VolumeType::Gp3)
                .encrypted(encrypted)
                .build();
            BlockDeviceMapping::builder().device_name(name).ebs(ebs).build()
        };
        let tags = || TagSpecification::builder().tags(Tag::builder().key("app").value(app).build());
        let run = || {
            self.ec2()
                .run_instances()
                .image_id("ami-0123456789abcdef0")
                .instance_type(InstanceType::T3Micro)
                .min_count(1)
                .max_count(1)
                .tag_specifications(tags().resource_type(ResourceType::Instance).build())
                .block_device_mappings(device("/dev/xvda", false))
        };
        let first = run()
            .block_device_mappings(device("/dev/sdf", true))
            .send()
            .await
            .expect("an instance starts");
        let second = run().send().await.expect("an instance starts");
        let ids: Vec<String> = [&first, &second]
            .into_iter()
            .flat_map(aws_sdk_ec2::operation::run_instances::RunInstancesOutput::instances)
            .filter_map(|instance| instance.instance_id().map(str::to_owned))
            .collect();
        self.ec2()
            .stop_instances()
            .instance_ids(&ids[1])
            .send()
            .await
            .expect("an instance stops");
        let filter = Filter::builder()
            .name("attachment.instance-id")
            .set_values(Some(ids))
            .build();
        let volumes = self
            .ec2()
            .describe_volumes()
            .filters(filter)
            .send()
            .await
            .expect("volumes are described");
        volumes
            .volumes()
            .iter()
            .filter_map(|volume| volume.volume_id().map(str::to_owned))
            .collect()
    }

    /// Loads a disk image onto a volume.
    ///
    /// # Panics
    /// The simulator does not take it.
    pub async fn load(&self, volume: &str, image: &Path) {
        let content = std::fs::read(image).expect("the image is there");
        self.simulator
            .put_content(volume, 0, content)
            .await
            .expect("the simulator takes the image");
    }

    /// Writes other bytes onto the start of a volume's content.
    ///
    /// # Panics
    /// The simulator does not take them.
    pub async fn overwrite(&self, volume: &str) {
        self.simulator
            .put_content(volume, 0, vec![0xA5; 1 << 20])
            .await
            .expect("the simulator takes the bytes");
    }

    /// The digest of each block of each volume, as the volumes are now.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn digests(&self, volumes: &[String]) -> Vec<Value> {
        let mut digests = Vec::new();
        for volume in volumes {
            let route = format!("volumes/{volume}/digest");
            digests.push(
                self.simulator
                    .ask(Method::GET, &route, None)
                    .await
                    .expect("a digest"),
            );
        }
        digests
    }

    /// Keeps the next snapshot of each volume pending.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn hold_snapshots(&self, volumes: &[String]) {
        for volume in volumes {
            self.simulator
                .post("snapshots/hold", json!({"volume_id": volume}))
                .await
                .expect("held");
        }
    }

    /// Every snapshot of a recovery point.
    ///
    /// # Panics
    /// EC2 does not answer.
    pub async fn snapshots(&self, recovery_point: &str) -> Vec<Snapshot> {
        let filter = Filter::builder()
            .name("tag:holdfast:recovery-point")
            .values(recovery_point)
            .build();
        let answer = self
            .ec2()
            .describe_snapshots()
            .owner_ids("self")
            .filters(filter)
            .send()
            .await
            .expect("snapshots");
        answer.snapshots().to_vec()
    }

    /// Invokes manage-plan.
    ///
    /// # Errors
    /// The function's error, as Lambda gives it.
    ///
    /// # Panics
    /// Lambda does not answer as it should.
    pub async fn manage_plan(&self, request: &Value) -> Result<Value, String> {
        let answer = self
            .lambda()
            .invoke()
            .function_name(&self.manage_plan)
            .payload(Blob::new(request.to_string()))
            .send()
            .await
            .expect("Lambda answers");
        let payload = answer
            .payload()
            .map(|payload| payload.as_ref().to_vec())
            .unwrap_or_default();
        let text = String::from_utf8(payload).expect("a payload is text");
        match answer.function_error() {
            None => Ok(serde_json::from_str(&text).expect("a payload is JSON")),
            Some(_) => Err(text),
        }
    }

    /// Hands an event to a function as EventBridge does, without waiting for what comes of it.
    ///
    /// # Panics
    /// There is no function with `part` in its name, or Lambda does not take the event.
    pub async fn send_event(&self, part: &str, event: &Value) {
        let functions = self.lambda().list_functions().send().await.expect("listed");
        let mut names = functions
            .functions()
            .iter()
            .filter_map(|function| function.function_name());
        let name = names.find(|name| name.contains(part)).expect("the function");
        self.lambda()
            .invoke()
            .function_name(name)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .expect("Lambda takes the event");
    }

    /// Waits until a role with `part` in its name was allowed an action.
    ///
    /// # Panics
    /// It was not in time.
    pub async fn wait_for_use(&self, part: &str, action: &str) {
        let url = format!(
            "{}/_holdfast/decisions",
            self.config.endpoint_url().expect("an endpoint")
        );
        until(&format!("{part} to use {action}"), async || {
            let answer = reqwest::get(&url).await.expect("the stack answers");
            let answer: Value = answer.json().await.expect("decisions are JSON");
            let used = answer["decisions"].as_array()?.iter().any(|decision| {
                decision["action"] == action
                    && decision["allowed"] == true
                    && decision["principal"]
                        .as_str()
                        .is_some_and(|role| role.contains(part))
            });
            used.then_some(())
        })
        .await;
    }

    /// Loses the reply to the next call of an action that mentions `text`; the call is applied.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn lose_reply(&self, action: &str, text: &str) {
        let fault = json!({"action": action, "kind": "lose_reply", "match": text});
        self.simulator
            .post("faults", fault)
            .await
            .expect("the fault is planted");
    }

    /// Puts tags on a volume, also such as only AWS's own services can.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn tag(&self, volume: &str, tags: &Value) {
        let request = json!({"resource_id": volume, "tags": tags});
        self.simulator.post("tags", request).await.expect("tagged");
    }

    /// Starts a backup execution.
    ///
    /// # Panics
    /// Step Functions does not answer.
    pub async fn start(&self, input: &Value) -> String {
        let started = self
            .sfn()
            .start_execution()
            .state_machine_arn(&self.state_machine)
            .input(input.to_string())
            .send()
            .await
            .expect("the execution starts");
        started.execution_arn().to_owned()
    }

    /// Stops an execution.
    ///
    /// # Panics
    /// Step Functions does not answer.
    pub async fn stop(&self, execution: &str) {
        self.sfn()
            .stop_execution()
            .execution_arn(execution)
            .send()
            .await
            .expect("the execution stops");
    }

    /// Waits for an execution's end. Gives its status, and its output or its cause.
    ///
    /// # Panics
    /// It does not end in time.
    pub async fn end_of(&self, execution: &str) -> (ExecutionStatus, String) {
        until(&format!("the end of {execution}"), async || {
            let now = self
                .sfn()
                .describe_execution()
                .execution_arn(execution)
                .send()
                .await
                .expect("described");
            let text = now.output().or(now.cause()).unwrap_or_default().to_owned();
            (*now.status() != ExecutionStatus::Running).then(|| (now.status().clone(), text))
        })
        .await
    }

    /// Waits for an execution's success and gives its output.
    ///
    /// # Panics
    /// It does not succeed, or not in time.
    pub async fn output_of(&self, execution: &str) -> Value {
        let (status, text) = self.end_of(execution).await;
        assert_eq!(status, ExecutionStatus::Succeeded, "{text}");
        serde_json::from_str(&text).expect("an output is JSON")
    }

    /// Waits for the first execution whose input names `plan`.
    ///
    /// # Panics
    /// None appears in time.
    pub async fn wait_for_execution(&self, plan: &str) -> String {
        until(&format!("an execution for {plan}"), async || {
            let list = self
                .sfn()
                .list_executions()
                .state_machine_arn(&self.state_machine)
                .send()
                .await
                .expect("listed");
            for execution in list.executions() {
                let arn = execution.execution_arn();
                let one = self
                    .sfn()
                    .describe_execution()
                    .execution_arn(arn)
                    .send()
                    .await
                    .expect("described");
                if one.input().is_some_and(|input| input.contains(plan)) {
                    return Some(arn.to_owned());
                }
            }
            None
        })
        .await
    }

    /// Waits until the job of a plan's newest recovery point has a status. Gives the job's id.
    ///
    /// # Panics
    /// It does not get there in time.
    pub async fn wait_for_job(&self, plan: &str, status: &str) -> String {
        until(&format!("a job of {plan}"), async || {
            let points = aws_sdk_dynamodb::Client::new(&self.config)
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(format!("PLAN#{plan}")))
                .send()
                .await
                .expect("the table answers");
            let job = points.items().first()?.get("job_id")?.as_s().ok()?.clone();
            (self.job_status(&job).await.as_deref() == Some(status)).then_some(job)
        })
        .await
    }

    /// Waits until a job has a status.
    ///
    /// # Panics
    /// It does not get there in time.
    pub async fn wait_for_job_status(&self, job: &str, status: &str) {
        until(&format!("{job} to be {status}"), async || {
            (self.job_status(job).await.as_deref() == Some(status)).then_some(())
        })
        .await;
    }

    async fn job_status(&self, job: &str) -> Option<String> {
        let answer = aws_sdk_dynamodb::Client::new(&self.config)
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(format!("JOB#{job}")))
            .key("sk", AttributeValue::S("JOB".to_owned()))
            .send()
            .await
            .expect("the table answers");
        answer.item()?.get("status")?.as_s().ok().cloned()
    }

    /// The names of a plan's schedules.
    ///
    /// # Panics
    /// The scheduler does not answer.
    pub async fn schedules_of(&self, plan: &str) -> Vec<String> {
        let list = aws_sdk_scheduler::Client::new(&self.config)
            .list_schedules()
            .send()
            .await
            .expect("listed");
        let names = list
            .schedules()
            .iter()
            .filter_map(|schedule| schedule.name().map(str::to_owned));
        names
            .filter(|name| name.starts_with(&format!("{plan}.")))
            .collect()
    }
}

fn wall_clock() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the deployed stack lives in real time")]
    Timestamp::now()
}

async fn until<T>(what: &str, attempt: impl AsyncFn() -> Option<T>) -> T {
    let tries = PATIENCE.as_millis() / 250;
    for _ in 0..tries {
        if let Some(found) = attempt().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("waited {} s in vain for {what}", PATIENCE.as_secs());
}
