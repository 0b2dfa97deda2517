//! Restores of every mode, killed before, during and after every AWS call they make (target R1), run twice, twice at
//! once and late (target R2), and stopped after every step.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::Status;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::killer::{KillSwitch, Point};
use holdfast_tests::restoring::{
    Rich, World, back_up, digest, ends_in_order, execution_arn, forget, plant_coded_image, start_rich,
    start_rich_from, succeeded, volumes_of, write,
};
use holdfast_tests::workflow::{Bench, Repeat};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is tried: every mode, in place also for the root volume alone, and the ways of instances with billing codes.
const CASES: [&str; 9] = [
    "clone",
    "coded",
    "non_destructive",
    "destructive",
    "in_place",
    "root",
    "volumes",
    "image",
    "coded_image",
];

fn request(mode: &str, rich: &Rich) -> Value {
    let mut input = json!({"plan_id": "nightly", "mode": mode, "resources": [rich.id]});
    match mode {
        "non_destructive" => {
            input["overrides"] = json!({"private_address": "automatic", "elastic_ips": "leave"});
        }
        "root" => {
            input["mode"] = json!("in_place");
            input["volumes"] = json!({"devices": ["/dev/xvda"]});
        }
        "volumes" => {
            input["volumes"] = json!({"attach_to": rich.id, "attach_as": {
                "/dev/sdf": "/dev/sdp", "/dev/sdk": "/dev/sdq", "/dev/xvda": "/dev/sdr",
            }});
        }
        "coded" => input["mode"] = json!("clone"),
        "image" | "coded_image" => {
            input["mode"] = json!("image");
            input["image"] = json!({"name": "shop"});
        }
        _ => {}
    }
    input
}

struct Scene {
    account: Account,
    rich: Rich,
    captured: BTreeMap<String, String>,
    damaged: BTreeMap<String, String>,
}

impl Scene {
    async fn new(stack: &Stack, case: &str) -> Self {
        let account = Account::new(stack).await;
        let rich = if case.starts_with("coded") {
            let image = plant_coded_image(&account).await;
            let rich = start_rich_from(&account, &image).await;
            if case == "coded_image" {
                // Its own image is gone: the codes are the original's alone.
                let gone = account.ec2().deregister_image().image_id(&image).send().await;
                gone.unwrap();
            }
            rich
        } else {
            start_rich(&account).await
        };
        let captured = digests(&account, &rich.volumes).await;
        Self {
            account,
            rich,
            captured,
            damaged: BTreeMap::new(),
        }
    }

    /// Backs it up, writes other bytes, and takes the bench on.
    async fn damage(&mut self, bench: &mut Bench<'_>) {
        back_up(bench).await;
        for volume in self.rich.volumes.values() {
            write(&self.account, volume, "damaged", 0).await;
        }
        self.damaged = digests(&self.account, &self.rich.volumes).await;
        assert_ne!(self.damaged, self.captured);
    }
}

async fn digests(account: &Account, volumes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    for (device, volume) in volumes {
        digests.insert(device.clone(), digest(account, volume).await);
    }
    digests
}

/// Runs one restore under a switch, and checks what it leaves. Gives the AWS calls before it, and in all.
async fn restore_and_audit(stack: &Stack, mode: &str, switch: KillSwitch, repeat: Repeat) -> (u32, u32) {
    let mut scene = Scene::new(stack, mode).await;
    let account = scene.account.clone();
    let mut bench = Bench::new(&account, switch.clone(), repeat).await;
    scene.damage(&mut bench).await;
    let ec2 = account.ec2();
    let before = World::of(&ec2).await;
    let output = succeeded(bench.restore(request(mode, &scene.rich), "restore").await);
    if repeat == Repeat::Late {
        bench.double_tasks().await;
    }
    assert_eq!(output["status"], "COMPLETED", "{mode}: {output:#}");
    check(&scene, mode, &output, &before).await;
    forget(&account).await;
    (bench.calls_before("restore-instance"), switch.calls())
}

