"""The source account in wrong hands: what it can do to the replicas in another account (target R9).

The attacker is administrator of the source account, has Holdfast's own way into the vault with the external id, and
knows the name of everything there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from applications import make_application
from attacks import ATTACKS, Attack, Target
from deployed import EXTERNAL_ID, Deployed, unique
from places import Credentials, Place, decisions
from replicas import Replicated, assert_restores, backups, put_plan, replicate

REFUSALS = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
LOCK = {"mode": "governance", "days": 1}


@pytest.fixture(scope="module")
def replicated(deployed: Deployed) -> Replicated:
    """Copy an application's recovery point to the other account, with a lock."""
    application = make_application(deployed.source, unique("prey"), deployed.far.place.account)
    put_plan(deployed, application, [deployed.far.replica(lock=LOCK)])
    made = replicate(deployed, application)
    assert made.output["status"] == "COMPLETED", made.output
    return made


@pytest.fixture(scope="module")
def target(deployed: Deployed, replicated: Replicated) -> Target:
    """Look up, as the vault's root, everything that the attacker knows."""
    vault = deployed.far
    snapshot = backups(vault, replicated)[0]["copies"][0]["snapshot_id"]
    client = vault.place.client
    blocks = client("ebs").list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
    record = f"{replicated.prefix}point.json"
    (schedule,) = client("scheduler").list_schedules()["Schedules"]
    function = client("lambda").get_function(FunctionName=vault.outputs["ApplyRetentionFunctionName"])
    return Target(
        vault=vault,
        attacker=deployed.source.account,
        snapshot=snapshot,
        block_token=blocks[0]["BlockToken"],
        record=record,
        version=client("s3").head_object(Bucket=vault.bucket, Key=record)["VersionId"],
        retirement=f"retirements/{replicated.plan_id}/{replicated.point}.json",
        ciphertext=client("kms").encrypt(KeyId=vault.key, Plaintext=b"a secret")["CiphertextBlob"],
        retention_role=function["Configuration"]["Role"],
        schedule=schedule["Name"],
    )


@pytest.fixture(scope="module")
def administrator(deployed: Deployed) -> Iterator[Credentials]:
    """Become a role of the source account that may do everything."""
    iam, name = deployed.source.client("iam"), unique("administrator")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    root = {"AWS": f"arn:aws:iam::{deployed.source.account}:root"}
    trust = {"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=policy(everything))
    yield assume(deployed.source, role)
    iam.delete_role_policy(RoleName=name, PolicyName="everything")
    iam.delete_role(RoleName=name)


@pytest.fixture(scope="module")
def intruder(deployed: Deployed, administrator: Credentials) -> Credentials:
    """Go Holdfast's own way into the vault."""
    return assume(deployed.source, deployed.far.role, administrator, ExternalId=EXTERNAL_ID)


def policy(statement: dict[str, Any]) -> str:
    """Give the policy of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def assume(place: Place, role: str, credentials: Credentials | None = None, **more: str) -> Credentials:
    """Become a role."""
    sts = place.client("sts", credentials)
    made = sts.assume_role(RoleArn=role, RoleSessionName="taken", **more)["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def outcome(attack: Attack, place: Place, credentials: Credentials, target: Target) -> str:
    """Give the error's code, or `done`."""
    try:
        answer = attack.call(lambda service: place.client(service, credentials), target)
    except ClientError as error:
        return error.response["Error"]["Code"]
    # DeleteObjects succeeds, whatever becomes of each object.
    errors = {error["Code"] for error in answer.get("Errors", [])}
    return errors.pop() if errors and not answer.get("Deleted") else "done"


def denials(target: Target, action: str) -> int:
    """Count how often the vault's account refused an action to the role that lets the source in."""
    wanted = {"principal": target.role, "action": action, "allowed": False}
    found = [entry for entry in decisions(target.vault.place.account) if wanted.items() <= entry.items()]
    return sum(entry["count"] for entry in found)


def test_a_source_in_wrong_hands_destroys_and_reads_nothing(
    deployed: Deployed, replicated: Replicated, target: Target, administrator: Credentials, intruder: Credentials
) -> None:
    place, wrong, tried = target.vault.place, [], 0
    for attack in ATTACKS:
        before = denials(target, attack.action)
        code = outcome(attack, place, intruder, target)
        # Refused in the vault's account, and not in some other place where there is nothing of that name.
        if code not in REFUSALS or denials(target, attack.action) == before:
            wrong.append(("through the vault's role", attack.action, code))
        tried += 1
    for attack in [attack for attack in ATTACKS if attack.from_outside]:
        if (code := outcome(attack, place, administrator, target)) not in REFUSALS:
            wrong.append(("as the source's administrator", attack.action, code))
        tried += 1
    if (code := overwritten_on_condition(place, intruder, target)) != "PreconditionFailed":
        wrong.append(("through the vault's role", "a conditional write over a record", code))
    restored = assert_restores(deployed.far, replicated)
    print(f"R9: {tried + 1} actions tried, {len(wrong)} done; {restored} copies still restore")
    assert wrong == []


def overwritten_on_condition(place: Place, intruder: Credentials, target: Target) -> str:
    """Write over a record in the one way that the role may write at all."""
    write = Attack("s3:PutObject", lambda c, t: c("s3").put_object(**t.object, Body=b"{}", IfNoneMatch="*"))
    return outcome(write, place, intruder, target)


def test_the_role_may_do_what_it_is_for(deployed: Deployed, target: Target, intruder: Credentials) -> None:
    """What is refused above is not refused because the session were worth nothing."""
    described = target.vault.place.client("ec2", intruder).describe_snapshots(SnapshotIds=[target.snapshot])
    assert described["Snapshots"][0]["OwnerId"] == target.vault.place.account
    key = f"catalog/{unique('forged')}/note.json"
    s3 = target.vault.place.client("s3", intruder)
    s3.put_object(Bucket=target.vault.bucket, Key=key, Body=b"{}", IfNoneMatch="*")
    target.vault.place.client("s3").delete_object(Bucket=target.vault.bucket, Key=key)


@pytest.mark.parametrize("external_id", [None, "a-guess"])
def test_the_role_asks_for_its_external_id(
    deployed: Deployed, administrator: Credentials, external_id: str | None
) -> None:
    more = {"ExternalId": external_id} if external_id else {}
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(deployed.source, deployed.far.role, administrator, **more)


def test_forged_recovery_points_push_no_young_replica_out(
    deployed: Deployed, replicated: Replicated, intruder: Credentials
) -> None:
    vault, name = deployed.far, f"{replicated.prefix}point.json"
    forged = vault.read(name) | {"retention": [{"keep": "newest", "count": 1}], "expire_gone_resources": True}
    written = []
    for number in range(3):
        moment = datetime.now(timezone.utc) + timedelta(minutes=number)
        point = f"rp-{moment:%Y%m%dT%H%M%SZ}-{number:016x}"
        forged |= {"recovery_point_id": point, "moment": moment.isoformat().replace("+00:00", "Z")}
        written.append(name.replace(replicated.point, point))
        body = json.dumps(forged).encode()
        vault.place.client("s3", intruder).put_object(Bucket=vault.bucket, Key=written[-1], Body=body, IfNoneMatch="*")
    try:
        said = vault.retention(action="apply", plan_id=replicated.plan_id)
        assert said["gone"] == 0, said
        assert_restores(vault, replicated)
    finally:
        for key in written:
            vault.place.client("s3").delete_object(Bucket=vault.bucket, Key=key)
