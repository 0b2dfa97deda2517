"""Systems Manager's commands reach the guest that the simulator plays, and are judged as on AWS."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow, refusal

SHELL = "AWS-RunShellScript"
OF_AWS = f"arn:aws:ssm:us-east-1::document/{SHELL}"
INSTANCE = "arn:aws:ec2:us-east-1:*:instance/i-1"


def _send(client: Any, *instances: str, document: str = SHELL, said: tuple[str, ...] = ("Success", "hello")) -> dict:
    asked = {"InstanceIds": list(instances or ["i-1"]), "DocumentName": document, "Parameters": {"commands": said}}
    return client.send_command(**asked, TimeoutSeconds=60, Comment="a probe")["Command"]


def _code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_a_command_reaches_the_guest_and_its_output_comes_back(account: Account) -> None:
    ssm = account.client("ssm")
    command = _send(ssm, "i-1", "i-2")
    assert (command["Status"], command["InstanceIds"], command["TargetCount"]) == ("Pending", ["i-1", "i-2"], 2)
    assert (command["DocumentName"], command["Comment"], command["TimeoutSeconds"]) == (SHELL, "a probe", 60)
    for instance in ("i-1", "i-2"):
        found = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
        assert (found["Status"], found["StatusDetails"], found["ResponseCode"]) == ("Success", "Success", 0)
        assert (found["StandardOutputContent"], found["StandardErrorContent"]) == ("hello", "")
        assert (found["DocumentName"], found["Comment"]) == (SHELL, "a probe")


@pytest.mark.parametrize(
    ("status", "details", "code"),
    [
        ("Pending", "Pending", -1),
        ("InProgress", "InProgress", -1),
        ("Failed", "Failed", 1),
        ("TimedOut", "ExecutionTimedOut", -1),
    ],
)
def test_a_command_ends_as_its_guest_says(account: Account, status: str, details: str, code: int) -> None:
    ssm = account.client("ssm")
    command = _send(ssm, said=(status, "no"))["CommandId"]
    found = ssm.get_command_invocation(CommandId=command, InstanceId="i-1")
    assert (found["Status"], found["StatusDetails"], found["ResponseCode"]) == (status, details, code)


def test_a_document_of_ones_own_keeps_its_name_and_its_parameters(account: Account) -> None:
    ssm = account.client("ssm")
    command = ssm.send_command(InstanceIds=["i-1"], DocumentName="Probe", Parameters={"port": ["80"]})["Command"]
    found = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId="i-1")
    assert found["StandardOutputContent"] == "Probe"


def test_what_nobody_knows_is_refused_by_name(account: Account, vault: Account) -> None:
    ssm = account.client("ssm")
    assert _code(lambda: _send(ssm, "i-gone")) == "InvalidInstanceId"
    command = _send(ssm)["CommandId"]
    elsewhere = account.client("ssm", region="eu-west-1")
    for client, instance in ((ssm, "i-2"), (vault.client("ssm"), "i-1"), (elsewhere, "i-1")):
        call = client.get_command_invocation
        assert _code(call, CommandId=command, InstanceId=instance) == "InvocationDoesNotExist"
    assert _code(ssm.send_command, InstanceIds=[], DocumentName=SHELL) == "ValidationException"


def test_a_command_needs_its_document_and_each_of_its_instances(account: Account) -> None:
    role = account.role("prober", allow("ssm:SendCommand", [OF_AWS, INSTANCE]))
    ssm = account.client("ssm", account.assume(role))
    _send(ssm)
    said = refusal(lambda: _send(ssm, "i-1", "i-2"))
    assert f"ssm:SendCommand on resource: arn:aws:ec2:us-east-1:{account.id}:instance/i-2" in said
    said = refusal(lambda: _send(ssm, document="AWS-RunPatchBaseline"))
    assert "ssm:SendCommand on resource: arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline" in said
    said = refusal(lambda: _send(ssm, document="Probe"))
    assert f"ssm:SendCommand on resource: arn:aws:ssm:us-east-1:{account.id}:document/Probe" in said
    assert account.decisions()[("prober", "ssm:SendCommand", False)] == 3


@pytest.mark.parametrize("key", ["ssm:resourceTag/role", "aws:ResourceTag/role"])
def test_commands_can_be_granted_by_the_tags_of_the_instance(account: Account, key: str) -> None:
    ours = {"StringEquals": {key: "restored"}}
    to_restored = allow("ssm:SendCommand", "arn:aws:ec2:*:*:instance/*", **ours)
    ssm = account.client("ssm", account.assume(account.role("prober", allow("ssm:SendCommand", OF_AWS), to_restored)))
    account.resource("i-ours", role="restored")
    account.resource("i-other", role="web")
    _send(ssm, "i-ours")
    for instance in ("i-other", "i-unknown"):
        assert "ssm:SendCommand" in refusal(lambda i=instance: _send(ssm, i))


def test_what_became_of_a_command_is_granted_on_everything_only(account: Account) -> None:
    command = _send(account.client("ssm"))["CommandId"]
    for name, resource in (("broad", "*"), ("narrow", [OF_AWS, INSTANCE])):
        role = account.role(name, allow("ssm:GetCommandInvocation", resource))
        look = account.client("ssm", account.assume(role)).get_command_invocation
        if name == "broad":
            look(CommandId=command, InstanceId="i-1")
        else:
            assert "ssm:GetCommandInvocation" in refusal(look, CommandId=command, InstanceId="i-1")


def test_parameters_stay_with_ministack(account: Account) -> None:
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/holdfast/x", Value="1", Type="String")
    assert ssm.get_parameter(Name="/holdfast/x")["Parameter"]["Value"] == "1"
