"""Sharing snapshots with other accounts, and what those see."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import World, read_tags, refused, tagged

PERMISSION = "createVolumePermission"
FRIENDS = ("222233334444", "555566667777")


def permissions(world: World, snapshot: str) -> list[dict[str, str]]:
    found = world.ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute=PERMISSION)
    assert found["SnapshotId"] == snapshot
    return found["CreateVolumePermissions"]


def modify(world: World, snapshot: str, **asked: Any) -> None:
    world.ec2.modify_snapshot_attribute(SnapshotId=snapshot, Attribute=PERMISSION, **asked)


def ids(found: dict[str, Any]) -> list[str]:
    return [snapshot["SnapshotId"] for snapshot in found["Snapshots"]]


def test_shares_and_unshares_in_both_forms(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    assert permissions(still, snapshot) == []
    modify(still, snapshot, OperationType="add", UserIds=list(FRIENDS))
    assert permissions(still, snapshot) == [{"UserId": friend} for friend in FRIENDS]
    modify(still, snapshot, OperationType="add", UserIds=[FRIENDS[0]])
    modify(still, snapshot, CreateVolumePermission={"Remove": [{"UserId": FRIENDS[0]}]})
    assert permissions(still, snapshot) == [{"UserId": FRIENDS[1]}]
    modify(still, snapshot, CreateVolumePermission={"Add": [{"Group": "all"}]})
    assert permissions(still, snapshot) == [{"UserId": FRIENDS[1]}, {"Group": "all"}]
    assert still.behind(snapshot)["shared_with"] == [FRIENDS[1], "all"]
    modify(still, snapshot, OperationType="remove", GroupNames=["all"])
    assert permissions(still, snapshot) == [{"UserId": FRIENDS[1]}]
    still.ec2.reset_snapshot_attribute(SnapshotId=snapshot, Attribute=PERMISSION)
    assert permissions(still, snapshot) == []


def test_taking_away_what_nobody_has_is_no_error(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    modify(still, snapshot, OperationType="remove", UserIds=[FRIENDS[0]])
    assert permissions(still, snapshot) == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"OperationType": "add", "UserIds": ["nobody"]}, "InvalidUserID.Malformed"),
        ({"CreateVolumePermission": {}}, "MissingParameter"),
        ({"UserIds": [FRIENDS[0]]}, "MissingParameter"),
        ({"OperationType": "lend", "UserIds": [FRIENDS[0]]}, "InvalidParameterValue"),
        (
            {"CreateVolumePermission": {"Add": [{"UserId": FRIENDS[0]}], "Remove": [{"UserId": FRIENDS[1]}]}},
            "InvalidParameterCombination",
        ),
    ],
)
def test_refuses_what_makes_no_sense(still: World, asked: dict, code: str) -> None:
    snapshot = still.snapshot(still.volume())
    with refused(code):
        modify(still, snapshot, **asked)
    assert permissions(still, snapshot) == []


def test_shares_nothing_under_the_default_key(still: World) -> None:
    snapshot = still.snapshot(still.volume(Encrypted=True))
    with refused("OperationNotPermitted", "EBS default key cannot be shared"):
        modify(still, snapshot, OperationType="add", UserIds=[FRIENDS[0]])
    modify(still, snapshot, OperationType="remove", UserIds=[FRIENDS[0]])
    copy = still.copy(snapshot, region="us-east-1", Encrypted=True, KmsKeyId="key-1")
    still.advance(60)
    modify(still, copy, OperationType="add", UserIds=[FRIENDS[0]])
    assert permissions(still, copy) == [{"UserId": FRIENDS[0]}]


def test_makes_nothing_public_that_is_encrypted(still: World) -> None:
    snapshot = still.snapshot(still.volume(Encrypted=True, KmsKeyId="key-1"))
    with refused("OperationNotPermitted", "public"):
        modify(still, snapshot, OperationType="add", GroupNames=["all"])


def test_only_the_owner_shares(still: World) -> None:
    other = still.neighbour()
    snapshot = still.snapshot(still.volume())
    still.share(snapshot, other.account)
    with refused("InvalidSnapshot.NotFound", snapshot):
        other.share(snapshot, FRIENDS[0])
    with refused("InvalidSnapshot.NotFound", snapshot):
        other.ec2.delete_snapshot(SnapshotId=snapshot)


def test_others_see_what_is_shared_with_them(still: World) -> None:
    other = still.neighbour()
    shared = still.snapshot(still.volume(), TagSpecifications=[tagged("snapshot", a="1")])
    hidden = still.snapshot(still.volume())
    mine = other.snapshot(other.volume())
    with refused("InvalidSnapshot.NotFound", shared):
        other.described(shared)
    still.share(shared, other.account)
    found = other.described(shared)
    assert (found["OwnerId"], found["State"]) == (still.account, "completed")
    assert read_tags(found.get("Tags", [])) == {}
    with refused("InvalidSnapshot.NotFound", hidden):
        other.described(hidden)
    assert ids(other.ec2.describe_snapshots(OwnerIds=[still.account])) == [shared]
    assert ids(other.ec2.describe_snapshots(OwnerIds=["self"])) == [mine]
    assert ids(other.ec2.describe_snapshots(RestorableByUserIds=["self"])) == sorted([mine, shared])
    assert ids(still.ec2.describe_snapshots(OwnerIds=["self"], RestorableByUserIds=[other.account])) == [shared]
    assert ids(other.ec2.describe_snapshots(OwnerIds=["self"], SnapshotIds=[mine])) == [mine]
    assert ids(still.ec2.describe_snapshots(OwnerIds=["self"])) == sorted([shared, hidden])


def test_a_public_snapshot_is_everyones_to_restore(still: World) -> None:
    other = still.neighbour()
    public = still.snapshot(still.volume())
    modify(still, public, OperationType="add", GroupNames=["all"])
    assert public in ids(other.ec2.describe_snapshots(RestorableByUserIds=["all"]))
    assert ids(other.ec2.describe_snapshots(RestorableByUserIds=["self"])) == []
    assert other.copy(public)
