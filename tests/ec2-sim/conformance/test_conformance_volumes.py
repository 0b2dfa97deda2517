"""Volumes: types and sizes, attaching, encryption, volumes of snapshots, client tokens."""

from __future__ import annotations

import pytest

from .simulator import NOON, ZONE, World, by_device, read_tags, refused, root_of, tagged

NOWHERE = "vol-0123456789abcdef0"


def describe(world: World, volume_id: str) -> dict:
    """Describe one volume."""
    return world.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]


def test_describes_what_every_volume_has(still: World) -> None:
    made = still.ec2.create_volume(
        AvailabilityZone="us-east-1b", Size=5, VolumeType="gp3", TagSpecifications=[tagged("volume", Name="data")]
    )
    assert made["State"] == "creating"
    assert made["VolumeId"].startswith("vol-")
    assert len(made["VolumeId"]) == 21
    found = describe(still, made["VolumeId"])
    assert found["State"] == "available"
    assert found["Attachments"] == []
    assert found["CreateTime"].isoformat() == NOON.replace("Z", "+00:00")
    assert found["SnapshotId"] == ""
    assert found["MultiAttachEnabled"] is False
    for volume in (made, found):
        assert (volume["AvailabilityZone"], volume["Size"]) == ("us-east-1b", 5)
        assert (volume["VolumeType"], volume["Iops"], volume["Throughput"]) == ("gp3", 3000, 125)
        assert volume["Encrypted"] is False
        assert "KmsKeyId" not in volume
        assert read_tags(volume["Tags"]) == {"Name": "data"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"Size": 8}, {"VolumeType": "gp2", "Iops": 100}),
        ({"Size": 1000, "VolumeType": "gp2"}, {"Iops": 3000}),
        ({"Size": 8000, "VolumeType": "gp2"}, {"Iops": 16000}),
        (
            {"Size": 100, "VolumeType": "gp3", "Iops": 6000, "Throughput": 500},
            {"VolumeType": "gp3", "Iops": 6000, "Throughput": 500},
        ),
        ({"Size": 100, "VolumeType": "io1", "Iops": 1000}, {"VolumeType": "io1", "Iops": 1000}),
        ({"Size": 100, "VolumeType": "io2", "Iops": 1000}, {"VolumeType": "io2", "Iops": 1000}),
        ({"Size": 125, "VolumeType": "st1"}, {"VolumeType": "st1", "Iops": None}),
        ({"Size": 125, "VolumeType": "sc1"}, {"VolumeType": "sc1", "Throughput": None}),
        ({"Size": 1, "VolumeType": "standard"}, {"VolumeType": "standard"}),
    ],
)
def test_fills_in_the_performance_of_a_type(world: World, asked: dict, expected: dict) -> None:
    found = describe(world, world.volume(**{"size": asked["Size"], **{k: v for k, v in asked.items() if k != "Size"}}))
    assert {key: found.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ({"Size": 1, "VolumeType": "st1"}, "InvalidParameterValue", ["1"]),
        ({"Size": 17000, "VolumeType": "gp2"}, "InvalidParameterValue", ["17000"]),
        ({"Size": 2000, "VolumeType": "standard"}, "InvalidParameterValue", ["2000"]),
        ({"Size": 8, "VolumeType": "io1"}, "InvalidParameterCombination", ["iops", "must be specified", "io1"]),
        ({"Size": 8, "VolumeType": "io2"}, "InvalidParameterCombination", ["iops", "must be specified", "io2"]),
        ({"Size": 8, "VolumeType": "gp2", "Iops": 300}, "InvalidParameterCombination", ["iops", "not supported"]),
        ({"Size": 8, "VolumeType": "gp2", "Throughput": 200}, "InvalidParameterCombination", ["throughput"]),
        ({"Size": 8, "VolumeType": "gp9"}, "InvalidParameterValue", ["gp9"]),
        ({"Size": 8, "KmsKeyId": "alias/mine"}, "InvalidParameterDependency", ["KmsKeyId", "Encrypted"]),
        ({"Size": 8, "AvailabilityZone": "us-east-1z"}, "InvalidZone.NotFound", ["us-east-1z", "does not exist"]),
        ({}, "MissingParameter", ["size", "snapshot"]),
        ({"SnapshotId": "snap-0123456789abcdef0"}, "InvalidSnapshot.NotFound", ["snap-0123456789abcdef0"]),
        ({"Size": 8, "TagSpecifications": [tagged("snapshot", a="b")]}, "InvalidParameterValue", ["snapshot"]),
    ],
)
def test_refuses_volumes_that_cannot_be(world: World, asked: dict, code: str, words: list[str]) -> None:
    with refused(code, *words):
        world.ec2.create_volume(**{"AvailabilityZone": ZONE, **asked})
    assert world.ec2.describe_volumes()["Volumes"] == []


