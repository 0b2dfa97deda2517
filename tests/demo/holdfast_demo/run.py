"""The demo, step by step."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.json import JSON

from holdfast_demo import filesystems
from holdfast_demo.catalog import Catalog
from holdfast_demo.errors import DemoError, wait_for
from holdfast_demo.lived_year import LivedYear
from holdfast_demo.plan import delete_plan, manage, put_plan
from holdfast_demo.proof import differing, print_verdicts, prove, require_good
from holdfast_demo.recovery import Recovery
from holdfast_demo.replicas import catalog_beside, hops, print_replica, prove_replica
from holdfast_demo.report import print_recovery_point
from holdfast_demo.scene import Scene, make_scene
from holdfast_demo.second_region import SecondRegion
from holdfast_demo.stack import Stack
from holdfast_demo.watch import await_end, await_execution, await_snapshots, watch_job
from holdfast_demo.year import Pattern

_PLAIN_WIDTH = 120


def main() -> int:
    """Run the demo and give its exit code."""
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH, soft_wrap=False)
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
            Demo(console, Path(folder)).run()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("HOLDFAST_DEBUG") == "1":
            raise
        print(f"The demo failed: {_in_a_line(error)}", file=sys.stderr)
        return 1
    return 0


def _in_a_line(error: Exception) -> str:
    known = isinstance(error, DemoError | ClientError | BotoCoreError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    return " ".join(text.split()) + ("" if known else " (HOLDFAST_DEBUG=1 shows where)")


class Demo:
    """One run. What it makes is named after the time, so that runs do not meet."""

    def __init__(self, console: Console, folder: Path) -> None:
        """Find the stack."""
        self.console = console
        self.folder = folder
        self.began = time.monotonic()
        self.steps = 0
        filesystems.require_tools()
        self.stack = Stack()
        self.app = f"shop-{datetime.now(timezone.utc):%H%M%S}"
        self.year = f"{self.app}-year"
        self.scene = Scene(self.stack, self.app)
        self.catalog = Catalog(self.stack, self.app)

    def run(self) -> None:
        """Do all of it, and leave neither plan nor instance behind, whatever happens."""
        try:
            self.make_application()
            plan_saved_for = self.save_plan()
            execution = self.follow(plan_saved_for)
            self.prove_it(execution)
            self.prove_replicas()
            self.retire_a_year()
            self.recover()
            self.rebuild_elsewhere()
        except BaseException:
            for plan_id in (self.app, self.year):
                with suppress(Exception):
                    manage(self.stack, {"action": "delete", "plan_id": plan_id})
            with suppress(Exception):
                self.scene.remove()
            raise
        self.tidy_up()

    def step(self, text: str) -> None:
        """Say what comes next."""
        self.steps += 1
        self.console.print(f"\n[bold]{self.steps}. {text}[/bold]", highlight=False)

    def say(self, text: str) -> None:
        """Say something about the step."""
        self.console.print(f"  {text}", highlight=False)

    def make_application(self) -> None:
        """Make three instances with five volumes."""
        self.step(
            "An application to protect: three instances, five volumes with files on real ext4 file systems."
        )
        make_scene(self.stack, self.app, self.folder, self.scene)
        for volume in self.scene.volumes:
            what = "data" if volume.is_data else "boot"
            more = ", encrypted with a key made just now" if volume.encrypted else ""
            self.say(f"{volume.machine:<7} {volume.device:<10} {volume.volume_id}  {what}{more}")
        self.say("web and db are running, worker is stopped. All three carry the tag app=" + self.app)

    def save_plan(self) -> datetime:
        """Save the plan, and note what the volumes hold before it fires."""
        self.step("A backup plan for everything with that tag, with two replicas. It fires by itself soon.")
        plan, fires_at = put_plan(self.stack, self.app, self.app)
        self.console.print(JSON.from_data(plan))
        self.scene.remember_blocks()
        if datetime.now(timezone.utc) >= fires_at:
            raise DemoError(
                "This machine is too slow: the schedule fired before the volumes' content was noted."
            )
        self.say(f"Saved. EventBridge Scheduler starts the state machine at {fires_at:%H:%M:%S} UTC.")
        return fires_at

    def follow(self, fires_at: datetime) -> str:
        """Watch the job, and go on writing while its snapshots are pending."""
        self.step(
            "The schedule fires, the state machine runs, the functions take the snapshots and copy them."
        )
        ahead = max(0.0, (fires_at - datetime.now(timezone.utc)).total_seconds())
        execution = await_execution(self.stack, self.app, ahead + 60)
        self.say(f"Execution {execution.rpartition(':')[2]} has started.")
        expected = len(self.scene.volumes)
        snapshots = await_snapshots(self.stack, self.app, expected, execution)
        self.require_unchanged()
        self.scene.go_on_writing(self.folder)
        pending = sum(snapshot["State"] == "pending" for snapshot in snapshots)
        self.say(
            f"{pending} of {len(snapshots)} snapshots are pending. Meanwhile the application goes on writing:"
        )
        changed = ", ".join(volume.title for volume in self.scene.volumes if volume.is_data)
        self.say(f"{changed} have other content now. The snapshots must not.")
        point = wait_for("the recovery point's record", self.catalog.recovery_point, 30, self.stack.logs)
        self.job = watch_job(self.stack, self.catalog, point, execution, self.console)
        await_end(self.stack, execution)
        return execution

    def require_unchanged(self) -> None:
        """See that the volumes still hold what was noted, so that what was noted is the moment's content."""
        for volume in self.scene.volumes:
            if differing(volume.before, self.stack.simulator.blocks(volume.volume_id)):
                raise DemoError(
                    f"{volume.title} changed before the demo changed it: something else writes to it."
                )

    def prove_it(self, execution: str) -> None:
        """Show the recovery point, and look into every snapshot."""
        self.step("The recovery point: one moment of the whole application.")
        point = self.catalog.recovery_point()
        if point is None:
            raise DemoError(f"The catalog holds no recovery point, although {execution} has ended.")
        self.point = point
        backups = self.catalog.backups(point["recovery_point_id"])
        print_recovery_point(self.console, self.scene, point, self.job, backups)
        self.step("The proof: every block of every snapshot is read through EBS direct and compared.")
        self.snapshots = {s["volume_id"]: s["snapshot_id"] for backup in backups for s in backup["snapshots"]}
        verdicts = prove(self.stack, self.scene, self.snapshots, self.folder)
        print_verdicts(self.console, verdicts)
        require_good(verdicts)
        self.say("Every snapshot equals its volume at that moment, and the file system in it is clean.")

    def prove_replicas(self) -> None:
        """Look into every copy, and at what lies beside the copies."""
        self.step("The replicas: the same proof for every copy, read by the account that owns it.")
        point_id = self.point["recovery_point_id"]
        for vault in self.stack.vaults:
            found = prove_replica(self.stack, self.scene, self.catalog, point_id, vault, self.folder)
            print_replica(self.console, vault, *found)
            require_good(found[0])
            copies = {verdict.snapshot_id for verdict in found[0]}
            for line in catalog_beside(self.stack, vault, self.app, point_id, copies):
                self.say(line)
        over = hops(self.stack, self.scene, point_id)
        if not over:
            raise DemoError("No snapshot went over a hop, although the other account may not use db's key.")
        self.console.print()
        for line in over:
            self.say(line)
        self.say(
            "because its key is not for that account. Hops are under Holdfast's own key, and deleted by now."
        )

    def retire_a_year(self) -> None:
        """Give a plan a recovery point for each night of the last year, and let retention run."""
        self.step("A year of it: 365 nights of worker, under 7 daily, 4 weekly and 12 monthly.")
        year = LivedYear(self.stack, self.scene, self.year, self.say)
        worker = next(i for i, name in self.scene.names.items() if name == "worker")
        year.live(self.catalog, Pattern.read(self.catalog, self.point, worker))
        self.step("Retention: what stays of the year, and why.")
        year.look_ahead()
        year.hold_one()
        year.add_strangers()
        self.kept = year.retire(self.console)

    def recover(self) -> None:
        """Damage an instance, and give it back in every way that there is in its own region."""
        db = next(i for i, name in self.scene.names.items() if name == "db")
        recovery = Recovery(self.scene, db, self.snapshots, self.folder, self.console, self.say)
        # EC2 takes its time, as it would; the waits for it take none here.
        self.stack.simulator.configure(instance_transition_seconds=8, status_check_seconds=45)
        self.step("Damage: somebody writes over the file system of db's orders while db runs.")
        recovery.damage()
        self.step("In place: db stays what it is, and its volumes go back to the recovery point.")
        recovery.in_place()
        self.step("Undo: somebody wanted to look at the damage first.")
        recovery.undo()
        self.step("Destructive: a new instance takes db's place and address, once it is proved good.")
        recovery.look_ahead()
        recovery.destructive()
        self.step("A clone of db beside it, of the same recovery point.")
        recovery.clone()

    def rebuild_elsewhere(self) -> None:
        """Give everything back in the second region, by what is there alone."""
        self.step(
            f"{self.stack.home.region} cannot be reached: the application comes back in the second region."
        )
        point_id = self.point["recovery_point_id"]
        vault = self.stack.vaults[0]
        SecondRegion(self.scene, vault, point_id, self.folder, self.console, self.say).rebuild()
        self.stack.simulator.configure(instance_transition_seconds=0, status_check_seconds=0)

    def tidy_up(self) -> None:
        """Delete the plans and the application; the recovery points stay."""
        self.step("Tidying up.")
        for plan_id in (self.app, self.year):
            delete_plan(self.stack, plan_id)
        self.scene.remove()
        for plan_id in (self.app, self.year):
            if Catalog(self.stack, plan_id).recovery_point() is None:
                raise DemoError(f"Deleting the plan {plan_id} has removed its recovery points.")
        self.say("Both plans are deleted, and the schedule with them. Their recovery points stay.")
        self.say("The instances are terminated: a recovery point needs nothing of them.")
        took = time.monotonic() - self.began
        self.console.print(
            f"\n[bold]Done in {took:.0f} s.[/bold] A schedule fired, and a state machine took one recovery "
            "point of three instances and copied it to a second region and to a second account. Each of its "
            "five snapshots and ten copies was proved to be its volume's content at that moment. Of a year "
            f"of nights {self.kept} recovery points stayed, each for a reason. A damaged instance came back "
            "in place, as a new one with its address, and as a clone; all three came back in the second "
            "region without the first. Every restored volume was proved to equal its snapshot. README.md "
            "says how to install Holdfast in an AWS account; docs/ says more.",
            highlight=False,
        )
