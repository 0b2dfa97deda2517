"""EventBridge hands an event to a function the way AWS does: asynchronously, three times at most, then elsewhere.

MiniStack calls the function once and forgets what came of it. Its Lambda knows better (attempts, the destination for
what failed), so EventBridge is made to use that; and the destination is reached only if the function's role allows it.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ministack.services import eventbridge, lambda_svc

from holdfast_local.launcher.service_roles import denial

_log = logging.getLogger("holdfast.deliveries")
_SEND = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}


def install() -> None:
    """Replace the hand-over, and ask the role before the destination."""
    route = lambda_svc._route_async_failure

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

    eventbridge._dispatch_to_lambda = deliver
    lambda_svc._route_async_failure = route_if_allowed