@pytest.mark.parametrize("named", ["id", "arn", "alias", "default"])
def test_an_encrypted_volume_tells_the_arn_of_its_key(world: World, named: str) -> None:
    arn = f"arn:aws:kms:us-east-1:{world.account}:key/"
    key = {"id": "mrk-1", "arn": f"{arn}mrk-1", "alias": "alias/backup"}.get(named)
    asked = {"KmsKeyId": key} if key else {}
    found = describe(world, world.volume(Encrypted=True, **asked))
    assert found["Encrypted"] is True
    assert found["KmsKeyId"].startswith(arn)
    if named in ("id", "arn"):
        assert found["KmsKeyId"] == f"{arn}mrk-1"


def test_an_encrypted_volume_hands_its_key_on(still: World) -> None:
    source = still.volume(Encrypted=True, KmsKeyId="alias/first")
    first = describe(still, source)["KmsKeyId"]
    snapshot = still.snapshot(source)
    taken = still.described(snapshot)
    assert (taken["Encrypted"], taken["KmsKeyId"]) == (True, first)
    made = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)
    assert (made["Encrypted"], made["KmsKeyId"]) == (True, first)
    other = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot, Encrypted=True, KmsKeyId="alias/second")
    assert other["Encrypted"] is True
    assert other["KmsKeyId"] != first
    plain = still.snapshot(still.volume())
    assert still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=plain)["Encrypted"] is False
    assert still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=plain, Encrypted=True)["Encrypted"] is True


def test_a_volume_of_a_snapshot_holds_the_same_bytes(still: World) -> None:
    source = still.volume(size=3)
    for offset, data in [(0, b"boot"), (524_286, b"across"), (3 * 2**30 - 3, b"end")]:
        still.write(source, offset, data)
    snapshot = still.snapshot(source)
    made = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)
    assert (made["Size"], made["SnapshotId"]) == (3, snapshot)
    digests = [still.control("GET", f"volumes/{volume}/digest") for volume in (source, made["VolumeId"])]
    assert digests[0] == digests[1]
    assert still.read(made["VolumeId"], 524_286, 2) == b"ac"
    larger = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot, Size=5)
    assert larger["Size"] == 5
    assert still.read(larger["VolumeId"], 0, 4) == b"boot"
    with refused("InvalidParameterValue", snapshot):
        still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot, Size=2)


def test_a_volume_of_a_pending_snapshot_is_refused(still: World) -> None:
    pending = still.ec2.create_snapshot(VolumeId=still.volume())["SnapshotId"]
    with refused("IncorrectState", "pending"):
        still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=pending)


def test_a_volume_outlives_its_snapshot(still: World) -> None:
    source = still.volume()
    still.write(source, 4096, b"kept")
    snapshot = still.snapshot(source)
    made = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    still.ec2.delete_snapshot(SnapshotId=snapshot)
    assert still.read(made, 4096, 4) == b"kept"


