"""Interfaces that exist on their own: making, attaching, changing and keeping them."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from .simulator import World, read_tags, refused, tagged

SPARE = "172.31.192.0/24"


@pytest.fixture
def place(world: World) -> dict[str, Any]:
    """Make a subnet that nothing else uses, and take the throttling off: launches are few in a second."""
    world.settings(throttling=False)
    vpc = world.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return world.ec2.create_subnet(VpcId=vpc, CidrBlock=SPARE, AvailabilityZone="us-east-1a")["Subnet"]


def address6(place: dict[str, Any], number: int) -> str:
    """Give the IPv6 address with this number in a subnet."""
    return str(ipaddress.ip_network(place["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])[number])


def made(world: World, **asked: object) -> dict[str, Any]:
    """Make an interface."""
    return world.ec2.create_network_interface(**asked)["NetworkInterface"]


def shown(world: World, interface: str) -> dict[str, Any]:
    """Describe an interface."""
    return world.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]


def free(world: World, place: dict[str, Any]) -> int:
    """Count the free addresses of a subnet."""
    return world.ec2.describe_subnets(SubnetIds=[place["SubnetId"]])["Subnets"][0]["AvailableIpAddressCount"]


def test_makes_an_interface_as_it_was_asked_for(world: World, place: dict[str, Any]) -> None:
    group = world.ec2.create_security_group(GroupName="web", Description="web servers")["GroupId"]
    card = made(
        world,
        SubnetId=place["SubnetId"],
        Description="front",
        Groups=[group],
        PrivateIpAddresses=[
            {"PrivateIpAddress": "172.31.192.9", "Primary": True},
            {"PrivateIpAddress": "172.31.192.10", "Primary": False},
        ],
        Ipv6Addresses=[{"Ipv6Address": address6(place, 9)}],
        Ipv4Prefixes=[{"Ipv4Prefix": "172.31.192.16/28"}],
        EnablePrimaryIpv6=True,
        ConnectionTrackingSpecification={"TcpEstablishedTimeout": 300},
        TagSpecifications=[tagged("network-interface", Name="front")],
    )
    found = shown(world, card["NetworkInterfaceId"])
    assert (found["Status"], found["Description"], found["InterfaceType"]) == ("available", "front", "interface")
    assert "Attachment" not in found
    assert (found["SubnetId"], found["AvailabilityZone"]) == (place["SubnetId"], "us-east-1a")
    assert [one["PrivateIpAddress"] for one in found["PrivateIpAddresses"]] == ["172.31.192.9", "172.31.192.10"]
    assert found["Ipv6Addresses"] == [{"Ipv6Address": address6(place, 9), "IsPrimaryIpv6": True}]
    assert found["Ipv4Prefixes"] == [{"Ipv4Prefix": "172.31.192.16/28"}]
    assert found["ConnectionTrackingConfiguration"] == {"TcpEstablishedTimeout": 300}
    assert found["Groups"] == [{"GroupId": group, "GroupName": "web"}]
    assert read_tags(found["TagSet"]) == {"Name": "front"}
    assert free(world, place) == 251 - 2 - 16
    world.ec2.delete_network_interface(NetworkInterfaceId=card["NetworkInterfaceId"])
    assert free(world, place) == 251
    with refused("InvalidNetworkInterfaceID.NotFound"):
        shown(world, card["NetworkInterfaceId"])


def test_an_address_belongs_to_one_interface(world: World, place: dict[str, Any]) -> None:
    here = place["SubnetId"]
    made(world, SubnetId=here, PrivateIpAddress="172.31.192.20", Ipv6Addresses=[{"Ipv6Address": address6(place, 5)}])
    before = free(world, place)
    for asked in [
        {"PrivateIpAddress": "172.31.192.20"},
        {"Ipv4Prefixes": [{"Ipv4Prefix": "172.31.192.16/28"}]},
        {"Ipv6Addresses": [{"Ipv6Address": address6(place, 5)}]},
        {"Ipv6Prefixes": [{"Ipv6Prefix": address6(place, 0) + "/80"}]},
    ]:
        with refused("InvalidIPAddress.InUse"):
            made(world, SubnetId=here, **{"PrivateIpAddress": "172.31.192.30", **asked})
        with refused("InvalidIPAddress.InUse"):
            world.launch(NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": here, **asked}])
    with refused("InvalidParameterValue", "address range"):
        made(world, SubnetId=here, PrivateIpAddress="172.31.193.20")
    assert free(world, place) == before


def test_a_client_token_makes_one_interface(world: World, place: dict[str, Any]) -> None:
    asked = {"SubnetId": place["SubnetId"], "ClientToken": "once", "Description": "one"}
    first = made(world, **asked)
    assert made(world, **asked)["NetworkInterfaceId"] == first["NetworkInterfaceId"]
    with refused("IdempotentParameterMismatch"):
        made(world, **{**asked, "Description": "two"})
    by_subnet = [{"Name": "subnet-id", "Values": [place["SubnetId"]]}]
    assert len(world.ec2.describe_network_interfaces(Filters=by_subnet)["NetworkInterfaces"]) == 1


def test_attaches_and_detaches(world: World) -> None:
    instance = world.launch()
    here = instance["SubnetId"]
    card = made(world, SubnetId=here)["NetworkInterfaceId"]
    asked = {"InstanceId": instance["InstanceId"], "NetworkInterfaceId": card}
    with refused("InvalidParameterValue", "device index '0'"):
        world.ec2.attach_network_interface(DeviceIndex=0, **asked)
    attachment = world.ec2.attach_network_interface(DeviceIndex=1, **asked)["AttachmentId"]
    found = shown(world, card)
    assert found["Status"] == "in-use"
    assert found["Attachment"]["AttachmentId"] == attachment
    assert (found["Attachment"]["DeviceIndex"], found["Attachment"]["DeleteOnTermination"]) == (1, False)
    assert len(world.instance(instance["InstanceId"])["NetworkInterfaces"]) == 2
    with refused("InvalidNetworkInterface.InUse", card):
        world.ec2.attach_network_interface(DeviceIndex=2, **asked)
    with refused("InvalidNetworkInterface.InUse", card):
        world.ec2.delete_network_interface(NetworkInterfaceId=card)
    world.ec2.detach_network_interface(AttachmentId=attachment)
    assert shown(world, card)["Status"] == "available"
    assert len(world.instance(instance["InstanceId"])["NetworkInterfaces"]) == 1
    with refused("InvalidAttachmentID.NotFound", attachment):
        world.ec2.detach_network_interface(AttachmentId=attachment)
    primary = instance["NetworkInterfaces"][0]["Attachment"]["AttachmentId"]
    with refused("OperationNotPermitted", "device index 0 cannot be detached"):
        world.ec2.detach_network_interface(AttachmentId=primary)


def test_attaches_only_in_its_zone(world: World) -> None:
    instance = world.launch(Placement={"AvailabilityZone": "us-east-1b"})
    here = world.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}])
    card = made(world, SubnetId=here["Subnets"][0]["SubnetId"])["NetworkInterfaceId"]
    with refused("InvalidParameterCombination", "same availability zone"):
        world.ec2.attach_network_interface(DeviceIndex=1, InstanceId=instance["InstanceId"], NetworkInterfaceId=card)


def test_changes_one_attribute_at_a_time(world: World) -> None:
    instance = world.launch()
    card = instance["NetworkInterfaces"][0]
    group = world.ec2.create_security_group(GroupName="db", Description="databases")["GroupId"]
    interface = card["NetworkInterfaceId"]

    def change(**asked: object) -> None:
        world.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, **asked)

    change(Description={"Value": "changed"})
    change(SourceDestCheck={"Value": False})
    change(Groups=[group])
    attachment = card["Attachment"]["AttachmentId"]
    change(Attachment={"AttachmentId": attachment, "DeleteOnTermination": False})
    found = shown(world, interface)
    assert (found["Description"], found["SourceDestCheck"]) == ("changed", False)
    assert [one["GroupId"] for one in found["Groups"]] == [group]
    assert found["Attachment"]["DeleteOnTermination"] is False
    with refused("InvalidParameterCombination", "multiple attribute types"):
        change(Description={"Value": "both"}, SourceDestCheck={"Value": True})
    with refused("InvalidAttachmentID.NotFound"):
        change(Attachment={"AttachmentId": "eni-attach-0123456789abcdef0", "DeleteOnTermination": True})
    with refused("DependencyViolation", group):
        world.ec2.delete_security_group(GroupId=group)


def test_launches_with_interfaces_that_exist(world: World, place: dict[str, Any]) -> None:
    here = place["SubnetId"]
    first = made(world, SubnetId=here, PrivateIpAddress="172.31.192.7", Description="kept")["NetworkInterfaceId"]
    second = made(world, SubnetId=here)["NetworkInterfaceId"]
    instance = world.launch(
        NetworkInterfaces=[
            {"DeviceIndex": 1, "NetworkInterfaceId": second},
            {"DeviceIndex": 0, "NetworkInterfaceId": first},
            {"DeviceIndex": 2, "SubnetId": here, "NetworkCardIndex": 0, "InterfaceType": "efa"},
        ],
        InstanceType="t3.medium",
    )
    assert (instance["SubnetId"], instance["PrivateIpAddress"]) == (here, "172.31.192.7")
    cards = {card["Attachment"]["DeviceIndex"]: card for card in instance["NetworkInterfaces"]}
    assert (cards[0]["NetworkInterfaceId"], cards[1]["NetworkInterfaceId"]) == (first, second)
    assert cards[2]["InterfaceType"] == "efa"
    assert "PublicIpAddress" not in instance
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert {shown(world, card)["Status"] for card in (first, second)} == {"available"}
    with refused("InvalidNetworkInterfaceID.NotFound"):
        shown(world, cards[2]["NetworkInterfaceId"])
    assert shown(world, first)["PrivateIpAddress"] == "172.31.192.7"


def test_an_interface_that_exists_is_taken_as_it_is(world: World, place: dict[str, Any]) -> None:
    card = made(world, SubnetId=place["SubnetId"])["NetworkInterfaceId"]
    for beside in (
        {"DeleteOnTermination": True},
        {"SubnetId": place["SubnetId"]},
        {"PrivateIpAddress": "172.31.192.40"},
        {"Description": "x"},
    ):
        with refused("InvalidParameterCombination", "network interface ID"):
            world.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": card, **beside}])
    elsewhere = world.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1c"]}])
    other = {"DeviceIndex": 1, "SubnetId": elsewhere["Subnets"][0]["SubnetId"]}
    with refused("InvalidParameterCombination", "availability zone"):
        world.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": card}, other])
    public = {"DeviceIndex": 0, "SubnetId": place["SubnetId"], "AssociatePublicIpAddress": True}
    with refused("InvalidParameterCombination", "multiple network interfaces"):
        world.launch(NetworkInterfaces=[public, {"DeviceIndex": 1, "SubnetId": place["SubnetId"]}])
    assert "PublicIpAddress" in world.launch(NetworkInterfaces=[public])
    assert shown(world, card)["Status"] == "available"


def test_finds_interfaces(world: World, place: dict[str, Any]) -> None:
    here = place["SubnetId"]
    card = made(
        world,
        SubnetId=here,
        PrivateIpAddresses=[
            {"PrivateIpAddress": "172.31.192.50", "Primary": True},
            {"PrivateIpAddress": "172.31.192.51", "Primary": False},
        ],
        TagSpecifications=[tagged("network-interface", Job="restore")],
    )
    world.launch()
    for name, value in {
        "addresses.private-ip-address": "172.31.192.51",
        "private-ip-address": "172.31.192.50",
        "subnet-id": here,
        "status": "available",
        "network-interface-id": card["NetworkInterfaceId"],
        "tag:Job": "restore",
        "tag-key": "Job",
    }.items():
        found = world.ec2.describe_network_interfaces(Filters=[{"Name": name, "Values": [value]}])
        ids = [one["NetworkInterfaceId"] for one in found["NetworkInterfaces"]]
        assert ids == [card["NetworkInterfaceId"]], name
    for name, value in {"vpc-id": place["VpcId"], "group-id": card["Groups"][0]["GroupId"]}.items():
        found = world.ec2.describe_network_interfaces(Filters=[{"Name": name, "Values": [value]}])
        assert len(found["NetworkInterfaces"]) == 2, name


def test_two_addresses_of_an_interface_have_their_own_elastic_ones(world: World, place: dict[str, Any]) -> None:
    addresses = [
        {"PrivateIpAddress": "172.31.192.60", "Primary": True},
        {"PrivateIpAddress": "172.31.192.61", "Primary": False},
    ]
    card = made(world, SubnetId=place["SubnetId"], PrivateIpAddresses=addresses)["NetworkInterfaceId"]
    one, two = (world.ec2.allocate_address(Domain="vpc") for _ in range(2))

    def associate(address: dict[str, Any], private: str, **more: object) -> str:
        return world.ec2.associate_address(
            AllocationId=address["AllocationId"], NetworkInterfaceId=card, PrivateIpAddress=private, **more
        )["AssociationId"]

    first = associate(one, "172.31.192.60")
    assert associate(one, "172.31.192.60", AllowReassociation=False) == first
    second = associate(two, "172.31.192.61")
    shown_addresses = shown(world, card)["PrivateIpAddresses"]
    assert [one["Association"]["AssociationId"] for one in shown_addresses] == [first, second]
    with refused("Resource.AlreadyAssociated"):
        associate(one, "172.31.192.61", AllowReassociation=False)
    with refused("InvalidParameterValue", "172.31.192.99"):
        associate(one, "172.31.192.99")
    with refused("InvalidIPAddress.InUse", one["PublicIp"]):
        world.ec2.release_address(AllocationId=one["AllocationId"])
    world.ec2.disassociate_address(AssociationId=first)
    with refused("InvalidAssociationID.NotFound", first):
        world.ec2.disassociate_address(AssociationId=first)
    world.ec2.release_address(AllocationId=one["AllocationId"])
    with refused("InvalidAllocationID.NotFound"):
        world.ec2.describe_addresses(AllocationIds=[one["AllocationId"]])
    world.ec2.delete_network_interface(NetworkInterfaceId=card)
    (left,) = world.ec2.describe_addresses()["Addresses"]
    assert "AssociationId" not in left


def test_an_instance_with_two_interfaces_needs_one_named(world: World, place: dict[str, Any]) -> None:
    cards = [{"DeviceIndex": index, "SubnetId": place["SubnetId"]} for index in range(2)]
    instance = world.launch(NetworkInterfaces=cards)
    allocation = world.ec2.allocate_address(Domain="vpc")["AllocationId"]
    with refused("InvalidInstanceID", "multiple interfaces"):
        world.ec2.associate_address(AllocationId=allocation, InstanceId=instance["InstanceId"])
    with refused("InvalidInstanceID", "multiple interfaces"):
        world.ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], SourceDestCheck={"Value": False})


def test_counts_addresses_and_prefixes_that_may_be_any(world: World, place: dict[str, Any]) -> None:
    counts = {"SecondaryPrivateIpAddressCount": 1, "Ipv6AddressCount": 2, "Ipv4PrefixCount": 1, "Ipv6PrefixCount": 1}
    first = {"DeviceIndex": 0, "SubnetId": place["SubnetId"], **counts}
    (card,) = world.launch(NetworkInterfaces=[first])["NetworkInterfaces"]
    assert [len(card[name]) for name in ("PrivateIpAddresses", "Ipv6Addresses", "Ipv4Prefixes", "Ipv6Prefixes")] == [
        2,
        2,
        1,
        1,
    ]
    other = made(world, SubnetId=place["SubnetId"], **counts)
    assert other["Ipv4Prefixes"] != card["Ipv4Prefixes"]
    assert other["Ipv6Prefixes"] != card["Ipv6Prefixes"]
    for both in (
        {"Ipv6AddressCount": 1, "Ipv6Addresses": [{"Ipv6Address": address6(place, 99)}]},
        {"Ipv4PrefixCount": 1, "Ipv4Prefixes": [{"Ipv4Prefix": "172.31.192.96/28"}]},
    ):
        with refused("InvalidParameterCombination"):
            made(world, SubnetId=place["SubnetId"], **both)


def test_an_instance_type_takes_so_many_interfaces(world: World, place: dict[str, Any]) -> None:
    (kind,) = world.ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]
    most = kind["NetworkInfo"]["MaximumNetworkInterfaces"]
    cards = [{"DeviceIndex": index, "SubnetId": place["SubnetId"]} for index in range(most + 1)]
    with refused("AttachmentLimitExceeded", "t3.micro"):
        world.launch(NetworkInterfaces=cards)
    instance = world.launch(NetworkInterfaces=cards[:most])
    more = made(world, SubnetId=place["SubnetId"])["NetworkInterfaceId"]
    with refused("AttachmentLimitExceeded", "t3.micro"):
        world.ec2.attach_network_interface(DeviceIndex=most, InstanceId=instance["InstanceId"], NetworkInterfaceId=more)


def test_a_subnet_and_a_zone_must_fit(world: World, place: dict[str, Any]) -> None:
    with refused("InvalidParameterValue", "us-east-1c", place["SubnetId"]):
        world.launch(SubnetId=place["SubnetId"], Placement={"AvailabilityZone": "us-east-1c"})


def test_tells_of_instance_types(world: World) -> None:
    names = ["m7g.large", "t3.micro", "no.such"]
    by_name = [{"Name": "instance-type", "Values": names}]
    found = {one["InstanceType"]: one for one in world.ec2.describe_instance_types(Filters=by_name)["InstanceTypes"]}
    assert set(found) == {"m7g.large", "t3.micro"}
    assert found["m7g.large"]["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
    assert found["m7g.large"]["BurstablePerformanceSupported"] is False
    assert found["t3.micro"]["VCpuInfo"] == {"DefaultVCpus": 2, "DefaultCores": 1, "DefaultThreadsPerCore": 2}
    with refused("InvalidInstanceType", "no.such"):
        world.ec2.describe_instance_types(InstanceTypes=["no.such"])
    assert world.launch(InstanceType="m7g.large")["CpuOptions"] == {"CoreCount": 2, "ThreadsPerCore": 1}


def test_an_instance_keeps_all_it_has_until_it_is_gone(still: World) -> None:
    still.settings(instance_transition_seconds=30)
    instance = still.launch()
    still.advance(30)
    card = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    address = {"SubnetId": instance["SubnetId"], "PrivateIpAddress": instance["PrivateIpAddress"]}
    still.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert shown(still, card)["Status"] == "in-use"
    assert [one["State"] for one in still.ec2.describe_volumes()["Volumes"]] == ["in-use"]
    with refused("InvalidIPAddress.InUse", instance["PrivateIpAddress"]):
        made(still, **address)
    still.advance(30)
    assert still.ec2.describe_volumes()["Volumes"] == []
    assert made(still, **address)["PrivateIpAddress"] == instance["PrivateIpAddress"]


def test_a_launch_template_tells_of_all_that_an_interface_has(world: World, place: dict[str, Any]) -> None:
    card = {
        "DeviceIndex": 0,
        "SubnetId": place["SubnetId"],
        "Ipv6Addresses": [{"Ipv6Address": address6(place, 7)}],
        "Ipv4Prefixes": [{"Ipv4Prefix": "172.31.192.32/28"}],
        "ConnectionTrackingSpecification": {"UdpTimeout": 45},
        "PrimaryIpv6": True,
    }
    instance = world.launch(NetworkInterfaces=[card])
    assert instance["Ipv6Address"] == address6(place, 7)
    data = world.ec2.get_launch_template_data(InstanceId=instance["InstanceId"])["LaunchTemplateData"]
    (told,) = data["NetworkInterfaces"]
    for field in ("Ipv6Addresses", "Ipv4Prefixes", "ConnectionTrackingSpecification", "PrimaryIpv6"):
        assert told[field] == card[field], field
    assert (told["InterfaceType"], told["NetworkCardIndex"]) == ("interface", 0)


def test_what_was_made_is_told_with_its_tags(world: World, place: dict[str, Any]) -> None:
    pair = world.ec2.create_key_pair(KeyName="ops")["KeyPairId"]
    group = world.ec2.create_security_group(GroupName="web", Description="web servers")["GroupId"]
    card = made(world, SubnetId=place["SubnetId"])["NetworkInterfaceId"]
    task = world.ec2.create_replace_root_volume_task(InstanceId=world.launch()["InstanceId"])
    made_things = {
        pair: "key-pair",
        group: "security-group",
        card: "network-interface",
        place["SubnetId"]: "subnet",
        task["ReplaceRootVolumeTask"]["ReplaceRootVolumeTaskId"]: "replace-root-volume-task",
    }
    world.ec2.create_tags(Resources=list(made_things), Tags=[{"Key": "Job", "Value": "7"}])
    told = world.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["Job"]}])["Tags"]
    assert {tag["ResourceId"]: tag["ResourceType"] for tag in told} == made_things
    logged = world.calls()[-2]
    assert logged["action"] == "CreateTags"
    assert {card, group} <= set(logged["ids"])
