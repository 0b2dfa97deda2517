"""Subnets, security groups and key pairs that are made and deleted, and other places that are there until they go."""

from __future__ import annotations

import pytest

from .simulator import World, read_tags, refused, tagged


def vpc_of(world: World) -> str:
    """Give the default VPC."""
    return world.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]


def test_makes_and_deletes_a_subnet(world: World) -> None:
    made = world.ec2.create_subnet(
        VpcId=vpc_of(world),
        CidrBlock="172.31.200.0/26",
        AvailabilityZone="us-east-1b",
        TagSpecifications=[tagged("subnet", Name="restored")],
    )["Subnet"]
    assert (made["AvailabilityZone"], made["CidrBlock"], made["State"]) == (
        "us-east-1b",
        "172.31.200.0/26",
        "available",
    )
    assert (made["AvailableIpAddressCount"], made["DefaultForAz"]) == (59, False)
    assert read_tags(made["Tags"]) == {"Name": "restored"}
    for name, value in {
        "subnet-id": made["SubnetId"],
        "tag:Name": "restored",
        "cidr-block": "172.31.200.0/26",
        "default-for-az": "false",
    }.items():
        found = world.ec2.describe_subnets(Filters=[{"Name": name, "Values": [value]}])["Subnets"]
        assert [one["SubnetId"] for one in found] == [made["SubnetId"]], name
    instance = world.launch(SubnetId=made["SubnetId"])
    assert (instance["SubnetId"], instance["Placement"]["AvailabilityZone"]) == (made["SubnetId"], "us-east-1b")
    assert "PublicIpAddress" not in instance
    with refused("DependencyViolation", made["SubnetId"]):
        world.ec2.delete_subnet(SubnetId=made["SubnetId"])
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    world.ec2.delete_subnet(SubnetId=made["SubnetId"])
    with refused("InvalidSubnetID.NotFound"):
        world.ec2.describe_subnets(SubnetIds=[made["SubnetId"]])
    assert len(world.ec2.describe_availability_zones()["AvailabilityZones"]) == 3


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"CidrBlock": "10.0.0.0/24"}, "InvalidSubnet.Range"),
        ({"CidrBlock": "172.31.0.0/24"}, "InvalidSubnet.Conflict"),
        ({"CidrBlock": "172.31.200.1/24"}, "InvalidParameterValue"),
        ({"VpcId": "vpc-0123456789abcdef0"}, "InvalidVpcID.NotFound"),
        ({"AvailabilityZone": "us-east-1z"}, ("InvalidParameterValue", "InvalidZone.NotFound")),
    ],
)
def test_refuses_subnets_that_cannot_be(world: World, asked: dict, code: str) -> None:
    with refused(code):
        world.ec2.create_subnet(**{"VpcId": vpc_of(world), "CidrBlock": "172.31.200.0/24", **asked})


def test_makes_and_deletes_security_groups(world: World) -> None:
    (default,) = world.ec2.describe_security_groups()["SecurityGroups"]
    made = world.ec2.create_security_group(
        GroupName="web",
        Description="web servers",
        VpcId=vpc_of(world),
        TagSpecifications=[tagged("security-group", Name="web")],
    )["GroupId"]
    by_id = [{"Name": "group-id", "Values": [made]}]
    (found,) = world.ec2.describe_security_groups(Filters=by_id)["SecurityGroups"]
    assert (found["GroupName"], found["Description"], read_tags(found["Tags"])) == (
        "web",
        "web servers",
        {"Name": "web"},
    )
    instance = world.launch(SecurityGroupIds=[default["GroupId"], made])
    assert {group["GroupName"] for group in instance["SecurityGroups"]} == {"default", "web"}
    with refused("InvalidGroup.Duplicate", "web"):
        world.ec2.create_security_group(GroupName="web", Description="again")
    with refused("InvalidParameterValue", "default"):
        world.ec2.create_security_group(GroupName="default", Description="again")
    with refused("CannotDelete", "default"):
        world.ec2.delete_security_group(GroupId=default["GroupId"])
    with refused("DependencyViolation", made):
        world.ec2.delete_security_group(GroupId=made)
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    world.ec2.delete_security_group(GroupId=made)
    with refused("InvalidGroup.NotFound", made):
        world.launch(SecurityGroupIds=[made])


def named(world: World, name: str) -> list[str]:
    """Find the key pairs that a filter spells out."""
    by_name = [{"Name": "key-name", "Values": [name]}]
    return [pair["KeyName"] for pair in world.ec2.describe_key_pairs(Filters=by_name)["KeyPairs"]]


def test_a_key_pair_that_nobody_deleted_can_be_named(world: World) -> None:
    assert world.ec2.describe_key_pairs()["KeyPairs"] == []
    assert named(world, "ops") == ["ops"]
    (pair,) = world.ec2.describe_key_pairs(KeyNames=["ops"])["KeyPairs"]
    assert pair["KeyPairId"].startswith("key-")
    assert world.launch(KeyName="ops")["KeyName"] == "ops"
    world.ec2.delete_key_pair(KeyName="ops")
    assert named(world, "ops") == []
    with refused("InvalidKeyPair.NotFound", "ops"):
        world.ec2.describe_key_pairs(KeyNames=["ops"])
    with refused("InvalidKeyPair.NotFound", "ops"):
        world.launch(KeyName="ops")


