"""Retention: asking what it would do, holding a point, letting it run, and printing what stayed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast_demo.errors import DemoError
from holdfast_demo.nights import ZONE, ZONE_NAME
from holdfast_demo.stack import Stack
from holdfast_demo.watch import await_end

_RUN_SECONDS = 240


def look_ahead(stack: Stack, plan_id: str) -> dict[str, Any]:
    """Ask what retention would do with a plan's points; it changes nothing."""
    request = {"action": "apply", "plan_id": plan_id, "dry_run": True}
    answer = stack.invoke(stack.outputs.apply_retention, request)
    if answer["left_out"]:
        raise DemoError(f"The dry run of {plan_id} leaves {answer['left_out']} points out.")
    return answer


def hold(stack: Stack, plan_id: str, point_id: str, reason: str) -> None:
    """Hold a recovery point."""
    request = {"action": "hold", "plan_id": plan_id, "recovery_point_id": point_id, "reason": reason}
    stack.invoke(stack.outputs.apply_retention, request)


def run(stack: Stack) -> None:
    """Let the state machine run over all plans, without the time that its waits for EC2's bucket take."""
    states = stack.client("stepfunctions")
    with stack.virtual_waits():
        started = states.start_execution(stateMachineArn=stack.outputs.retention_machine, input="{}")
        await_end(stack, started["executionArn"], _RUN_SECONDS)


def waits(stack: Stack) -> int:
    """Count the waits of the newest run."""
    states = stack.client("stepfunctions")
    newest = states.list_executions(stateMachineArn=stack.outputs.retention_machine, maxResults=1)[
        "executions"
    ][0]
    pages = states.get_paginator("get_execution_history").paginate(executionArn=newest["executionArn"])
    return sum(event["type"] == "WaitStateEntered" for page in pages for event in page["events"])


def staying(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the points of an answer that stay, newest first."""
    return [row for row in answer["points"] if row["keep"]]


def require_same(what: str, expected: set[str], found: set[str]) -> None:
    """Fail if two sets are not the same, and say where they differ."""
    if expected == found:
        return
    more, fewer = sorted(found - expected), sorted(expected - found)
    raise DemoError(
        f"{what}: {len(expected)} expected, {len(found)} found; "
        f"too many: {', '.join(more[:5]) or 'none'}; missing: {', '.join(fewer[:5]) or 'none'}."
    )


def print_staying(console: Console, rows: list[dict[str, Any]], there: dict[str, str]) -> None:
    """Print what stayed and why; `there` names the snapshot of each point that still has one."""
    table = Table(title="What stayed, and why", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column(f"night ({ZONE_NAME})", no_wrap=True)
    table.add_column("kept as")
    table.add_column("expected to go", no_wrap=True)
    table.add_column("snapshot", no_wrap=True)
    for row in rows:
        snapshot = there.get(row["recovery_point_id"])
        table.add_row(
            _local(row["moment"], "%a %Y-%m-%d %H:%M"),
            "\n".join(row["reasons"]) + (f": {row['hold']['reason']}" if row.get("hold") else ""),
            _expected_end(row),
            "✓ there" if snapshot else "✗ GONE",
        )
    console.print(table, highlight=False)


def _expected_end(row: dict[str, Any]) -> str:
    if row.get("goes_at"):
        return _local(row["goes_at"], "%a %Y-%m-%d")
    return "not while it is held" if row.get("hold") else "cannot be told"


def _local(moment: str, pattern: str) -> str:
    return f"{datetime.fromisoformat(moment[:19] + '+00:00').astimezone(ZONE):{pattern}}"
