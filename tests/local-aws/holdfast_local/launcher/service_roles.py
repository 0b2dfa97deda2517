"""What AWS does on a role's behalf is checked against that role, and written down.

MiniStack lets Step Functions invoke any function, whatever the state machine's role says, writes a function's log
whatever the function's role says, and lets anybody pass any role to a schedule or, by its profile, to an instance. A
template that forgets such a permission works with MiniStack and fails on AWS.
"""

from __future__ import annotations

import contextvars
import json
import uuid
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.iam_actions import access_denied_response, identity_denial_message
from ministack.core.iam_evaluator import EvalContext, _gather_role_policies, evaluate
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id
from ministack.services import iam, lambda_svc, stepfunctions

from holdfast_local.launcher.decisions import LOG

_machine_role: contextvars.ContextVar[str] = contextvars.ContextVar("holdfast_machine_role", default="")


def denial(role_arn: str, action: str, resource_arn: str, session: str) -> str | None:
    """Tell why a role may not do something, in AWS's words; None when it may."""
    account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else get_account_id()
    name = role_arn.rpartition("/")[2]
    principal = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    context = EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource_arn,
        region=get_region(),
    )
    verdict = evaluate(context, _gather_role_policies(name, account))
    allowed = verdict.decision == "Allow"
    LOG.add(principal, action, allowed)
    return None if allowed else identity_denial_message(action, principal, resource_arn, verdict.decision == "Deny")


def machine_denial(action: str, resource_arn: str) -> str | None:
    """Tell why the role of the state machine that runs here may not do something; None when it may."""
    role = _machine_role.get()
    return denial(role, action, resource_arn, "states") if role else None


def install() -> None:
    """Ask before a function is invoked, a log is written, or a role is passed on."""
    run, call = stepfunctions._run_execution, stepfunctions._call_lambda
    execute = lambda_svc._execute_function

    def run_as_role(execution_arn: str) -> None:
        execution = stepfunctions._executions.get(execution_arn) or {}
        machine = stepfunctions._state_machines.get(execution.get("stateMachineArn")) or {}
        _machine_role.set(machine.get("roleArn", ""))
        run(execution_arn)

    def call_if_allowed(reference: str, event: Any) -> Any:
        _, config, _ = lambda_svc._get_func_record_for_ref(reference)
        if config and (why := machine_denial("lambda:InvokeFunction", config["FunctionArn"])):
            raise stepfunctions._ExecutionError("Lambda.AWSLambdaException", why)
        return call(reference, event)

    def execute_and_note(record: dict, *args: Any, **keywords: Any) -> Any:
        config = record.get("config") or record
        role = config.get("Role", "")
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
        stream = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}:log-stream:x"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            denial(role, action, stream, config.get("FunctionName", ""))
        if (config.get("TracingConfig") or {}).get("Mode") == "Active":
            for action in ("xray:PutTraceSegments", "xray:PutTelemetryRecords"):
                denial(role, action, "*", config.get("FunctionName", ""))
        return execute(record, *args, **keywords)

    stepfunctions._run_execution = run_as_role
    stepfunctions._call_lambda = call_if_allowed
    lambda_svc._execute_function = execute_and_note
    for service, passed_role in (("scheduler", _role_of_schedule), ("ec2", _role_of_instance)):
        app.SERVICE_HANDLERS[service] = _with_pass_role_check(app.SERVICE_HANDLERS[service], service, passed_role)


def _with_pass_role_check(handle: Callable, service: str, passed_role: Callable[..., str | None]) -> Callable:
    async def check_and_handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        role = passed_role(method, path, headers, body, query)
        if role:
            denied = iam_evaluator.enforce(
                extract_access_key_id(headers, query),
                "iam:PassRole",
                service,
                get_region(),
                role,
                {"iam:PassedToService": f"{service}.amazonaws.com"},
            )
            if denied:
                principal = getattr(denied, "principal_arn", "")
                explicit = getattr(denied, "decision", "") == "Deny"
                why = identity_denial_message("iam:PassRole", principal, role, explicit)
                request = str(uuid.uuid4())
                return access_denied_response(service, "iam:PassRole", principal, request, message=why, headers=headers)
        return await handle(method, path, headers, body, query)

    return check_and_handle


def _role_of_schedule(method: str, _path: str, _headers: dict, body: bytes, _query: dict) -> str | None:
    try:
        return json.loads(body)["Target"]["RoleArn"] if method in ("POST", "PUT") else None
    except (ValueError, KeyError, TypeError):
        return None


def _role_of_instance(method: str, path: str, headers: dict, body: bytes, query: dict) -> str | None:
    """Give the role of the instance profile that a call names. One that IAM does not know has the role of its name."""
    params = app._routing_params(method, path, headers, body, query)
    named = [value for name in ("Arn", "Name") for value in params.get(f"IamInstanceProfile.{name}", [])]
    if not named:
        return None
    name, account = named[0].rpartition("/")[2], get_account_id()
    profile = iam._instance_profiles.get_scoped(account, None, name)
    roles = [name] if profile is None else profile["Roles"]
    known = [iam._roles.get_scoped(account, None, role) for role in roles]
    arns = [(r or {}).get("Arn") or f"arn:aws:iam::{account}:role/{n}" for r, n in zip(known, roles, strict=True)]
    return arns[0] if arns else None
