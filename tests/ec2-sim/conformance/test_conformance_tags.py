"""Tags: how they get on, how they come off, what they may not be."""

from __future__ import annotations

import pytest

from .simulator import ZONE, World, read_tags, refused, tagged, tags


def tags_of(world: World, resource_id: str) -> dict[str, str]:
    """Read a resource's tags through `DescribeTags`."""
    found = world.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource_id]}])
    return read_tags(found["Tags"])


def test_tags_several_resources_of_several_kinds_at_once(still: World) -> None:
    instance = still.instance(still.scene()[0])
    volume = still.volume()
    snapshot = still.snapshot(volume)
    card = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ids = {instance["InstanceId"]: "instance", volume: "volume", snapshot: "snapshot", card: "network-interface"}
    still.ec2.create_tags(Resources=list(ids), Tags=tags(job="1", empty=""))
    found = still.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["job"]}])["Tags"]
    assert {tag["ResourceId"]: tag["ResourceType"] for tag in found} == ids
    assert {tag["Value"] for tag in found} == {"1"}
    for resource_id in ids:
        assert tags_of(still, resource_id) == {"job": "1", "empty": ""}
    assert read_tags(still.instance(instance["InstanceId"])["Tags"]) == {"job": "1", "empty": ""}
    assert read_tags(still.described(snapshot)["Tags"]) == {"job": "1", "empty": ""}


def test_a_tag_replaces_the_one_with_its_key(world: World) -> None:
    volume = world.volume(TagSpecifications=[tagged("volume", a="1", b="1", A="other case")])
    world.ec2.create_tags(Resources=[volume], Tags=tags(a="2"))
    assert tags_of(world, volume) == {"a": "2", "b": "1", "A": "other case"}


def test_keeps_every_character_of_a_tag(world: World) -> None:
    odd = {"a&b<c>\"d'": "ü 漢字 😀 & <x>", "spaces  and/slashes:=+-@_.": "*?\\"}
    volume = world.volume(TagSpecifications=[tagged("volume", **odd)])
    assert tags_of(world, volume) == odd


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ([{"Key": "a"}], {"b": "2", "empty": ""}),
        ([{"Key": "a", "Value": "1"}], {"b": "2", "empty": ""}),
        ([{"Key": "a", "Value": "other"}], {"a": "1", "b": "2", "empty": ""}),
        ([{"Key": "a", "Value": ""}], {"a": "1", "b": "2", "empty": ""}),
        ([{"Key": "empty", "Value": ""}], {"a": "1", "b": "2"}),
        ([{"Key": "a"}, {"Key": "b"}], {"empty": ""}),
        ([{"Key": "unknown"}], {"a": "1", "b": "2", "empty": ""}),
        (None, {}),
    ],
)
def test_takes_off_what_was_named(world: World, removed: list[dict] | None, left: dict) -> None:
    volume = world.volume(TagSpecifications=[tagged("volume", a="1", b="2", empty="")])
    world.ec2.delete_tags(Resources=[volume], **({} if removed is None else {"Tags": removed}))
    assert tags_of(world, volume) == left


