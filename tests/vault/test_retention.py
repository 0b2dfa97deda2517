"""Retention as deployed: in the source over the catalog table, in a vault over the vault's own catalog."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from applications import make_application, make_small_application
from deployed import Deployed, RefusedError, Vault, unique
from places import until
from replicas import Replicated, assert_restores, put_plan, replicate

NEWEST = [{"keep": "newest", "count": 1}]


def ago(**span: float) -> str:
    """Give the moment so long ago, as records hold it."""
    return f"{datetime.now(timezone.utc) - timedelta(**span):%Y-%m-%dT%H:%M:%SZ}"


def age(deployed: Deployed, replicated: Replicated) -> None:
    """Make a recovery point two hours old in the catalog table."""
    deployed.table.update_item(
        Key={"pk": f"PLAN#{replicated.plan_id}", "sk": replicated.point},
        UpdateExpression="SET #m = :then, outcome.ended_at = :then",
        ExpressionAttributeNames={"#m": "moment"},
        ExpressionAttributeValues={":then": ago(hours=2)},
    )


def age_replica(vault: Vault, replicated: Replicated, moment: str) -> None:
    """Make a replica older in its vault's catalog, as its root."""
    key = f"{replicated.prefix}point.json"
    record = vault.read(key) | {"moment": moment, "copied_at": moment}
    vault.place.client("s3").put_object(Bucket=vault.bucket, Key=key, Body=json.dumps(record))


def row(answer: dict[str, Any], replicated: Replicated) -> dict[str, Any]:
    """Give what an answer says of one recovery point."""
    (found,) = [row for row in answer["points"] if row["recovery_point_id"] == replicated.point]
    return found


def test_a_point_that_nothing_keeps_goes_and_the_newer_one_stays(deployed: Deployed) -> None:
    application = make_application(deployed.source, unique("retire"), deployed.far.place.account)
    put_plan(deployed, application, [], retention=NEWEST)
    older = replicate(deployed, application)
    db = application.instances[1]
    deployed.source.client("ec2").terminate_instances(InstanceIds=[db])
    newer = replicate(deployed, application)
    age(deployed, older)

    told = deployed.retention(action="apply", plan_id=application.name, dry_run=True)
    assert told["gone_resources"] == [{"resource_id": db, "recovery_point_id": older.point}]
    assert row(told, older)["keep"], "it holds the last good backup of the instance that is gone"

    put_plan(deployed, application, [], retention=NEWEST, expire_gone_resources=True)
    hold = {"plan_id": application.name, "recovery_point_id": older.point}
    held = deployed.retention(action="hold", reason="audit", **hold)
    assert row(held, older)["hold"]["reason"] == "audit"
    deployed.run_retention()
    assert len(deployed.source.snapshots_of(older.point)) == 3, "somebody holds it"

    deployed.retention(action="release", **hold)
    deployed.run_retention()
    assert deployed.source.snapshots_of(older.point) == []
    assert len(deployed.source.snapshots_of(newer.point)) == 2
    with pytest.raises(RefusedError, match=r"too late|no recovery point"):
        deployed.retention(action="hold", reason="audit", **hold)


def test_retention_in_the_vault_goes_on_without_the_source(deployed: Deployed) -> None:
    vault = deployed.far
    application = make_small_application(deployed.source, unique("orphan"))
    put_plan(deployed, application, [vault.replica(retention=NEWEST)])
    older, newer = replicate(deployed, application), replicate(deployed, application)
    fault = {"action": "*", "kind": "error", "code": "InternalError", "message": "gone", "status": 500}
    deployed.source.simulator("POST", "faults", {**fault, "times": 1_000_000})
    try:
        vault.run_retention()
        assert_restores(vault, older)  # it is not an hour old

        age_replica(vault, older, ago(hours=2))
        told = vault.retention(action="apply", plan_id=application.name, dry_run=True)
        assert [row(told, point)["keep"] for point in (newer, older)] == [True, False], told

        hold = {"plan_id": application.name, "recovery_point_id": older.point}
        vault.retention(action="hold", reason="audit", **hold)
        vault.run_retention()
        assert_restores(vault, older)

        vault.retention(action="release", **hold)
        vault.run_retention()
        assert vault.place.snapshots_of(older.point) == []
        assert vault.keys(older.prefix) == []
        assert_restores(vault, newer)
    finally:
        deployed.source.simulator("DELETE", "faults")
    retirement = vault.read(f"retirements/{application.name}/{older.point}.json")
    assert retirement["ended_at"] and retirement["reasons"], retirement


def test_a_locked_copy_is_deferred_and_never_forced(deployed: Deployed) -> None:
    vault = deployed.far
    application = make_small_application(deployed.source, unique("locked"))
    lock = {"mode": "governance", "days": 1}
    put_plan(deployed, application, [vault.replica(retention=NEWEST, lock=lock)])
    older, newer = replicate(deployed, application), replicate(deployed, application)
    age_replica(vault, older, ago(hours=2))
    vault.run_retention()
    told = vault.retention(action="apply", plan_id=application.name, dry_run=True)
    assert row(told, older)["keep"], told
    assert "lock" in " ".join(row(told, older)["reasons"])
    for point in (older, newer):
        assert_restores(vault, point)


def test_copies_that_stay_long_go_to_the_archive(deployed: Deployed) -> None:
    vault = deployed.far
    application = make_small_application(deployed.source, unique("archive"))
    yearly = [{"keep": "yearly", "count": 3}]
    put_plan(deployed, application, [vault.replica(retention=yearly, archive={"after_days": 30})])
    made = replicate(deployed, application)
    age_replica(vault, made, ago(days=31))
    vault.run_retention()
    (copy,) = vault.place.snapshots_of(made.point)
    until("the move", lambda: vault.place.snapshot(copy["snapshot_id"])["tier"] == "archive")
