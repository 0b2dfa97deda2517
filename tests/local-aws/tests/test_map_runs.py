"""A distributed map in JSONata runs each item as an execution of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Account, allow, await_end, eventually, start
from test_executions import invoke, make_function

DESTINATIONS = [{"region": "eu-central-1"}, {"region": "us-west-2"}]


def runner(account: Account, *statements: dict[str, Any]) -> str:
    """Make a role that may start every state machine of the account, as a distributed map has to."""
    return account.role("runner", allow("states:StartExecution"), *statements, service="states.amazonaws.com")


def prepare(destinations: list = DESTINATIONS) -> dict[str, Any]:
    """Give the state that assigns the destinations."""
    return {"Type": "Pass", "Assign": {"job_id": "job-1", "destinations": destinations}, "Next": "Copy"}


def distributed(states: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give a map over the destinations, whose items know the job."""
    return {
        "Type": "Map",
        "Items": "{% $destinations %}",
        "ItemSelector": {
            "job_id": "{% $job_id %}",
            "number": "{% $states.context.Map.Item.Index %}",
            "destination": "{% $states.context.Map.Item.Value %}",
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": next(iter(states)),
            "States": states,
        },
        **({"End": True} if "Next" not in more else {}),
        **more,
    }


TELL = {"Tell": {"Type": "Pass", "Output": "{% $states.input %}", "End": True}}


@pytest.mark.parametrize("destinations", [[], DESTINATIONS[:1], DESTINATIONS])
def test_items_are_selected_and_results_come_in_their_order(
    account: Account, execution: Callable, destinations: list
) -> None:
    ended = execution({"Prepare": prepare(destinations), "Copy": distributed(TELL)}, runner(account))
    expected = [{"job_id": "job-1", "number": n, "destination": d} for n, d in enumerate(destinations)]
    assert json.loads(ended["output"]) == expected


def test_the_result_can_be_assigned_and_put_out(account: Account, execution: Callable) -> None:
    of_regions = "{% $states.result.destination.region %}"
    copies = distributed(TELL, Assign={"regions": of_regions}, Output={"regions": of_regions}, Next="Last")
    last = {"Type": "Pass", "Output": {"input": "{% $states.input %}", "regions": "{% $regions %}"}, "End": True}
    ended = execution({"Prepare": prepare(), "Copy": copies, "Last": last}, runner(account))
    regions = ["eu-central-1", "us-west-2"]
    assert json.loads(ended["output"]) == {"input": {"regions": regions}, "regions": regions}


def test_a_child_is_an_execution_with_an_id_and_an_input_of_its_own(account: Account, execution: Callable) -> None:
    told = {"id": "{% $states.context.Execution.Id %}", "input": "{% $states.context.Execution.Input.number %}"}
    tell = {"Tell": {"Type": "Pass", "Output": told, "End": True}}
    ended = execution({"Prepare": prepare(), "Copy": distributed(tell, Label="Copies")}, runner(account))
    children = json.loads(ended["output"])
    assert [child["input"] for child in children] == [0, 1]
    client = account.client("stepfunctions")
    for child in children:
        described = client.describe_execution(executionArn=child["id"])
        assert described["status"] == "SUCCEEDED"
        assert json.loads(described["output"]) == child
        assert f"{ended['stateMachineArn'].rpartition(':')[2]}/Copies:" in child["id"]
    (run,) = client.list_map_runs(executionArn=ended["executionArn"])["mapRuns"]
    counts = client.describe_map_run(mapRunArn=run["mapRunArn"])["executionCounts"]
    assert (counts["succeeded"], counts["running"], counts["total"]) == (2, 0, 2)


def test_a_child_does_not_see_its_parents_variables(account: Account, execution: Callable) -> None:
    peek = {"Peek": {"Type": "Pass", "Output": "{% $exists($job_id) %}", "End": True}}
    ended = execution({"Prepare": prepare(), "Copy": distributed(peek)}, runner(account))
    assert json.loads(ended["output"]) == [False, False]


