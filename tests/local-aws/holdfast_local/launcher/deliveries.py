"""EventBridge hands an event on the way AWS does.

- To a function: asynchronously, three times at most, then elsewhere. MiniStack calls the function once and forgets what
  came of it. Its Lambda knows better (attempts, the destination for what failed), so EventBridge is made to use that;
  and the destination is reached only if the function's role allows it.
- To a state machine: only if the target's role may start it, which MiniStack does not look at.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ministack.services import eventbridge, lambda_svc

from holdfast_local.launcher.service_roles import denial

_log = logging.getLogger("holdfast.deliveries")
# `schedules` has asked the role of a schedule already.
_OF_SCHEDULER = "aws.scheduler"
_SEND = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}


def install() -> None:
    """Replace the hand-over, and ask the role before the destination and before a state machine is started."""
    route, invoke = lambda_svc._route_async_failure, eventbridge._invoke_target

    def invoke_if_allowed(target: dict, event: dict, rule: dict, *more: Any) -> None:
        arn = target.get("Arn", "")
        is_rule_for_machine = arn.split(":")[2:3] == ["states"] and event.get("Source") != _OF_SCHEDULER
        why = denial(target.get("RoleArn", ""), "states:StartExecution", arn, "events") if is_rule_for_machine else None
        if why:
            _log.error("an event of rule %s did not start %s: %s", rule.get("Name"), arn, why)
        else:
            invoke(target, event, rule, *more)

    def deliver(arn: str, payload: str) -> None:
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            _log.warning("EventBridge found no function %s", name)
            return
        lambda_svc.invoke_async_with_retry(
            lambda_svc._execution_record_for_config(function, config), json.loads(payload)
        )

    def route_if_allowed(target: str, name: str, event: Any, result: dict) -> None:
        config = (lambda_svc._functions.get(name) or {}).get("config") or {}
        action = _SEND.get(target.split(":")[2], "")
        why = denial(config.get("Role", ""), action, target, name) if config else None
        if why:
            _log.error("a failed event of %s is lost: %s", name, why)
        else:
            route(target, name, event, result)

    eventbridge._invoke_target = invoke_if_allowed
    eventbridge._dispatch_to_lambda = deliver
    lambda_svc._route_async_failure = route_if_allowed
