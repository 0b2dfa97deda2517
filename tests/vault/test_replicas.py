"""Replicas as deployed: in another region and in another account, IAM and keys enforced, real bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from applications import make_application, make_small_application, write
from deployed import Deployed, Vault, unique
from places import decisions, until
from replicas import Replicated, assert_nothing_left, assert_restores, backups, put_plan, replicate

LOCK = {"mode": "governance", "days": 1}


@pytest.fixture(scope="module")
def replicated(deployed: Deployed) -> Replicated:
    """Copy an application's recovery point to both vaults, and go on writing on its volumes."""
    application = make_application(deployed.source, unique("shop"), deployed.far.place.account)
    put_plan(deployed, application, [deployed.near.replica(lock=LOCK), deployed.far.replica()])
    made = replicate(deployed, application)
    for volume in application.blocks:
        write(deployed.source, volume, f"later {volume}")
    return made


def test_both_replicas_hold_every_block_tag_and_configuration(deployed: Deployed, replicated: Replicated) -> None:
    assert replicated.output["status"] == "COMPLETED", replicated.output
    checked = [assert_holds_all(deployed, vault, replicated) for vault in (deployed.near, deployed.far)]
    print(f"R8 replicas: {checked} copies in {len(checked)} places equal their volumes block for block")


def assert_holds_all(deployed: Deployed, vault: Vault, replicated: Replicated) -> int:
    """See that a vault holds the whole recovery point, in copies of its own under its own key."""
    copies = {found["snapshot_id"]: found for found in vault.place.snapshots_of(replicated.point)}
    records = backups(vault, replicated)
    named = [copy for record in records for copy in record["copies"]]
    assert sorted(copies) == sorted(copy["snapshot_id"] for copy in named)
    assert {copy["volume_id"] for copy in named} == set(replicated.application.blocks)
    for copy in named:
        made = copies[copy["snapshot_id"]]
        assert made["state"] == "completed"
        assert (made["owner"], made["kms_key_id"]) == (vault.place.account, vault.key)
        assert made["locked"] == (vault is deployed.near)
        assert made["shared_with"] == []
        wanted = {
            "team": "shop",
            "app": replicated.application.name,
            "holdfast:plan": replicated.plan_id,
            "holdfast:source-account": deployed.source.account,
            "holdfast:source-region": deployed.source.region,
            "holdfast:source-snapshot": copy["source_snapshot_id"],
            "holdfast:source-volume": copy["volume_id"],
        }
        assert wanted.items() <= made["tags"].items()
        assert vault.place.snapshot_blocks(copy["snapshot_id"]) == replicated.application.blocks[copy["volume_id"]]
    for record in records:
        configuration = record["backup"]["configuration"]
        assert configuration["instance_type"] == "t3.small"
        assert configuration["tags"]["app"] == replicated.application.name
    point = vault.read(f"{replicated.prefix}point.json")
    assert (point["whole"], point["lacking"]) == (len(replicated.application.instances), 0)
    assert point["retention"] == [{"keep": "newest", "count": 3}]
    return len(named)


def test_no_hop_is_left_and_nothing_stays_shared(deployed: Deployed, replicated: Replicated) -> None:
    assert_nothing_left(deployed, replicated.point)
    query = {"tag": "holdfast:recovery-point", "value": replicated.point}
    ever = deployed.source.simulator("GET", "snapshots", **query)
    hops = [found for found in ever if "holdfast:hop" in found["tags"]]
    assert [hop["deleted"] for hop in hops] == [True], "the volume under the default key takes one hop"


def test_the_vault_restores_everything_while_the_source_answers_nothing(
    deployed: Deployed, replicated: Replicated
) -> None:
    fault = {"action": "*", "kind": "error", "code": "InternalError", "message": "gone", "status": 500}
    deployed.source.simulator("POST", "faults", {**fault, "times": 1_000_000})
    try:
        with pytest.raises(ClientError, match="InternalError"):
            deployed.source.client("ec2").describe_volumes()
        restored = assert_restores(deployed.far, replicated)
    finally:
        deployed.source.simulator("DELETE", "faults")
    print(f"R8 replicas: {restored} volumes made of the vault alone hold every block")


