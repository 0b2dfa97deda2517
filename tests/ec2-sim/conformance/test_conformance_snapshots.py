"""Snapshots of one volume: states, limits, what they hold, what describes tell."""

from __future__ import annotations

from datetime import datetime

import pytest
from botocore.exceptions import WaiterError

from .simulator import NOON, World, read_tags, refused, tagged

NOWHERE = "snap-0123456789abcdef0"


def test_goes_from_pending_to_completed(still: World) -> None:
    still.settings(snapshot_base_seconds=10, snapshot_seconds_per_gib=5)
    volume = still.volume(size=2)
    made = still.ec2.create_snapshot(
        VolumeId=volume, Description="before <the> change & after", TagSpecifications=[tagged("snapshot", job="1")]
    )
    assert made["SnapshotId"].startswith("snap-")
    assert made["State"] == "pending"
    assert made["StartTime"] == datetime.fromisoformat(NOON.replace("Z", "+00:00"))
    still.advance(10)
    halfway = still.described(made["SnapshotId"])
    assert (halfway["State"], halfway["Progress"]) == ("pending", "50%")
    assert "CompletionTime" not in halfway
    still.advance(10)
    found = still.described(made["SnapshotId"])
    assert (found["State"], found["Progress"]) == ("completed", "100%")
    assert (found["CompletionTime"] - found["StartTime"]).total_seconds() == 20
    assert found["StorageTier"] == "standard"
    assert "StateMessage" not in found
    for snapshot in (made, found):
        assert (snapshot["VolumeId"], snapshot["VolumeSize"]) == (volume, 2)
        assert snapshot["OwnerId"] == still.account
        assert snapshot["Description"] == "before <the> change & after"
        assert snapshot["Encrypted"] is False
        assert read_tags(snapshot["Tags"]) == {"job": "1"}


def test_satisfies_the_waiter(world: World) -> None:
    world.settings(snapshot_base_seconds=0.3)
    made = world.ec2.create_snapshot(VolumeId=world.volume())["SnapshotId"]
    waiter = world.ec2.get_waiter("snapshot_completed")
    waiter.wait(SnapshotIds=[made], WaiterConfig={"Delay": 0.1, "MaxAttempts": 50})
    assert world.described(made)["State"] == "completed"


def test_can_end_in_error_and_says_why(still: World) -> None:
    volume = still.volume()
    still.post("snapshots/fail", volume_id=volume, message="Client.InternalError", after_seconds=3)
    made = still.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    assert still.described(made)["State"] == "pending"
    still.advance(3)
    found = still.described(made)
    assert (found["State"], found["StateMessage"]) == ("error", "Client.InternalError")
    with pytest.raises(WaiterError, match="terminal failure"):
        still.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made])
    with refused("IncorrectState", "error"):
        still.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=made)
    still.ec2.delete_snapshot(SnapshotId=made)
    still.advance(60)
    assert still.described(still.snapshot(volume))["State"] == "completed"


def test_one_that_runs_can_be_made_to_fail(still: World) -> None:
    made = still.ec2.create_snapshot(VolumeId=still.volume())["SnapshotId"]
    still.post("snapshots/fail", snapshot_id=made, message="broken", after_seconds=0)
    assert still.described(made)["State"] == "error"


def test_one_that_is_held_stays_pending_until_it_is_let_go(still: World) -> None:
    volume = still.volume()
    still.post("snapshots/hold", volume_id=volume)
    made = still.snapshot(volume)
    still.advance(86_400)
    assert still.described(made)["State"] == "pending"
    still.post("snapshots/complete", snapshot_id=made)
    assert still.described(made)["State"] == "completed"


def test_one_can_vanish(still: World) -> None:
    made = still.snapshot(still.volume())
    still.post("snapshots/vanish", snapshot_id=made)
    with refused("InvalidSnapshot.NotFound", made):
        still.described(made)