/// What must be true after a restore: no leftover, no double, the original untouched where it stays, byte for byte.
async fn check(scene: &Scene, mode: &str, output: &Value, before: &World) {
    let (account, rich) = (&scene.account, &scene.rich);
    let ec2 = account.ec2();
    let after = World::of(&ec2).await;
    assert_eq!(after.leftovers, Vec::<String>::new(), "{mode}");
    let restored = &output["restores"][0];
    let instance = restored["instance_id"].as_str();
    let (instances, volumes, images) = (after.instances.len(), after.volumes.len(), after.images.len());
    let interfaces = after.interfaces.len();
    let original = |world: &World| world.instances.get(&rich.id).cloned();
    match mode {
        "clone" | "coded" | "non_destructive" => {
            assert_eq!((instances, volumes, images, interfaces), (2, 6, 0, 4), "{mode}");
            assert_eq!(original(&after), original(before), "{mode}");
            assert_eq!(
                digests(account, &volumes_of(&ec2, instance.unwrap()).await).await,
                scene.captured
            );
        }
        "destructive" => {
            assert_eq!(
                (instances, volumes, images, interfaces),
                (1, 4, 0, 2),
                "{mode}: {after:#?}"
            );
            assert_eq!(
                digests(account, &volumes_of(&ec2, instance.unwrap()).await).await,
                scene.captured
            );
            let addresses = |world: &World| world.interfaces.keys().cloned().collect::<Vec<_>>();
            assert_eq!(addresses(&after), addresses(before));
            ends_in_order(account, &rich.id).await;
        }
        "in_place" => {
            assert_eq!((instances, volumes, images, interfaces), (1, 6, 0, 2), "{mode}");
            assert_eq!(
                digests(account, &volumes_of(&ec2, &rich.id).await).await,
                scene.captured
            );
            assert_eq!(
                digests(account, &rich.volumes).await,
                scene.damaged,
                "what was there is kept"
            );
        }
        "root" => {
            assert_eq!((instances, volumes, images, interfaces), (1, 4, 0, 2), "{mode}");
            let now = volumes_of(&ec2, &rich.id).await;
            assert_eq!(
                digest(account, &now["/dev/xvda"]).await,
                scene.captured["/dev/xvda"]
            );
            assert_eq!(
                digests(account, &rich.volumes).await,
                scene.damaged,
                "what was there is kept"
            );
        }
        "volumes" => {
            assert_eq!((instances, volumes, images, interfaces), (1, 6, 0, 2), "{mode}");
            let now = volumes_of(&ec2, &rich.id).await;
            for (device, at) in [
                ("/dev/sdf", "/dev/sdp"),
                ("/dev/sdk", "/dev/sdq"),
                ("/dev/xvda", "/dev/sdr"),
            ] {
                assert_eq!(
                    digest(account, &now[at]).await,
                    scene.captured[device],
                    "{device}"
                );
            }
        }
        _ => {
            assert_eq!((instances, volumes, images, interfaces), (1, 3, 1, 2), "{mode}");
            assert_eq!(original(&after), original(before), "{mode}");
        }
    }
}

async fn kill_at_every_call(mode: &str, point: Point) {
    let stack = Stack::from_environment();
    let (before, calls) = Box::pin(restore_and_audit(&stack, mode, KillSwitch::never(), Repeat::Once)).await;
    assert!(calls > before + 20, "{mode}: {before} calls, then {calls}");
    for at in before + 1..=calls {
        let switch = KillSwitch::new(at, point);
        Box::pin(restore_and_audit(&stack, mode, switch.clone(), Repeat::Once)).await;
        assert!(switch.has_killed(), "{mode}: nothing was killed at call {at}");
    }
    println!(
        "R1 restores, {mode}: killed {point:?} each of {} calls: 0 leftovers, 0 doubles, never both instances gone",
        calls - before
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_or_doubled_when_a_restore_is_killed_at_any_call(
    #[values(
        "clone",
        "coded",
        "non_destructive",
        "destructive",
        "in_place",
        "root",
        "volumes",
        "image",
        "coded_image"
    )]
    mode: &str,
    #[values(Point::Before, Point::During, Point::After)] point: Point,
) {
    Box::pin(kill_at_every_call(mode, point)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn steps_run_twice_or_twice_at_once_or_late_leave_what_one_run_leaves(
    #[values(
        "clone",
        "coded",
        "non_destructive",
        "destructive",
        "in_place",
        "root",
        "volumes",
        "image",
        "coded_image"
    )]
    mode: &str,
) {
    let stack = Stack::from_environment();
    for repeat in [
        Repeat::Twice,
        Repeat::Late,
        Repeat::Together,
        Repeat::Together,
        Repeat::Together,
    ] {
        Box::pin(restore_and_audit(&stack, mode, KillSwitch::never(), repeat)).await;
    }
    println!("R2 restores, {mode}: every step twice, late and twice at once leaves what one run leaves");
}

