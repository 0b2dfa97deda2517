"""Locks on snapshots: modes, cooling off, what can be changed, and what a lock forbids."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from .simulator import NOON, World, refused

DAY = 86_400
NOW = datetime.fromisoformat(NOON.replace("Z", "+00:00"))


def lock(world: World, snapshot: str, mode: str = "governance", **asked: Any) -> dict[str, Any]:
    asked = asked if "ExpirationDate" in asked else {"LockDuration": 10, **asked}
    return world.ec2.lock_snapshot(SnapshotId=snapshot, LockMode=mode, **asked)


def locks(world: World, **asked: Any) -> dict[str, dict[str, Any]]:
    found = world.ec2.describe_locked_snapshots(**asked)["Snapshots"]
    return {one["SnapshotId"]: one for one in found}


def delete(world: World, snapshot: str) -> None:
    world.ec2.delete_snapshot(SnapshotId=snapshot)


@pytest.fixture
def snapshot(still: World) -> str:
    """Give a completed snapshot on a clock that is put back to noon."""
    made = still.snapshot(still.volume())
    still.freeze()
    still.post("snapshots/complete", snapshot_id=made)
    return made


def test_a_locked_snapshot_cannot_be_deleted_until_it_is_unlocked(still: World, snapshot: str) -> None:
    made = lock(still, snapshot)
    assert (made["SnapshotId"], made["LockState"], made["LockDuration"]) == (snapshot, "governance", 10)
    assert made["LockCreatedOn"] == made["LockDurationStartTime"] == NOW
    assert made["LockExpiresOn"] == NOW + timedelta(days=10)
    assert "CoolOffPeriod" not in made
    assert still.behind(snapshot)["locked"] is True
    with refused("OperationNotPermitted", snapshot, "locked"):
        delete(still, snapshot)
    assert still.described(snapshot)["State"] == "completed"
    assert still.ec2.unlock_snapshot(SnapshotId=snapshot)["SnapshotId"] == snapshot
    assert locks(still) == {}
    delete(still, snapshot)


def test_a_lock_expires(still: World, snapshot: str) -> None:
    lock(still, snapshot, ExpirationDate=NOW + timedelta(days=2))
    assert locks(still)[snapshot]["LockExpiresOn"] == NOW + timedelta(days=2)
    still.advance(2 * DAY - 1)
    with refused("OperationNotPermitted", "locked"):
        delete(still, snapshot)
    still.advance(1)
    assert locks(still)[snapshot]["LockState"] == "expired"
    with refused("IncorrectState", "not locked"):
        still.ec2.unlock_snapshot(SnapshotId=snapshot)
    delete(still, snapshot)


def test_compliance_cools_off_and_then_holds(still: World, snapshot: str) -> None:
    made = lock(still, snapshot, "compliance", CoolOffPeriod=3)
    assert (made["LockState"], made["CoolOffPeriod"]) == ("compliance-cooloff", 3)
    assert made["CoolOffPeriodExpiresOn"] == NOW + timedelta(hours=3)
    with refused("OperationNotPermitted", "locked"):
        delete(still, snapshot)
    still.ec2.unlock_snapshot(SnapshotId=snapshot)
    lock(still, snapshot, "compliance", CoolOffPeriod=3)
    lock(still, snapshot, "compliance", CoolOffPeriod=1, LockDuration=5)
    still.advance(3600)
    assert locks(still)[snapshot]["LockState"] == "compliance"
    with refused("OperationNotPermitted", "compliance", "cannot be unlocked"):
        still.ec2.unlock_snapshot(SnapshotId=snapshot)
    with refused("OperationNotPermitted", "mode"):
        lock(still, snapshot, "governance")
    with refused("OperationNotPermitted", "only be increased"):
        lock(still, snapshot, "compliance", LockDuration=1)
    with refused("OperationNotPermitted", "cooling-off"):
        lock(still, snapshot, "compliance", CoolOffPeriod=1)
    longer = lock(still, snapshot, "compliance", LockDuration=20)
    assert (longer["LockState"], longer["LockDuration"]) == ("compliance", 20)
    assert longer["LockCreatedOn"] == NOW


def test_compliance_without_cooling_off_holds_at_once(still: World, snapshot: str) -> None:
    assert lock(still, snapshot, "compliance")["LockState"] == "compliance"
    with refused("OperationNotPermitted"):
        still.ec2.unlock_snapshot(SnapshotId=snapshot)
    still.advance(10 * DAY)
    delete(still, snapshot)


def test_governance_can_be_changed_at_will(still: World, snapshot: str) -> None:
    lock(still, snapshot)
    assert lock(still, snapshot, LockDuration=1)["LockDuration"] == 1
    assert lock(still, snapshot, "compliance")["LockState"] == "compliance"


def test_a_pending_snapshot_is_locked_from_its_completion_on(still: World) -> None:
    still.settings(snapshot_base_seconds=3600)
    made = still.ec2.create_snapshot(VolumeId=still.volume())["SnapshotId"]
    found = lock(still, made, LockDuration=1)
    assert "LockDurationStartTime" not in found
    with refused("OperationNotPermitted", "locked"):
        delete(still, made)
    still.advance(3600)
    found = locks(still)[made]
    assert found["LockDurationStartTime"] == NOW + timedelta(hours=1)
    assert found["LockExpiresOn"] == NOW + timedelta(hours=25)


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        ({"LockMode": "governance"}, "MissingParameter", "LockDuration"),
        ({"LockMode": "iron", "LockDuration": 1}, "InvalidParameterValue", "lockMode"),
        ({"LockMode": "governance", "LockDuration": 36_501}, "InvalidParameterValue", "lockDuration"),
        ({"LockMode": "compliance", "LockDuration": 1, "CoolOffPeriod": 73}, "InvalidParameterValue", "coolOffPeriod"),
        ({"LockMode": "governance", "LockDuration": 1, "CoolOffPeriod": 1}, "InvalidParameterCombination", "CoolOff"),
        ({"LockMode": "governance", "ExpirationDate": NOW}, "InvalidParameterValue", "expirationDate"),
        (
            {"LockMode": "governance", "LockDuration": 1, "ExpirationDate": NOW + timedelta(days=1)},
            "InvalidParameterCombination",
            "ExpirationDate",
        ),
    ],
)
def test_refuses_what_is_no_lock(still: World, snapshot: str, asked: dict, code: str, word: str) -> None:
    with refused(code, word):
        still.ec2.lock_snapshot(SnapshotId=snapshot, **asked)
    assert locks(still) == {}


def test_locks_nothing_that_failed_or_is_not_there(still: World, snapshot: str) -> None:
    with refused("InvalidSnapshot.NotFound"):
        lock(still, "snap-0123456789abcdef0")
    with refused("IncorrectState", "not locked"):
        still.ec2.unlock_snapshot(SnapshotId=snapshot)
    still.post("snapshots/fail", snapshot_id=snapshot, message="broken")
    with refused("IncorrectState", "error"):
        lock(still, snapshot)


def test_locks_are_found_by_state_and_id_and_page_by_page(still: World) -> None:
    still.post("scene/snapshots", count=8)
    every = [one["SnapshotId"] for one in still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    for snapshot in every[:6]:
        lock(still, snapshot)
    lock(still, every[6], "compliance", CoolOffPeriod=72)
    by_state = [{"Name": "lock-state", "Values": ["compliance-cooloff"]}]
    assert set(locks(still, Filters=by_state)) == {every[6]}
    # One that is not locked is left out.
    assert set(locks(still, SnapshotIds=[every[0], every[7]])) == {every[0]}
    assert locks(still)[every[0]]["OwnerId"] == still.account
    with refused("InvalidSnapshot.NotFound"):
        locks(still, SnapshotIds=["snap-0123456789abcdef0"])
    page = still.ec2.describe_locked_snapshots(MaxResults=5)
    rest = still.ec2.describe_locked_snapshots(MaxResults=5, NextToken=page["NextToken"])
    assert (len(page["Snapshots"]), len(rest["Snapshots"])) == (5, 2)
    assert not rest.get("NextToken")