def test_a_resource_carries_fifty(world: World) -> None:
    volume = world.volume()
    world.ec2.create_tags(Resources=[volume], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    world.ec2.create_tags(Resources=[volume], Tags=tags(k0="replaced"))
    with refused("TagLimitExceeded"):
        world.ec2.create_tags(Resources=[volume], Tags=tags(k50=""))
    world.post("tags", resource_id=volume, tags={"aws:backup:source": "x"})
    world.ec2.delete_tags(Resources=[volume], Tags=[{"Key": "k1"}])
    world.ec2.create_tags(Resources=[volume], Tags=tags(k50=""))
    assert len(tags_of(world, volume)) == 51


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"Key": "aws:owner", "Value": "x"}], ["aws:", "reserved"]),
        ([{"Key": "AWS:owner", "Value": "x"}], ["reserved"]),
        ([{"Key": "k" * 129, "Value": "x"}], ["128"]),
        ([{"Key": "k", "Value": "v" * 257}], ["256"]),
        ([{"Key": "", "Value": "x"}], ["key"]),
        ([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}], ["duplicate"]),
    ],
)
def test_refuses_tags_that_cannot_be(still: World, given: list[dict], words: list[str]) -> None:
    volume = still.volume()
    with refused("InvalidParameterValue", *words):
        still.ec2.create_tags(Resources=[volume], Tags=given)
    specification = [{"ResourceType": "volume", "Tags": given}]
    with refused("InvalidParameterValue", *words):
        still.ec2.create_volume(AvailabilityZone=ZONE, Size=1, TagSpecifications=specification)
    specification = [{"ResourceType": "snapshot", "Tags": given}]
    with refused("InvalidParameterValue", *words):
        still.ec2.create_snapshot(VolumeId=volume, TagSpecifications=specification)
    assert tags_of(still, volume) == {}
    assert still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_the_longest_tag_fits(world: World) -> None:
    longest = {"ü" * 128: "ü" * 256}
    volume = world.volume(TagSpecifications=[tagged("volume", **longest)])
    assert tags_of(world, volume) == longest


def test_fifty_one_tags_at_creation_are_refused(still: World) -> None:
    many = [{"ResourceType": "snapshot", "Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}]
    with refused(("TagLimitExceeded", "InvalidParameterValue")):
        still.ec2.create_snapshot(VolumeId=still.volume(), TagSpecifications=many)
    assert still.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_the_tags_of_aws_stay(world: World) -> None:
    volume = world.volume(TagSpecifications=[tagged("volume", mine="1")])
    world.post("tags", resource_id=volume, tags={"aws:backup:source": "x"})
    world.ec2.delete_tags(Resources=[volume])
    assert tags_of(world, volume) == {"aws:backup:source": "x"}


@pytest.mark.parametrize(
    ("resource", "codes"),
    [
        ("snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("vol-0123456789abcdef0", "InvalidVolume.NotFound"),
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("eni-0123456789abcdef0", "InvalidNetworkInterfaceID.NotFound"),
        ("nonsense", "InvalidID"),
    ],
)
def test_one_unknown_resource_fails_the_whole_call(world: World, resource: str, codes: str) -> None:
    volume = world.volume()
    with refused(codes, resource):
        world.ec2.create_tags(Resources=[volume, resource], Tags=tags(a="1"))
    assert tags_of(world, volume) == {}


def test_the_same_type_twice_in_one_call_is_refused(world: World) -> None:
    with refused("InvalidParameterValue", "more than once"):
        world.volume(TagSpecifications=[tagged("volume", a="1"), tagged("volume", b="2")])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"resource-type": ["snapshot"]}, 2),
        ({"resource-type": ["snapshot", "volume"]}, 5),
        ({"key": ["job"]}, 2),
        ({"key": ["j*"], "resource-type": ["volume"]}, 1),
        ({"value": ["1"]}, 2),
        ({"key": ["Name"], "value": ["disk"]}, 2),
        ({"tag:Name": ["disk", "none"]}, 2),
        ({"key": ["none"]}, 0),
    ],
)
def test_finds_tags_by_what_they_are(still: World, filters: dict[str, list[str]], expected: int) -> None:
    volume = still.volume(TagSpecifications=[tagged("volume", Name="disk", job="1")])
    still.volume(TagSpecifications=[tagged("volume", Name="disk")])
    still.snapshot(volume, TagSpecifications=[tagged("snapshot", job="1", age="2")])
    asked = [{"Name": name, "Values": values} for name, values in filters.items()]
    assert len(still.ec2.describe_tags(Filters=asked)["Tags"]) == expected


def test_pages_through_all_tags_once(world: World) -> None:
    for _ in range(3):
        world.volume(TagSpecifications=[{"ResourceType": "volume", "Tags": tags(a="1", b="2", c="3", d="4")}])
    pages = list(world.ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}))
    found = [(tag["ResourceId"], tag["Key"]) for page in pages for tag in page["Tags"]]
    assert (len(found), len(set(found))) == (12, 12)
    assert all(len(page["Tags"]) <= 5 for page in pages)
