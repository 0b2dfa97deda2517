"""Interfaces, private and elastic addresses, and the network that every region has."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from .simulator import World, read_tags, refused, tagged


def subnet(world: World, zone: str = "us-east-1a") -> dict[str, Any]:
    """Describe the default subnet of a zone."""
    by_zone = [{"Name": "availability-zone", "Values": [zone]}]
    return world.ec2.describe_subnets(Filters=by_zone)["Subnets"][0]


def address_in(world: World, number: int) -> str:
    """Give the address with this number in the first zone's subnet."""
    return str(ipaddress.ip_network(subnet(world)["CidrBlock"])[number])


def cards(world: World, instance: dict[str, Any]) -> list[dict[str, Any]]:
    """Describe the interfaces of an instance in the order of their device indices."""
    mine = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    found = world.ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]
    return sorted(found, key=lambda card: card["Attachment"]["DeviceIndex"])


def test_every_region_has_a_default_network(world: World) -> None:
    vpc = world.ec2.describe_vpcs()["Vpcs"][0]
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["State"]) == ("172.31.0.0/16", True, "available")
    subnets = world.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert {one["AvailabilityZone"] for one in subnets} >= {"us-east-1a", "us-east-1b", "us-east-1c"}
    ranges = [ipaddress.ip_network(one["CidrBlock"]) for one in subnets]
    assert all(part.subnet_of(ipaddress.ip_network(vpc["CidrBlock"])) for part in ranges)
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a != b)
    for one, part in zip(subnets, ranges, strict=True):
        assert one["AvailableIpAddressCount"] == part.num_addresses - 5
        assert (one["State"], one["DefaultForAz"], one["OwnerId"]) == ("available", True, world.account)
    group = world.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])
    assert [found["VpcId"] for found in group["SecurityGroups"]] == [vpc["VpcId"]]


def test_knows_regions_and_their_zones(world: World) -> None:
    regions = {region["RegionName"]: region for region in world.ec2.describe_regions()["Regions"]}
    assert regions["eu-west-1"]["Endpoint"] == "ec2.eu-west-1.amazonaws.com"
    assert regions["us-east-1"]["OptInStatus"] == "opt-in-not-required"
    for name in ("us-east-1", "eu-west-1"):
        zones = world.client("ec2", region=name).describe_availability_zones()["AvailabilityZones"]
        assert {zone["ZoneName"] for zone in zones} >= {f"{name}a", f"{name}b"}
        assert {zone["RegionName"] for zone in zones} == {name}
        assert {zone["State"] for zone in zones} == {"available"}
        assert len({zone["ZoneId"] for zone in zones}) == len(zones)


def test_a_region_that_is_off_is_shown_to_who_asks(world: World) -> None:
    def names(**asked: object) -> set[str]:
        return {region["RegionName"] for region in world.ec2.describe_regions(**asked)["Regions"]}

    on = names()
    assert on >= {"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"}
    assert "eu-south-1" not in on
    assert names(AllRegions=True) - on == {"eu-south-1"}
    (off,) = world.ec2.describe_regions(RegionNames=["eu-south-1"])["Regions"]
    assert off["OptInStatus"] == "not-opted-in"
    assert names(Filters=[{"Name": "region-name", "Values": ["us-*"]}]) == {"us-east-1", "us-east-2", "us-west-2"}
    is_off = [{"Name": "opt-in-status", "Values": ["not-opted-in"]}]
    assert names(AllRegions=True, Filters=is_off) == {"eu-south-1"}
    with refused("InvalidParameterValue", "Invalid region names [mars-1]"):
        names(RegionNames=["us-east-1", "mars-1"])


def test_an_instance_has_one_interface_unless_told(world: World) -> None:
    instance = world.launch()
    (card,) = cards(world, instance)
    assert card["Status"] == "in-use"
    assert card["PrivateIpAddress"] == instance["PrivateIpAddress"]
    assert card["PrivateIpAddresses"][0]["Primary"] is True
    assert card["SubnetId"] == instance["SubnetId"]
    assert card["VpcId"] == instance["VpcId"]
    assert card["InterfaceType"] == "interface"
    assert card["SourceDestCheck"] is True
    assert card["Attachment"]["Status"] == "attached"
    assert card["Attachment"]["DeleteOnTermination"] is True
    assert card["Attachment"]["InstanceOwnerId"] == world.account
    assert [group["GroupName"] for group in card["Groups"]] == ["default"]
    (inside,) = instance["NetworkInterfaces"]
    for field in ("NetworkInterfaceId", "MacAddress", "PrivateIpAddress", "SubnetId"):
        assert inside[field] == card[field]
    assert ipaddress.ip_address(card["PrivateIpAddress"]) in ipaddress.ip_network(
        subnet(world, card["AvailabilityZone"])["CidrBlock"]
    )