def test_a_volume_starts_one_in_15_seconds(still: World) -> None:
    volume, other = still.volume(), still.volume()
    still.ec2.create_snapshot(VolumeId=volume)
    still.advance(14)
    with refused("SnapshotCreationPerVolumeRateExceeded", "per volume", "rate"):
        still.ec2.create_snapshot(VolumeId=volume)
    still.ec2.create_snapshot(VolumeId=other)
    still.advance(1)
    still.ec2.create_snapshot(VolumeId=volume)
    assert len(still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 3


@pytest.mark.parametrize(
    ("kind", "size", "allowed"), [("gp3", 1, 5), ("io2", 4, 5), ("st1", 125, 1), ("sc1", 125, 1), ("standard", 1, 5)]
)
def test_a_volume_has_few_pending_at_once(still: World, kind: str, size: int, allowed: int) -> None:
    still.settings(snapshot_base_seconds=1000)
    volume = still.volume(size, VolumeType=kind, **({"Iops": 100} if kind == "io2" else {}))
    for _ in range(allowed):
        still.ec2.create_snapshot(VolumeId=volume)
        still.advance(15)
    with refused("ConcurrentSnapshotLimitExceeded", "in-progress", "single volume"):
        still.ec2.create_snapshot(VolumeId=volume)
    still.advance(1000)
    still.ec2.create_snapshot(VolumeId=volume)


def test_a_region_holds_a_limited_number(still: World) -> None:
    still.settings(snapshot_limit=2)
    first, second = (still.snapshot(still.volume()) for _ in range(2))
    with refused("SnapshotLimitExceeded"):
        still.ec2.create_snapshot(VolumeId=still.volume())
    still.ec2.delete_snapshot(SnapshotId=first)
    still.ec2.create_snapshot(VolumeId=still.volume())
    assert still.described(second)["State"] == "completed"


def test_holds_the_moment_of_the_call(still: World) -> None:
    volume = still.volume()
    still.write(volume, 0, b"before")
    made = still.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    still.write(volume, 0, b"after!")
    still.write(volume, 1 << 20, b"more")
    still.advance(60)
    blocks = still.ebs.list_snapshot_blocks(SnapshotId=made)["Blocks"]
    assert [block["BlockIndex"] for block in blocks] == [0]
    read = still.ebs.get_snapshot_block(SnapshotId=made, BlockIndex=0, BlockToken=blocks[0]["BlockToken"])
    assert read["BlockData"].read(6) == b"before"


def test_appears_late_when_the_world_is_slow(still: World) -> None:
    still.settings(visibility_delay_seconds=30)
    made = still.ec2.create_snapshot(VolumeId=still.volume(), TagSpecifications=[tagged("snapshot", job="1")])
    snapshot, by_tag = made["SnapshotId"], [{"Name": "tag:job", "Values": ["1"]}]
    for _ in range(2):
        with refused("InvalidSnapshot.NotFound", snapshot):
            still.described(snapshot)
        assert still.ec2.describe_snapshots(OwnerIds=["self"], Filters=by_tag)["Snapshots"] == []
        still.advance(14)
    still.advance(2)
    assert still.described(snapshot)["State"] == "completed"
    found = still.ec2.describe_snapshots(OwnerIds=["self"], Filters=by_tag)["Snapshots"]
    assert [one["SnapshotId"] for one in found] == [snapshot]


def test_deleting_is_final(still: World) -> None:
    made = still.snapshot(still.volume())
    still.ec2.delete_snapshot(SnapshotId=made)
    for act in (lambda: still.described(made), lambda: still.ec2.delete_snapshot(SnapshotId=made)):
        with refused("InvalidSnapshot.NotFound", made):
            act()
    assert still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_outlives_its_volume(still: World) -> None:
    volume = still.volume()
    made = still.snapshot(volume)
    still.ec2.delete_volume(VolumeId=volume)
    assert still.described(made)["VolumeId"] == volume


@pytest.mark.parametrize(
    ("asked", "codes", "words"),
    [
        ({"VolumeId": "vol-0123456789abcdef0"}, "InvalidVolume.NotFound", ["vol-0123456789abcdef0", "does not exist"]),
        ({"VolumeId": "standard"}, "InvalidParameterValue", ["standard", "volumeId", "vol-..."]),
        ({"TagSpecifications": [tagged("volume", a="b")]}, "InvalidParameterValue", ["volume", "taggable"]),
        ({"Description": "d" * 256}, "InvalidParameterValue", ["255"]),
    ],
)
def test_refuses_what_cannot_be_taken(still: World, asked: dict, codes: str, words: list[str]) -> None:
    with refused(codes, *words):
        still.ec2.create_snapshot(**{"VolumeId": still.volume(), **asked})
    assert still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


@pytest.mark.parametrize(
    ("ids", "codes", "words"),
    [
        ([NOWHERE], "InvalidSnapshot.NotFound", [NOWHERE, "does not exist"]),
        (["nonsense"], ("InvalidParameterValue", "InvalidSnapshotID.Malformed"), ["nonsense", "snap-..."]),
        (["snap-xyz"], ("InvalidParameterValue", "InvalidSnapshotID.Malformed"), ["snap-xyz"]),
    ],
)
def test_one_id_of_nothing_fails_a_whole_describe(
    still: World, ids: list[str], codes: str | tuple[str, ...], words: list[str]
) -> None:
    made = still.snapshot(still.volume())
    with refused(codes, *words):
        still.ec2.describe_snapshots(SnapshotIds=[made, *ids])


def test_pages_through_all_of_them_once(still: World) -> None:
    still.post("scene/snapshots", count=12, tags={"job": "1"})
    still.snapshot(still.volume())
    paginator = still.ec2.get_paginator("describe_snapshots")
    asked = {"OwnerIds": ["self"], "Filters": [{"Name": "tag:job", "Values": ["1"]}]}
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 5}, **asked))
    found = [snapshot["SnapshotId"] for page in pages for snapshot in page["Snapshots"]]
    assert (len(found), len(set(found))) == (12, 12)
    assert all(len(page["Snapshots"]) <= 5 for page in pages)


