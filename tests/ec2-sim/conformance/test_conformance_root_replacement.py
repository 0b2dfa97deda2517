"""Replacing the root volume of an instance that runs."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import World, by_device, read_tags, refused, root_of, tagged


def replace(world: World, instance_id: str, **asked: object) -> dict[str, Any]:
    """Start a task."""
    return world.ec2.create_replace_root_volume_task(InstanceId=instance_id, **asked)["ReplaceRootVolumeTask"]


def task(world: World, task_id: str) -> dict[str, Any]:
    """Describe a task."""
    found = world.ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=[task_id])
    return found["ReplaceRootVolumeTasks"][0]


def volume(world: World, volume_id: str) -> dict[str, Any]:
    """Describe a volume."""
    return world.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]


@pytest.fixture
def instance(still: World) -> dict[str, Any]:
    """Launch an instance whose root volume is neither usual nor empty."""
    still.settings(throttling=False)
    ebs = {"VolumeSize": 20, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250, "DeleteOnTermination": False}
    made = still.launch(
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}],
        TagSpecifications=[tagged("volume", Name="root")],
    )
    still.write(root_of(made), 0, b"before")
    return made


def test_brings_a_snapshot_back(still: World, instance: dict[str, Any]) -> None:
    instance_id, old = instance["InstanceId"], root_of(instance)
    snapshot = still.snapshot(old)
    still.write(old, 0, b"after!")
    made = replace(
        still,
        instance_id,
        SnapshotId=snapshot,
        TagSpecifications=[tagged("replace-root-volume-task", Job="7")],
    )
    assert (made["TaskState"], made["InstanceId"], made["SnapshotId"]) == ("pending", instance_id, snapshot)
    found = task(still, made["ReplaceRootVolumeTaskId"])
    assert (found["TaskState"], found["DeleteReplacedRootVolume"]) == ("succeeded", False)
    assert read_tags(found["Tags"]) == {"Job": "7"}
    assert {"StartTime", "CompleteTime"} <= found.keys()
    after = still.instance(instance_id)
    new = root_of(after)
    assert new != old
    assert still.read(new, 0, 6) == b"before"
    shown = volume(still, new)
    assert (shown["VolumeType"], shown["Iops"], shown["Throughput"], shown["Size"]) == ("gp3", 4000, 250, 20)
    assert shown["SnapshotId"] == snapshot
    assert "Tags" not in shown
    assert after["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is False
    assert after["State"]["Name"] == "running"
    assert volume(still, old)["State"] == "available"
    assert still.read(old, 0, 6) == b"after!"


def test_deletes_the_replaced_volume_when_told(still: World, instance: dict[str, Any]) -> None:
    instance_id, old = instance["InstanceId"], root_of(instance)
    replace(still, instance_id, DeleteReplacedRootVolume=True)
    new = root_of(still.instance(instance_id))
    assert still.read(new, 0, 6) == bytes(6)
    with refused("InvalidVolume.NotFound", old):
        volume(still, old)


def test_takes_its_time(still: World, instance: dict[str, Any]) -> None:
    still.settings(replace_root_seconds=20)
    instance_id, old = instance["InstanceId"], root_of(instance)
    made = replace(still, instance_id)["ReplaceRootVolumeTaskId"]
    assert task(still, made)["TaskState"] == "pending"
    with refused("IncorrectInstanceState", "in progress"):
        replace(still, instance_id)
    still.advance(10)
    assert task(still, made)["TaskState"] == "in-progress"
    assert root_of(still.instance(instance_id)) == old
    still.advance(10)
    assert task(still, made)["TaskState"] == "succeeded"
    assert root_of(still.instance(instance_id)) != old


def test_takes_snapshots_of_its_own_history_only(still: World, instance: dict[str, Any]) -> None:
    instance_id, old = instance["InstanceId"], root_of(instance)
    first = still.snapshot(old)
    replace(still, instance_id, SnapshotId=first)
    second = still.snapshot(root_of(still.instance(instance_id)))
    for snapshot in (second, first):
        made = replace(still, instance_id, SnapshotId=snapshot)["ReplaceRootVolumeTaskId"]
        assert task(still, made)["TaskState"] == "succeeded"
    stranger = still.snapshot(still.volume(8))
    copy = still.copy(first, region="us-east-1")
    still.advance(60)
    for snapshot in (stranger, copy):
        with refused("InvalidParameterValue", "Invalid snapshot for root volume"):
            replace(still, instance_id, SnapshotId=snapshot)
    pending = still.ec2.create_snapshot(VolumeId=root_of(still.instance(instance_id)))["SnapshotId"]
    with refused("IncorrectState"):
        replace(still, instance_id, SnapshotId=pending)


def test_an_instance_of_an_image_goes_back_to_its_launch_and_its_snapshots(
    still: World, instance: dict[str, Any]
) -> None:
    before = still.snapshot(root_of(instance))
    snapshot = still.snapshot(root_of(instance))
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]
    images = [
        still.ec2.register_image(
            Name=f"image-{architecture}",
            RootDeviceName="/dev/xvda",
            Architecture=architecture,
            VirtualizationType="hvm",
            BlockDeviceMappings=devices,
        )["ImageId"]
        for architecture in ("x86_64", "arm64")
    ]
    instance_id = still.launch(ImageId=images[0])["InstanceId"]
    for asked in ({}, {"SnapshotId": snapshot}, {"SnapshotId": before}, {"ImageId": images[0]}):
        still.write(root_of(still.instance(instance_id)), 0, b"broken")
        made = replace(still, instance_id, **asked)["ReplaceRootVolumeTaskId"]
        assert task(still, made)["TaskState"] == "succeeded"
        assert still.read(root_of(still.instance(instance_id)), 0, 6) == b"before"
    with refused("InvalidParameterValue", "architecture"):
        replace(still, instance_id, ImageId=images[1])
    with refused("InvalidParameterCombination"):
        replace(still, instance_id, ImageId=images[0], SnapshotId=snapshot)


def test_only_a_running_instance_has_its_root_replaced(still: World, instance: dict[str, Any]) -> None:
    instance_id = instance["InstanceId"]
    still.ec2.stop_instances(InstanceIds=[instance_id])
    with refused("IncorrectInstanceState", instance_id):
        replace(still, instance_id)
    with refused("InvalidInstanceID.NotFound"):
        replace(still, "i-0123456789abcdef0")


def test_a_client_token_starts_one_task(still: World, instance: dict[str, Any]) -> None:
    asked = {"instance_id": instance["InstanceId"], "ClientToken": "once"}
    first = replace(still, **asked)
    assert replace(still, **asked)["ReplaceRootVolumeTaskId"] == first["ReplaceRootVolumeTaskId"]
    with refused("IdempotentParameterMismatch"):
        replace(still, **asked, DeleteReplacedRootVolume=True)
    by_instance = [{"Name": "instance-id", "Values": [instance["InstanceId"]]}]
    found = still.ec2.describe_replace_root_volume_tasks(Filters=by_instance)
    assert len(found["ReplaceRootVolumeTasks"]) == 1


def test_a_task_can_fail_and_leave_all_as_it_was(still: World, instance: dict[str, Any]) -> None:
    instance_id = instance["InstanceId"]
    still.post("replace-root/fail", instance_id=instance_id)
    made = replace(still, instance_id, DeleteReplacedRootVolume=True)["ReplaceRootVolumeTaskId"]
    assert task(still, made)["TaskState"] == "failed"
    assert root_of(still.instance(instance_id)) == root_of(instance)
    assert len(still.ec2.describe_volumes()["Volumes"]) == 1
    made = replace(still, instance_id)["ReplaceRootVolumeTaskId"]
    assert task(still, made)["TaskState"] == "succeeded"


def test_a_task_can_fail_and_leave_no_root(still: World, instance: dict[str, Any]) -> None:
    instance_id, old = instance["InstanceId"], root_of(instance)
    still.post("replace-root/fail", instance_id=instance_id, detached=True)
    made = replace(still, instance_id)["ReplaceRootVolumeTaskId"]
    assert task(still, made)["TaskState"] == "failed-detached"
    after = still.instance(instance_id)
    assert (after["State"]["Name"], by_device(after)) == ("stopped", {})
    assert volume(still, old)["State"] == "available"
    with refused("InvalidParameterValue", "does not have a volume attached at root (/dev/xvda)"):
        still.ec2.start_instances(InstanceIds=[instance_id])
    still.ec2.attach_volume(InstanceId=instance_id, VolumeId=old, Device="/dev/xvda")
    still.ec2.start_instances(InstanceIds=[instance_id])
    assert still.instance(instance_id)["State"]["Name"] == "running"


def test_finds_tasks(still: World, instance: dict[str, Any]) -> None:
    specifications = [tagged("replace-root-volume-task", Job="7")]
    made = replace(still, instance["InstanceId"], TagSpecifications=specifications)["ReplaceRootVolumeTaskId"]
    for asked in (
        {"Filters": [{"Name": "tag:Job", "Values": ["7"]}]},
        {"Filters": [{"Name": "instance-id", "Values": [instance["InstanceId"]]}]},
        {"MaxResults": 50},
    ):
        found = still.ec2.describe_replace_root_volume_tasks(**asked)["ReplaceRootVolumeTasks"]
        assert [one["ReplaceRootVolumeTaskId"] for one in found] == [made]
    with pytest.raises(Exception, match="NotFound"):
        task(still, "replacevol-0123456789abcdef0")
    with refused("InvalidParameterValue", "taggable"):
        replace(still, instance["InstanceId"], TagSpecifications=[tagged("volume", a="b")])


def test_an_instance_that_ends_meanwhile_fails_its_task(still: World, instance: dict[str, Any]) -> None:
    still.settings(replace_root_seconds=10)
    made = replace(still, instance["InstanceId"])["ReplaceRootVolumeTaskId"]
    still.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    still.advance(10)
    assert task(still, made)["TaskState"] == "failed"
    assert root_of(still.instance(instance["InstanceId"])) == root_of(instance)
