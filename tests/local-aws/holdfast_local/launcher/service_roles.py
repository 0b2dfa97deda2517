"""What AWS does on a role's behalf is checked against that role, and written down.

MiniStack lets Step Functions invoke any function, whatever the state machine's role says, writes a function's log
whatever the function's role says, and lets anybody pass any role to a schedule. A template that forgets such a
permission works with MiniStack and fails on AWS.
"""

from __future__ import annotations

import contextvars
import json
import uuid
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.iam_actions import access_denied_response, identity_denial_message
from ministack.core.iam_evaluator import EvalContext, _gather_role_policies, evaluate
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id
from ministack.services import lambda_svc, stepfunctions

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
    app.SERVICE_HANDLERS["scheduler"] = _with_pass_role_check(app.SERVICE_HANDLERS["scheduler"])


def _with_pass_role_check(handle: Any) -> Any:
    async def check_and_handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        role = _passed_role(body) if method in ("POST", "PUT") else None
        if role:
            denied = iam_evaluator.enforce(
                extract_access_key_id(headers, query),
                "iam:PassRole",
                "scheduler",
                get_region(),
                role,
                {"iam:PassedToService": "scheduler.amazonaws.com"},
            )
            if denied:
                principal = getattr(denied, "principal_arn", "")
                explicit = getattr(denied, "decision", "") == "Deny"
                why = identity_denial_message("iam:PassRole", principal, role, explicit)
                request = str(uuid.uuid4())
                return access_denied_response(
                    "scheduler", "iam:PassRole", principal, request, message=why, headers=headers
                )
        return await handle(method, path, headers, body, query)

    return check_and_handle


def _passed_role(body: bytes) -> str | None:
    try:
        return json.loads(body)["Target"]["RoleArn"]
    except (ValueError, KeyError, TypeError):
        return None
