"""A plan whose replicas cannot be made is refused when it is saved, with the name of the field and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployed import Deployed, RefusedError, unique

Change = Callable[[Deployed, dict[str, Any]], object]


def key(**more: Any) -> Change:
    """Give the near replica a key that was made like this."""

    def change(deployed: Deployed, replica: dict[str, Any]) -> None:
        made = deployed.near.place.client("kms").create_key(**more)
        replica["kms_key_arn"] = made["KeyMetadata"]["Arn"]

    return change


def disabled_key(deployed: Deployed, replica: dict[str, Any]) -> None:
    key()(deployed, replica)
    deployed.near.place.client("kms").disable_key(KeyId=replica["kms_key_arn"])


def key_that_is_about_to_go(deployed: Deployed, replica: dict[str, Any]) -> None:
    key()(deployed, replica)
    deployed.near.place.client("kms").schedule_key_deletion(KeyId=replica["kms_key_arn"])


def key_that_is_not_there(deployed: Deployed, replica: dict[str, Any]) -> None:
    replica["kms_key_arn"] = f"{deployed.near.key.partition('/')[0]}/00000000-0000-4000-8000-000000000000"


def setting(**fields: Any) -> Change:
    """Change fields of the replica."""
    return lambda _, replica: replica.update(fields)


def place(region: str) -> Change:
    """Send the replica to a region, under no key."""

    def change(_: Deployed, replica: dict[str, Any]) -> None:
        del replica["kms_key_arn"]
        replica["region"] = region

    return change


NEAR: list[tuple[str, Change, str, str]] = [
    ("a_region_that_aws_does_not_have", place("mars-north-1"), "region", "mars-north-1"),
    ("a_region_that_is_not_there_yet", place("eu-north-9"), "region", "AWS has no region eu-north-9"),
    ("a_region_that_is_not_enabled", place("eu-south-1"), "region", "enable it first"),
    ("the_plans_own_region", place("us-east-1"), "region", "give another region, or an account"),
    ("a_region_without_a_vault", place("us-west-2"), "region", "deploy infra/vault-account.yaml"),
    ("a_key_that_is_disabled", disabled_key, "kms_key_arn", "Disabled"),
    ("a_key_that_is_about_to_go", key_that_is_about_to_go, "kms_key_arn", "PendingDeletion"),
    ("a_key_that_is_not_there", key_that_is_not_there, "kms_key_arn", "NotFound"),
    (
        "a_key_that_encrypts_nothing",
        key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC"),
        "kms_key_arn",
        "symmetric",
    ),
    (
        "a_key_of_another_region",
        lambda deployed, replica: replica.update(kms_key_arn=deployed.far.key),
        "kms_key_arn",
        "no key of eu-west-1",
    ),
    (
        "a_key_of_another_account",
        setting(kms_key_arn="arn:aws:kms:eu-west-1:222233334444:key/a"),
        "kms_key_arn",
        "another account",
    ),
    ("a_rule_that_keeps_nothing", setting(retention=[{"keep": "newest", "count": 0}]), "retention[0].count", "keeps"),
    ("an_archive_that_costs_more", setting(archive={"after_days": 2}), "archive", "costs more than it saves"),
    ("a_lock_that_never_ends", setting(lock={"mode": "governance", "days": 36_501}), "lock.days", "36500"),
    ("a_field_that_nobody_knows", setting(colour="blue"), "colour", "unknown field"),
]


@pytest.mark.parametrize(("change", "field", "word"), [case[1:] for case in NEAR], ids=[case[0] for case in NEAR])
def test_what_cannot_be_made_here_is_refused(deployed: Deployed, change: Change, field: str, word: str) -> None:
    replica = deployed.near.replica()
    change(deployed, replica)
    assert_refused(deployed, [replica], f"plan.replicas[0].{field}", word)


def in_account(**fields: str) -> Change:
    """Change fields of the replica's account."""
    return lambda _, replica: replica["account"].update(fields)


def without_key(_: Deployed, replica: dict[str, Any]) -> None:
    del replica["kms_key_arn"]


FAR: list[tuple[str, Change, str, str]] = [
    ("another_external_id", in_account(external_id="not-the-one"), "account.role_arn", "AccessDenied"),
    (
        "a_role_that_is_not_there",
        in_account(role_arn="arn:aws:iam::222233334444:role/holdfast-vault-of-nobody"),
        "account.role_arn",
        "infra/vault-account.yaml",
    ),
    (
        "a_role_that_is_no_vaults",
        in_account(role_arn="arn:aws:iam::222233334444:role/admin"),
        "account.role_arn",
        "holdfast-vault-",
    ),
    ("no_external_id", lambda _, replica: replica["account"].pop("external_id"), "account.role_arn", "AccessDenied"),
    ("no_key", without_key, "kms_key_arn", "missing"),
    ("the_plans_own_account", in_account(account_id="000000000000"), "account.role_arn", "000000000000"),
]


@pytest.mark.parametrize(("change", "field", "word"), [case[1:] for case in FAR], ids=[case[0] for case in FAR])
def test_what_cannot_be_made_in_another_account_is_refused(
    deployed: Deployed, change: Change, field: str, word: str
) -> None:
    replica = deployed.far.replica()
    change(deployed, replica)
    assert_refused(deployed, [replica], f"plan.replicas[0].{field}", word)


def test_every_wrong_replica_is_named_at_once(deployed: Deployed) -> None:
    replicas = [{"region": "us-east-1"}, deployed.near.replica(), {"region": "eu-south-1"}]
    said = assert_refused(deployed, replicas, "plan.replicas[0].region", "us-east-1")
    assert "plan.replicas[2].region" in said
    assert "plan.replicas[1]" not in said


def assert_refused(deployed: Deployed, replicas: list[dict[str, Any]], field: str, word: str) -> str:
    """See that a plan with these replicas is refused for good, by its field, and that it is not saved."""
    plan = {
        "plan_id": unique("bad"),
        "selection": {"tags": [{"key": "app"}]},
        "retention": [{"keep": "daily", "count": 7}],
        "replicas": replicas,
    }
    with pytest.raises(RefusedError) as refused:
        deployed.manage_plan(action="put", plan=plan)
    said = str(refused.value)
    assert said.startswith("PermanentError"), said
    assert field in said, said
    assert word in said, said
    with pytest.raises(RefusedError, match="there is no plan"):
        deployed.manage_plan(action="get", plan_id=plan["plan_id"])
    return said
