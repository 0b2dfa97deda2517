"""The year of nights, step by step, and everything that must be true of its retention."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from rich.console import Console

from holdfast_demo import retention
from holdfast_demo.catalog import Catalog
from holdfast_demo.nights import kept_by, last_nights
from holdfast_demo.retention import require_same
from holdfast_demo.scene import Scene
from holdfast_demo.stack import Stack
from holdfast_demo.year import (
    Pattern,
    add_strangers,
    name_nights,
    save_year_plan,
    take_snapshots,
    write_records,
)

_REASON = "the auditors ask for it"
# Old enough that no daily or weekly rule could keep it.
_HELD_NIGHT = 150


class LivedYear:
    """A plan with a recovery point for each night of the last year."""

    def __init__(self, stack: Stack, scene: Scene, plan_id: str, say: Callable[[str], None]) -> None:
        """Reckon which nights stay, without asking Holdfast."""
        self.stack, self.scene, self.plan_id, self.say = stack, scene, plan_id, say
        self.nights = name_nights(plan_id, last_nights(datetime.now(timezone.utc)))
        self.by_rule = kept_by([night.local for night in self.nights])
        self.expected: set[str] = set().union(*self.by_rule.values())
        self.snapshots: dict[str, str] = {}  # by recovery point
        self.strangers: dict[str, str] = {}

    def live(self, catalog: Catalog, pattern: Pattern) -> None:
        """Take the snapshots and write the records."""
        began = time.monotonic()
        plan = save_year_plan(self.stack, self.plan_id, pattern.resource)
        taken = take_snapshots(self.stack, pattern, self.plan_id, self.nights)
        write_records(catalog, pattern, plan, self.nights, taken)
        self.snapshots = {point_id: snapshot["SnapshotId"] for point_id, snapshot in taken.items()}
        first, last = self.nights[-1].local, self.nights[0].local
        self.say(
            f"Plan {self.plan_id} has a recovery point for each night from {first:%Y-%m-%d} to "
            f"{last:%Y-%m-%d}, {last:%H:%M} in Rome:"
        )
        self.say(
            f"{len(taken)} snapshots, which EC2 took while its clock stood at that night, "
            "under the stack's own seal."
        )
        took = time.monotonic() - began
        self.say(
            f"No job ran for them: this demo wrote their records after those of step 4, in {took:.0f} s."
        )

    def look_ahead(self) -> None:
        """Ask for a dry run, and hold it against the reckoning."""
        told = retention.look_ahead(self.stack, self.plan_id)
        self.say(f"A dry run says: would delete {told['going']}, keep {told['kept']}.")
        found = {row["moment"] for row in retention.staying(told)}
        require_same("Nights that the dry run keeps", self.expected, found)
        words = " + ".join(f"{len(moments)} {rule}" for rule, moments in self.by_rule.items())
        self.say(
            f"{words} are {len(self.expected)} different nights by this demo's own reckoning: the same ones."
        )

    def hold_one(self) -> None:
        """Hold a point that would go."""
        held = next(night for night in self.nights[_HELD_NIGHT:] if night.moment not in self.expected)
        retention.hold(self.stack, self.plan_id, held.point_id, _REASON)
        self.expected.add(held.moment)
        self.say(f"{held.point_id} of {held.local:%a %Y-%m-%d} would go. Somebody holds it now: “{_REASON}”.")

    def add_strangers(self) -> None:
        """Make snapshots that must not be taken for the plan's."""
        going = next(night for night in self.nights if night.moment not in self.expected)
        tags = self._living()[self.snapshots[going.point_id]]["tags"]
        boots = [volume.volume_id for volume in self.scene.volumes if not volume.is_data]
        self.strangers = add_strangers(self.stack, self.plan_id, tags, boots)

    def retire(self, console: Console) -> int:
        """Let retention run, twice; give how many points stay."""
        retention.run(self.stack)
        waited = retention.waits(self.stack)
        self.say(
            f"The state machine ran over all plans, and waited {waited} times for EC2's throttle bucket, "
            "in the simulator's time."
        )
        after = retention.look_ahead(self.stack, self.plan_id)
        rows = after["points"]
        require_same("Nights after retention", self.expected, {row["moment"] for row in rows})
        living = self._living()
        there = {point: snapshot for point, snapshot in self.snapshots.items() if snapshot in living}
        retention.print_staying(console, rows, there)
        kept = {self.snapshots[row["recovery_point_id"]] for row in rows}
        require_same("Snapshots after retention", kept | self.strangers.keys(), set(living))
        gone = len(self.snapshots) - len(there)
        self.say(
            f"{gone} snapshots are deleted. Exactly those of the {len(there)} points above are still there,"
        )
        self.say("and two strangers that look like the plan's:")
        for snapshot_id, what in self.strangers.items():
            self.say(f"{snapshot_id}, {what}")
        retention.run(self.stack)
        require_same("Snapshots after retention ran again", set(living), set(self._living()))
        self.say("The state machine ran again, and deleted nothing.")
        return len(there)

    def _living(self) -> dict[str, dict[str, Any]]:
        """Give the snapshots that are there and that the plan is written on."""
        found = self.stack.simulator.snapshots(tag="holdfast:plan", value=self.plan_id)
        return {snapshot["snapshot_id"]: snapshot for snapshot in found if not snapshot["deleted"]}
