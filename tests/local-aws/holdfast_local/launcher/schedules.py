"""EventBridge Scheduler: the right moments, and the context attributes in a target's input.

MiniStack looks every 10 s, reads `cron` and `at` in UTC whatever the schedule's time zone, and hands
`<aws.scheduler.scheduled-time>` and its kin to the target as they stand. Holdfast's plans name time zones, and the
scheduled time is what makes two deliveries of one slot the same job. So the sweep is ours; the dispatch of a due
schedule stays MiniStack's. MiniStack also judges every call as if its schedule were in the group `default`, and its
CloudFormation forgets a schedule's time zone and dates.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from ministack.core import iam_actions
from ministack.core.responses import new_uuid, request_scope
from ministack.services import eventbridge, scheduler
from ministack.services.cloudformation import provisioners

from holdfast_local.launcher import service_roles

_log = logging.getLogger("holdfast.schedules")
_SWEEP_SECONDS = 1
_AT = re.compile(r"\s*at\((.+)\)\s*")
# What a schedule's role is asked, by the service of its target.
_START = {"states": "states:StartExecution", "lambda": "lambda:InvokeFunction"}
_FORGOTTEN = ("ScheduleExpressionTimezone", "StartDate", "EndDate")


def install() -> None:
    """Replace the sweep, make it often enough for a person to watch, and put schedules in their groups for IAM."""
    scheduler._SCHEDULE_TICK_INTERVAL = _SWEEP_SECONDS
    scheduler._tick_schedules = lambda: sweep(datetime.now(timezone.utc))
    resource = iam_actions.extract_resource_arn

    def in_its_group(
        service: str, method: str, path: str, headers: dict, body: bytes, params: dict, *where: str
    ) -> str:
        arn = resource(service, method, path, headers, body, params, *where)
        if service != "scheduler" or ":schedule/default/" not in arn:
            return arn
        group = iam_actions._safe_json_field(body, "GroupName") or iam_actions._query_param(params, "groupName")
        return arn.replace(":schedule/default/", f":schedule/{group or 'default'}/")

    iam_actions.extract_resource_arn = in_its_group
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]
    create, update = handlers["create"], handlers["update"]

    def create_schedule(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        return _complete(create(logical_id, props, stack_name), props)

    def update_schedule(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
        return _complete(update(physical_id, old, new, stack_name), new)

    handlers.update(create=create_schedule, update=update_schedule)


def _complete(made: tuple[str, dict], props: dict[str, Any]) -> tuple[str, dict]:
    """Give a schedule of a template what CloudFormation left out."""
    schedule = scheduler._schedules.get(f"{props.get('GroupName', 'default')}/{made[0]}")
    if schedule is None:
        raise ValueError(f"{made[0]}: EventBridge Scheduler refused the schedule")
    schedule.update({name: props[name] for name in _FORGOTTEN if name in props})
    return made


def sweep(now: datetime) -> None:
    """Start what is due at `now`, once for each moment. Of several missed moments, the last one counts."""
    for key, schedule in list(scheduler._schedules._data.items()):
        account, region, name = key
        end = scheduler._to_epoch(schedule.get("EndDate"))
        since = scheduler._schedule_last_fired.get(key)
        try:
            due = list(moments(schedule, since, now))
        except (ValueError, KeyError) as error:  # an expression or a time zone that nobody can read
            _log.warning("schedule %s: %s", name, error)
            continue
        if due and schedule.get("State") == "ENABLED":
            scheduler._schedule_last_fired[key] = due[-1].timestamp()
            with request_scope(account, region):
                _start(schedule, due[-1])
        over = _AT.fullmatch(schedule["ScheduleExpression"]) if due else end is not None and now.timestamp() > end
        if over and schedule.get("ActionAfterCompletion") == "DELETE":
            scheduler._schedules._data.pop(key, None)
            scheduler._schedule_last_fired.pop(key, None)


def moments(schedule: dict, since: float | None, now: datetime) -> Iterator[datetime]:
    """Give the schedule's moments after `since` (or after it was made) and up to `now`, in UTC, oldest first.

    A moment in the hour that daylight saving skips does not exist; one in the hour that comes twice is its first.
    """
    # Whole seconds, as everywhere in Scheduler; fractions would make a moment later than itself.
    created = int(scheduler._to_epoch(schedule.get("CreationDate")) or now.timestamp())
    begin = datetime.fromtimestamp(created if since is None else since, timezone.utc)
    start, end = (scheduler._to_epoch(schedule.get(name)) for name in ("StartDate", "EndDate"))
    for moment in _moments(schedule, created, begin, now, fired=since is not None):
        if (start is None or moment.timestamp() >= start) and (end is None or moment.timestamp() <= end):
            yield moment


def _moments(schedule: dict, created: int, begin: datetime, now: datetime, *, fired: bool) -> Iterator[datetime]:
    expression = schedule["ScheduleExpression"]
    zone = ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
    if at := _AT.fullmatch(expression):
        moment = datetime.fromisoformat(at[1].strip()).replace(tzinfo=zone).astimezone(timezone.utc)
        if not fired and moment <= now:
            yield moment
    elif interval := eventbridge._parse_rate_seconds(expression):
        count = int((begin.timestamp() - created) // interval) + 1
        while (moment := datetime.fromtimestamp(created + count * interval, timezone.utc)) <= now:
            yield moment
            count += 1
    elif fields := eventbridge._parse_cron_fields(expression):
        # The wall clock of the schedule's zone, walked as if it were UTC.
        wall = begin.astimezone(zone).replace(tzinfo=timezone.utc)
        last = now.astimezone(zone).replace(tzinfo=timezone.utc) + timedelta(hours=1)
        while (wall := eventbridge._cron_next_fire(fields, wall)) is not None and wall <= last:
            moment = wall.replace(tzinfo=zone).astimezone(timezone.utc)
            exists = moment.astimezone(zone).replace(tzinfo=timezone.utc) == wall
            if exists and begin < moment <= now:
                yield moment
    else:
        raise ValueError(f"{expression}: not an at, rate or cron expression")


def _start(schedule: dict, moment: datetime) -> None:
    target = dict(schedule.get("Target") or {})
    if not target.get("Arn"):
        return
    if "Input" in target:
        target["Input"] = fill_in(target["Input"], schedule, moment)
    action = _START.get(target["Arn"].split(":")[2])
    denial = service_roles.denial(target.get("RoleArn", ""), action, target["Arn"], "scheduler") if action else None
    if denial:
        _log.error("schedule %s was not delivered: %s", schedule.get("Name"), denial)
        return
    event = {
        "EventId": new_uuid(),
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "Time": moment.timestamp(),
        "Resources": [schedule.get("Arn", "")],
    }
    eventbridge._invoke_target(target, event, schedule)


def fill_in(text: str, schedule: dict[str, Any], moment: datetime) -> str:
    """Replace the context attributes in a target's input, each as AWS writes it."""
    attributes = {
        "schedule-arn": schedule.get("Arn", ""),
        "scheduled-time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": secrets.token_hex(8),
        "attempt-number": "1",
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", json.dumps(value)[1:-1])
    return text
