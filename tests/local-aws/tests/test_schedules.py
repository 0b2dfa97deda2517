"""Schedules fire at the right moments and fill in their context attributes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from conftest import Account, await_end, eventually, start

ECHO = {"Echo": {"Type": "Pass", "End": True}}
INPUT = {
    "plan_id": "shop",
    "scheduled_time": "<aws.scheduler.scheduled-time>",
    "schedule": "<aws.scheduler.schedule-arn>",
    "execution": "<aws.scheduler.execution-id>",
    "attempt": "<aws.scheduler.attempt-number>",
}


def _schedule(account: Account, moment: datetime, machine: str, role: str) -> str:
    """Make a schedule for one moment, given in the clock of Tokyo."""
    made = account.client("scheduler").create_schedule(
        Name="once",
        ScheduleExpression=(moment + timedelta(hours=9)).strftime("at(%Y-%m-%dT%H:%M:%S)"),
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": role, "Input": json.dumps(INPUT)},
    )
    return made["ScheduleArn"]


def _machine(account: Account) -> tuple[str, str]:
    """Make a state machine and give its ARN and the ARN of its first execution."""
    execution = start(account, ECHO)
    await_end(account, execution)
    described = account.client("stepfunctions").describe_execution(executionArn=execution)
    return described["stateMachineArn"], execution


def _others(account: Account, machine: str, first: str) -> list[dict[str, Any]]:
    client = account.client("stepfunctions")
    found = client.list_executions(stateMachineArn=machine)["executions"]
    arns = [e["executionArn"] for e in found if e["executionArn"] != first]
    return [client.describe_execution(executionArn=arn) for arn in arns]


def test_a_schedule_fires_in_its_time_zone_and_fills_in_its_context(account: Account) -> None:
    machine, first = _machine(account)
    role = account.role("scheduler", {"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine})
    moment = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
    arn = _schedule(account, moment, machine, role)
    (execution,) = eventually(lambda: _others(account, machine, first))
    got = json.loads(execution["input"])
    assert got.pop("execution")
    assert got == {
        "plan_id": "shop",
        "scheduled_time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "schedule": arn,
        "attempt": "1",
    }
    assert account.decisions()[("scheduler", "states:StartExecution", True)] == 1


def test_a_schedule_whose_role_may_not_start_the_machine_starts_nothing(account: Account) -> None:
    machine, first = _machine(account)
    _schedule(account, datetime.now(timezone.utc), machine, account.role("scheduler"))
    eventually(lambda: account.decisions().get(("scheduler", "states:StartExecution", False)))
    assert _others(account, machine, first) == []


def _moments(expression: str, since: str, until: str, zone: str = "UTC") -> list[str]:
    # Imported here: MiniStack reads its settings when it is imported.
    from holdfast_local.launcher.schedules import moments

    at = [datetime.fromisoformat(text).replace(tzinfo=timezone.utc) for text in (since, until)]
    schedule = {"ScheduleExpression": expression, "ScheduleExpressionTimezone": zone, "CreationDate": at[0].timestamp()}
    return [moment.strftime("%d %H:%M") for moment in moments(schedule, None, at[1])]


@pytest.mark.parametrize(
    ("expression", "since", "until", "zone", "expected"),
    [
        ("rate(15 minutes)", "2026-03-01T10:01", "2026-03-01T10:40", "UTC", ["01 10:16", "01 10:31"]),
        ("cron(0 2 * * ? *)", "2026-07-01T00:00", "2026-07-02T12:00", "UTC", ["01 02:00", "02 02:00"]),
        # Two hours ahead of UTC in summer, one in winter.
        ("cron(0 2 * * ? *)", "2026-07-01T12:00", "2026-07-02T12:00", "Europe/Berlin", ["02 00:00"]),
        ("cron(0 2 * * ? *)", "2026-12-01T12:00", "2026-12-02T12:00", "Europe/Berlin", ["02 01:00"]),
        # 02:30 does not exist on 29 March and comes twice on 25 October.
        ("cron(30 2 * * ? *)", "2026-03-28T12:00", "2026-03-30T12:00", "Europe/Berlin", ["30 00:30"]),
        ("cron(30 2 * * ? *)", "2026-10-24T12:00", "2026-10-25T12:00", "Europe/Berlin", ["25 00:30"]),
        ("at(2026-07-01T09:00:00)", "2026-06-30T00:00", "2026-06-30T23:59", "Asia/Tokyo", []),
        ("at(2026-07-01T09:00:00)", "2026-06-30T00:00", "2026-07-01T00:00", "Asia/Tokyo", ["01 00:00"]),
    ],
)
def test_moments_follow_the_clock_of_the_zone(
    expression: str, since: str, until: str, zone: str, expected: list[str]
) -> None:
    assert _moments(expression, since, until, zone) == expected


def test_a_moment_that_was_fired_is_over() -> None:
    from holdfast_local.launcher.schedules import moments

    created = 1795539860.313
    schedule = {"ScheduleExpression": "rate(1 minute)", "CreationDate": created}
    fired: list[datetime] = []
    for tick in range(200):
        now = datetime.fromtimestamp(created + tick, timezone.utc)
        fired += moments(schedule, fired[-1].timestamp() if fired else None, now)
    assert [moment.timestamp() for moment in fired] == [1795539920, 1795539980, 1795540040]