def test_takes_the_address_that_was_asked_for(world: World) -> None:
    wanted = address_in(world, 77)
    instance = world.launch(SubnetId=subnet(world)["SubnetId"], PrivateIpAddress=wanted)
    assert instance["PrivateIpAddress"] == wanted
    with refused("InvalidIPAddress.InUse", wanted, "in use"):
        world.launch(SubnetId=subnet(world)["SubnetId"], PrivateIpAddress=wanted)
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    again = world.launch(SubnetId=subnet(world)["SubnetId"], PrivateIpAddress=wanted)
    assert again["PrivateIpAddress"] == wanted


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ({"PrivateIpAddress": "10.0.0.5"}, ("InvalidParameterValue", "InvalidAddress.NotFound")),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"Placement": {"AvailabilityZone": "us-east-1z"}}, ("InvalidParameterValue", "InvalidZone.NotFound")),
        (
            {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-0123456789abcdef0", "DeviceIndex": 0}]},
            "InvalidNetworkInterfaceID.NotFound",
        ),
    ],
)
def test_refuses_networks_that_are_not_there(world: World, asked: dict, codes: str | tuple[str, ...]) -> None:
    if "PrivateIpAddress" in asked:
        asked = {**asked, "SubnetId": subnet(world)["SubnetId"]}
    with refused(codes):
        world.launch(**asked)
    assert world.ec2.describe_instances()["Reservations"] == []


def test_makes_several_interfaces_with_several_addresses(world: World) -> None:
    here = subnet(world)["SubnetId"]
    group = world.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    first, second, third = (address_in(world, number) for number in (100, 101, 102))
    instance = world.launch(
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": here,
                "Groups": [group],
                "Description": "front",
                "DeleteOnTermination": False,
                "PrivateIpAddresses": [
                    {"PrivateIpAddress": first, "Primary": True},
                    {"PrivateIpAddress": second, "Primary": False},
                ],
            },
            {"DeviceIndex": 1, "SubnetId": here, "PrivateIpAddress": third, "SecondaryPrivateIpAddressCount": 2},
        ],
        TagSpecifications=[tagged("network-interface", Name="card")],
    )
    front, back = cards(world, instance)
    assert instance["PrivateIpAddress"] == first
    assert [one["PrivateIpAddress"] for one in front["PrivateIpAddresses"]] == [first, second]
    assert [one["Primary"] for one in front["PrivateIpAddresses"]] == [True, False]
    assert (front["Description"], front["Attachment"]["DeleteOnTermination"]) == ("front", False)
    assert [one["GroupId"] for one in front["Groups"]] == [group]
    assert back["PrivateIpAddress"] == third
    assert len({one["PrivateIpAddress"] for one in back["PrivateIpAddresses"]}) == 3
    assert [read_tags(card["TagSet"]) for card in (front, back)] == [{"Name": "card"}] * 2
    assert {card["NetworkInterfaceId"] for card in instance["NetworkInterfaces"]} == {
        front["NetworkInterfaceId"],
        back["NetworkInterfaceId"],
    }


@pytest.mark.parametrize("beside", ["SubnetId", "SecurityGroupIds"])
def test_the_network_is_said_once(world: World, beside: str) -> None:
    here = subnet(world)["SubnetId"]
    group = world.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    with refused("InvalidParameterCombination", "network interfaces"):
        world.launch(
            NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": here}],
            **{beside: here if beside == "SubnetId" else [group]},
        )


def test_an_interface_that_is_kept_keeps_its_address_for_the_next(world: World) -> None:
    here = subnet(world)["SubnetId"]
    kept = {"DeviceIndex": 0, "SubnetId": here, "DeleteOnTermination": False}
    before = world.launch(NetworkInterfaces=[kept])
    card = before["NetworkInterfaces"][0]["NetworkInterfaceId"]
    again = [{"DeviceIndex": 0, "NetworkInterfaceId": card}]
    with refused("InvalidNetworkInterface.InUse", card):
        world.launch(NetworkInterfaces=again)
    world.ec2.terminate_instances(InstanceIds=[before["InstanceId"]])
    world.ec2.get_waiter("network_interface_available").wait(NetworkInterfaceIds=[card])
    after = world.launch(NetworkInterfaces=again)
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert after["NetworkInterfaces"][0]["NetworkInterfaceId"] == card


def test_an_interface_that_is_not_kept_goes_with_its_instance(world: World) -> None:
    instance = world.launch()
    card = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    with refused("InvalidNetworkInterfaceID.NotFound", card):
        world.ec2.describe_network_interfaces(NetworkInterfaceIds=[card])


