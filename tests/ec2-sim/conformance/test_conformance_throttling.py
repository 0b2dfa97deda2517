"""Request throttling and planted faults, as a client meets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from .simulator import IMAGE, REGION, ZONE, World, refused, tags

SNAPSHOT = {"SnapshotIds": ["snap-0123456789abcdef0"]}
INSTANCE = {"InstanceIds": ["i-0123456789abcdef0"]}
PAGED = {"MaxResults": 5}
FILTERED = {"Filters": [{"Name": "tag:a", "Values": ["b"]}]}


def passed(ask: Callable[[], Any], at_most: int = 250) -> int:
    """Count the calls that get through until one is throttled; what they answer does not matter."""
    for count in range(at_most):
        try:
            ask()
        except ClientError as error:
            if error.response["Error"]["Code"] == "RequestLimitExceeded":
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
                return count
    raise AssertionError(f"{at_most} calls got through")


@pytest.mark.parametrize(
    ("action", "arguments", "capacity", "refill"),
    [
        ("create_snapshot", {"VolumeId": "vol-0123456789abcdef0"}, 100, 5),
        ("create_snapshots", {"InstanceSpecification": {"InstanceId": "i-0123456789abcdef0"}}, 100, 5),
        ("delete_snapshot", {"SnapshotId": "snap-0123456789abcdef0"}, 100, 5),
        ("create_volume", {"AvailabilityZone": "us-east-1z", "Size": 1}, 100, 5),
        ("create_tags", {"Resources": ["vol-0123456789abcdef0"], "Tags": tags(a="1")}, 100, 10),
        ("run_instances", {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}, 5, 2),
        ("start_instances", INSTANCE, 5, 2),
        (
            "attach_volume",
            {"VolumeId": "vol-0123456789abcdef0", "InstanceId": "i-0123456789abcdef0", "Device": "/dev/sdf"},
            50,
            5,
        ),
        ("copy_snapshot", {"SourceRegion": REGION, "SourceSnapshotId": "snap-0123456789abcdef0"}, 50, 5),
        ("modify_snapshot_attribute", {"SnapshotId": "snap-0123456789abcdef0"}, 100, 5),
        ("lock_snapshot", {"SnapshotId": "snap-0123456789abcdef0", "LockMode": "governance"}, 50, 5),
        ("register_image", {"Name": "image"}, 50, 5),
        ("deregister_image", {"ImageId": IMAGE}, 100, 5),
        ("describe_images", {}, 100, 20),
        ("describe_snapshots", SNAPSHOT, 50, 10),
        ("describe_snapshots", {"OwnerIds": ["self"]}, 50, 10),
        ("describe_snapshots", PAGED, 100, 20),
        ("describe_snapshots", FILTERED, 100, 20),
        ("describe_instances", {}, 50, 10),
        ("describe_instances", PAGED, 100, 20),
        ("describe_instances", {**INSTANCE, **FILTERED}, 100, 20),
        ("describe_volumes", {}, 50, 10),
        ("describe_volumes", FILTERED, 100, 20),
        ("describe_tags", {}, 100, 20),
    ],
)
def test_a_bucket_holds_a_burst_and_fills_again(
    still: World, action: str, arguments: dict, capacity: int, refill: int
) -> None:
    call = getattr(still.ec2, action)
    assert passed(lambda: call(**arguments)) == capacity
    still.advance(1)
    assert passed(lambda: call(**arguments)) == refill
    still.advance(3600)
    assert passed(lambda: call(**arguments)) == capacity


def test_a_hundred_and_first_set_has_to_wait(still: World) -> None:
    ids = still.scene(102, volumes=1)
    ec2 = still.ec2
    for instance_id in ids[:100]:
        ec2.create_snapshots(InstanceSpecification={"InstanceId": instance_id})
    with refused("RequestLimitExceeded", "Request limit exceeded", status=503):
        ec2.create_snapshots(InstanceSpecification={"InstanceId": ids[100]})
    still.advance(0.2)
    ec2.create_snapshots(InstanceSpecification={"InstanceId": ids[100]})
    with refused("RequestLimitExceeded", status=503):
        ec2.create_snapshots(InstanceSpecification={"InstanceId": ids[101]})
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 101


def test_actions_accounts_and_regions_have_buckets_of_their_own(still: World) -> None:
    empty = still.ec2
    assert passed(lambda: empty.start_instances(**INSTANCE)) == 5
    other_account = World(still.url, str(int(still.account) + 10**10))
    for other in (other_account.ec2, still.client("ec2", region="eu-west-1")):
        with refused("InvalidInstanceID.NotFound"):
            other.start_instances(**INSTANCE)
    with refused("InvalidInstanceID.NotFound"):
        empty.stop_instances(**INSTANCE)
    with refused("RequestLimitExceeded", status=503):
        empty.start_instances(**INSTANCE)


def test_a_client_that_retries_gets_through(world: World) -> None:
    ec2 = world.client("ec2", attempts=4)
    world.post("faults", action="DescribeRegions", nth=1, times=2, kind="throttle")
    found = ec2.describe_regions()
    assert found["ResponseMetadata"]["RetryAttempts"] == 2
    summary = world.summary()
    assert summary["by_action"]["DescribeRegions"] == {"calls": 3, "throttled": 2, "errors": 0}
    assert (summary["total"], summary["throttled"], summary["last_seq"]) == (3, 2, 3)


def test_throttling_can_be_switched_off(still: World) -> None:
    still.settings(throttling=False)
    ec2 = still.ec2
    with pytest.raises(AssertionError, match="60 calls got through"):
        passed(lambda: ec2.start_instances(**INSTANCE), at_most=60)


def test_the_nth_call_of_an_action_fails_as_planted(world: World) -> None:
    planted = {"code": "InsufficientVolumeCapacity", "message": "none left", "status": 500}
    world.post("faults", action="CreateVolume", nth=2, times=2, kind="error", **planted)
    world.volume()
    for _ in range(2):
        with refused("InsufficientVolumeCapacity", "none left", status=500):
            world.volume()
    world.volume()
    assert len(world.ec2.describe_volumes()["Volumes"]) == 2


def test_a_fault_can_be_meant_for_one_resource(still: World) -> None:
    one, other = still.volume(), still.volume()
    still.post("faults", action="CreateSnapshot", kind="error", code="Unavailable", status=503, match=other)
    still.ec2.create_snapshot(VolumeId=one)
    with refused("Unavailable", status=503):
        still.ec2.create_snapshot(VolumeId=other)


def test_faults_can_be_taken_away(world: World) -> None:
    world.post("faults", action="*", nth=1, times=1000, kind="throttle")
    with refused("RequestLimitExceeded", status=503):
        world.ec2.describe_regions()
    world.control("DELETE", "faults")
    assert world.ec2.describe_regions()["Regions"]


def test_a_share_of_all_calls_is_throttled(still: World) -> None:
    still.post("faults", action="*", kind="throttle", share=0.3, seed=1)
    still.settings(throttling=False)
    ec2, outcomes = still.ec2, []
    for _ in range(200):
        try:
            ec2.describe_regions()
            outcomes.append(True)
        except ClientError:
            outcomes.append(False)
    assert 40 <= outcomes.count(False) <= 80


def test_a_lost_reply_is_of_a_call_that_was_applied(world: World) -> None:
    instance_id = world.scene(volumes=2)[0]
    world.post("faults", action="CreateSnapshots", kind="lose_reply")
    with pytest.raises(ConnectionClosedError):
        world.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance_id})
    assert len(world.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 2


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("CreateVolume", lambda ec2: ec2.create_volume(AvailabilityZone=ZONE, Size=1)),
        ("RunInstances", lambda ec2: ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1)),
    ],
)
def test_a_retry_after_a_lost_reply_makes_nothing_twice_under_a_token(
    world: World, action: str, call: Callable[[Any], Any]
) -> None:
    world.post("faults", action=action, kind="lose_reply")
    answer = call(world.client("ec2", attempts=3))
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert len(world.ec2.describe_volumes()["Volumes"]) == 1


def test_the_log_of_calls_tells_who_asked_what_when(still: World) -> None:
    volume = still.volume()
    snapshot = still.snapshot(volume)
    with refused("InvalidSnapshot.NotFound"):
        still.ec2.describe_snapshots(**SNAPSHOT)
    still.ec2.describe_snapshots(SnapshotIds=[snapshot])
    calls = still.calls()
    assert [call["action"] for call in calls] == [
        "CreateVolume",
        "CreateSnapshot",
        "DescribeSnapshots",
        "DescribeSnapshots",
    ]
    assert [call["seq"] for call in calls] == [1, 2, 3, 4]
    assert [call["outcome"] for call in calls] == ["ok", "ok", "InvalidSnapshot.NotFound", "ok"]
    assert {call["region"] for call in calls} == {REGION}
    assert [calls[1]["ids"], calls[3]["ids"]] == [[volume], [snapshot]]
    assert calls[0]["time"] == "2026-01-01T12:00:00.000Z"
    assert calls[3]["time"] == "2026-01-01T12:01:00.000Z"
    assert still.calls(since=2, limit=1) == calls[2:3]
