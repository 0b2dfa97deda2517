"""Systems Manager: `SendCommand` and `GetCommandInvocation` go to ec2-sim, which plays the guest.

MiniStack knows only instances of its own. The call is judged on the document and on each instance, as on AWS:
`ssm:SendCommand` on `arn:aws:ssm:REGION::document/AWS-…` (with the account where the document is the caller's own) and
on `arn:aws:ec2:REGION:ACCOUNT:instance/…`; `ssm:GetCommandInvocation` on everything. All the rest of Systems Manager
stays MiniStack's, `ListCommands` too, which knows nothing of these commands.
"""

from __future__ import annotations

import functools
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlencode

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.core.router import extract_access_key_id
from ministack.services import tagging

from holdfast_local.launcher.forwarding import Simulator

# Nobody's own document may have such a name.
_OF_AWS = re.compile(r"aws|amazon|amzn", re.IGNORECASE)
_INSTANCE_LIMIT = 50
_OUTPUT_LIMIT = 24_000
_COMMENT_LIMIT = 100
_HOUR = 3600
_TOLD_AGAIN = ("Comment", "DocumentName", "DocumentVersion")
_MOMENT = "%Y-%m-%dT%H:%M:%S.000Z"
# What a finished command's plugin returned; -1 is one that did not finish.
_RESPONSE_CODES = {"Success": 0, "Failed": 1}
_DETAILS = {"TimedOut": "ExecutionTimedOut"}

_Json = dict[str, Any]
_say = functools.partial(json_response, content_type="application/x-amz-json-1.1")
_refuse = functools.partial(
    error_response_json, status=400, message_key="Message", content_type="application/x-amz-json-1.1"
)


def install(simulator: str) -> None:
    """Put the two calls in front of MiniStack's Systems Manager."""
    resource = iam_actions.extract_resource_arn

    def on_the_document(
        service: str, method: str, path: str, headers: dict, body: bytes, params: dict, *where: str
    ) -> str:
        data = _data(body) if service == "ssm" and _action(headers) == "SendCommand" else {}
        if name := data.get("DocumentName"):
            return document_arn(name, *where)
        return resource(service, method, path, headers, body, params, *where)

    iam_actions.extract_resource_arn = on_the_document
    app.SERVICE_HANDLERS["ssm"] = _with_guests(app.SERVICE_HANDLERS["ssm"], Simulator(simulator))


def document_arn(name: str, region: str, account: str) -> str:
    """Give the ARN of a document; one of another account is named by its ARN."""
    if name.startswith("arn:"):
        return name
    return f"arn:aws:ssm:{region}:{'' if _OF_AWS.match(name) else account}:document/{name}"


def _with_guests(handle: Callable, simulator: Simulator) -> Callable:
    # What the guest is not told and the caller may ask for again, by the command's id.
    sent: dict[str, _Json] = {}

    async def command_or_handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        match _action(headers):
            case "SendCommand":
                data = _data(body)
                ids = _instances(data)
                return _denial(headers, query, ids) or _fault(data, ids) or await _send(simulator, data, ids, sent)
            case "GetCommandInvocation":
                return await _invocation(simulator, _data(body), sent)
        return await handle(method, path, headers, body, query)

    return command_or_handle


def _action(headers: dict) -> str:
    return headers.get("x-amz-target", "").rpartition(".")[2]


def _data(body: bytes) -> _Json:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _instances(data: _Json) -> list[str]:
    """Give the instances that a call names, in either of the two forms."""
    named = [i for target in data.get("Targets") or [] if _names_instances(target) for i in target.get("Values") or []]
    return list(dict.fromkeys([*(data.get("InstanceIds") or []), *named]))


def _names_instances(target: _Json) -> bool:
    return str(target.get("Key", "")).lower() == "instanceids"


def _denial(headers: dict, query: dict, instance_ids: Iterable[str]) -> tuple | None:
    """Give the refusal of the first instance on which the caller may run nothing."""
    region = get_region()
    for instance_id in instance_ids:
        arn = f"arn:aws:ec2:{region}:{get_account_id()}:instance/{instance_id}"
        tags = {f"ssm:resourceTag/{name}": value for name, value in (tagging.resource_tags(arn) or {}).items()}
        caller = extract_access_key_id(headers, query)
        denied = iam_evaluator.enforce(caller, "ssm:SendCommand", "ssm", region, arn, tags)
        if denied:
            return iam_actions.access_denied_response(
                "ssm",
                "ssm:SendCommand",
                getattr(denied, "principal_arn", ""),
                str(uuid.uuid4()),
                headers=headers,
                resource_arn=arn,
                explicit_deny=getattr(denied, "decision", "") == "Deny",
            )
    return None