def test_makes_and_imports_key_pairs(world: World) -> None:
    made = world.ec2.create_key_pair(KeyName="made", KeyType="ed25519", TagSpecifications=[tagged("key-pair", a="b")])
    assert made["KeyMaterial"].startswith("-----BEGIN")
    public = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE ops"
    imported = world.ec2.import_key_pair(KeyName="brought", PublicKeyMaterial=public)
    found = {pair["KeyName"]: pair for pair in world.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]}
    assert found["brought"]["PublicKey"] == public.decode()
    assert found["brought"]["KeyFingerprint"] == imported["KeyFingerprint"]
    assert (found["made"]["KeyType"], read_tags(found["made"]["Tags"])) == ("ed25519", {"a": "b"})
    with refused("InvalidKeyPair.Duplicate"):
        world.ec2.create_key_pair(KeyName="made")
    world.ec2.delete_key_pair(KeyPairId=made["KeyPairId"])
    assert named(world, "made") == []
    world.ec2.create_key_pair(KeyName="made")
    assert named(world, "made") == ["made"]
    assert world.launch(KeyName="made")["KeyName"] == "made"


def test_a_placement_group_is_there_until_somebody_deletes_it(world: World) -> None:
    by_name = [{"Name": "group-name", "Values": ["shards"]}, {"Name": "state", "Values": ["available"]}]
    (shown,) = world.ec2.describe_placement_groups(Filters=by_name)["PlacementGroups"]
    assert (shown["GroupName"], shown["State"]) == ("shards", "available")
    instance = world.launch(Placement={"GroupName": "shards"})["InstanceId"]
    with refused("InvalidPlacementGroup.InUse", "shards"):
        world.ec2.delete_placement_group(GroupName="shards")
    world.ec2.terminate_instances(InstanceIds=[instance])
    world.ec2.delete_placement_group(GroupName="shards")
    assert world.ec2.describe_placement_groups(Filters=by_name)["PlacementGroups"] == []
    for refuse in (
        lambda: world.ec2.describe_placement_groups(GroupNames=["shards"]),
        lambda: world.ec2.delete_placement_group(GroupName="shards"),
        lambda: world.launch(Placement={"GroupName": "shards"}),
    ):
        with refused("InvalidPlacementGroup.Unknown", "shards"):
            refuse()


def test_a_host_is_there_until_it_is_released(world: World) -> None:
    host = "h-0123456789abcdef0"
    asked = {"Placement": {"Tenancy": "host", "HostId": host}}
    instance = world.launch(**asked)["InstanceId"]
    occupied = world.ec2.release_hosts(HostIds=[host])
    assert (occupied["Successful"], occupied["Unsuccessful"][0]["Error"]["Code"]) == ([], "InvalidHost.Occupied")
    assert world.ec2.describe_hosts(HostIds=[host])["Hosts"][0]["State"] == "available"
    world.ec2.terminate_instances(InstanceIds=[instance])
    assert world.ec2.release_hosts(HostIds=[host])["Successful"] == [host]
    assert world.ec2.describe_hosts(HostIds=[host])["Hosts"][0]["State"] == "released"
    with refused("InvalidHostID.NotFound", host):
        world.launch(**asked)
    with refused("InvalidHostID.Malformed"):
        world.ec2.describe_hosts(HostIds=["host-1"])


def test_a_capacity_reservation_is_there_until_it_is_cancelled(world: World) -> None:
    reservation = "cr-0123456789abcdef0"
    target = {"CapacityReservationTarget": {"CapacityReservationId": reservation}}
    ids = {"CapacityReservationIds": [reservation]}
    world.launch(CapacityReservationSpecification=target)
    assert world.ec2.describe_capacity_reservations(**ids)["CapacityReservations"][0]["State"] == "active"
    world.ec2.cancel_capacity_reservation(CapacityReservationId=reservation)
    assert world.ec2.describe_capacity_reservations(**ids)["CapacityReservations"][0]["State"] == "cancelled"
    with refused("InvalidCapacityReservationState", reservation):
        world.launch(CapacityReservationSpecification=target)


def test_a_type_is_offered_where_nobody_withholds_it(world: World) -> None:
    def zones(kind: str) -> list[str]:
        asked = {"LocationType": "availability-zone", "Filters": [{"Name": "instance-type", "Values": [kind]}]}
        found = world.ec2.describe_instance_type_offerings(**asked)["InstanceTypeOfferings"]
        return sorted(one["Location"] for one in found)

    assert zones("m5.large") == ["us-east-1a", "us-east-1b", "us-east-1c"]
    world.post("instance-types/withhold", instance_type="m5.large", zone="us-east-1b")
    assert zones("m5.large") == ["us-east-1a", "us-east-1c"]
    assert zones("t3.micro") == ["us-east-1a", "us-east-1b", "us-east-1c"]
    with refused("Unsupported", "us-east-1b"):
        world.launch(InstanceType="m5.large", Placement={"AvailabilityZone": "us-east-1b"})
    world.launch(InstanceType="m5.large", Placement={"AvailabilityZone": "us-east-1c"})
    in_region = world.ec2.describe_instance_type_offerings()["InstanceTypeOfferings"]
    assert {one["Location"] for one in in_region} == {"us-east-1"}
