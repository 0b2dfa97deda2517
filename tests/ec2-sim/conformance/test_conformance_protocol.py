"""The query protocol itself: dry runs, actions and parameters that nobody knows, request ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from .simulator import IMAGE, ZONE, World, refused, root_of, tags


def asking(world: World, operation: str, change: Callable[[dict[str, Any]], Any]) -> Any:
    """Give a client that changes what one operation sends, just before it is signed."""

    def handler(params: dict[str, Any], **_: Any) -> None:
        change(params["body"])

    ec2 = world.client("ec2")
    ec2.meta.events.register(f"before-call.ec2.{operation}", handler)
    return ec2


def invoke(ec2: Any, operation: str, arguments: dict[str, Any]) -> Any:
    """Call an operation by the name that it has on the wire."""
    methods = {wire: method for method, wire in ec2.meta.method_to_api_mapping.items()}
    return getattr(ec2, methods[operation])(**arguments)


def test_refuses_actions_that_nobody_knows(world: World) -> None:
    ec2 = asking(world, "DescribeRegions", lambda body: body.update(Action="DescribeColours"))
    with refused("InvalidAction", "DescribeColours", "not valid"):
        ec2.describe_regions()


def test_refuses_a_call_without_an_action(world: World) -> None:
    ec2 = asking(world, "DescribeRegions", lambda body: body.pop("Action"))
    with refused("MissingAction", "action"):
        ec2.describe_regions()


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("DescribeInstances", lambda world: {}),
        ("DescribeSnapshots", lambda world: {}),
        ("CreateSnapshot", lambda world: {"VolumeId": world.volume()}),
        ("CreateVolume", lambda world: {"AvailabilityZone": ZONE, "Size": 1}),
        ("RunInstances", lambda world: {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}),
        ("StopInstances", lambda world: {"InstanceIds": world.scene()}),
    ],
)
def test_refuses_parameters_that_nobody_knows(world: World, operation: str, call: Callable[[World], dict]) -> None:
    ec2 = asking(world, operation, lambda body: body.update(Colour="red"))
    arguments = call(world)
    with refused("UnknownParameter", "Colour"):
        invoke(ec2, operation, arguments)


def test_refuses_fields_that_a_structure_does_not_have(world: World) -> None:
    ec2 = asking(world, "RunInstances", lambda body: body.update({"MetadataOptions.Colour": "red"}))
    with refused("UnknownParameter", "MetadataOptions"):
        ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1)
    assert world.ec2.describe_instances()["Reservations"] == []


@pytest.mark.parametrize(
    ("operation", "parameter", "arguments"),
    [
        ("CreateSnapshot", "VolumeId", {"VolumeId": "vol-0123456789abcdef0"}),
        ("DeleteSnapshot", "SnapshotId", {"SnapshotId": "snap-0123456789abcdef0"}),
        ("CreateVolume", "AvailabilityZone", {"AvailabilityZone": ZONE, "Size": 1}),
        ("DescribeInstanceAttribute", "Attribute", {"InstanceId": "i-0123456789abcdef0", "Attribute": "userData"}),
        ("StopInstances", "InstanceId.1", {"InstanceIds": ["i-0123456789abcdef0"]}),
    ],
)
def test_names_the_parameter_that_is_missing(world: World, operation: str, parameter: str, arguments: dict) -> None:
    ec2 = asking(world, operation, lambda body: body.pop(parameter))
    with refused(("MissingParameter", "InvalidParameterCombination")):
        invoke(ec2, operation, arguments)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("RunInstances", lambda instance, volume: {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}),
        ("StopInstances", lambda instance, volume: {"InstanceIds": [instance]}),
        ("TerminateInstances", lambda instance, volume: {"InstanceIds": [instance]}),
        ("CreateVolume", lambda instance, volume: {"AvailabilityZone": ZONE, "Size": 1}),
        ("DeleteVolume", lambda instance, volume: {"VolumeId": volume}),
        (
            "AttachVolume",
            lambda instance, volume: {"VolumeId": volume, "InstanceId": instance, "Device": "/dev/sdx"},
        ),
        ("CreateSnapshot", lambda instance, volume: {"VolumeId": volume}),
        ("CreateSnapshots", lambda instance, volume: {"InstanceSpecification": {"InstanceId": instance}}),
        ("CreateTags", lambda instance, volume: {"Resources": [volume], "Tags": tags(a="1")}),
        ("AllocateAddress", lambda instance, volume: {"Domain": "vpc"}),
        ("CreateImage", lambda instance, volume: {"InstanceId": instance, "Name": "image"}),
        ("DescribeSnapshots", lambda instance, volume: {"OwnerIds": ["self"]}),
    ],
)
def test_a_dry_run_changes_nothing(world: World, operation: str, arguments: Callable[[str, str], dict]) -> None:
    instance, volume = world.scene()[0], world.volume()

    def everything() -> list[Any]:
        ec2 = world.ec2
        return [
            ec2.describe_instances()["Reservations"],
            ec2.describe_volumes()["Volumes"],
            ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"],
            ec2.describe_tags()["Tags"],
            ec2.describe_addresses()["Addresses"],
        ]

    before = everything()
    with refused("DryRunOperation", "Request would have succeeded", "DryRun", status=412):
        invoke(world.ec2, operation, {**arguments(instance, volume), "DryRun": True})
    assert everything() == before


def test_every_answer_has_a_request_id_of_its_own(world: World) -> None:
    first = world.ec2.describe_regions()["ResponseMetadata"]
    second = world.ec2.describe_regions()["ResponseMetadata"]
    with pytest.raises(ClientError) as caught:
        world.ec2.delete_volume(VolumeId="vol-0123456789abcdef0")
    third = caught.value.response["ResponseMetadata"]
    ids = {answer["RequestId"] for answer in (first, second, third)}
    assert len(ids) == 3
    assert all(ids)


def test_speaks_the_protocol_of_the_resources_of_boto3(world: World) -> None:
    ec2 = boto3.resource(
        "ec2",
        endpoint_url=world.url,
        region_name="us-east-1",
        aws_access_key_id=world.account,
        aws_secret_access_key="test",
    )
    (instance_id,) = world.scene(volumes=2)
    instance = ec2.Instance(instance_id)
    assert instance.state["Name"] == "running"
    assert {volume.id for volume in instance.volumes.all()} >= {root_of(world.instance(instance_id))}
    assert len(list(instance.volumes.all())) == 2
    snapshot = ec2.create_snapshot(VolumeId=root_of(world.instance(instance_id)))
    snapshot.create_tags(Tags=tags(job="1"))
    assert [one.id for one in ec2.snapshots.filter(OwnerIds=["self"])] == [snapshot.id]
    snapshot.delete()
    assert list(ec2.snapshots.filter(OwnerIds=["self"])) == []
