"""Images made of snapshots and of instances, and the snapshots that they hold on to."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import IMAGE, World, by_device, read_tags, refused, root_of, tagged

UNKNOWN = "ami-0fedcba9876543210"


def register(world: World, name: str = "image", **more: Any) -> str:
    """Register an image; give its id."""
    asked = {"RootDeviceName": "/dev/xvda", "Architecture": "x86_64", "VirtualizationType": "hvm", **more}
    return world.ec2.register_image(Name=name, **asked)["ImageId"]


def root(snapshot: str, **more: Any) -> dict[str, Any]:
    return {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot, **more}}


def image(world: World, image_id: str) -> dict[str, Any]:
    return world.ec2.describe_images(ImageIds=[image_id])["Images"][0]


def ids(world: World, **asked: Any) -> list[str]:
    return [found["ImageId"] for found in world.ec2.describe_images(**asked)["Images"]]


def by(name: str, *values: str) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)}]


def test_an_image_is_registered_from_snapshots(still: World) -> None:
    boot, data = (still.snapshot(still.volume(size)) for size in (8, 3))
    made = register(
        still,
        Description="restored",
        EnaSupport=True,
        BootMode="uefi",
        BlockDeviceMappings=[
            root(boot, VolumeType="gp3", Iops=4000),
            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": data, "VolumeSize": 5}},
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        ],
        TagSpecifications=[tagged("image", job="1")],
    )
    found = image(still, made)
    assert (found["State"], found["Name"], found["Description"]) == ("available", "image", "restored")
    assert (found["OwnerId"], found["ImageLocation"]) == (still.account, f"{still.account}/image")
    assert (found["Architecture"], found["VirtualizationType"]) == ("x86_64", "hvm")
    assert (found["EnaSupport"], found["BootMode"], found["Public"]) == (True, "uefi", False)
    assert (found["RootDeviceName"], found["RootDeviceType"]) == ("/dev/xvda", "ebs")
    assert read_tags(found["Tags"]) == {"job": "1"}
    devices = {device["DeviceName"]: device for device in found["BlockDeviceMappings"]}
    assert devices["/dev/xvda"]["Ebs"] == {
        "SnapshotId": boot,
        "VolumeSize": 8,
        "VolumeType": "gp3",
        "Iops": 4000,
        "DeleteOnTermination": True,
        "Encrypted": False,
    }
    assert (devices["/dev/sdf"]["Ebs"]["VolumeSize"], devices["/dev/sdf"]["Ebs"]["VolumeType"]) == (5, "gp2")
    assert devices["/dev/sdb"]["VirtualName"] == "ephemeral0"


def test_instances_start_with_what_the_image_holds(still: World) -> None:
    volume = still.volume(4)
    still.write(volume, 0, b"boots")
    extra = still.volume(2)
    still.write(extra, 0, b"data!")
    made = register(
        still,
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": still.snapshot(volume), "VolumeType": "gp3"}},
            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": still.snapshot(extra)}},
        ],
    )
    launched = still.launch(ImageId=made)
    assert launched["RootDeviceName"] == "/dev/sda1"
    assert set(by_device(launched)) == {"/dev/sda1", "/dev/sdf"}
    assert still.read(root_of(launched), 0, 5) == b"boots"
    assert still.read(by_device(launched)["/dev/sdf"], 0, 5) == b"data!"
    other = still.launch(
        ImageId=made,
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 9}},
            {"DeviceName": "/dev/sdf", "NoDevice": ""},
        ],
    )
    assert set(by_device(other)) == {"/dev/sda1"}
    bigger = still.ec2.describe_volumes(VolumeIds=[root_of(other)])["Volumes"][0]
    assert (bigger["Size"], bigger["VolumeType"]) == (9, "gp3")
    # An image that nobody registered has an empty root device, as ever.
    assert set(by_device(still.launch(ImageId=IMAGE))) == {"/dev/xvda"}


def test_an_image_is_made_of_an_instance(still: World) -> None:
    (instance,) = still.scene(volumes=2)
    boot = root_of(still.instance(instance))
    still.write(boot, 0, b"running")
    made = still.ec2.create_image(
        InstanceId=instance,
        Name="taken",
        NoReboot=True,
        TagSpecifications=[tagged("image", a="image"), tagged("snapshot", a="snapshot")],
    )["ImageId"]
    found = image(still, made)
    assert (found["State"], found["SourceInstanceId"]) == ("pending", instance)
    assert read_tags(found["Tags"]) == {"a": "image"}
    with refused("InvalidAMIID.Unavailable", made):
        still.launch(ImageId=made)
    still.advance(60)
    found = image(still, made)
    assert found["State"] == "available"
    snapshots = [device["Ebs"]["SnapshotId"] for device in found["BlockDeviceMappings"]]
    assert len(snapshots) == 2
    described = still.described(snapshots[0])
    assert read_tags(described["Tags"]) == {"a": "snapshot"}
    assert (instance in described["Description"], made in described["Description"]) == (True, True)
    assert still.read(root_of(still.launch(ImageId=made)), 0, 7) == b"running"


def test_an_image_leaves_out_a_device(still: World) -> None:
    (instance,) = still.scene(volumes=2)
    left = next(name for name in by_device(still.instance(instance)) if name != "/dev/xvda")
    made = still.ec2.create_image(
        InstanceId=instance, Name="taken", BlockDeviceMappings=[{"DeviceName": left, "NoDevice": ""}]
    )["ImageId"]
    assert [device["DeviceName"] for device in image(still, made)["BlockDeviceMappings"]] == ["/dev/xvda"]


def test_an_image_says_otherwise_than_its_instance_whether_a_device_ends_with_it(still: World) -> None:
    (instance,) = still.scene(volumes=2)
    data = next(name for name in by_device(still.instance(instance)) if name != "/dev/xvda")
    asked = [{"DeviceName": data, "Ebs": {"DeleteOnTermination": False}}]
    made = still.ec2.create_image(InstanceId=instance, Name="taken", BlockDeviceMappings=asked)["ImageId"]
    ends = {
        device["DeviceName"]: device["Ebs"]["DeleteOnTermination"]
        for device in image(still, made)["BlockDeviceMappings"]
    }
    assert ends == {"/dev/xvda": True, data: False}


@pytest.mark.parametrize("change", [{"VolumeSize": 9}, {"VolumeType": "io2", "DeleteOnTermination": True}])
def test_an_image_of_an_instance_changes_nothing_else_of_a_device(still: World, change: dict) -> None:
    (instance,) = still.scene()
    with refused("InvalidParameterValue", "/dev/xvda"):
        still.ec2.create_image(
            InstanceId=instance, Name="taken", BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": change}]
        )


def test_an_image_fails_with_its_snapshot(still: World) -> None:
    (instance,) = still.scene()
    still.post("snapshots/fail", volume_id=root_of(still.instance(instance)), message="broken")
    made = still.ec2.create_image(InstanceId=instance, Name="taken")["ImageId"]
    found = image(still, made)
    assert (found["State"], found["StateReason"]["Message"]) == ("failed", "broken")


def test_refuses_what_cannot_be_an_image(still: World) -> None:
    volume = still.volume()
    snapshot = still.snapshot(volume)
    taken = register(still, BlockDeviceMappings=[root(snapshot)])
    with refused("InvalidAMIName.Duplicate", "already in use", taken):
        register(still, BlockDeviceMappings=[root(snapshot)])
    with refused("InvalidAMIName.Malformed"):
        register(still, name="no#hash", BlockDeviceMappings=[root(snapshot)])
    with refused("InvalidBlockDeviceMapping", "/dev/xvda"):
        register(still, name="other", BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot}}])
    with refused("InvalidSnapshot.NotFound"):
        register(still, name="other", BlockDeviceMappings=[root("snap-0123456789abcdef0")])
    with refused("InvalidParameterValue", "smaller"):
        big = still.snapshot(still.volume(4))
        register(still, name="other", BlockDeviceMappings=[root(big, VolumeSize=2)])
    with refused("InvalidBlockDeviceMapping", "encrypted"):
        register(still, name="other", BlockDeviceMappings=[root(snapshot, Encrypted=True)])
    still.post("snapshots/hold", volume_id=volume)
    with refused("IncorrectState", "pending"):
        register(still, name="other", BlockDeviceMappings=[root(still.snapshot(volume))])
    with refused("UnknownParameter", "BillingProduct"):
        register(still, name="other", BlockDeviceMappings=[root(snapshot)], BillingProducts=["bp-1"])
    assert ids(still, Owners=["self"]) == [taken]


def test_a_snapshot_of_an_image_cannot_be_deleted(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    made = register(still, BlockDeviceMappings=[root(snapshot)])
    message = f"The snapshot {snapshot} is currently in use by {made}"
    with refused("InvalidSnapshot.InUse", message):
        still.ec2.delete_snapshot(SnapshotId=snapshot)
    still.ec2.disable_image(ImageId=made)
    with refused("InvalidSnapshot.InUse", message):
        still.ec2.delete_snapshot(SnapshotId=snapshot)
    still.ec2.deregister_image(ImageId=made)
    still.ec2.delete_snapshot(SnapshotId=snapshot)
    with refused("InvalidSnapshot.NotFound", snapshot):
        still.ec2.delete_snapshot(SnapshotId=snapshot)


def test_deregistering_can_delete_the_snapshots(still: World) -> None:
    shared, own, locked = (still.snapshot(still.volume()) for _ in range(3))
    more = [
        {"DeviceName": f"/dev/sd{letter}", "Ebs": {"SnapshotId": snapshot}}
        for letter, snapshot in zip("fg", (own, locked), strict=True)
    ]
    made = register(still, BlockDeviceMappings=[root(shared), *more])
    other = register(still, name="other", BlockDeviceMappings=[root(shared)])
    still.ec2.lock_snapshot(SnapshotId=locked, LockMode="governance", LockDuration=1)
    answer = still.ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    codes = {result["SnapshotId"]: result["ReturnCode"] for result in answer["DeleteSnapshotResults"]}
    assert codes == {shared: "skipped", own: "success", locked: "client-error"}
    with refused("InvalidSnapshot.NotFound", own):
        still.described(own)
    assert still.described(locked)["State"] == "completed"
    assert ids(still, Owners=["self"]) == [other]


def test_a_deregistered_image_is_gone(still: World) -> None:
    made = register(still, BlockDeviceMappings=[root(still.snapshot(still.volume()))])
    still.ec2.deregister_image(ImageId=made)
    gone = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
    with refused(gone, made):
        image(still, made)
    with refused(gone, made):
        still.ec2.deregister_image(ImageId=made)
    with refused(gone, made):
        still.launch(ImageId=made)


@pytest.mark.parametrize("call", ["describe_images", "deregister_image", "disable_image", "enable_image"])
def test_knows_an_image_that_never_was_from_one_that_cannot_be(world: World, call: str) -> None:
    def ask(image_id: str) -> None:
        named = {"ImageIds": [image_id]} if call == "describe_images" else {"ImageId": image_id}
        getattr(world.ec2, call)(**named)

    with refused("InvalidAMIID.NotFound", UNKNOWN, "does not exist"):
        ask(UNKNOWN)
    with refused("InvalidAMIID.Malformed", "ami-xyz"):
        ask("ami-xyz")


def test_a_disabled_image_hides_and_does_not_start(still: World) -> None:
    made = register(still, BlockDeviceMappings=[root(still.snapshot(still.volume()))])
    still.ec2.disable_image(ImageId=made)
    assert ids(still, Owners=["self"]) == []
    assert ids(still, Owners=["self"], IncludeDisabled=True) == [made]
    assert ids(still, IncludeDisabled=True, Filters=by("state", "disabled")) == [made]
    assert image(still, made)["State"] == "disabled"
    with refused("InvalidAMIID.Unavailable", made):
        still.launch(ImageId=made)
    still.ec2.enable_image(ImageId=made)
    assert ids(still, Owners=["self"]) == [made]
    still.launch(ImageId=made)


def test_images_are_found_by_filters_and_page_by_page(still: World) -> None:
    snapshots = [still.snapshot(still.volume()) for _ in range(6)]
    made = [
        register(
            still,
            name=f"image-{number}",
            BlockDeviceMappings=[root(snapshot)],
            TagSpecifications=[tagged("image", number=str(number))],
        )
        for number, snapshot in enumerate(snapshots)
    ]
    assert ids(still, Filters=by("block-device-mapping.snapshot-id", *snapshots[:2])) == sorted(made[:2])
    assert ids(still, Filters=by("name", "image-3")) == [made[3]]
    assert ids(still, Filters=by("tag:number", "4")) == [made[4]]
    assert ids(still, Filters=by("image-id", made[5])) == [made[5]]
    assert ids(still, Filters=by("state", "pending")) == []
    assert ids(still, Owners=["amazon"]) == []
    pages = list(still.ec2.get_paginator("describe_images").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Images"]) for page in pages] == [5, 1]
    still.ec2.create_tags(Resources=[made[0]], Tags=[{"Key": "late", "Value": "1"}])
    assert ids(still, Filters=by("tag:late", "1")) == [made[0]]
    kinds = still.ec2.describe_tags(Filters=by("resource-id", made[0]))["Tags"]
    assert {tag["ResourceType"] for tag in kinds} == {"image"}


def test_an_image_appears_late_when_the_world_is_slow(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    still.settings(visibility_delay_seconds=30)
    made = register(still, BlockDeviceMappings=[root(snapshot)])
    assert ids(still, Owners=["self"]) == []
    still.advance(30)
    assert ids(still, Owners=["self"]) == [made]
