"""The backup plan, and the function that keeps plans."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from holdfast_demo.errors import DemoError, wait_for
from holdfast_demo.stack import Stack, Vault


def write_plan(plan_id: str, app: str, vaults: list[Vault], fires_at: datetime) -> dict[str, Any]:
    """Write a plan that protects what is tagged `app`, copies it to every vault, and fires once."""
    return {
        "plan_id": plan_id,
        "description": "The shop of the demo",
        "selection": {"tags": [{"key": "app", "values": [app]}]},
        "tags": {"team": "shop"},
        "rpo_target_minutes": 1440,
        "retention": [{"keep": "daily", "count": 7}, {"keep": "weekly", "count": 4}],
        "replicas": [vault.replica() for vault in vaults],
        "schedules": [{"expression": f"at({fires_at:%Y-%m-%dT%H:%M:%S})", "time_zone": "UTC"}],
    }


def put_plan(stack: Stack, plan_id: str, app: str) -> tuple[dict[str, Any], datetime]:
    """Save a plan that fires soon. A machine so slow that saving takes longer gets more time."""
    for ahead in (8, 20, 60):
        fires_at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=ahead)
        plan = write_plan(plan_id, app, stack.vaults, fires_at)
        manage(stack, {"action": "put", "plan": plan})
        if datetime.now(timezone.utc) < fires_at - timedelta(seconds=2):
            return plan, fires_at
    raise DemoError(f"Saving a plan took longer than a minute. The logs are in {stack.logs}.")


def delete_plan(stack: Stack, plan_id: str) -> None:
    """Delete a plan, and see that its schedules are gone with it."""
    manage(stack, {"action": "delete", "plan_id": plan_id})
    scheduler = stack.client("scheduler")

    def none_left() -> bool:
        pages = scheduler.get_paginator("list_schedules").paginate()
        names = [schedule["Name"] for page in pages for schedule in page["Schedules"]]
        return not any(name.startswith(f"{plan_id}.") for name in names)

    wait_for(f"the schedules of plan {plan_id} to go", none_left, 15, stack.logs)


def manage(stack: Stack, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the function manage-plan."""
    return stack.invoke(stack.outputs.manage_plan, request)


def rule_in_words(rule: dict[str, Any]) -> str:
    """Say what a retention rule keeps."""
    if rule["keep"] == "younger_than":
        return f"everything younger than {rule['age']}"
    count = int(rule["count"])
    if rule["keep"] == "newest":
        return f"the newest {count}"
    unit = {"daily": "days", "hourly": "hours", "weekly": "weeks", "monthly": "months", "yearly": "years"}
    return f"the newest of each of the last {count} {unit[rule['keep']]}"