def test_a_scene_has_snapshots_of_any_size_and_age(still: World) -> None:
    still.post("scene/snapshots", count=3, tags={}, size_gib=100, spread_seconds=86_400)
    found = still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    noon = datetime.fromisoformat(NOON.replace("Z", "+00:00"))
    assert sorted((noon - one["StartTime"]).days for one in found) == [1, 2, 3]
    assert {one["VolumeSize"] for one in found} == {100}


def test_a_page_of_a_thousand_is_the_largest(still: World) -> None:
    still.post("scene/snapshots", count=1001, tags={})
    page = still.ec2.describe_snapshots(OwnerIds=["self"], MaxResults=1000)
    rest = still.ec2.describe_snapshots(OwnerIds=["self"], MaxResults=1000, NextToken=page["NextToken"])
    assert (len(page["Snapshots"]), len(rest["Snapshots"])) == (1000, 1)
    assert not rest.get("NextToken")
    assert len(still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1001


def test_pages_stay_whole_while_others_are_deleted(still: World) -> None:
    still.post("scene/snapshots", count=12, tags={})
    page = still.ec2.describe_snapshots(OwnerIds=["self"], MaxResults=5)
    still.ec2.delete_snapshot(SnapshotId=page["Snapshots"][-1]["SnapshotId"])
    rest = still.ec2.describe_snapshots(OwnerIds=["self"], MaxResults=1000, NextToken=page["NextToken"])
    ids = [snapshot["SnapshotId"] for part in (page, rest) for snapshot in part["Snapshots"]]
    assert (len(ids), len(set(ids))) == (12, 12)


def test_refuses_page_sizes_that_do_not_fit(still: World) -> None:
    made = still.snapshot(still.volume())
    with refused("InvalidParameterCombination", "snapshotSet", "maxResults"):
        still.ec2.describe_snapshots(SnapshotIds=[made], MaxResults=5)
    with refused("InvalidParameterValue", "maxResults"):
        still.ec2.describe_snapshots(MaxResults=4)


def test_accounts_and_regions_do_not_see_each_other(still: World) -> None:
    made = still.snapshot(still.volume())
    elsewhere = still.client("ec2", region="eu-west-1")
    stranger = World(still.url, str(int(still.account) + 10**10))
    for other in (elsewhere, stranger.ec2):
        assert other.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
        with refused("InvalidSnapshot.NotFound", made):
            other.describe_snapshots(SnapshotIds=[made])
    mine = still.ec2.describe_snapshots(OwnerIds=[still.account])["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in mine] == [made]
    assert still.ec2.describe_snapshots(OwnerIds=[stranger.account])["Snapshots"] == []
