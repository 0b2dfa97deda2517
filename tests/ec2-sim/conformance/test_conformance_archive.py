"""The archive tier: going there, coming back, and what cannot be done meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .simulator import AWAY, World, refused

DAY = 86_400


def archive(world: World, snapshot: str) -> dict[str, Any]:
    return world.ec2.modify_snapshot_tier(SnapshotId=snapshot, StorageTier="archive")


def status(world: World, snapshot: str) -> dict[str, Any]:
    by_id = [{"Name": "snapshot-id", "Values": [snapshot]}]
    return world.ec2.describe_snapshot_tier_status(Filters=by_id)["SnapshotTierStatuses"][0]


@pytest.fixture
def archived(still: World) -> str:
    """Give a snapshot that is in the archive."""
    made = still.snapshot(still.volume())
    archive(still, made)
    still.advance(30)
    return made


def test_a_snapshot_is_usable_until_it_is_archived(still: World) -> None:
    made = still.snapshot(still.volume())
    assert status(still, made)["StorageTier"] == "standard"
    assert "LastTieringOperationStatus" not in status(still, made)
    started = archive(still, made)
    assert started["SnapshotId"] == made
    still.advance(15)
    found = status(still, made)
    assert (found["StorageTier"], found["LastTieringOperationStatus"]) == ("standard", "archival-in-progress")
    assert (found["LastTieringProgress"], found["LastTieringStartTime"]) == (50, started["TieringStartTime"])
    assert still.described(made)["StorageTier"] == "standard"
    still.ebs.list_snapshot_blocks(SnapshotId=made)
    with refused("IncorrectState", "being archived"):
        archive(still, made)
    still.advance(15)
    found = status(still, made)
    assert (found["StorageTier"], found["LastTieringOperationStatus"]) == ("archive", "archival-completed")
    assert found["ArchivalCompleteTime"] == started["TieringStartTime"] + timedelta(seconds=30)
    assert (found["Status"], found["OwnerId"]) == ("completed", still.account)
    assert still.described(made)["StorageTier"] == "archive"
    by_tier = [{"Name": "storage-tier", "Values": ["archive"]}]
    tiers = still.ec2.describe_snapshots(OwnerIds=["self"], Filters=by_tier)["Snapshots"]
    assert [one["SnapshotId"] for one in tiers] == [made]
    with refused("IncorrectState", "already archived"):
        archive(still, made)


def test_an_archived_snapshot_cannot_be_used(still: World, archived: str) -> None:
    with refused("IncorrectState", archived, "archived"):
        still.copy(archived)
    with refused("IncorrectState", archived, "archived"):
        still.share(archived, "222233334444")
    with refused("IncorrectState", archived, "archived"):
        still.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=archived)
    with pytest.raises(ClientError, match="archived"):
        still.ebs.list_snapshot_blocks(SnapshotId=archived)
    with refused("IncorrectState", archived, "archived"):
        still.ec2.register_image(
            Name="image",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": archived}}],
        )
    still.ec2.delete_snapshot(SnapshotId=archived)


def test_comes_back_for_some_days(still: World, archived: str) -> None:
    made = still.ec2.restore_snapshot_tier(SnapshotId=archived, TemporaryRestoreDays=2)
    assert (made["SnapshotId"], made["RestoreDuration"], made["IsPermanentRestore"]) == (archived, 2, False)
    found = status(still, archived)
    assert (found["StorageTier"], found["LastTieringOperationStatus"]) == ("archive", "temporary-restore-in-progress")
    still.advance(30)
    found = status(still, archived)
    assert (found["StorageTier"], found["LastTieringOperationStatus"]) == ("standard", "temporary-restore-completed")
    expiry = made["RestoreStartTime"] + timedelta(seconds=30, days=2)
    assert found["RestoreExpiryTime"] == still.described(archived)["RestoreExpiryTime"] == expiry
    still.copy(archived)
    still.advance(DAY)
    still.ec2.restore_snapshot_tier(SnapshotId=archived, TemporaryRestoreDays=5)
    assert status(still, archived)["StorageTier"] == "standard"
    still.advance(5 * DAY)
    found = status(still, archived)
    assert (found["StorageTier"], found["LastTieringOperationStatus"]) == ("archive", "archival-completed")


def test_comes_back_for_good(still: World, archived: str) -> None:
    made = still.ec2.restore_snapshot_tier(SnapshotId=archived, PermanentRestore=True)
    assert made["IsPermanentRestore"] is True
    assert status(still, archived)["LastTieringOperationStatus"] == "permanent-restore-in-progress"
    still.advance(30)
    found = status(still, archived)
    assert (found["StorageTier"], found["LastTieringOperationStatus"]) == ("standard", "permanent-restore-completed")
    with refused("IncorrectState", "not archived"):
        still.ec2.restore_snapshot_tier(SnapshotId=archived, PermanentRestore=True)
    archive(still, archived)


def test_refuses_what_cannot_be_archived(still: World) -> None:
    volume = still.volume()
    pending = still.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    with refused("IncorrectState", "pending"):
        archive(still, pending)
    still.advance(60)
    image = still.ec2.register_image(
        Name="image",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": pending}}],
    )["ImageId"]
    with refused("InvalidSnapshot.InUse", pending, image):
        archive(still, pending)
    still.ec2.disable_image(ImageId=image)
    archive(still, pending)
    with refused("InvalidSnapshot.NotFound"):
        archive(still, "snap-0123456789abcdef0")
    with refused("IncorrectState", "being archived"):
        still.ec2.restore_snapshot_tier(SnapshotId=pending, PermanentRestore=True)
    with refused("MissingParameter"):
        still.ec2.restore_snapshot_tier(SnapshotId=pending)


def test_archiving_ends_the_sharing_and_takes_the_time_that_was_set(still: World) -> None:
    still.settings(archive_seconds=7200)
    made = still.snapshot(still.volume())
    still.share(made, "222233334444")
    archive(still, made)
    assert still.behind(made)["shared_with"] == []
    still.advance(7199)
    assert still.behind(made)["tier"] == "standard"
    still.advance(1)
    assert still.behind(made)["tier"] == "archive"


def test_an_archived_copy_carries_no_later_one(still: World) -> None:
    volume = still.volume()
    first = still.copy(still.snapshot(volume))
    still.advance(60)
    still.client("ec2", AWAY).modify_snapshot_tier(SnapshotId=first, StorageTier="archive")
    still.advance(60)
    second = still.copy(still.snapshot(volume))
    assert still.behind(second, AWAY)["incremental"] is False


def test_tiers_are_found_by_their_last_operation_and_page_by_page(still: World, archived: str) -> None:
    still.post("scene/snapshots", count=6)
    for name in ("last-tiering-operation", "last-tiering-operation-status"):
        done = [{"Name": name, "Values": ["archival-completed"]}]
        found = still.ec2.describe_snapshot_tier_status(Filters=done)["SnapshotTierStatuses"]
        assert [one["SnapshotId"] for one in found] == [archived]
    pages = list(still.ec2.get_paginator("describe_snapshot_tier_status").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["SnapshotTierStatuses"]) for page in pages] == [5, 2]
