"""Restores: asking what one would do, letting it run, and telling what it came to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast_demo.errors import DemoError
from holdfast_demo.report import moment
from holdfast_demo.stack import Place, Stack
from holdfast_demo.watch import await_end

_SECONDS = 240


@dataclass(frozen=True)
class Restorer:
    """A state machine that gives instances back, and where it is."""

    stack: Stack
    arn: str
    place: Place


@dataclass(frozen=True)
class Outcome:
    """What a restore came to, as its execution answered."""

    told: dict[str, Any]
    seconds: float  # by EC2's clock
    since: int  # the number of the account's last call before it

    @property
    def job_id(self) -> str:
        """Give its job."""
        return self.told["job_id"]

    @property
    def restores(self) -> list[dict[str, Any]]:
        """Give what became of each resource."""
        return self.told["restores"]

    @property
    def only(self) -> dict[str, Any]:
        """Give what became of its only resource."""
        (restore,) = self.restores
        return restore


def at_home(stack: Stack) -> Restorer:
    """Give the state machine of the main stack."""
    return Restorer(stack, stack.outputs.restore_machine, stack.home)


def look_ahead(by: Restorer, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask what a restore would do with each resource; it makes nothing."""
    return _execute(by, {**request, "dry_run": True})["planned"]


def run(by: Restorer, request: dict[str, Any]) -> Outcome:
    """Let a restore run, without the time that its waits take; one that is not whole ends the demo."""
    simulator = by.stack.simulator_of(by.place)
    since, began = simulator.last_call(), simulator.now()
    with by.stack.virtual_waits():
        told = _execute(by, request)
    took = (moment(simulator.now()) - moment(began)).total_seconds()
    if told["status"] != "COMPLETED":
        notes = [note for restore in told.get("restores", []) for note in restore.get("notes", [])]
        raise DemoError(f"The restore ended as {told['status']}: {told['message']}. {'; '.join(notes)}")
    for restore in told["restores"]:
        if restore["status"] != "COMPLETED" or restore.get("differences"):
            raise DemoError(f"{restore['resource_id']} did not come back as it was: {restore}.")
    return Outcome(told, took, since)


def _execute(by: Restorer, request: dict[str, Any]) -> dict[str, Any]:
    states = by.stack.client("stepfunctions", by.place)
    started = states.start_execution(stateMachineArn=by.arn, input=json.dumps(request))
    return await_end(by.stack, started["executionArn"], _SECONDS, by.place)


def tell(say: Callable[[str], None], outcome: Outcome) -> None:
    """Tell what a restore came to, and how long it took."""
    took = f"{outcome.seconds:.0f} s by EC2's clock, the waits in the simulator's time"
    say(f"{outcome.job_id}: {outcome.told['status']}, {took}")
    for line in outcome.told["message"].split("; "):
        say(f"  {line}")


def tell_faithful(say: Callable[[str], None]) -> None:
    """Tell what `run` has required of every restore that makes instances."""
    say("Compared field by field with what was captured: nothing differs that was not asked for or told.")


def tell_announced(say: Callable[[str], None], restore: dict[str, Any]) -> None:
    """Tell what was known to differ, and why."""
    for difference in restore.get("announced", []):
        say(f"  {difference['field']}: captured {difference['captured']}, restored {difference['restored']}:")
        say(f"    {difference['why']}")
