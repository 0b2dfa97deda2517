"""Elastic Load Balancing: targets are ec2-sim's instances, and their health is whether they run.

MiniStack takes any target, tells one from another by its id alone, and calls all of them healthy. Here an instance has
to run when it is registered, a target is its id and its port, and

| target | health |
|---|---|
| an instance that runs, or an address of one | `healthy` |
| an instance that does not | `unused`, `Target.InvalidState` |
| an address of none | `unhealthy`, `Target.Timeout` |
| one that is asked for and not registered | `unused`, `Target.NotRegistered` |

Nothing is probed: there is no application behind the address. Describing is judged on everything, as on AWS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ministack import app
from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region
from ministack.services import alb

from holdfast_local.launcher.world import World

_Target = dict[str, Any]
_UNREGISTERED = "unused", "Target.NotRegistered", "Target is not registered to the target group"


def install(simulator: str) -> None:
    """Put the three calls about targets in front of MiniStack's."""
    targets = _Targets(World(simulator))
    ours = {
        "DeregisterTargets": targets.deregister,
        "DescribeTargetHealth": targets.health,
        "RegisterTargets": targets.register,
    }
    app.SERVICE_HANDLERS["elasticloadbalancing"] = _with_targets(app.SERVICE_HANDLERS["elasticloadbalancing"], ours)
    resource = iam_actions.extract_resource_arn

    def on_everything(
        service: str, method: str, path: str, headers: dict, body: bytes, params: dict, *where: str
    ) -> str:
        if service == "elasticloadbalancing" and alb._p(params, "Action").startswith("Describe"):
            return "*"
        return resource(service, method, path, headers, body, params, *where)

    iam_actions.extract_resource_arn = on_everything


def _with_targets(handle: Callable, ours: dict[str, Callable[[dict], tuple]]) -> Callable:
    async def answer(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        params = app._routing_params(method, path, headers, body, query)
        if act := ours.get(alb._p(params, "Action")):
            # A question to the simulator must not hold up everybody else.
            return await asyncio.to_thread(act, params)
        return await handle(method, path, headers, body, query)

    return answer


class _Targets:
    """The targets of the caller's target groups."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, params: dict) -> tuple:
        arn, group = _group(params)
        if group is None:
            return _no_group(arn)
        asked = _asked(params, group)
        if group["TargetType"] == "instance":
            states = self._states("instance-id", (t["Id"] for t in asked))
            if idle := [t["Id"] for t in asked if states.get(t["Id"]) != "running"]:
                why = "The following targets are not in a running state and cannot be registered: "
                return alb._error("InvalidTarget", why + ", ".join(f"'{i}'" for i in idle))
        alb._targets[arn] = [t for t in alb._targets.get(arn, []) if t not in asked] + asked
        return alb._empty("RegisterTargets")

    def deregister(self, params: dict) -> tuple:
        arn, group = _group(params)
        if group is None:
            return _no_group(arn)
        asked = _asked(params, group)
        alb._targets[arn] = [t for t in alb._targets.get(arn, []) if t not in asked]
        return alb._empty("DeregisterTargets")

    def health(self, params: dict) -> tuple:
        arn, group = _group(params)
        if group is None:
            return _no_group(arn)
        registered = alb._targets.get(arn, [])
        shown = _asked(params, group) or registered
        named = "instance-id" if group["TargetType"] == "instance" else "private-ip-address"
        states = self._states(named, (t["Id"] for t in shown))
        of_each = [(t, _health(named, states.get(t["Id"])) if t in registered else _UNREGISTERED) for t in shown]
        described = "".join(_member(target, *health) for target, health in of_each)
        inner = f"<TargetHealthDescriptions>{described}</TargetHealthDescriptions>"
        return alb._xml(200, "DescribeTargetHealth", inner)

    def _states(self, named: str, values: Iterable[str]) -> dict[str, str]:
        """Give the state of each instance that is there, by its id or its address."""
        wanted = {f"Filter.1.Value.{n}": value for n, value in enumerate(dict.fromkeys(values), start=1)}
        if not wanted:
            return {}
        which = {"Filter.1.Name": named, **wanted}
        described = self._world.described(get_account_id(), get_region(), "DescribeInstances", **which)
        field = "{*}instanceId" if named == "instance-id" else "{*}privateIpAddress"
        found = [] if described is None else described.iterfind(".//{*}instancesSet/{*}item")
        return {item.findtext(field, ""): item.findtext("{*}instanceState/{*}name", "") for item in found}


def _group(params: dict) -> tuple[str, dict | None]:
    arn = alb._p(params, "TargetGroupArn")
    return arn, alb._tgs.get(arn)


def _no_group(arn: str) -> tuple:
    return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")


def _asked(params: dict, group: dict) -> list[_Target]:
    """Give the targets that a call names, each with the port that it has if it names none."""
    return [{"Port": group["Port"], **target} for target in alb._parse_targets_param(params)]


def _health(named: str, state: str | None) -> tuple[str, str, str]:
    if state == "running":
        return "healthy", "", ""
    if named == "instance-id":
        return "unused", "Target.InvalidState", f"Target is in the {state or 'terminated'} state"
    return "unhealthy", "Target.Timeout", "Request timed out"


def _member(target: _Target, state: str, reason: str, description: str) -> str:
    why = f"<Reason>{reason}</Reason><Description>{description}</Description>" if reason else ""
    return (
        f"<member><Target><Id>{target['Id']}</Id><Port>{target['Port']}</Port></Target>"
        f"<HealthCheckPort>{target['Port']}</HealthCheckPort>"
        f"<TargetHealth><State>{state}</State>{why}</TargetHealth></member>"
    )
