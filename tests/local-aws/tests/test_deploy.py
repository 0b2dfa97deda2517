"""The template deploys with `sam deploy`, and its parts are wired to one another.

The functions are stand-ins that write down what they are asked. What the real ones do is tested elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Account, await_end, eventually, settings_in
from holdfast_local import stack
from holdfast_local.deploy import DEFAULT_ACCOUNT, MAIN, Template, deploy
from holdfast_local.settings import STACK_NAME, Settings

# open-job fails, which takes an execution straight to its recorder of failure.
STAND_IN = """#!/usr/bin/env python3
import json, os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def say(path, answer):
    urllib.request.urlopen(urllib.request.Request(api + path, json.dumps(answer).encode())).read()
while True:
    with urllib.request.urlopen(api + "next") as event:
        request, body = event.headers["Lambda-Runtime-Aws-Request-Id"], json.load(event)
    with open(os.environ["TMPDIR"] + "/calls", "a") as calls:
        kept = {n: v for n, v in os.environ.items() if n.startswith(("HOLDFAST_", "AWS_"))}
        calls.write(json.dumps({"function": "FUNCTION", "event": body, "variables": kept}) + "\\n")
    if "FUNCTION" == "open-job" or "execution_id" not in body and "FUNCTION" == "close-job":
        say(request + "/error", {"errorType": "PermanentError", "errorMessage": "no such plan"})
    else:
        say(request + "/response", {"status": "FAILED", "message": "no such plan"})
"""


@dataclass(frozen=True)
class Deployed:
    """The deployed stack, and what its functions were asked."""

    settings: Settings
    account: Account
    outputs: dict[str, str]

    def calls(self, function: str) -> list[dict[str, Any]]:
        """Give the calls of one function so far."""
        path = self.settings.state / "tmp" / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call for call in map(json.loads, lines) if call["function"] == function]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Deploy the template with the stand-ins."""
    settings = settings_in(tmp_path_factory.mktemp("deployed"))
    for name in MAIN.functions():
        bootstrap = settings.functions / name / "bootstrap"
        bootstrap.parent.mkdir(parents=True)
        bootstrap.write_text(STAND_IN.replace("FUNCTION", name))
    started = stack.up(settings, print)
    account = Account(started, DEFAULT_ACCOUNT)
    try:
        yield Deployed(settings, account, deploy(settings, started, print))
    finally:
        stack.down(settings)


def test_the_outputs_are_written_down(deployed: Deployed) -> None:
    written = json.loads((deployed.settings.state / "outputs.json").read_text())
    assert written == deployed.outputs
    assert set(written) >= {"BackupStateMachineArn", "TableName", "ManagePlanFunctionName", "SealKeyArn"}


def test_a_second_deployment_does_nothing(deployed: Deployed) -> None:
    said: list[str] = []
    assert deploy(deployed.settings, deployed.account.stack, said.append) == deployed.outputs
    assert said == ["Deployed already, and nothing has changed since."]


def test_a_changed_function_is_deployed_again(deployed: Deployed) -> None:
    bootstrap = deployed.settings.functions / "manage-plan" / "bootstrap"
    bootstrap.write_text(bootstrap.read_text().replace("no such plan", "changed"))
    deploy(deployed.settings, deployed.account.stack, print)
    name = deployed.outputs["ManagePlanFunctionName"]
    answer = deployed.account.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    assert json.load(answer["Payload"])["message"] == "changed"


def test_a_broken_execution_is_recorded_and_its_end_reaches_close_job(deployed: Deployed) -> None:
    client = deployed.account.client("stepfunctions")
    machine = deployed.outputs["BackupStateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, input=json.dumps({"plan_id": "shop"}))["executionArn"]
    assert await_end(deployed.account, arn)["status"] == "FAILED"
    # Once from the state machine with the cause, once from the rule with the status.
    by_rule = {"execution_id": arn, "failure": {"error": "FAILED"}}
    eventually(lambda: by_rule in [call["event"] for call in deployed.calls("close-job")])
    by_machine = deployed.calls("close-job")[0]["event"]
    assert by_machine["execution_id"] == arn
    assert by_machine["failure"]["error"] == "PermanentError"


def test_what_close_job_cannot_take_waits_in_the_queue(deployed: Deployed) -> None:
    resources = deployed.account.client("cloudformation").list_stack_resources(StackName=STACK_NAME)
    ids = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources["StackResourceSummaries"]}
    bad = {"nobody": "knows"}
    client = deployed.account.client("lambda")
    client.invoke(FunctionName=ids["CloseJobFunction"], InvocationType="Event", Payload=json.dumps(bad))
    sqs = deployed.account.client("sqs")
    receive = {"QueueUrl": ids["Undelivered"], "WaitTimeSeconds": 1}
    (message,) = eventually(lambda: sqs.receive_message(**receive).get("Messages"))
    assert json.loads(message["Body"])["requestPayload"] == bad
    assert len([call for call in deployed.calls("close-job") if call["event"] == bad]) == 3
    assert deployed.account.decisions()[(ids["CloseJobFunctionRole"], "sqs:SendMessage", True)] == 1


def test_functions_get_their_variables(deployed: Deployed) -> None:
    client = deployed.account.client("cloudformation")
    functions = [
        r["PhysicalResourceId"]
        for r in client.list_stack_resources(StackName=STACK_NAME)["StackResourceSummaries"]
        if r["ResourceType"] == "AWS::Lambda::Function"
    ]
    assert len(functions) == len(MAIN.functions())
    for function in functions:
        deployed.account.client("lambda").invoke(FunctionName=function, Payload=b'{"execution_id": ""}')
    seen = {name: set(deployed.calls(name)[-1]["variables"]) for name in MAIN.functions()}
    assert all("HOLDFAST_TABLE" in variables for variables in seen.values())
    assert "HOLDFAST_SEAL_KEY_ID" in seen["snapshot-volumes"]
    assert "HOLDFAST_EVENT_BUS" in seen["close-job"]
    of_schedules = {"HOLDFAST_SCHEDULE_GROUP", "HOLDFAST_SCHEDULE_ROLE_ARN", "HOLDFAST_STATE_MACHINE_ARN"}
    assert of_schedules <= seen["manage-plan"]


def test_the_table_finds_jobs_by_status_and_by_time(deployed: Deployed) -> None:
    table = deployed.account.client("dynamodb").describe_table(TableName=deployed.outputs["TableName"])["Table"]
    indexes = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {"jobs-by-status": ["status", "status_since"], "jobs-by-time": ["job_day", "created_at"]}


def test_the_table_is_protected_or_not_in_a_form_that_every_sdk_reads(deployed: Deployed) -> None:
    table = deployed.account.client("dynamodb").describe_table(TableName=deployed.outputs["TableName"])["Table"]
    assert table["DeletionProtectionEnabled"] is False


def test_the_template_can_be_deployed_into_any_account(deployed: Deployed) -> None:
    outputs = deploy(deployed.settings, deployed.account.stack, print, account="210987654321")
    assert ":210987654321:" in outputs["BackupStateMachineArn"]


def test_what_is_not_built_is_named(deployed: Deployed, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(stack.StackError, match="make functions"):
        deploy(settings, deployed.account.stack, print)


def test_a_state_machine_that_is_not_there_is_named(deployed: Deployed, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Resources: { Machine: { Properties: { DefinitionUri: ../statemachines/nobody.asl.json } } }")
    with pytest.raises(stack.StackError, match=r"names what is not there: .*/nobody\.asl\.json"):
        deploy(deployed.settings, deployed.account.stack, print, template=Template("other", template, "other"))
