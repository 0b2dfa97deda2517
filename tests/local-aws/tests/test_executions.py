"""Step Functions waits, ends and asks its role as on AWS."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from conftest import Account, await_end, start

# A custom runtime, as small as it gets: answers what it was asked.
BOOTSTRAP = b"""#!/usr/bin/env python3
import os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        request, body = event.headers["Lambda-Runtime-Aws-Request-Id"], event.read()
    urllib.request.urlopen(urllib.request.Request(api + request + "/response", body)).read()
"""


def make_function(account: Account, name: str, role: str, bootstrap: bytes = BOOTSTRAP) -> str:
    """Make a function and give its ARN."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, bootstrap)
    made = account.client("lambda").create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role=role,
        Code={"ZipFile": package.getvalue()},
        Timeout=30,
    )
    return made["FunctionArn"]


def invoke(arn: str, **more: Any) -> dict[str, Any]:
    """Give a state that invokes a function."""
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": arn}, **more}


@pytest.fixture
def virtual(account: Account) -> Callable[[], list[float]]:
    """Make the account's waits virtual; give a function that tells by how much its clock was moved."""
    account.ask("POST", "/_holdfast/virtual-time", {"account": account.id, "on": True})

    def advances() -> list[float]:
        made = account.ask("GET", "/_sim/advances", base=account.stack.simulator)
        return [advance["seconds"] for advance in made if advance["account"] == account.id]

    return advances


WAIT_AN_HOUR = {"Type": "Wait", "Seconds": 3600, "Next": "End"}
END = {"Type": "Pass", "Output": "done", "End": True}


def test_a_virtual_wait_moves_the_clock_and_takes_no_time(virtual: Callable, execution: Callable) -> None:
    before = time.monotonic()
    assert execution({"Wait": WAIT_AN_HOUR, "End": END})["status"] == "SUCCEEDED"
    assert time.monotonic() - before < 30
    assert virtual() == [3600]


def test_a_wait_until_a_moment_moves_the_clock_to_it(virtual: Callable, execution: Callable) -> None:
    moment = (datetime.now(timezone.utc) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (
        execution({"Wait": {"Type": "Wait", "Timestamp": moment, "Next": "End"}, "End": END})["status"] == "SUCCEEDED"
    )
    assert virtual() == [pytest.approx(7200, abs=30)]


def test_the_pause_before_a_retry_is_virtual_too(virtual: Callable, execution: Callable) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 20, "MaxAttempts": 2, "BackoffRate": 2}]
    assert execution({"Ask": invoke("no-such-function", Retry=retry, End=True)})["status"] == "FAILED"
    assert virtual() == [20, 40]


def test_a_wait_is_real_unless_asked_otherwise(execution: Callable) -> None:
    before = time.monotonic()
    assert execution({"Wait": {**WAIT_AN_HOUR, "Seconds": 2}, "End": END})["status"] == "SUCCEEDED"
    assert time.monotonic() - before >= 2


def test_virtual_time_can_be_switched_off(account: Account, virtual: Callable, execution: Callable) -> None:
    account.ask("POST", "/_holdfast/virtual-time", {"account": account.id, "on": False})
    execution({"Wait": {**WAIT_AN_HOUR, "Seconds": 1}, "End": END})
    assert virtual() == []


def test_an_execution_times_out_and_says_so(account: Account, execution: Callable) -> None:
    queue = _hear_endings(account)
    ended = execution({"Wait": {**WAIT_AN_HOUR, "Seconds": 20}, "End": END}, TimeoutSeconds=1)
    assert ended["status"] == "TIMED_OUT"
    sqs = account.client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(m["Body"])["detail"]["status"] for m in messages] == ["TIMED_OUT"]


def _hear_endings(account: Account) -> str:
    queue = account.client("sqs").create_queue(QueueName="endings")["QueueUrl"]
    events = account.client("events")
    pattern = {"source": ["aws.states"], "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"]}}
    events.put_rule(Name="endings", EventPattern=json.dumps(pattern))
    arn = f"arn:aws:sqs:us-east-1:{account.id}:endings"
    events.put_targets(Rule="endings", Targets=[{"Id": "queue", "Arn": arn}])
    return queue


@pytest.mark.usefixtures("virtual")
def test_virtual_waits_use_up_the_time_of_an_execution(execution: Callable) -> None:
    states = {"Wait": {**WAIT_AN_HOUR, "Next": "Again"}, "Again": WAIT_AN_HOUR, "End": {**WAIT_AN_HOUR, "Next": "Last"}}
    last = {"Last": {"Type": "Wait", "Seconds": 10, "Next": "Over"}, "Over": END}
    assert execution({**states, **last}, TimeoutSeconds=5000)["status"] == "TIMED_OUT"
    assert execution({**states, **last}, TimeoutSeconds=50000)["status"] == "SUCCEEDED"


def test_a_stopped_execution_stays_stopped(account: Account) -> None:
    failing = {"Wait": {"Type": "Wait", "Seconds": 1, "Next": "Fail"}, "Fail": {"Type": "Fail", "Error": "Late"}}
    slow = {"Both": {"Type": "Parallel", "Branches": [{"StartAt": "Wait", "States": failing}], "End": True}}
    arn = start(account, slow)
    account.client("stepfunctions").stop_execution(executionArn=arn)
    time.sleep(2)
    assert await_end(account, arn)["status"] == "ABORTED"


def test_a_task_times_out(account: Account, execution: Callable) -> None:
    sleeper = BOOTSTRAP.replace(
        b"    urllib.request.urlopen(urllib", b"    import time; time.sleep(10)\n    urllib.request.urlopen(urllib"
    )
    arn = make_function(account, "sleeper", account.role("function"), sleeper)
    role = account.role("machine", {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn})
    ended = execution({"Ask": invoke(arn, TimeoutSeconds=2, End=True)}, role)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")


def test_the_output_of_a_succeed_state_is_evaluated(execution: Callable) -> None:
    ended = execution({"Done": {"Type": "Succeed", "Output": {"sum": "{% 1 + 1 %}"}}})
    assert json.loads(ended["output"]) == {"sum": 2}


def test_a_state_machine_may_invoke_only_what_its_role_allows(account: Account, execution: Callable) -> None:
    ours, other = (make_function(account, name, account.role(f"{name}-role")) for name in ("ours", "other"))
    role = account.role("machine", {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": ours})
    assert execution({"Ask": invoke(ours, End=True)}, role)["status"] == "SUCCEEDED"
    ended = execution({"Ask": invoke(other, End=True)}, role)
    assert ended["error"] == "Lambda.AWSLambdaException"
    assert f"not authorized to perform: lambda:InvokeFunction on resource: {other}" in ended["cause"]
    decisions = account.decisions()
    assert decisions[("machine", "lambda:InvokeFunction", True)] == 1
    assert decisions[("machine", "lambda:InvokeFunction", False)] == 1
    assert decisions[("ours-role", "logs:PutLogEvents", False)] == 1