@contextmanager
def without_its_catalog(vault: Vault) -> Iterator[None]:
    """Let the vault's role make copies, and write nothing down."""
    iam = vault.place.client("iam")
    policy = {"RoleName": vault.role.rpartition("/")[2], "PolicyName": "least"}
    document = iam.get_role_policy(**policy)["PolicyDocument"]
    less = [statement for statement in document["Statement"] if "s3:PutObject" not in statement["Action"]]
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(document | {"Statement": less}))
    try:
        yield
    finally:
        iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))


@contextmanager
def without_its_key(vault: Vault) -> Iterator[None]:
    """Disable the key of the vault's copies."""
    kms = vault.place.client("kms")
    kms.disable_key(KeyId=vault.key)
    try:
        yield
    finally:
        kms.enable_key(KeyId=vault.key)


@contextmanager
def without_its_role(vault: Vault) -> Iterator[None]:
    """Let the vault's role ask for another external id."""
    iam, name = vault.place.client("iam"), vault.role.rpartition("/")[2]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    other = json.dumps(trust).replace("a-test-of-holdfast", "another")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    try:
        yield
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (without_its_catalog, ["AccessDenied", "s3:PutObject"]),
        (without_its_key, ["key", "is enabled"]),
        (without_its_role, ["AssumeRole", "infra/vault-account.yaml"]),
    ],
)
def test_a_broken_destination_makes_the_job_partial_and_leaves_the_other_alone(
    deployed: Deployed, broken: Callable[[Vault], Any], words: list[str]
) -> None:
    application = make_small_application(deployed.source, unique("broken"))
    put_plan(deployed, application, [deployed.far.replica(), deployed.near.replica()])
    with broken(deployed.far):
        made = replicate(deployed, application)
    assert made.output["status"] == "PARTIAL", made.output
    for word in ["1 of 2 replicas made", deployed.far.place.region, *words]:
        assert word in made.output["message"], made.output["message"]
    jobs = deployed.copy_jobs(made.point)
    assert jobs[deployed.near.place.region]["status"] == "COMPLETED"
    assert jobs[deployed.far.place.region]["status"] == "FAILED"
    assert_restores(deployed.near, made)
    assert backups(deployed.far, made) == []
    assert_nothing_left(deployed, made.point)


def test_an_execution_that_is_stopped_midway_leaves_no_share_and_no_hop(deployed: Deployed) -> None:
    application = make_application(deployed.source, unique("stopped"), deployed.far.place.account)
    put_plan(deployed, application, [deployed.far.replica()])
    slow = {"copy_base_seconds": 3600}
    for place in (deployed.source, deployed.far.place):
        place.simulator("POST", "settings", slow)
    try:
        execution = deployed.start(application.name)
        point = until("copies under way", lambda: under_way(deployed, application.name))
        deployed.source.client("stepfunctions").stop_execution(executionArn=execution)

        def ended() -> bool:
            (job,) = deployed.jobs_of(application.name)
            copies = deployed.copy_jobs(point).values()
            return {job["status"], *(found["status"] for found in copies)} == {"ABORTED"}

        until("the end of the job and its copies", ended)
    finally:
        for place in (deployed.source, deployed.far.place):
            place.simulator("POST", "settings", {"copy_base_seconds": 1})
    assert_nothing_left(deployed, point)


def under_way(deployed: Deployed, plan_id: str) -> str | None:
    """Give a plan's recovery point, once it has a hop in the making and a snapshot that is shared."""
    for job in deployed.jobs_of(plan_id):
        snapshots = deployed.source.snapshots_of(job["recovery_point_id"])
        hops = [found for found in snapshots if "holdfast:hop" in found["tags"]]
        shared = [found for found in snapshots if found["shared_with"]]
        if hops and shared and deployed.far.place.snapshots_of(job["recovery_point_id"]):
            return job["recovery_point_id"]
    return None


def test_an_event_that_copy_region_cannot_read_is_kept(deployed: Deployed) -> None:
    name = deployed.function("CopyRegion")
    deployed.source.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload="{}")

    def kept() -> bool:
        wanted = {"action": "sqs:SendMessage", "allowed": True}
        found = [entry for entry in decisions(deployed.source.account) if "CopyRegion" in entry["principal"]]
        return any(wanted.items() <= entry.items() for entry in found)

    until("the event to reach the queue", kept)
