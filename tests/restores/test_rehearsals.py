"""Rehearsals: by hand and by a plan's own schedule."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from fleet import Fleet, plan_of
from machines import interfaces_of, inventory
from places import Place, until
from restoring import whole


def settings(fleet: Fleet, place: Place, **more: Any) -> dict[str, Any]:
    """Give the settings of a rehearsal of `web`."""
    web = fleet.machines["web"].instance
    card = interfaces_of(place, web)[0]
    return {
        "subnet_id": card["SubnetId"],
        "security_group_ids": [group["GroupId"] for group in card["Groups"]],
        "resources": [web],
        "proof": {"ssm": {"document": "AWS-RunShellScript", "parameters": {"commands": ["true"]}}},
        **more,
    }


def test_a_rehearsal_by_hand_leaves_nothing_and_takes_the_time(fleet: Fleet, place: Place) -> None:
    plan = plan_of(fleet.plan_id, rehearsal=settings(fleet, place))
    fleet.deployed.manage_plan(action="put", plan=plan)
    before = inventory(place)
    told = fleet.restorer.run(rehearse=fleet.plan_id)
    restore = whole(told)
    assert told["mode"] == "rehearsal"
    assert restore["instance_id"] not in before
    assert inventory(place) == before


def test_a_plans_schedule_starts_its_rehearsal(fleet: Fleet, place: Place) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=3)
    schedule = {"expression": f"at({soon:%Y-%m-%dT%H:%M:%S})"}
    plan = plan_of(fleet.plan_id, rehearsal=settings(fleet, place, schedules=[schedule]))
    before = inventory(place)
    fleet.deployed.manage_plan(action="put", plan=plan)
    client = place.client("stepfunctions")

    def started() -> str | None:
        for found in client.list_executions(stateMachineArn=fleet.deployed.outputs["RestoreStateMachineArn"])[
            "executions"
        ]:
            described = client.describe_execution(executionArn=found["executionArn"])
            asked = json.loads(described["input"])
            if asked.get("rehearse") == fleet.plan_id and "scheduled_time" in asked:
                return found["executionArn"]
        return None

    status, said = fleet.restorer.end(until("the scheduled rehearsal", started))
    assert status == "SUCCEEDED", said
    whole(json.loads(said))
    assert inventory(place) == before