def test_attaches_and_detaches(world: World) -> None:
    instance_id = world.scene()[0]
    volume = world.volume()
    made = world.ec2.attach_volume(VolumeId=volume, InstanceId=instance_id, Device="/dev/sdx")
    assert (made["VolumeId"], made["InstanceId"], made["Device"]) == (volume, instance_id, "/dev/sdx")
    assert made["State"] in ("attaching", "attached")
    assert made["DeleteOnTermination"] is False
    world.ec2.get_waiter("volume_in_use").wait(VolumeIds=[volume])
    found = describe(world, volume)
    assert found["State"] == "in-use"
    assert [(a["State"], a["InstanceId"], a["Device"]) for a in found["Attachments"]] == [
        ("attached", instance_id, "/dev/sdx")
    ]
    assert by_device(world.instance(instance_id))["/dev/sdx"] == volume
    gone = world.ec2.detach_volume(VolumeId=volume)
    assert gone["State"] in ("detaching", "detached")
    world.ec2.get_waiter("volume_available").wait(VolumeIds=[volume])
    assert "/dev/sdx" not in by_device(world.instance(instance_id))


def test_refuses_attachments_that_cannot_be(world: World) -> None:
    near, other = world.launch(Placement={"AvailabilityZone": ZONE}), world.launch()
    near_id, other_id = near["InstanceId"], other["InstanceId"]
    taken, free = world.volume(), world.volume()
    far = world.ec2.create_volume(AvailabilityZone="us-east-1c", Size=1)["VolumeId"]
    world.ec2.attach_volume(VolumeId=taken, InstanceId=near_id, Device="/dev/sdf")
    for volume, instance, device, code, words in [
        (taken, other_id, "/dev/sdf", "VolumeInUse", [taken, "already attached"]),
        (taken, near_id, "/dev/sdg", "VolumeInUse", [taken, "already attached"]),
        (free, near_id, "/dev/sdf", "InvalidParameterValue", ["/dev/sdf", "already in use"]),
        (free, near_id, near["RootDeviceName"], "InvalidParameterValue", ["already in use"]),
        (far, near_id, "/dev/sdg", "InvalidVolume.ZoneMismatch", [far, near_id, "availability zone"]),
        (NOWHERE, near_id, "/dev/sdg", "InvalidVolume.NotFound", [NOWHERE, "does not exist"]),
        (free, "i-0123456789abcdef0", "/dev/sdg", "InvalidInstanceID.NotFound", ["i-0123456789abcdef0"]),
    ]:
        with refused(code, *words):
            world.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    world.ec2.terminate_instances(InstanceIds=[other_id])
    with refused("IncorrectState", other_id):
        world.ec2.attach_volume(VolumeId=free, InstanceId=other_id, Device="/dev/sdg")
    assert describe(world, free)["State"] == "available"


def test_detaches_a_root_volume_only_of_a_stopped_instance(world: World) -> None:
    instance = world.launch()
    instance_id, root = instance["InstanceId"], root_of(instance)
    with refused("OperationNotPermitted", "root volume", root, instance_id):
        world.ec2.detach_volume(VolumeId=root)
    world.ec2.stop_instances(InstanceIds=[instance_id])
    world.ec2.detach_volume(VolumeId=root, InstanceId=instance_id, Device=instance["RootDeviceName"])
    assert describe(world, root)["State"] == "available"
    with refused("IncorrectState", root, "available"):
        world.ec2.detach_volume(VolumeId=root)
    replacement = world.volume()
    world.ec2.attach_volume(VolumeId=replacement, InstanceId=instance_id, Device=instance["RootDeviceName"])
    world.ec2.start_instances(InstanceIds=[instance_id])
    assert root_of(world.instance(instance_id)) == replacement


def test_deletes_only_what_nobody_uses(world: World) -> None:
    instance = world.launch()
    root = root_of(instance)
    with refused("VolumeInUse", root, instance["InstanceId"]):
        world.ec2.delete_volume(VolumeId=root)
    free = world.volume()
    world.ec2.delete_volume(VolumeId=free)
    world.ec2.get_waiter("volume_deleted").wait(VolumeIds=[free])
    with refused("InvalidVolume.NotFound", free):
        world.ec2.delete_volume(VolumeId=free)


