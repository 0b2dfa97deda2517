"""What one service starts in another: a function a function, a rule a state machine, a schedule a function."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow, eventually

WORKER = b"""
def handler(event, context):
    if event.get("fail"):
        raise ValueError("no such volume")
    return {"got": event, "account": context.invoked_function_arn.split(":")[4]}
"""
CALLER = b"""
import json
import boto3

def handler(event, context):
    answer = boto3.client("lambda").invoke(FunctionName=event["function"], Payload=json.dumps(event["payload"]))
    return {"error": answer.get("FunctionError"), "answer": json.loads(answer["Payload"].read())}
"""
REGIONS = ["us-east-1", "eu-central-1"]


def _function(account: Account, name: str, code: bytes, *statements: dict[str, Any], region: str = "us-east-1") -> str:
    """Make a function in Python, with a role of the same name; give its ARN."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", code)
    made = account.client("lambda", region=region).create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role=account.role(name, *statements),
        Code={"ZipFile": package.getvalue()},
        Timeout=30,
    )
    return made["FunctionArn"]


def _call(account: Account, region: str, caller: str, **event: Any) -> dict[str, Any]:
    made = account.client("lambda", region=region).invoke(FunctionName=caller, Payload=json.dumps(event))
    return json.load(made["Payload"])


@pytest.mark.parametrize("region", REGIONS)
def test_a_function_calls_a_function_that_its_role_names(account: Account, region: str) -> None:
    worker = _function(account, "worker", WORKER, region=region)
    other = _function(account, "other", WORKER, region=region)
    to_worker = allow("lambda:InvokeFunction", worker)
    caller = _function(account, "caller", CALLER, to_worker, region=region)
    answer = _call(account, region, caller, function=worker, payload={"volume": 1})
    assert answer == {"error": None, "answer": {"got": {"volume": 1}, "account": account.id}}
    by_name = _call(account, region, caller, function="worker", payload={})
    assert by_name["answer"]["got"] == {}
    failed = _call(account, region, caller, function=worker, payload={"fail": True})
    assert (failed["error"], failed["answer"]["errorMessage"]) == ("Unhandled", "no such volume")
    refused = _call(account, region, caller, function=other, payload={})
    assert "AccessDeniedException" in refused["errorMessage"]
    assert account.decisions()[("caller", "lambda:InvokeFunction", True)] == 3


def _machine(account: Account, name: str, state: dict[str, Any]) -> str:
    definition = {"QueryLanguage": "JSONata", "StartAt": "Only", "States": {"Only": {**state, "End": True}}}
    made = account.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=account.role(f"runs-{name}")
    )
    return made["stateMachineArn"]


def _rule(account: Account, machine: str, role: dict[str, str], after: str) -> None:
    """Start a machine after an execution of another one was stopped."""
    events = account.client("events")
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [after], "status": ["ABORTED"]},
    }
    transformed = {
        "InputPathsMap": {"execution": "$.detail.executionArn", "status": "$.detail.status"},
        "InputTemplate": '{"stopped": <execution>, "as": "<status>"}',
    }
    events.put_rule(Name="aborted", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="aborted", Targets=[{"Id": "1", "Arn": machine, "InputTransformer": transformed, **role}])


def _stop_one(account: Account, machine: str) -> str:
    states = account.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=machine, name="slow-1", input="{}")["executionArn"]
    states.stop_execution(executionArn=execution, error="Stopped", cause="by hand")
    return execution


def test_a_stopped_execution_starts_the_state_machine_of_a_rule(account: Account) -> None:
    slow, cleanup = (
        _machine(account, "slow", {"Type": "Wait", "Seconds": 60}),
        _machine(account, "cleanup", {"Type": "Pass"}),
    )
    role = account.role("rule", allow("states:StartExecution", cleanup), service="events.amazonaws.com")
    _rule(account, cleanup, {"RoleArn": role}, slow)
    stopped = _stop_one(account, slow)
    states = account.client("stepfunctions")
    (started,) = eventually(lambda: states.list_executions(stateMachineArn=cleanup)["executions"])
    described = states.describe_execution(executionArn=started["executionArn"])
    assert json.loads(described["input"]) == {"stopped": stopped, "as": "ABORTED"}
    assert account.decisions()[("rule", "states:StartExecution", True)] == 1


def test_a_rule_whose_role_may_not_start_the_state_machine_starts_nothing(account: Account) -> None:
    slow, cleanup = (
        _machine(account, "slow", {"Type": "Wait", "Seconds": 60}),
        _machine(account, "cleanup", {"Type": "Pass"}),
    )
    role = account.role("rule", allow("states:StartExecution", slow), service="events.amazonaws.com")
    _rule(account, cleanup, {"RoleArn": role}, slow)
    _stop_one(account, slow)
    eventually(lambda: account.decisions().get(("rule", "states:StartExecution", False)))
    assert account.client("stepfunctions").list_executions(stateMachineArn=cleanup)["executions"] == []


def test_a_name_starts_one_execution_only(account: Account) -> None:
    machine = _machine(account, "once", {"Type": "Pass"})
    states = account.client("stepfunctions")
    states.start_execution(stateMachineArn=machine, name="restore-1", input="{}")
    for given in ("{}", '{"another": true}'):
        with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
            states.start_execution(stateMachineArn=machine, name="restore-1", input=given)


RECORDER = b"""
import json
import boto3

def handler(event, context):
    boto3.client("ssm").put_parameter(Name="/seen", Value=json.dumps(event), Type="String")
"""


def _schedule(account: Account, function: str, *granted: dict[str, Any]) -> None:
    """Call a function now, as a role that may do no more than is granted."""
    account.client("scheduler").create_schedule(
        Name="once",
        ScheduleExpression=datetime.now(timezone.utc).strftime("at(%Y-%m-%dT%H:%M:%S)"),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": function,
            "RoleArn": account.role("schedule", *granted, service="scheduler.amazonaws.com"),
            "Input": json.dumps({"plan_id": "shop"}),
        },
    )


def _seen(account: Account) -> list[dict[str, Any]]:
    found = account.client("ssm").get_parameters(Names=["/seen"])["Parameters"]
    return [json.loads(parameter["Value"]) for parameter in found]


def test_a_schedule_calls_a_function_with_its_input(account: Account) -> None:
    function = _function(account, "recorder", RECORDER, allow("ssm:PutParameter"))
    _schedule(account, function, allow("lambda:InvokeFunction", function))
    assert eventually(lambda: _seen(account)) == [{"plan_id": "shop"}]
    assert account.decisions()[("schedule", "lambda:InvokeFunction", True)] == 1


def test_a_schedule_whose_role_may_not_call_the_function_calls_nothing(account: Account) -> None:
    _schedule(account, _function(account, "recorder", RECORDER, allow("ssm:PutParameter")))
    eventually(lambda: account.decisions().get(("schedule", "lambda:InvokeFunction", False)))
    assert _seen(account) == []
