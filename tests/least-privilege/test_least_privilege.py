"""What each function's role grants, against what the function used over the whole suite (target R7).

Run after every other test against the same stack: only then has each function done everything it does.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import boto3
import pytest

FUNCTIONS = ("OpenJob", "SnapshotVolumes", "PollCompletion", "CloseJob", "ManagePlan")


def decisions() -> list[dict]:
    """Give every IAM decision that the stack has written down."""
    with urllib.request.urlopen(
        f"{os.environ['AWS_ENDPOINT_URL']}/_holdfast/decisions"
    ) as answer:
        return json.load(answer)["decisions"]


def role_of(function: str) -> str:
    """Give the name of a function's role in the deployed stack."""
    outputs = json.loads(Path(os.environ["HOLDFAST_OUTPUTS"]).read_text())
    machine = next(value for key, value in outputs.items() if "StateMachine" in key)
    account = machine.split(":")[4]
    roles = boto3.client("iam").get_paginator("list_roles").paginate()
    names = [
        role["RoleName"]
        for page in roles
        for role in page["Roles"]
        if account in role["Arn"]
    ]
    (name,) = [
        name
        for name in names
        if f"{function}Function" in name and name.startswith("holdfast")
    ]
    return name


def granted(role: str) -> set[str]:
    """Give every action that a role's inline policies allow; no policy of AWS's own is attached."""
    iam = boto3.client("iam")
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert attached == [], f"{role} has policies that nobody here wrote: {attached}"
    actions: set[str] = set()
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow", f"{role} {name} denies"
            listed = statement["Action"]
            actions.update([listed] if isinstance(listed, str) else listed)
    return actions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_grants_just_what_its_function_uses(function: str) -> None:
    """Every granted action is used, every used action is granted, and nothing was denied."""
    role = role_of(function)
    own = [entry for entry in decisions() if entry["principal"] == role]
    used = {entry["action"] for entry in own if entry["allowed"]}
    denied = {entry["action"] for entry in own if not entry["allowed"]}
    given = granted(role)
    print(
        f"R7 {function}: {len(given)} actions granted, {len(used)} used, {len(denied)} denied"
    )
    assert denied == set()
    assert used == given, (
        f"never used: {sorted(given - used)}; not granted: {sorted(used - given)}"
    )
