"""What images are billed as, and what an instance has of its image."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import World, refused, root_of

CODES = [{"id": "a1b2c3", "kind": "marketplace"}]
SHOWN_CODES = [{"ProductCodeId": "a1b2c3", "ProductCodeType": "marketplace"}]
SERVER = {
    "name": "windows-server",
    "root_device": "/dev/sda1",
    "devices": [{"device": "/dev/sda1", "size_gib": 30}, {"device": "xvdb", "size_gib": 5}],
    "platform": "windows",
    "platform_details": "Windows with SQL Server Standard",
    "usage_operation": "RunInstances:0006",
    "product_codes": CODES,
    "boot_mode": "uefi",
}


def image(world: World, image_id: str) -> dict[str, Any]:
    """Describe an image."""
    return world.ec2.describe_images(ImageIds=[image_id])["Images"][0]


def billing(shown: dict[str, Any]) -> tuple[object, ...]:
    """Give what an image or an instance is billed as."""
    codes = shown.get("ProductCodes", [])
    return (shown.get("Platform"), shown["PlatformDetails"], shown["UsageOperation"], codes)


AS_SERVER = ("windows", "Windows with SQL Server Standard", "RunInstances:0006", SHOWN_CODES)
AS_LINUX = (None, "Linux/UNIX", "RunInstances", [])


def test_an_instance_is_billed_as_its_image(still: World) -> None:
    planted = still.post("images", **SERVER)["image_id"]
    assert billing(image(still, planted)) == AS_SERVER
    instance = still.launch(ImageId=planted)
    assert billing(instance) == AS_SERVER
    assert (instance["BootMode"], instance["CurrentInstanceBootMode"]) == ("uefi", "uefi")
    codes = still.ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="productCodes")
    assert codes["ProductCodes"] == SHOWN_CODES
    sizes = still.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}])
    assert sorted(volume["Size"] for volume in sizes["Volumes"]) == [5, 30]
    for name, value in {"platform": "windows", "product-code": "a1b2c3", "usage-operation": "*:0006"}.items():
        by = [{"Name": name, "Values": [value]}]
        assert len(still.ec2.describe_instances(Filters=by)["Reservations"]) == 1, name
        assert len(still.ec2.describe_images(Filters=by)["Images"]) == 1, name


def test_an_image_of_an_instance_keeps_the_billing_and_a_registered_one_has_none(still: World) -> None:
    planted = still.post("images", **SERVER)["image_id"]
    instance = still.launch(ImageId=planted)
    made = still.ec2.create_image(InstanceId=instance["InstanceId"], Name="from-instance")["ImageId"]
    shown = image(still, made)
    assert billing(shown) == AS_SERVER
    assert (shown["BootMode"], shown["Architecture"], shown["EnaSupport"]) == ("uefi", "x86_64", True)
    still.advance(60)
    assert billing(still.launch(ImageId=made)) == AS_SERVER
    snapshots = {one["DeviceName"]: one["Ebs"]["SnapshotId"] for one in shown["BlockDeviceMappings"]}
    root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshots["/dev/sda1"]}}
    registered = still.ec2.register_image(
        Name="registered",
        RootDeviceName="/dev/sda1",
        Architecture="x86_64",
        BlockDeviceMappings=[root],
    )["ImageId"]
    assert billing(image(still, registered)) == AS_LINUX
    assert billing(still.launch(ImageId=registered)) == AS_LINUX
    with refused("UnknownParameter", "BillingProduct"):
        still.ec2.register_image(Name="billed", RootDeviceName="/dev/sda1", BillingProducts=["bp-1"])


def test_an_image_of_another_owner_shows_no_snapshots(still: World) -> None:
    given = "ami-0aaaaaaaaaaaaaaa1"
    planted = still.post("images", **{**SERVER, "image_id": given, "owner": "801119661308"})
    assert planted == {"image_id": given}
    shown = image(still, given)
    assert (shown["OwnerId"], shown["Public"]) == ("801119661308", True)
    assert still.ec2.describe_images(Owners=["self"])["Images"] == []
    assert still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    snapshot = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with refused("InvalidSnapshot.NotFound", snapshot):
        still.ec2.describe_snapshots(SnapshotIds=[snapshot])
    assert still.launch(ImageId=given)["ImageId"] == given


def registered(world: World, **more: object) -> str:
    """Register an image of a snapshot of a new instance's root volume."""
    snapshot = world.snapshot(root_of(world.launch()))
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3"}}]
    asked = {"Name": "registered", "RootDeviceName": "/dev/xvda", "BlockDeviceMappings": devices, **more}
    return world.ec2.register_image(**asked)["ImageId"]


def test_an_instance_has_of_its_image_what_was_registered(still: World) -> None:
    settings = {
        "Architecture": "x86_64",
        "BootMode": "uefi-preferred",
        "TpmSupport": "v2.0",
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "VirtualizationType": "hvm",
        "ImdsSupport": "v2.0",
    }
    instance = still.launch(ImageId=registered(still, **settings))
    for field in ("Architecture", "BootMode", "TpmSupport", "EnaSupport", "SriovNetSupport", "VirtualizationType"):
        assert instance[field] == settings[field], field
    assert instance["CurrentInstanceBootMode"] == "uefi"
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    made = still.ec2.create_image(InstanceId=instance["InstanceId"], Name="again")["ImageId"]
    for field in ("Architecture", "BootMode", "TpmSupport", "EnaSupport", "ImdsSupport"):
        assert image(still, made)[field] == settings[field], field


def test_the_instance_type_must_have_the_architecture_of_the_image(still: World) -> None:
    arm = registered(still, Architecture="arm64", VirtualizationType="hvm")
    with refused("InvalidParameterValue", "architecture 'arm64'"):
        still.launch(ImageId=arm)
    assert still.launch(ImageId=arm, InstanceType="t4g.micro")["Architecture"] == "arm64"


def test_the_root_snapshot_is_the_images_own(still: World) -> None:
    ami = registered(still, Architecture="x86_64")
    other = still.snapshot(still.volume(8))
    own = image(still, ami)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    def launch(device: str, **ebs: object) -> dict[str, Any]:
        return still.launch(ImageId=ami, BlockDeviceMappings=[{"DeviceName": device, "Ebs": ebs}])

    with refused("InvalidBlockDeviceMapping", "snapshotId cannot be modified on root device"):
        launch("/dev/xvda", SnapshotId=other)
    assert launch("/dev/xvda", SnapshotId=own)
    still.settings(throttling=False)
    assert len(launch("/dev/sdf", SnapshotId=other)["BlockDeviceMappings"]) == 2


@pytest.mark.parametrize("first", [None, "alias/first"])
def test_a_launch_encrypts_a_device_of_its_image_under_another_key(still: World, first: str | None) -> None:
    still.settings(throttling=False)
    key = {"Encrypted": True, "KmsKeyId": first} if first else {}
    source = still.volume(8, **key)
    snapshot = still.snapshot(source)
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]
    ami = still.ec2.register_image(
        Name="keyed", RootDeviceName="/dev/xvda", Architecture="x86_64", BlockDeviceMappings=devices
    )["ImageId"]
    again = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": "alias/second"}}]
    root = root_of(still.launch(ImageId=ami, BlockDeviceMappings=again))
    (volume,) = still.ec2.describe_volumes(VolumeIds=[root])["Volumes"]
    assert (volume["Encrypted"], volume["SnapshotId"]) == (True, snapshot)
    (before,) = still.ec2.describe_volumes(VolumeIds=[source])["Volumes"]
    assert volume["KmsKeyId"] != before.get("KmsKeyId")
