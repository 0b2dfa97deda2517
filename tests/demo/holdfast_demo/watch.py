"""Waiting for the schedule and watching the job, without hiding what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from holdfast_demo.catalog import ENDED, Catalog
from holdfast_demo.errors import DemoError, wait_for
from holdfast_demo.progress import Progress
from holdfast_demo.stack import Place, Stack

_BROKEN = ("FAILED", "TIMED_OUT", "ABORTED")
_JOB_SECONDS = 300


def await_execution(stack: Stack, plan_id: str, seconds: float) -> str:
    """Wait until the schedule has started an execution for this plan; give its ARN."""
    states = stack.client("stepfunctions")
    others: set[str] = set()

    def ours() -> str | None:
        listed = states.list_executions(stateMachineArn=stack.outputs.state_machine, maxResults=100)
        for execution in listed["executions"]:
            arn = execution["executionArn"]
            if arn in others:
                continue
            given = json.loads(states.describe_execution(executionArn=arn).get("input") or "{}")
            if given.get("plan_id") == plan_id:
                return arn
            others.add(arn)
        return None

    return wait_for("the schedule to start the state machine", ours, seconds, stack.logs)


def await_snapshots(stack: Stack, plan_id: str, count: int, execution: str) -> list[dict[str, Any]]:
    """Wait until EC2 shows all snapshots of the plan, complete or not."""
    ec2 = stack.client("ec2")
    filters = [{"Name": "tag:holdfast:plan", "Values": [plan_id]}]

    def started() -> list[dict[str, Any]] | None:
        found = ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
        _raise_if_broken(stack, execution)
        return found if len(found) >= count else None

    return wait_for(f"{count} snapshots to start", started, 90, stack.logs)


def watch_job(
    stack: Stack, catalog: Catalog, point: dict[str, Any], execution: str, console: Console
) -> dict[str, Any]:
    """Show how far a recovery point's job is, as the catalog tells it, until its end; give its record."""
    show = _watch_bar if console.is_terminal else _watch_lines
    job_id, replicas = point["job_id"], len(point["plan"].get("replicas", []))

    def look() -> Progress:
        # Copies first: those of a job that has ended have ended too.
        copy_jobs = catalog.copy_jobs(point["recovery_point_id"])
        seen = Progress(catalog.job(job_id), replicas, copy_jobs)
        if seen.status not in ENDED:
            _raise_if_broken(stack, execution)
            return seen
        return Progress(seen.job, replicas, catalog.copy_jobs(point["recovery_point_id"]))

    job = show(console, look, f"job {job_id} to end. The logs are in {stack.logs}").job
    if job["status"] != "COMPLETED":
        raise DemoError(
            f"The job ended as {job['status']}: {job.get('message', 'no message')}. Logs: {stack.logs}."
        )
    return job


def _looks(look: Callable[[], Progress], what: str) -> Iterator[Progress]:
    deadline = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < deadline:
        seen = look()
        yield seen
        if seen.status in ENDED:
            return
        time.sleep(0.5)
    raise DemoError(f"Waited {_JOB_SECONDS} s in vain for {what}.")


def _watch_bar(console: Console, look: Callable[[], Progress], what: str) -> Progress:
    columns = (
        SpinnerColumn(),
        BarColumn(24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console) as bars:
        bar = bars.add_task("", total=100)
        for seen in _looks(look, what):
            bars.update(bar, completed=seen.percent(), description=seen.in_words())
    return seen


def _watch_lines(console: Console, look: Callable[[], Progress], what: str) -> Progress:
    last = ""
    for seen in _looks(look, what):
        line = f"  {seen.percent():>3} %  {seen.in_words()}"
        if line != last:
            console.print(line, highlight=False)
            last = line
    return seen


def await_end(
    stack: Stack, execution: str, seconds: float = 60, place: Place | None = None
) -> dict[str, Any]:
    """Wait until the execution itself has ended well; give its output."""
    states = stack.client("stepfunctions", place)

    def succeeded() -> dict[str, Any] | None:
        _raise_if_broken(stack, execution, place)
        found = states.describe_execution(executionArn=execution)
        return found if found["status"] == "SUCCEEDED" else None

    return json.loads(wait_for("the execution to end", succeeded, seconds, stack.logs).get("output") or "{}")


def _raise_if_broken(stack: Stack, execution: str, place: Place | None = None) -> None:
    found = stack.client("stepfunctions", place).describe_execution(executionArn=execution)
    if found["status"] in _BROKEN:
        why = " ".join(str(found[name]) for name in ("error", "cause") if found.get(name))
        raise DemoError(f"The execution ended as {found['status']}: {why}. The logs are in {stack.logs}.")
