"""A copy's keys are judged as on AWS: the copy is accepted, and the simulator is told when it must fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow

PROBLEM = "Given key ID is not accessible"
FOR_COPY = ["kms:DescribeKey", "kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptTo"]
FOR_SOURCE = ["kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom"]
COPY = allow("ec2:CopySnapshot")
WEST = "us-west-2"


def copy(account: Account, role: str | None, source: str, **arguments: Any) -> dict[str, Any]:
    """Copy a snapshot from us-east-1 to us-west-2; give what the simulator was asked."""
    return send(account.client("ec2", account.assume(role) if role else None, WEST), source, **arguments)


def send(client: Any, source: str, **arguments: Any) -> dict[str, Any]:
    """Copy a snapshot with a client; give what the simulator was asked."""
    bodies: list[str] = []
    client.meta.events.register("after-call.ec2", lambda http_response, **_: bodies.append(http_response.text))
    client.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source, **arguments)
    return json.loads(bodies[0].partition("<!--")[2].partition("-->")[0])


def problem(account: Account, role: str | None, source: str, **arguments: Any) -> str | None:
    """Copy a snapshot; give what is wrong with its keys."""
    headers = copy(account, role, source, **arguments)["headers"]
    assert headers["x-sim-key-checked"] == "true"
    return headers.get("x-sim-key-problem")


def asked(account: Account) -> set[tuple[str, bool]]:
    """Give the decisions about keys that were written down, of whatever role."""
    return {(action, allowed) for _, action, allowed in account.decisions() if action.startswith("kms:")}


def test_a_plain_copy_asks_about_no_key(account: Account) -> None:
    account.snapshot("snap-plain")
    assert problem(account, account.role("copier", COPY), "snap-plain") is None
    assert asked(account) == set()


def test_a_copy_under_the_default_key_asks_about_no_key(account: Account) -> None:
    account.snapshot("snap-default", kms_key_id=f"arn:aws:kms:us-east-1:{account.id}:key/made-by-the-simulator")
    role = account.role("copier", COPY)
    assert problem(account, role, "snap-default") is None
    assert problem(account, role, "snap-default", Encrypted=True, KmsKeyId="alias/aws/ebs") is None
    assert asked(account) == set()


def test_a_copy_under_a_key_of_ones_own_asks_about_both_keys(account: Account) -> None:
    account.snapshot("snap-ours", kms_key_id=(source := account.key()))
    key = account.key(region=WEST)
    role = account.role("copier", COPY, allow(FOR_COPY, key), allow(FOR_SOURCE, source))
    assert problem(account, role, "snap-ours", Encrypted=True, KmsKeyId=key) is None
    assert asked(account) == {(action, True) for action in {*FOR_COPY, *FOR_SOURCE}}


@pytest.mark.parametrize("missing", FOR_COPY)
def test_each_permission_on_the_key_of_the_copy_is_needed(account: Account, missing: str) -> None:
    account.snapshot("snap-ours", kms_key_id=(source := account.key()))
    key = account.key(region=WEST)
    granted = [action for action in FOR_COPY if action != missing]
    role = account.role("copier", COPY, allow(granted, key), allow(FOR_SOURCE, source))
    assert problem(account, role, "snap-ours", Encrypted=True, KmsKeyId=key) == PROBLEM
    assert (missing, False) in asked(account)


@pytest.mark.parametrize("missing", FOR_SOURCE)
def test_each_permission_on_the_key_of_the_source_is_needed(account: Account, missing: str) -> None:
    account.snapshot("snap-ours", kms_key_id=(source := account.key()))
    role = account.role("copier", COPY, allow([action for action in FOR_SOURCE if action != missing], source))
    assert problem(account, role, "snap-ours") == PROBLEM
    assert (missing, False) in asked(account)


def test_a_key_can_be_granted_through_ec2_and_for_its_grants_only(account: Account) -> None:
    key = account.key(region=WEST)
    through = {"StringEquals": {"kms:ViaService": f"ec2.{WEST}.amazonaws.com"}}
    for_ec2 = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    rest = [action for action in FOR_COPY if action != "kms:CreateGrant"]
    role = account.role("copier", COPY, allow(rest, key, **through), allow("kms:CreateGrant", key, **for_ec2))
    account.snapshot("snap-plain")
    assert problem(account, role, "snap-plain", Encrypted=True, KmsKeyId=key) is None


Breaking = Callable[[Any, str], object]


@pytest.mark.parametrize(
    "break_key",
    [
        lambda kms, key: kms.disable_key(KeyId=key),
        lambda kms, key: kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7),
    ],
    ids=["disabled", "pending deletion"],
)
def test_a_key_that_cannot_be_used_is_a_problem_for_root_too(account: Account, break_key: Breaking) -> None:
    account.snapshot("snap-plain")
    key = account.key(region=WEST)
    assert problem(account, None, "snap-plain", Encrypted=True, KmsKeyId=key) is None
    break_key(account.client("kms", region=WEST), key)
    assert problem(account, None, "snap-plain", Encrypted=True, KmsKeyId=key) == PROBLEM


def test_a_key_that_is_not_there_or_elsewhere_or_for_something_else_is_a_problem(account: Account) -> None:
    account.snapshot("snap-plain")
    for_seals = account.key(region=WEST, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    missing = "11111111-2222-3333-4444-555555555555"
    for key in (missing, "alias/nobody", account.key(), for_seals):
        assert problem(account, None, "snap-plain", Encrypted=True, KmsKeyId=key) == PROBLEM


def test_an_alias_is_its_key(account: Account) -> None:
    account.snapshot("snap-plain")
    key = account.key(region=WEST)
    account.client("kms", region=WEST).create_alias(AliasName="alias/copies", TargetKeyId=key)
    role = account.role("copier", COPY, allow(FOR_COPY, key))
    for named in ("alias/copies", f"arn:aws:kms:{WEST}:{account.id}:alias/copies"):
        sent = copy(account, role, "snap-plain", Encrypted=True, KmsKeyId=named)
        assert sent["body"]["KmsKeyId"] == [key]
        assert "x-sim-key-problem" not in sent["headers"]


def test_a_key_that_names_somebody_else_is_closed_to_its_own_account(account: Account) -> None:
    other = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account.id}:role/other"}}
    key = account.key({**other, "Action": "kms:*", "Resource": "*"}, region=WEST)
    account.snapshot("snap-plain")
    role = account.role("copier", COPY, allow("kms:*"))
    assert problem(account, role, "snap-plain", Encrypted=True, KmsKeyId=key) == PROBLEM


def test_another_accounts_key_must_be_granted_by_both(account: Account, vault: Account) -> None:
    by_iam = {"Effect": "Allow", "Principal": {"AWS": account.root}, "Action": "kms:*", "Resource": "*"}
    to_vault = {"Effect": "Allow", "Principal": {"AWS": vault.root}, "Action": FOR_SOURCE, "Resource": "*"}
    closed, opened = account.key(by_iam), account.key(by_iam, to_vault)
    account.snapshot("snap-closed", kms_key_id=closed, shared_with=[vault.id])
    account.snapshot("snap-open", kms_key_id=opened, shared_with=[vault.id])
    granted, not_granted = vault.role("granted", COPY, allow(FOR_SOURCE)), vault.role("not-granted", COPY)
    assert problem(vault, granted, "snap-open") is None
    assert problem(vault, granted, "snap-closed") == PROBLEM
    assert problem(vault, not_granted, "snap-open") == PROBLEM


def test_another_accounts_key_is_described_to_who_is_granted_that_by_both(account: Account, vault: Account) -> None:
    by_iam = {"Effect": "Allow", "Principal": {"AWS": account.root}, "Action": "kms:*", "Resource": "*"}
    to_vault = {"Effect": "Allow", "Principal": {"AWS": vault.root}, "Action": "kms:DescribeKey", "Resource": "*"}
    closed, opened = account.key(by_iam), account.key(by_iam, to_vault)
    granted = vault.client("kms", vault.assume(vault.role("granted", allow("kms:DescribeKey"))))
    not_granted = vault.client("kms", vault.assume(vault.role("not-granted")))
    assert granted.describe_key(KeyId=opened)["KeyMetadata"]["Arn"] == opened
    for client, key in ((granted, closed), (not_granted, opened)):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.describe_key(KeyId=key)


def test_nothing_is_asked_about_a_snapshot_that_is_not_shared(account: Account, vault: Account) -> None:
    account.snapshot("snap-kept", kms_key_id=account.key())
    assert problem(vault, vault.role("copier", COPY), "snap-kept") is None
    assert asked(vault) == set()


def test_a_caller_cannot_say_what_is_wrong_with_the_keys(account: Account) -> None:
    client = account.client("ec2", region=WEST)
    client.meta.events.register(
        "before-sign.ec2", lambda request, **_: request.headers.add_header("x-sim-key-problem", "mine")
    )
    account.snapshot("snap-plain")
    assert "x-sim-key-problem" not in send(client, "snap-plain")["headers"]
