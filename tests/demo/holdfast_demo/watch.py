"""Waiting for the schedule and watching the job, without hiding what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from holdfast_demo.catalog import ENDED, Catalog
from holdfast_demo.errors import DemoError, wait_for
from holdfast_demo.stack import Stack

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
    stack: Stack, catalog: Catalog, job_id: str, execution: str, console: Console
) -> dict[str, Any]:
    """Show a job's progress, as the catalog tells it, until the job has ended; give its record."""
    show = _watch_bar if console.is_terminal else _watch_lines

    def look() -> dict[str, Any]:
        job = catalog.job(job_id)
        if job.get("status") not in ENDED:
            _raise_if_broken(stack, execution)
        return job

    job = show(console, look, f"job {job_id} to end. The logs are in {stack.logs}")
    if job["status"] != "COMPLETED":
        raise DemoError(
            f"The job ended as {job['status']}: {job.get('message', 'no message')}. Logs: {stack.logs}."
        )
    return job


def _looks(look: Callable[[], dict[str, Any]], what: str):
    deadline = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < deadline:
        job = look()
        yield job
        if job.get("status") in ENDED:
            return
        time.sleep(0.5)
    raise DemoError(f"Waited {_JOB_SECONDS} s in vain for {what}.")


def _in_words(job: dict[str, Any]) -> str:
    progress = job.get("progress", {})
    started, completed, failed = (int(progress.get(name, 0)) for name in ("started", "completed", "failed"))
    words = f"{job.get('status', 'not there')}: {started} snapshots started, {completed} complete"
    return words + (f", {failed} failed" if failed else "")


def _percent(job: dict[str, Any]) -> int:
    return 100 if job.get("status") == "COMPLETED" else int(job.get("progress", {}).get("percent", 0))


def _watch_bar(console: Console, look: Callable[[], dict[str, Any]], what: str) -> dict[str, Any]:
    job: dict[str, Any] = {}
    columns = (
        SpinnerColumn(),
        BarColumn(40),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=100)
        for job in _looks(look, what):
            progress.update(bar, completed=_percent(job), description=_in_words(job))
    return job


def _watch_lines(console: Console, look: Callable[[], dict[str, Any]], what: str) -> dict[str, Any]:
    job: dict[str, Any] = {}
    last = ""
    for job in _looks(look, what):
        line = f"  {_percent(job):>3} %  {_in_words(job)}"
        if line != last:
            console.print(line)
            last = line
    return job


def await_end(stack: Stack, execution: str) -> None:
    """Wait until the execution itself has ended well."""
    states = stack.client("stepfunctions")

    def succeeded() -> bool:
        _raise_if_broken(stack, execution)
        return states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"

    wait_for("the execution to end", succeeded, 60, stack.logs)


def _raise_if_broken(stack: Stack, execution: str) -> None:
    found = stack.client("stepfunctions").describe_execution(executionArn=execution)
    if found["status"] in _BROKEN:
        why = " ".join(str(found[name]) for name in ("error", "cause") if found.get(name))
        raise DemoError(f"The execution ended as {found['status']}: {why}. The logs are in {stack.logs}.")
