"""What each role grants, against what was used of it over the whole suite (target R7).

Run after every other test against the same stack: only then has each function done everything it does.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import boto3
import pytest

SOURCE, VAULT = "000000000000", "222233334444"
VAULT_OUTPUTS = f"outputs-vault-{VAULT}-eu-central-1.json"
FUNCTIONS = (
    "OpenJob",
    "SnapshotVolumes",
    "PollCompletion",
    "CopyRegion",
    "ApplyRetention",
    "CloseJob",
    "ManagePlan",
    "RestoreInstance",
)


def decisions(account: str, role: str) -> tuple[set[str], set[str]]:
    """Give the actions that a role was allowed, and those that it was denied."""
    url = f"{os.environ['AWS_ENDPOINT_URL']}/_holdfast/decisions?account={account}"
    with urllib.request.urlopen(url) as answer:
        own = [d for d in json.load(answer)["decisions"] if d["principal"] == role]
    used = {entry["action"] for entry in own if entry["allowed"]}
    return used, {entry["action"] for entry in own if not entry["allowed"]}


def iam_of(account: str):
    """Give IAM as an account's root sees it."""
    return boto3.client("iam", aws_access_key_id=account, aws_secret_access_key="test")


def role_of(account: str, start: str) -> str:
    """Give the name of the role of an account that begins so."""
    pages = iam_of(account).get_paginator("list_roles").paginate()
    roles = [role for page in pages for role in page["Roles"] if account in role["Arn"]]
    (name,) = [r["RoleName"] for r in roles if r["RoleName"].startswith(start)]
    return name


def granted(account: str, role: str) -> set[str]:
    """Give every action that a role's inline policies allow; no policy of AWS's own is attached."""
    iam = iam_of(account)
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


def assert_least(title: str, account: str, role: str) -> set[str]:
    """See that every granted action is used and every used one granted. Give those that were denied."""
    (used, denied), given = decisions(account, role), granted(account, role)
    print(
        f"R7 {title}: {len(given)} actions granted, {len(used)} used, {len(denied)} denied"
    )
    assert used == given, (
        f"never used: {sorted(given - used)}; not granted: {sorted(used - given)}"
    )
    return denied


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_grants_just_what_its_function_uses(function: str) -> None:
    """Nothing was denied either."""
    role = role_of(SOURCE, f"holdfast-{function}Function")
    assert assert_least(function, SOURCE, role) == set()


@pytest.mark.parametrize("function", ["ApplyRetention", "RestoreInstance"])
def test_a_role_in_the_vault_grants_just_what_its_function_uses(function: str) -> None:
    """It is the same function with a role of its own, in the vault's account."""
    role = role_of(VAULT, f"holdfast-vault-{function}Function")
    assert assert_least(f"{function} in the vault", VAULT, role) == set()


@pytest.mark.parametrize(
    ("account", "role"),
    [
        (SOURCE, "holdfast-HourlyExpiryRole"),
        (SOURCE, "holdfast-RestoreStarterRole"),
        (VAULT, "holdfast-vault-RestoreStarterRole"),
    ],
)
def test_what_starts_restores_by_itself_may_do_nothing_else(
    account: str, role: str
) -> None:
    """Expiry by the hour, and the rule that takes up what ended badly."""
    assert assert_least(role, account, role_of(account, role)) == set()


def test_the_vault_lets_the_source_do_just_what_copying_takes() -> None:
    """What it denied stands in `tests/vault/test_compromised_source.py`, which tried all of it on purpose."""
    outputs = Path(os.environ["HOLDFAST_STATE"]) / VAULT_OUTPUTS
    arn = json.loads(outputs.read_text())["VaultRoleArn"]
    assert_least("the vault's role", VAULT, arn.rpartition("/")[2])
