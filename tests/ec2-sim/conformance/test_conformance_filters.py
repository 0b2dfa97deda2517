"""Filters of the describe calls: names, several values, wildcards, limits."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import IMAGE, World, by_device, refused, root_of, tagged


def asked(**filters: list[str]) -> list[dict[str, Any]]:
    """Write filters as AWS does."""
    return [{"Name": name, "Values": values} for name, values in filters.items()]


def instances(world: World, filters: dict[str, list[str]]) -> list[str]:
    """Give the ids of the instances that match."""
    found = world.ec2.describe_instances(Filters=asked(**filters))
    return [instance["InstanceId"] for reservation in found["Reservations"] for instance in reservation["Instances"]]


def snapshots(world: World, filters: dict[str, list[str]]) -> list[str]:
    """Give the ids of the account's snapshots that match."""
    found = world.ec2.describe_snapshots(OwnerIds=["self"], Filters=asked(**filters))
    return [snapshot["SnapshotId"] for snapshot in found["Snapshots"]]


def test_finds_instances_by_what_they_are(world: World) -> None:
    zone = {"AvailabilityZone": "us-east-1b"}
    spare = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}]
    one = world.launch(
        Placement=zone,
        KeyName="operators",
        InstanceType="m7g.large",
        IamInstanceProfile={"Name": "backup"},
        MetadataOptions={"HttpTokens": "required"},
        Monitoring={"Enabled": True},
        BlockDeviceMappings=spare,
        ClientToken="mine",
        TagSpecifications=[tagged("instance", Name="web", empty="")],
    )
    other = world.launch(Placement={"AvailabilityZone": "us-east-1a"})
    world.ec2.stop_instances(InstanceIds=[other["InstanceId"]])
    card = one["NetworkInterfaces"][0]
    for name, value in {
        "architecture": "arm64",
        "availability-zone": "us-east-1b",
        "block-device-mapping.device-name": "/dev/sdf",
        "block-device-mapping.volume-id": by_device(one)["/dev/sdf"],
        "client-token": "mine",
        "iam-instance-profile.arn": f"arn:aws:iam::{world.account}:instance-profile/backup",
        "instance-id": one["InstanceId"],
        "instance-state-code": "16",
        "instance-state-name": "running",
        "instance-type": "m7g.large",
        "key-name": "operators",
        "metadata-options.http-tokens": "required",
        "monitoring-state": "enabled",
        "network-interface.network-interface-id": card["NetworkInterfaceId"],
        "private-dns-name": one["PrivateDnsName"],
        "private-ip-address": one["PrivateIpAddress"],
        "subnet-id": one["SubnetId"],
        "tag-key": "empty",
        "tag:Name": "web",
        "tag:empty": "",
    }.items():
        assert (name, instances(world, {name: [value]})) == (name, [one["InstanceId"]])
    both = sorted([one["InstanceId"], other["InstanceId"]])
    for name, value in {
        "image-id": IMAGE,
        "owner-id": world.account,
        "vpc-id": one["VpcId"],
        "root-device-type": "ebs",
        "tenancy": "default",
        "instance.group-id": one["SecurityGroups"][0]["GroupId"],
    }.items():
        assert (name, sorted(instances(world, {name: [value]}))) == (name, both)


def test_finds_volumes_by_what_they_are(still: World) -> None:
    snapshot = still.snapshot(still.volume(size=7))
    instance = still.launch()
    root = root_of(instance)
    mine = still.ec2.create_volume(
        AvailabilityZone="us-east-1b",
        SnapshotId=snapshot,
        VolumeType="gp3",
        Encrypted=True,
        Size=9,
        TagSpecifications=[tagged("volume", Name="mine")],
    )["VolumeId"]
    for name, value, expected in [
        ("attachment.instance-id", instance["InstanceId"], root),
        ("attachment.device", instance["RootDeviceName"], root),
        ("attachment.status", "attached", root),
        ("attachment.delete-on-termination", "true", root),
        ("status", "in-use", root),
        ("encrypted", "true", mine),
        ("size", "9", mine),
        ("snapshot-id", snapshot, mine),
        ("tag:Name", "mine", mine),
        ("volume-id", mine, mine),
    ]:
        found = still.ec2.describe_volumes(Filters=asked(**{name: [value]}))["Volumes"]
        assert (name, [volume["VolumeId"] for volume in found]) == (name, [expected])