def test_the_same_client_token_gives_the_same_volume(world: World) -> None:
    asked = {"AvailabilityZone": ZONE, "Size": 1, "ClientToken": "once"}
    first, second = (world.ec2.create_volume(**asked)["VolumeId"] for _ in range(2))
    assert first == second
    with refused("IdempotentParameterMismatch"):
        world.ec2.create_volume(**{**asked, "Size": 2})
    assert len(world.ec2.describe_volumes()["Volumes"]) == 1
    assert world.volume() != world.volume()


def test_a_client_token_has_64_ascii_characters_at_most(world: World) -> None:
    assert world.volume(ClientToken="t" * 64)
    with refused("InvalidParameterValue", "clientToken"):
        world.volume(ClientToken="t" * 65)


@pytest.mark.parametrize(
    ("ids", "codes", "words"),
    [
        ([NOWHERE], "InvalidVolume.NotFound", [NOWHERE, "does not exist"]),
        (["nonsense"], "InvalidParameterValue", ["nonsense", "vol-..."]),
        (["vol-xyz"], ("InvalidParameterValue", "InvalidVolumeID.Malformed"), ["vol-xyz"]),
    ],
)
def test_refuses_ids_of_nothing(world: World, ids: list[str], codes: str | tuple[str, ...], words: list[str]) -> None:
    with refused(codes, *words):
        world.ec2.describe_volumes(VolumeIds=[world.volume(), *ids])


def test_pages_through_all_volumes_once(world: World) -> None:
    world.scene(4, volumes=3)
    pages = list(world.ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5}))
    found = [volume["VolumeId"] for page in pages for volume in page["Volumes"]]
    assert [len(page["Volumes"]) for page in pages] == [5, 5, 2]
    assert len(set(found)) == 12


def test_refuses_page_sizes_and_tokens_that_do_not_fit(world: World) -> None:
    volume = world.volume()
    with refused("InvalidParameterCombination", "volumeSet", "maxResults"):
        world.ec2.describe_volumes(VolumeIds=[volume], MaxResults=5)
    with refused("InvalidParameterValue", "maxResults"):
        world.ec2.describe_volumes(MaxResults=4)
    with refused(("InvalidPaginationToken", "InvalidNextToken", "InvalidParameterValue"), "token"):
        world.ec2.describe_volumes(MaxResults=5, NextToken="nonsense")


def test_a_volume_can_be_shared_by_instances(world: World) -> None:
    first, second = world.scene(2)
    shared = world.volume(4, VolumeType="io2", Iops=100, MultiAttachEnabled=True)
    for instance_id in (first, second):
        world.ec2.attach_volume(VolumeId=shared, InstanceId=instance_id, Device="/dev/sdh")
    with refused("VolumeInUse", shared):
        world.ec2.attach_volume(VolumeId=shared, InstanceId=first, Device="/dev/sdi")
    (found,) = world.ec2.describe_volumes(VolumeIds=[shared])["Volumes"]
    assert {attachment["InstanceId"] for attachment in found["Attachments"]} == {first, second}
    for instance_id in (first, second):
        assert "/dev/sdh" in by_device(world.instance(instance_id))
    with refused("MissingParameter", "InstanceId"):
        world.ec2.detach_volume(VolumeId=shared)
    world.ec2.detach_volume(VolumeId=shared, InstanceId=second)
    with refused("InvalidAttachment.NotFound", shared):
        world.ec2.detach_volume(VolumeId=shared, InstanceId=second)
    world.ec2.terminate_instances(InstanceIds=[first])
    assert world.ec2.describe_volumes(VolumeIds=[shared])["Volumes"][0]["State"] == "available"
    with refused("InvalidParameterCombination", "Multi-Attach"):
        world.volume(4, VolumeType="gp3", MultiAttachEnabled=True)