def _fault(data: _Json, instance_ids: list[str]) -> tuple | None:
    if not data.get("DocumentName"):
        return _refuse("ValidationException", "DocumentName is required")
    if not all(map(_names_instances, data.get("Targets") or [])):
        return _refuse("InvalidTarget", "Targets other than InstanceIds are not known here")
    if not 0 < len(instance_ids) <= _INSTANCE_LIMIT:
        return _refuse("ValidationException", f"Name 1 to {_INSTANCE_LIMIT} instances")
    if len(data.get("Comment") or "") > _COMMENT_LIMIT:
        return _refuse("ValidationException", f"Comment: at most {_COMMENT_LIMIT} characters")
    return None


async def _send(simulator: Simulator, data: _Json, instance_ids: list[str], sent: dict[str, _Json]) -> tuple:
    parameters = data.get("Parameters") or {}
    asked = {"instance_ids": instance_ids, "document_name": data["DocumentName"], "parameters": parameters}
    status, answer = await _guest(simulator, "POST", "", asked)
    if status != 200:
        every = f"Instances [[{', '.join(instance_ids)}]] not in a valid state for account {get_account_id()}"
        return _refuse("InvalidInstanceId", answer.get("message") or every)
    now, timeout = time.time(), data.get("TimeoutSeconds") or _HOUR
    command = {
        "CommandId": answer["command_id"],
        "DocumentName": data["DocumentName"],
        "DocumentVersion": data.get("DocumentVersion") or "$DEFAULT",
        "Comment": data.get("Comment") or "",
        "ExpiresAfter": now + timeout + _HOUR,
        "Parameters": parameters,
        "InstanceIds": instance_ids,
        "Targets": data.get("Targets") or [],
        "RequestedDateTime": now,
        "Status": "Pending",
        "StatusDetails": "Pending",
        "OutputS3Region": get_region(),
        "OutputS3BucketName": "",
        "OutputS3KeyPrefix": "",
        "MaxConcurrency": data.get("MaxConcurrency") or "50",
        "MaxErrors": data.get("MaxErrors") or "0",
        "TargetCount": len(instance_ids),
        "CompletedCount": 0,
        "ErrorCount": 0,
        "DeliveryTimedOutCount": 0,
        "ServiceRole": "",
        "TimeoutSeconds": timeout,
    }
    sent[command["CommandId"]] = {name: command[name] for name in _TOLD_AGAIN}
    return _say({"Command": command})


async def _invocation(simulator: Simulator, data: _Json, sent: dict[str, _Json]) -> tuple:
    command_id, instance_id = str(data.get("CommandId") or ""), str(data.get("InstanceId") or "")
    route = f"/{quote(command_id, safe='')}/{quote(instance_id, safe='')}"
    status, answer = await _guest(simulator, "GET", route)
    if status != 200:
        return _refuse("InvocationDoesNotExist", f"No command {command_id} on {instance_id}")
    state, output = answer["status"], answer.get("output") or ""
    has_begun, is_over = state not in ("Pending", "Delayed"), state not in ("Pending", "Delayed", "InProgress")
    moment = time.strftime(_MOMENT, time.gmtime())
    invocation = {
        "CommandId": command_id,
        "InstanceId": instance_id,
        **sent.get(command_id, {}),
        "PluginName": "aws:runShellScript",
        "ResponseCode": _RESPONSE_CODES.get(state, -1),
        "ExecutionStartDateTime": moment if has_begun else "",
        "ExecutionElapsedTime": "PT0S" if is_over else "",
        "ExecutionEndDateTime": moment if is_over else "",
        "Status": state,
        "StatusDetails": _DETAILS.get(state, state),
        "StandardOutputContent": output[:_OUTPUT_LIMIT],
        "StandardOutputUrl": "",
        "StandardErrorContent": "",
        "StandardErrorUrl": "",
    }
    return _say(invocation)


async def _guest(simulator: Simulator, method: str, route: str, body: _Json | None = None) -> tuple[int, _Json]:
    query = urlencode({"account": get_account_id(), "region": get_region()})
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    status, _, answer = await simulator.ask(method, f"/_sim/guest/commands{route}?{query}", headers, content)
    return status, _data(answer)