def test_finds_snapshots_by_what_they_are(still: World) -> None:
    plain = still.snapshot(still.volume())
    source = still.volume(size=3, Encrypted=True)
    made = still.ec2.create_snapshot(
        VolumeId=source, Description="nightly", TagSpecifications=[tagged("snapshot", job="1")]
    )["SnapshotId"]
    for name, value in {
        "description": "nightly",
        "encrypted": "true",
        "snapshot-id": made,
        "start-time": "2026-01-01T12:01:00.000Z",
        "status": "pending",
        "tag:job": "1",
        "tag-key": "job",
        "volume-id": source,
        "volume-size": "3",
    }.items():
        assert (name, snapshots(still, {name: [value]})) == (name, [made])
    assert sorted(snapshots(still, {"owner-id": [still.account]})) == sorted([plain, made])
    assert sorted(snapshots(still, {"start-time": ["2026-01-01*"]})) == sorted([plain, made])


def test_all_filters_must_match_and_any_value_will_do(world: World) -> None:
    a = world.launch(TagSpecifications=[tagged("instance", role="web", stage="prod")])["InstanceId"]
    b = world.launch(TagSpecifications=[tagged("instance", role="db", stage="prod")])["InstanceId"]
    c = world.launch(TagSpecifications=[tagged("instance", role="web", stage="test")])["InstanceId"]
    for filters, expected in [
        ({"tag:role": ["web"], "tag:stage": ["prod"]}, [a]),
        ({"tag:role": ["web", "db"]}, [a, b, c]),
        ({"tag:role": ["web", "db"], "tag:stage": ["test"]}, [c]),
        ({"tag:role": ["none"]}, []),
        ({"tag:none": ["*"]}, []),
        ({"tag:Role": ["web"]}, []),
        ({"tag:role": ["Web"]}, []),
    ]:
        assert sorted(instances(world, filters)) == sorted(expected), filters


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a", "a*b", "ab", "abc", "abcb", "a?b"]),
        ("a*b", ["ab", "abcb", "a*b", "a?b"]),
        ("a?", ["ab"]),
        ("a?b", ["a*b", "a?b"]),
        ("??c", ["abc"]),
        ("*c*", ["abc", "abcb"]),
        (r"a\*b", ["a*b"]),
        (r"a\?b", ["a?b"]),
        ("b", []),
        ("", []),
    ],
)
def test_knows_wildcards(world: World, pattern: str, expected: list[str]) -> None:
    names = ["a", "ab", "abc", "abcb", "a*b", "a?b"]
    volumes = {world.volume(TagSpecifications=[tagged("volume", Name=name)]): name for name in names}
    found = world.ec2.describe_volumes(Filters=[{"Name": "tag:Name", "Values": [pattern]}])["Volumes"]
    assert sorted(volumes[volume["VolumeId"]] for volume in found) == sorted(expected)


def test_ids_and_filters_hold_together(world: World) -> None:
    ids = world.scene(2)
    world.ec2.stop_instances(InstanceIds=ids[:1])
    found = world.ec2.describe_instances(InstanceIds=ids, Filters=asked(**{"instance-state-name": ["running"]}))
    assert [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]] == ids[1:]


@pytest.mark.parametrize(
    "describe",
    ["instances", "volumes", "snapshots", "network_interfaces", "addresses", "subnets", "vpcs", "security_groups"],
)
def test_refuses_filters_that_nobody_knows(world: World, describe: str) -> None:
    with refused("InvalidParameterValue", "filter", "colour"):
        getattr(world.ec2, f"describe_{describe}")(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_a_filter_has_200_values_at_most(still: World) -> None:
    made = still.snapshot(still.volume())
    ids = [f"snap-{number:017x}" for number in range(199)]
    assert snapshots(still, {"snapshot-id": [*ids, made]}) == [made]
    with refused("FilterLimitExceeded", "200"):
        snapshots(still, {"snapshot-id": [*ids, made, "snap-1"]})
