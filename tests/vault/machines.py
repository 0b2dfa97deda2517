"""Instances to be backed up and restored, and what was on their volumes."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from applications import write
from places import Place, until

PLAIN = "ami-0123456789abcdef0"
USER_DATA = "#!/bin/sh\necho shop\n"


@dataclass
class Machine:
    """An instance with its volumes by device, and what these held when it was made."""

    name: str
    instance: str
    volumes: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, dict[int, str]] = field(default_factory=dict)  # device, block, SHA-256


def windows_server(name: str) -> dict[str, Any]:
    """Give the image of a Windows server, as the simulator plants it."""
    return {
        "name": name,
        "root_device": "/dev/sda1",
        "devices": [{"device": "/dev/sda1", "size_gib": 1}],
        "platform": "windows",
        "platform_details": "Windows",
        "usage_operation": "RunInstances:0002",
        "boot_mode": "uefi",
    }


def disk(**more: Any) -> dict[str, Any]:
    """Give the disk of a device mapping."""
    return {"VolumeSize": 1, "VolumeType": "gp3", **more}


def start_machine(
    place: Place, name: str, tags: dict[str, str], disks: dict[str, dict[str, Any]], **more: Any
) -> Machine:
    """Start an instance with these disks, and write on each of them."""
    ec2 = place.client("ec2")
    given = [{"Key": key, "Value": value} for key, value in {**tags, "Name": name}.items()]
    asked = {"ImageId": PLAIN, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1, **more}
    (instance,) = ec2.run_instances(
        **asked,
        BlockDeviceMappings=[{"DeviceName": device, "Ebs": ebs} for device, ebs in disks.items()],
        TagSpecifications=[{"ResourceType": kind, "Tags": given} for kind in ("instance", "volume")],
    )["Instances"]
    machine = Machine(name, instance["InstanceId"])
    machine.volumes = until(f"the volumes of {name}", lambda: volumes_of(place, machine.instance))
    for device, volume in machine.volumes.items():
        write(place, volume, f"{name} {device} {volume}")
        machine.blocks[device] = place.volume_blocks(volume)
    return machine


def make_profile(place: Place, name: str) -> str:
    """Make an instance profile with a role of its name, unless it is there. Give its ARN."""
    iam = place.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    with suppress(iam.exceptions.EntityAlreadyExistsException):  # By an earlier run against this stack.
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return str(iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"])


def two_interfaces(place: Place) -> list[dict[str, Any]]:
    """Ask for two interfaces, of which the second outlives its instance."""
    subnet = place.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    card = {"SubnetId": subnet, "DeleteOnTermination": True}
    return [{**card, "DeviceIndex": 0}, {**card, "DeviceIndex": 1, "DeleteOnTermination": False}]


def give_address(place: Place, machine: Machine) -> str:
    """Give an elastic address to an instance's first interface."""
    ec2 = place.client("ec2")
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    card = interfaces_of(place, machine.instance)[0]["NetworkInterfaceId"]
    ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=card)
    return allocation


def write_later(place: Place, machine: Machine) -> None:
    """Write what no backup holds."""
    for volume in machine.volumes.values():
        write(place, volume, f"later {volume}")


def shown(place: Place, instance: str) -> dict[str, Any]:
    """Describe an instance."""
    return place.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def volumes_of(place: Place, instance: str) -> dict[str, str]:
    """Give an instance's volumes by device."""
    mappings = shown(place, instance)["BlockDeviceMappings"]
    return {mapping["DeviceName"]: mapping["Ebs"]["VolumeId"] for mapping in mappings}


def volumes_as_shown(place: Place, instance: str) -> dict[str, dict[str, Any]]:
    """Describe an instance's volumes by device."""
    found = place.client("ec2").describe_volumes(VolumeIds=list(volumes_of(place, instance).values()))["Volumes"]
    return {volume["Attachments"][0]["Device"]: volume for volume in found}


def interfaces_of(place: Place, instance: str) -> list[dict[str, Any]]:
    """Give an instance's interfaces by device index."""
    return sorted(
        shown(place, instance)["NetworkInterfaces"], key=lambda interface: interface["Attachment"]["DeviceIndex"]
    )


def addresses_of(place: Place, instance: str) -> list[str]:
    """Give the private addresses of an instance's interfaces."""
    return [interface["PrivateIpAddress"] for interface in interfaces_of(place, instance)]


def tags_of(described: dict[str, Any]) -> dict[str, str]:
    """Give the tags of something described."""
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", described.get("TagSet", []))}


def user_data_of(place: Place, instance: str) -> str:
    """Read an instance's user data."""
    answer = place.client("ec2").describe_instance_attribute(InstanceId=instance, Attribute="userData")
    return base64.b64decode(answer["UserData"].get("Value", "")).decode()


def blocks_of(place: Place, volumes: dict[str, str]) -> dict[str, dict[int, str]]:
    """Give what each of these volumes holds, by device."""
    return {device: place.volume_blocks(volume) for device, volume in volumes.items()}


def inventory(place: Place) -> set[str]:
    """Name everything that a restore could leave behind."""
    ec2 = place.client("ec2")
    instances = [
        instance["InstanceId"]
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] != "terminated"
    ]
    listed = [
        ("describe_volumes", {}, "Volumes", "VolumeId"),
        ("describe_network_interfaces", {}, "NetworkInterfaces", "NetworkInterfaceId"),
        ("describe_images", {"Owners": ["self"]}, "Images", "ImageId"),
        ("describe_snapshots", {"OwnerIds": ["self"]}, "Snapshots", "SnapshotId"),
    ]
    found = set(instances)
    for call, asked, things, name in listed:
        for page in ec2.get_paginator(call).paginate(**asked):
            found.update(thing[name] for thing in page[things])
    return found


def tagged_for_a_restore(place: Place) -> list[str]:
    """Name everything that carries the tag of a restore that is at work."""
    asked = [{"Name": "key", "Values": ["holdfast:restore"]}]
    pages = place.client("ec2").get_paginator("describe_tags").paginate(Filters=asked)
    gone = inventory(place)
    return [tag["ResourceId"] for page in pages for tag in page["Tags"] if tag["ResourceId"] in gone]
