"""`CreateSnapshots`: all volumes of an instance at one moment."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import World, by_device, read_tags, refused, root_of, tagged

NOWHERE = "i-0123456789abcdef0"


def take(world: World, instance_id: str, **more: Any) -> list[dict]:
    """Snapshot an instance; `Exclude…` arguments go into its specification."""
    specification = {key: more.pop(key) for key in list(more) if key.startswith("Exclude")}
    return world.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance_id, **specification}, **more)[
        "Snapshots"
    ]


def test_takes_every_volume_at_one_moment(still: World) -> None:
    instance = still.instance(still.scene(volumes=3, volume_size_gib=4)[0])
    made = take(still, instance["InstanceId"], Description="nightly", TagSpecifications=[tagged("snapshot", job="1")])
    assert {snapshot["VolumeId"] for snapshot in made} == set(by_device(instance).values())
    assert len({snapshot["SnapshotId"] for snapshot in made}) == 3
    assert len({snapshot["StartTime"] for snapshot in made}) == 1
    for snapshot in made:
        assert snapshot["State"] == "pending"
        assert snapshot["OwnerId"] == still.account
        assert snapshot["VolumeSize"] == 4
        assert snapshot["Description"] == "nightly"
        assert snapshot["Encrypted"] is False
        assert read_tags(snapshot["Tags"]) == {"job": "1"}
    still.advance(60)
    by_tag = [{"Name": "tag:job", "Values": ["1"]}]
    found = still.ec2.describe_snapshots(OwnerIds=["self"], Filters=by_tag)["Snapshots"]
    assert {snapshot["SnapshotId"] for snapshot in found} == {snapshot["SnapshotId"] for snapshot in made}
    assert {snapshot["State"] for snapshot in found} == {"completed"}
    assert {snapshot["StartTime"] for snapshot in found} == {made[0]["StartTime"]}


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_takes_instances_that_run_and_that_do_not(still: World, state: str) -> None:
    assert len(take(still, still.scene(volumes=2, state=state)[0])) == 2


def test_a_set_holds_one_moment_of_all_volumes(still: World) -> None:
    instance = still.instance(still.scene(volumes=2)[0])
    for volume in by_device(instance).values():
        still.write(volume, 0, b"before")
    made = take(still, instance["InstanceId"])
    for volume in by_device(instance).values():
        still.write(volume, 0, b"after!")
    still.advance(60)
    for snapshot in made:
        block = still.ebs.list_snapshot_blocks(SnapshotId=snapshot["SnapshotId"])["Blocks"][0]
        read = still.ebs.get_snapshot_block(
            SnapshotId=snapshot["SnapshotId"], BlockIndex=0, BlockToken=block["BlockToken"]
        )
        assert read["BlockData"].read(6) == b"before"


def test_leaves_out_what_is_excluded(still: World) -> None:
    instance = still.instance(still.scene(volumes=4)[0])
    devices = by_device(instance)
    root = root_of(instance)
    first, second, third = sorted(set(devices.values()) - {root})
    for exclude, expected in [
        ({"ExcludeBootVolume": True}, {first, second, third}),
        ({"ExcludeBootVolume": False}, {root, first, second, third}),
        ({"ExcludeDataVolumeIds": [first]}, {root, second, third}),
        ({"ExcludeBootVolume": True, "ExcludeDataVolumeIds": [first, third]}, {second}),
    ]:
        made = take(still, instance["InstanceId"], **exclude)
        assert {snapshot["VolumeId"] for snapshot in made} == expected
        still.advance(60)


def test_refuses_exclusions_that_make_no_sense(still: World) -> None:
    instance = still.instance(still.scene(volumes=2)[0])
    root = root_of(instance)
    (data,) = set(by_device(instance).values()) - {root}
    for exclude, words in [
        ({"ExcludeDataVolumeIds": [root]}, [root]),
        ({"ExcludeDataVolumeIds": [still.volume()]}, ["vol-"]),
        ({"ExcludeBootVolume": True, "ExcludeDataVolumeIds": [data]}, []),
    ]:
        with refused(("InvalidParameterValue", "InvalidParameterCombination"), *words):
            take(still, instance["InstanceId"], **exclude)
    assert still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_copies_the_tags_of_each_volume(still: World) -> None:
    instance = still.instance(still.scene(volumes=2)[0])
    devices = by_device(instance)
    for device, volume in devices.items():
        still.ec2.create_tags(
            Resources=[volume], Tags=[{"Key": "device", "Value": device}, {"Key": "job", "Value": "old"}]
        )
    given = [tagged("snapshot", job="new")]
    made = take(still, instance["InstanceId"], CopyTagsFromSource="volume", TagSpecifications=given)
    expected = {volume: {"device": device, "job": "new"} for device, volume in devices.items()}
    assert {one["VolumeId"]: read_tags(still.described(one["SnapshotId"])["Tags"]) for one in made} == expected
    still.advance(60)
    for snapshot in take(still, instance["InstanceId"], TagSpecifications=given):
        assert read_tags(snapshot["Tags"]) == {"job": "new"}


def test_cannot_copy_more_tags_than_fit_or_tags_of_aws(still: World) -> None:
    instance = still.instance(still.scene()[0])
    volume = root_of(instance)
    still.ec2.create_tags(Resources=[volume], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    assert len(take(still, instance["InstanceId"], CopyTagsFromSource="volume")) == 1
    still.advance(60)
    with refused("TagLimitExceeded"):
        take(
            still,
            instance["InstanceId"],
            CopyTagsFromSource="volume",
            TagSpecifications=[tagged("snapshot", one_more="")],
        )
    still.post("tags", resource_id=volume, tags={"aws:cloudformation:stack-name": "x"})
    with refused("InvalidParameterValue", "aws:"):
        take(still, instance["InstanceId"], CopyTagsFromSource="volume")
    assert len(still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1


def test_refuses_an_instance_that_can_hibernate(still: World) -> None:
    instance_id = still.launch(HibernationOptions={"Configured": True})["InstanceId"]
    with refused(("UnsupportedOperation", "InvalidParameterValue", "IncorrectState"), "hibernat"):
        take(still, instance_id)


def test_refuses_an_instance_that_is_gone_or_never_was(still: World) -> None:
    instance_id = still.scene()[0]
    still.ec2.terminate_instances(InstanceIds=[instance_id])
    with refused(("IncorrectInstanceState", "IncorrectState", "InvalidInstanceID.NotFound"), instance_id):
        take(still, instance_id)
    with refused("InvalidInstanceID.NotFound", NOWHERE, "does not exist"):
        take(still, NOWHERE)
    with refused("InvalidInstanceID.Malformed", "nonsense"):
        take(still, "nonsense")


def test_one_volume_that_is_not_ready_refuses_the_set(still: World) -> None:
    instance = still.instance(still.scene(volumes=2)[0])
    still.ec2.create_snapshot(VolumeId=root_of(instance))
    with refused("SnapshotCreationPerVolumeRateExceeded"):
        take(still, instance["InstanceId"])
    assert len(still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1
    still.advance(15)
    assert len(take(still, instance["InstanceId"])) == 2


def test_one_that_fails_takes_the_set_with_it(still: World) -> None:
    instance = still.instance(still.scene(volumes=3)[0])
    still.post("snapshots/fail", volume_id=root_of(instance), message="no luck", after_seconds=1)
    made = take(still, instance["InstanceId"])
    still.advance(60)
    for snapshot in made:
        found = still.described(snapshot["SnapshotId"])
        assert (found["State"], found["StateMessage"]) == ("error", "no luck")


def test_has_no_client_token_so_two_calls_make_two_sets(still: World) -> None:
    instance_id = still.scene(volumes=2)[0]
    first = take(still, instance_id)
    still.advance(15)
    second = take(still, instance_id)
    assert not {one["SnapshotId"] for one in first} & {one["SnapshotId"] for one in second}


def test_takes_encrypted_volumes_under_their_keys(still: World) -> None:
    disks = [
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "Encrypted": True, "KmsKeyId": "alias/one"}},
        {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 1, "Encrypted": True, "KmsKeyId": "alias/two"}},
    ]
    instance = still.launch(BlockDeviceMappings=disks)
    volumes = still.ec2.describe_volumes(VolumeIds=list(by_device(instance).values()))["Volumes"]
    keys = {volume["VolumeId"]: volume.get("KmsKeyId") for volume in volumes}
    assert len(set(keys.values())) == 3
    for snapshot in take(still, instance["InstanceId"]):
        found = still.described(snapshot["SnapshotId"])
        assert found.get("KmsKeyId") == keys[snapshot["VolumeId"]]
        assert snapshot["Encrypted"] is found["Encrypted"] is (keys[snapshot["VolumeId"]] is not None)
