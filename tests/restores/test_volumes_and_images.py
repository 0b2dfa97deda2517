"""Volumes and machine images of a backup."""

from __future__ import annotations

from deployed import unique
from fleet import Fleet
from machines import blocks_of, inventory, shown, tagged_for_a_restore, tags_of, volumes_as_shown, volumes_of
from places import Place


def test_one_volume_is_made_and_attached_to_another_instance(fleet: Fleet, place: Place) -> None:
    db, other = fleet.machines["db"], fleet.machines["steady"]
    asked = {"devices": ["/dev/sdf"], "attach_to": other.instance, "attach_as": {"/dev/sdf": "/dev/sdz"}}
    told = fleet.restore("volumes", "db", volumes=asked, overrides={"tags": {"for": "looking"}})
    made = told["volumes"]
    assert list(made) == ["/dev/sdf"]
    assert blocks_of(place, made) == {"/dev/sdf": db.blocks["/dev/sdf"]}
    assert volumes_of(place, other.instance)["/dev/sdz"] == made["/dev/sdf"]
    volume = volumes_as_shown(place, other.instance)["/dev/sdz"]
    assert tags_of(volume).items() >= {"for": "looking", "Name": "db"}.items()
    assert tagged_for_a_restore(place) == []


def test_volumes_are_made_for_nobody(fleet: Fleet, place: Place) -> None:
    told = fleet.restore("volumes", "web")
    assert blocks_of(place, told["volumes"]) == fleet.machines["web"].blocks
    found = place.client("ec2").describe_volumes(VolumeIds=list(told["volumes"].values()))["Volumes"]
    assert {volume["State"] for volume in found} == {"available"}
    assert {volume.get("KmsKeyId") for volume in found} == {fleet.keys["old"], None}


def test_what_was_not_encrypted_comes_back_under_the_key_that_new_volumes_have(fleet: Fleet, place: Place) -> None:
    ec2, key = place.client("ec2"), fleet.keys["new"]
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
    ec2.enable_ebs_encryption_by_default()
    try:
        told = fleet.restore("volumes", "db")
    finally:
        ec2.disable_ebs_encryption_by_default()
        ec2.reset_ebs_default_kms_key_id()
    whys = {difference["field"]: difference["why"] for difference in told["announced"]}
    assert set(whys) == {
        f"volumes.{device}.{field}" for device in told["volumes"] for field in ("encrypted", "kms_key_id")
    }
    assert set(whys.values()) == {"EC2 encrypts new volumes by default here"}
    found = ec2.describe_volumes(VolumeIds=list(told["volumes"].values()))["Volumes"]
    assert {volume["KmsKeyId"] for volume in found} == {key}
    assert blocks_of(place, told["volumes"]) == fleet.machines["db"].blocks


def test_a_machine_image_starts_instances_with_the_volumes_of_the_backup(fleet: Fleet, place: Place) -> None:
    name = unique("golden db")
    told = fleet.restore("image", "db", image={"name": name})
    (image,) = place.client("ec2").describe_images(ImageIds=[told["image_id"]])["Images"]
    assert image["Name"] == name
    assert launch(place, told["image_id"]) == fleet.machines["db"].blocks
    assert tagged_for_a_restore(place) == []


def test_a_machine_image_of_windows_is_billed_as_windows(fleet: Fleet, place: Place) -> None:
    before = inventory(place)
    told = fleet.restore("image", "server")
    (image,) = place.client("ec2").describe_images(ImageIds=[told["image_id"]])["Images"]
    assert (image["PlatformDetails"], image["UsageOperation"]) == ("Windows", "RunInstances:0002")
    snapshots = {mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"]}
    assert inventory(place) - before == {told["image_id"], *snapshots}, "the instance that carried the codes is gone"
    assert launch(place, told["image_id"]) == fleet.machines["server"].blocks


def launch(place: Place, image: str) -> dict[str, dict[int, str]]:
    """Start an instance of an image, read its volumes, and end it."""
    ec2 = place.client("ec2")
    (made,) = ec2.run_instances(ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1)["Instances"]
    held = blocks_of(place, volumes_of(place, made["InstanceId"]))
    assert shown(place, made["InstanceId"])["State"]["Name"] == "running"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    return held