/// Stops a restore after its n-th step. Gives whether it was stopped before its end.
async fn stop_and_audit(stack: &Stack, mode: &str, steps: usize) -> bool {
    let mut scene = Scene::new(stack, mode).await;
    let account = scene.account.clone();
    let slow =
        json!({"instance_transition_seconds": 20, "status_check_seconds": 20, "replace_root_seconds": 20});
    account.simulator.post("settings", slow).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    bench.pass(100.0).await;
    scene.damage(&mut bench).await;
    let ec2 = account.ec2();
    let before = World::of(&ec2).await;
    bench.stop_after(steps);
    let execution = bench.restore(request(mode, &scene.rich), "restore").await;
    let output = succeeded(execution);
    let stopped = match output["status"].as_str().unwrap() {
        "ABORTED" => {
            assert_eq!(
                World::of(&ec2).await,
                before,
                "{mode} stopped after {steps} steps"
            );
            assert_eq!(digests(&account, &scene.rich.volumes).await, scene.damaged);
            true
        }
        "COMPLETED" => {
            check(&scene, mode, &output, &before).await;
            false
        }
        other => panic!("{mode} stopped after {steps} steps: {other} {output:#}"),
    };
    forget(&account).await;
    stopped
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_stopped_leaves_everything_as_it_was(
    #[values(
        "clone",
        "coded",
        "non_destructive",
        "destructive",
        "in_place",
        "root",
        "volumes",
        "coded_image"
    )]
    mode: &str,
) {
    let stack = Stack::from_environment();
    let mut stopped = 0;
    for steps in 1.. {
        assert!(steps < 200, "{mode} never ends");
        if Box::pin(stop_and_audit(&stack, mode, steps)).await {
            stopped += 1;
        } else {
            break;
        }
    }
    assert!(stopped > 0, "{mode} cannot be stopped");
    println!("aborts, {mode}: stopped after each of its first {stopped} steps, everything as it was");
}

/// An execution that somebody stops, or that breaks: the rule on executions that ended badly starts another one.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_execution_leaves_is_taken_back_by_the_next(
    #[values("clone", "destructive", "in_place")] mode: &str,
    #[values("ABORTED", "FAILED")] status: &str,
) {
    let stack = Stack::from_environment();
    for transitions in [4, 8, 12, 18] {
        let mut scene = Scene::new(&stack, mode).await;
        let account = scene.account.clone();
        let slow = json!({"instance_transition_seconds": 20, "status_check_seconds": 20});
        account.simulator.post("settings", slow).await.unwrap();
        let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
        bench.pass(100.0).await;
        scene.damage(&mut bench).await;
        let ec2 = account.ec2();
        let before = World::of(&ec2).await;
        let input = request(mode, &scene.rich);
        let left = bench.restore_up_to(input, "restore", transitions).await;
        assert!(matches!(left.status, Status::GivenUp), "{:?}", left.status);
        let resume = json!({"resume": execution_arn(&account, "restore"), "status": status});
        let output = succeeded(bench.restore(resume, "resumed").await);
        match (status, output["status"].as_str().unwrap()) {
            ("ABORTED", "ABORTED") => assert_eq!(World::of(&ec2).await, before, "{mode} after {transitions}"),
            (_, "COMPLETED") => check(&scene, mode, &output, &before).await,
            (_, other) => panic!("{mode} after {transitions}: {other} {output:#}"),
        }
        forget(&account).await;
    }
}

#[test]
fn every_mode_is_in_the_harness() {
    use holdfast_core::restoring::Mode;
    let modes = Mode::NAMED.iter().filter(|mode| **mode != Mode::Rehearsal);
    for mode in modes {
        assert!(CASES.contains(&mode.as_str()), "{mode}");
    }
}