def test_an_elastic_address_moves_between_instances(world: World) -> None:
    one, other = world.launch(), world.launch()
    made = world.ec2.allocate_address(Domain="vpc", TagSpecifications=[tagged("elastic-ip", Name="front")])
    allocation, public = made["AllocationId"], made["PublicIp"]
    assert (made["Domain"], ipaddress.ip_address(public).is_global) == ("vpc", True)
    world.ec2.associate_address(AllocationId=allocation, InstanceId=one["InstanceId"])
    assert world.instance(one["InstanceId"])["PublicIpAddress"] == public
    (card,) = cards(world, one)
    assert card["Association"]["PublicIp"] == public
    assert card["Association"]["AllocationId"] == allocation
    with refused("Resource.AlreadyAssociated", allocation):
        world.ec2.associate_address(AllocationId=allocation, InstanceId=other["InstanceId"], AllowReassociation=False)
    moved = world.ec2.associate_address(
        AllocationId=allocation, InstanceId=other["InstanceId"], AllowReassociation=True
    )
    (found,) = world.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert found["AssociationId"] == moved["AssociationId"]
    assert (found["InstanceId"], found["PublicIp"]) == (other["InstanceId"], public)
    assert found["PrivateIpAddress"] == other["PrivateIpAddress"]
    assert found["NetworkInterfaceId"] == other["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert read_tags(found["Tags"]) == {"Name": "front"}
    assert world.instance(one["InstanceId"]).get("PublicIpAddress") != public


def test_an_elastic_address_outlives_its_instance(world: World) -> None:
    instance = world.launch()
    made = world.ec2.allocate_address(Domain="vpc")
    card = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    world.ec2.associate_address(AllocationId=made["AllocationId"], NetworkInterfaceId=card)
    by_instance = [{"Name": "instance-id", "Values": [instance["InstanceId"]]}]
    assert len(world.ec2.describe_addresses(Filters=by_instance)["Addresses"]) == 1
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    (found,) = world.ec2.describe_addresses(PublicIps=[made["PublicIp"]])["Addresses"]
    assert "AssociationId" not in found


def test_an_elastic_address_stays_with_an_interface_that_is_kept(world: World) -> None:
    card = {"DeviceIndex": 0, "SubnetId": subnet(world)["SubnetId"], "DeleteOnTermination": False}
    instance = world.launch(NetworkInterfaces=[card])
    kept = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    allocation = world.ec2.allocate_address(Domain="vpc")["AllocationId"]
    world.ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=kept)
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    (found,) = world.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert found["NetworkInterfaceId"] == kept
    assert not found.get("InstanceId")


@pytest.mark.parametrize(
    ("describe", "parameter", "unknown", "code"),
    [
        ("addresses", "AllocationIds", "eipalloc-0123456789abcdef0", "InvalidAllocationID.NotFound"),
        ("addresses", "PublicIps", "198.51.100.1", "InvalidAddress.NotFound"),
        ("network_interfaces", "NetworkInterfaceIds", "eni-0123456789abcdef0", "InvalidNetworkInterfaceID.NotFound"),
        ("subnets", "SubnetIds", "subnet-0123456789abcdef0", "InvalidSubnetID.NotFound"),
        ("vpcs", "VpcIds", "vpc-0123456789abcdef0", "InvalidVpcID.NotFound"),
        ("security_groups", "GroupIds", "sg-0123456789abcdef0", "InvalidGroup.NotFound"),
    ],
)
def test_refuses_ids_of_nothing(world: World, describe: str, parameter: str, unknown: str, code: str) -> None:
    with refused(code, unknown):
        getattr(world.ec2, f"describe_{describe}")(**{parameter: [unknown]})


def test_associates_only_what_is_there(world: World) -> None:
    (instance_id,) = world.scene()
    allocation = world.ec2.allocate_address(Domain="vpc")["AllocationId"]
    for asked, code in [
        ({"AllocationId": "eipalloc-0123456789abcdef0", "InstanceId": instance_id}, "InvalidAllocationID.NotFound"),
        ({"AllocationId": allocation, "InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
        (
            {"AllocationId": allocation, "NetworkInterfaceId": "eni-0123456789abcdef0"},
            "InvalidNetworkInterfaceID.NotFound",
        ),
    ]:
        with refused(code):
            world.ec2.associate_address(**asked)
    assert "AssociationId" not in world.ec2.describe_addresses()["Addresses"][0]


def test_pages_through_all_interfaces_once(world: World) -> None:
    world.scene(12)
    paginator = world.ec2.get_paginator("describe_network_interfaces")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 5}))
    found = [card["NetworkInterfaceId"] for page in pages for card in page["NetworkInterfaces"]]
    assert (len(found), len(set(found))) == (12, 12)
    assert all(len(page["NetworkInterfaces"]) <= 5 for page in pages)