def test_a_child_loops_over_a_task_until_it_is_done(account: Account, execution: Callable) -> None:
    account.ask("POST", "/_holdfast/virtual-time", {"account": account.id, "on": True})
    arn = make_function(account, "echo", account.role("function"))
    may_invoke = allow("lambda:InvokeFunction", arn)
    poll = invoke(arn, Assign={"polls": "{% $states.result.Payload.polls %}"}, Next="IsDone")
    poll["Arguments"]["Payload"] = {"polls": "{% $polls + 1 %}"}
    states = {
        "Begin": {"Type": "Pass", "Assign": {"polls": 0}, "Next": "Poll"},
        "Poll": poll,
        "IsDone": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $polls >= 3 %}", "Next": "Done"}],
            "Default": "Wait",
        },
        "Wait": {"Type": "Wait", "Seconds": 3600, "Next": "Poll"},
        "Done": {"Type": "Pass", "Output": "{% $polls %}", "End": True},
    }
    before = time.monotonic()
    ended = execution({"Prepare": prepare(), "Copy": distributed(states)}, runner(account, may_invoke))
    assert json.loads(ended["output"]) == [3, 3]
    assert time.monotonic() - before < 30
    advances = account.ask("GET", "/_sim/advances", base=account.stack.simulator)
    assert [a["seconds"] for a in advances if a["account"] == account.id] == [3600] * 4


def test_a_child_catches_its_own_failure(account: Account, execution: Callable) -> None:
    caught = {"ErrorEquals": ["States.ALL"], "Next": "Tell", "Output": "{% $states.errorOutput.Error %}"}
    states = {"Ask": invoke("no-such-function", Catch=[caught], End=True), **TELL}
    ended = execution({"Prepare": prepare(), "Copy": distributed(states)}, runner(account))
    assert ended["status"] == "SUCCEEDED"
    assert len(json.loads(ended["output"])) == 2


FAIL_ONE = {
    "IsFirst": {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.number = 0 %}", "Next": "Fail"}],
        "Default": "Tell",
    },
    "Fail": {"Type": "Fail", "Error": "CopyFailed", "Cause": "no such key"},
    **TELL,
}


def test_a_failed_child_fails_the_map_which_can_catch_it(account: Account, execution: Callable) -> None:
    caught = {"ErrorEquals": ["States.ALL"], "Next": "Told", "Assign": {"error": "{% $states.errorOutput.Error %}"}}
    told = {"Type": "Pass", "Output": "{% $error %}", "End": True}
    states = {"Prepare": prepare(), "Copy": distributed(FAIL_ONE, Catch=[caught]), "Told": told}
    ended = execution(states, runner(account))
    assert json.loads(ended["output"]) == "States.ExceedToleratedFailureThreshold"
    client = account.client("stepfunctions")
    (run,) = client.list_map_runs(executionArn=ended["executionArn"])["mapRuns"]
    assert client.describe_map_run(mapRunArn=run["mapRunArn"])["status"] == "FAILED"


def test_a_failed_child_can_be_tolerated(account: Account, execution: Callable) -> None:
    copies = distributed(FAIL_ONE, ToleratedFailurePercentage=50)
    assert execution({"Prepare": prepare(), "Copy": copies}, runner(account))["status"] == "SUCCEEDED"


def test_a_child_ends_when_its_parent_is_stopped(account: Account) -> None:
    wait = {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Again"},
        "Again": {"Type": "Wait", "Seconds": 1, "Next": "Wait"},
    }
    arn = start(account, {"Prepare": prepare(), "Copy": distributed(wait)}, runner(account))
    client = account.client("stepfunctions")
    (run,) = eventually(lambda: client.list_map_runs(executionArn=arn)["mapRuns"])
    client.stop_execution(executionArn=arn)
    counts = eventually(
        lambda: (c := client.describe_map_run(mapRunArn=run["mapRunArn"])["executionCounts"])["aborted"] == 2 and c
    )
    assert counts["running"] == 0
    assert await_end(account, arn)["status"] == "ABORTED"


def test_a_distributed_map_needs_a_role_that_may_start_the_state_machine(account: Account, execution: Callable) -> None:
    role = account.role("idle", allow("states:StartExecution", "arn:aws:states:*:*:stateMachine:another"))
    ended = execution({"Prepare": prepare(), "Copy": distributed(TELL)}, role)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Permissions")
    assert f"states:StartExecution on resource: {ended['stateMachineArn']}" in ended["cause"]
    assert account.decisions()[("idle", "states:StartExecution", False)] == 1


def test_what_a_distributed_map_cannot_do_here_is_named(account: Account, execution: Callable) -> None:
    ended = execution(
        {"Prepare": prepare(), "Copy": distributed(TELL, ItemBatcher={"MaxItemsPerBatch": 2})}, runner(account)
    )
    assert "ItemBatcher" in ended["cause"]
