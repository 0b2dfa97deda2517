"""What AWS does on a role's behalf is checked against that role, and written down.

MiniStack lets Step Functions invoke any function, whatever the state machine's role says, and writes a function's log
whatever the function's role says. A template that forgets such a permission works with MiniStack and fails on AWS.
"""

from __future__ import annotations

import contextvars
from typing import Any

from ministack.core.iam_actions import identity_denial_message
from ministack.core.iam_evaluator import EvalContext, _gather_role_policies, evaluate
from ministack.core.responses import get_account_id, get_region
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


def install() -> None:
    """Ask the state machine's role before a function is invoked, and the function's role about its log and traces."""
    run, call = stepfunctions._run_execution, stepfunctions._call_lambda
    execute = lambda_svc._execute_function_with_config_scope

    def run_as_role(execution_arn: str) -> None:
        execution = stepfunctions._executions.get(execution_arn) or {}
        machine = stepfunctions._state_machines.get(execution.get("stateMachineArn")) or {}
        _machine_role.set(machine.get("roleArn", ""))
        run(execution_arn)

    def call_if_allowed(reference: str, event: Any) -> Any:
        _, config, _ = lambda_svc._get_func_record_for_ref(reference)
        role = _machine_role.get()
        if config and role:
            why = denial(role, "lambda:InvokeFunction", config["FunctionArn"], "states")
            if why:
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
    lambda_svc._execute_function_with_config_scope = execute_and_note
