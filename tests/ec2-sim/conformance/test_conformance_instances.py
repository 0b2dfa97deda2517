"""Instances: states, protection, attributes, client tokens, describes."""

from __future__ import annotations

import pytest
from botocore.exceptions import WaiterError

from .simulator import IMAGE, World, by_device, read_tags, refused, root_of, tagged

NOWHERE = "i-0123456789abcdef0"


def states(world: World, *instance_ids: str) -> list[str]:
    """Give the states of instances, in the order of the ids."""
    return [world.instance(instance_id)["State"]["Name"] for instance_id in instance_ids]


def test_launches_as_many_as_asked_in_one_reservation(world: World) -> None:
    made = world.ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=2, MaxCount=3)
    assert made["OwnerId"] == world.account
    assert made["ReservationId"].startswith("r-")
    assert sorted(instance["AmiLaunchIndex"] for instance in made["Instances"]) == [0, 1, 2]
    assert {instance["State"]["Name"] for instance in made["Instances"]} == {"pending"}
    found = world.ec2.describe_instances(Filters=[{"Name": "reservation-id", "Values": [made["ReservationId"]]}])
    assert len(found["Reservations"]) == 1
    assert len(found["Reservations"][0]["Instances"]) == 3


def test_describes_what_every_instance_has(world: World) -> None:
    instance = world.launch()
    volume = root_of(instance)
    assert instance["InstanceId"].startswith("i-")
    assert len(instance["InstanceId"]) == 19
    assert instance["ImageId"] == IMAGE
    assert instance["InstanceType"] == "t3.micro"
    assert instance["State"] == {"Code": 16, "Name": "running"}
    assert instance["RootDeviceType"] == "ebs"
    assert instance["Architecture"] == "x86_64"
    assert instance["VirtualizationType"] == "hvm"
    assert instance["Monitoring"] == {"State": "disabled"}
    assert instance["EbsOptimized"] is False
    assert instance["Placement"]["Tenancy"] == "default"
    assert instance["Placement"]["AvailabilityZone"].startswith("us-east-1")
    assert instance["SubnetId"].startswith("subnet-")
    assert instance["VpcId"].startswith("vpc-")
    assert [group["GroupName"] for group in instance["SecurityGroups"]] == ["default"]
    assert instance["PrivateDnsName"] == f"ip-{instance['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    root = world.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    assert root["Attachments"][0]["InstanceId"] == instance["InstanceId"]
    assert root["Attachments"][0]["DeleteOnTermination"] is True
    assert root["AvailabilityZone"] == instance["Placement"]["AvailabilityZone"]


def test_walks_through_the_states_as_time_passes(still: World) -> None:
    still.settings(instance_transition_seconds=10)
    made = still.ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    instance_id = made["Instances"][0]["InstanceId"]
    assert states(still, instance_id) == ["pending"]
    still.advance(10)
    assert states(still, instance_id) == ["running"]
    for act, answer, before, between, after in [
        (still.ec2.stop_instances, "StoppingInstances", "running", "stopping", "stopped"),
        (still.ec2.start_instances, "StartingInstances", "stopped", "pending", "running"),
        (still.ec2.terminate_instances, "TerminatingInstances", "running", "shutting-down", "terminated"),
    ]:
        change = act(InstanceIds=[instance_id])[answer][0]
        assert change["InstanceId"] == instance_id
        assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == (before, between)
        assert states(still, instance_id) == [between]
        still.advance(10)
        assert states(still, instance_id) == [after]


def test_satisfies_the_waiters(world: World) -> None:
    world.settings(instance_transition_seconds=0.3)
    ec2, patience = world.ec2, {"Delay": 0.1, "MaxAttempts": 50}
    made = ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    ids = [made["Instances"][0]["InstanceId"]]
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=patience)
    ec2.stop_instances(InstanceIds=ids)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=ids, WaiterConfig=patience)
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=patience)
    with pytest.raises(WaiterError, match="terminal failure"):
        ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=patience)


def test_keeps_its_address_and_volumes_over_a_stop(world: World) -> None:
    before = world.launch()
    ids = [before["InstanceId"]]
    world.ec2.stop_instances(InstanceIds=ids)
    stopped = world.instance(ids[0])
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert "User initiated" in stopped["StateTransitionReason"]
    world.ec2.start_instances(InstanceIds=ids)
    after = world.instance(ids[0])
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert by_device(after) == by_device(before)


def test_repeats_of_a_change_are_harmless(world: World) -> None:
    ids = world.scene(2)
    assert len(world.ec2.start_instances(InstanceIds=ids)["StartingInstances"]) == 2
    world.ec2.stop_instances(InstanceIds=ids)
    again = world.ec2.stop_instances(InstanceIds=ids)["StoppingInstances"]
    assert {change["CurrentState"]["Name"] for change in again} == {"stopped"}
    world.ec2.terminate_instances(InstanceIds=ids)
    again = world.ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert {change["CurrentState"]["Name"] for change in again} == {"terminated"}


@pytest.mark.parametrize("action", ["start_instances", "stop_instances"])
def test_refuses_to_move_what_is_terminated(world: World, action: str) -> None:
    ids = world.scene()
    world.ec2.terminate_instances(InstanceIds=ids)
    with refused("IncorrectInstanceState", ids[0]):
        getattr(world.ec2, action)(InstanceIds=ids)


@pytest.mark.parametrize("action", ["start_instances", "stop_instances", "terminate_instances"])
def test_one_unknown_id_fails_a_whole_change(world: World, action: str) -> None:
    ids = world.scene(state="stopped" if action == "start_instances" else "running")
    before = states(world, *ids)
    with refused("InvalidInstanceID.NotFound", NOWHERE, "does not exist"):
        getattr(world.ec2, action)(InstanceIds=[*ids, NOWHERE])
    assert states(world, *ids) == before


def test_deletes_only_volumes_that_go_with_their_instance(world: World) -> None:
    instance = world.launch(
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": True}},
            {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}},
        ]
    )
    devices = by_device(instance)
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    for gone in (root_of(instance), devices["/dev/sdf"]):
        with refused("InvalidVolume.NotFound", gone):
            world.ec2.describe_volumes(VolumeIds=[gone])
    kept = world.ec2.describe_volumes(VolumeIds=[devices["/dev/sdg"]])["Volumes"][0]
    assert (kept["State"], kept["Attachments"]) == ("available", [])


def test_a_terminated_instance_stays_visible_for_about_an_hour(still: World) -> None:
    ids = still.scene()
    still.ec2.terminate_instances(InstanceIds=ids)
    still.advance(600)
    assert states(still, *ids) == ["terminated"]
    still.advance(7200)
    with refused("InvalidInstanceID.NotFound", ids[0]):
        still.ec2.describe_instances(InstanceIds=ids)


@pytest.mark.parametrize(
    ("setting", "attribute", "action"),
    [
        ("DisableApiTermination", "disableApiTermination", "terminate_instances"),
        ("DisableApiStop", "disableApiStop", "stop_instances"),
    ],
)
def test_protection_holds_until_it_is_taken_off(world: World, setting: str, attribute: str, action: str) -> None:
    ids = [world.launch(**{setting: True})["InstanceId"], *world.scene()]
    with refused("OperationNotPermitted", ids[0], attribute):
        getattr(world.ec2, action)(InstanceIds=ids)
    assert states(world, *ids) == ["running", "running"]
    found = world.ec2.describe_instance_attribute(InstanceId=ids[0], Attribute=attribute)
    assert found[setting] == {"Value": True}
    world.ec2.modify_instance_attribute(InstanceId=ids[0], **{setting: {"Value": False}})
    getattr(world.ec2, action)(InstanceIds=ids)
    assert states(world, *ids) != ["running", "running"]


@pytest.mark.parametrize("behaviour", ["stop", "terminate"])
def test_tells_what_a_shutdown_from_inside_does(world: World, behaviour: str) -> None:
    instance_id = world.launch(InstanceInitiatedShutdownBehavior=behaviour)["InstanceId"]
    asked = {"InstanceId": instance_id, "Attribute": "instanceInitiatedShutdownBehavior"}
    found = world.ec2.describe_instance_attribute(**asked)
    assert found["InstanceId"] == instance_id
    assert found["InstanceInitiatedShutdownBehavior"] == {"Value": behaviour}
    other = "stop" if behaviour == "terminate" else "terminate"
    world.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceInitiatedShutdownBehavior={"Value": other})
    found = world.ec2.describe_instance_attribute(**asked)
    assert found["InstanceInitiatedShutdownBehavior"] == {"Value": other}


@pytest.mark.parametrize(
    ("attribute", "field", "value"),
    [
        ("instanceType", "InstanceType", {"Value": "t3.micro"}),
        ("disableApiTermination", "DisableApiTermination", {"Value": False}),
        ("disableApiStop", "DisableApiStop", {"Value": False}),
        ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior", {"Value": "stop"}),
        ("userData", "UserData", {}),
        ("ebsOptimized", "EbsOptimized", {"Value": False}),
        ("sourceDestCheck", "SourceDestCheck", {"Value": True}),
    ],
)
def test_tells_one_attribute_a_call(world: World, attribute: str, field: str, value: object) -> None:
    instance = world.launch()
    found = world.ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute=attribute)
    assert found[field] == value


def test_tells_the_root_device_and_the_mapping_as_attributes(world: World) -> None:
    instance = world.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}])
    asked = {"InstanceId": instance["InstanceId"]}
    found = world.ec2.describe_instance_attribute(Attribute="rootDeviceName", **asked)
    assert found["RootDeviceName"] == {"Value": instance["RootDeviceName"]}
    found = world.ec2.describe_instance_attribute(Attribute="blockDeviceMapping", **asked)
    assert by_device(found) == by_device(instance)


def test_changes_what_happens_to_a_device_on_termination(world: World) -> None:
    instance = world.launch()
    mapping = {"DeviceName": instance["RootDeviceName"], "Ebs": {"DeleteOnTermination": False}}
    world.ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], BlockDeviceMappings=[mapping])
    found = world.instance(instance["InstanceId"])["BlockDeviceMappings"]
    assert [device["Ebs"]["DeleteOnTermination"] for device in found] == [False]
    world.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    kept = world.ec2.describe_volumes(VolumeIds=[root_of(instance)])["Volumes"][0]
    assert kept["State"] == "available"


@pytest.mark.parametrize(
    ("changed", "attribute", "field", "expected"),
    [
        ({"InstanceType": {"Value": "t3.large"}}, "instanceType", "InstanceType", "t3.large"),
        ({"UserData": {"Value": b"new"}}, "userData", "UserData", "bmV3"),
        ({"EbsOptimized": {"Value": True}}, "ebsOptimized", "EbsOptimized", True),
    ],
)
def test_changes_only_a_stopped_instance(
    world: World, changed: dict, attribute: str, field: str, expected: object
) -> None:
    (instance_id,) = world.scene()
    asked = {"InstanceId": instance_id, "Attribute": attribute}
    before = world.ec2.describe_instance_attribute(**asked)[field]
    with refused("IncorrectInstanceState", instance_id, "stopped"):
        world.ec2.modify_instance_attribute(InstanceId=instance_id, **changed)
    assert world.ec2.describe_instance_attribute(**asked)[field] == before
    world.ec2.stop_instances(InstanceIds=[instance_id])
    world.ec2.modify_instance_attribute(InstanceId=instance_id, **changed)
    assert world.ec2.describe_instance_attribute(**asked)[field] == {"Value": expected}


def test_the_same_client_token_gives_the_same_instances(world: World) -> None:
    asked = {"ImageId": IMAGE, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 2, "ClientToken": "once"}
    first, second = (world.ec2.run_instances(**asked) for _ in range(2))
    ids = [instance["InstanceId"] for instance in first["Instances"]]
    assert [instance["InstanceId"] for instance in second["Instances"]] == ids
    assert second["ReservationId"] == first["ReservationId"]
    assert {instance["ClientToken"] for instance in second["Instances"]} == {"once"}
    with refused("IdempotentParameterMismatch"):
        world.ec2.run_instances(**{**asked, "InstanceType": "t3.large"})
    found = world.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["once"]}])
    assert [instance["InstanceId"] for instance in found["Reservations"][0]["Instances"]] == ids


def test_without_a_token_of_ours_every_launch_makes_another(world: World) -> None:
    assert world.launch()["InstanceId"] != world.launch()["InstanceId"]


@pytest.mark.parametrize(
    ("ids", "code", "words"),
    [
        ([NOWHERE], "InvalidInstanceID.NotFound", ["The instance ID", NOWHERE, "does not exist"]),
        (
            ["i-0123456789abcdef0", "i-0123456789abcdef1"],
            "InvalidInstanceID.NotFound",
            ["instance IDs", "do not exist"],
        ),
        (["nonsense"], "InvalidInstanceID.Malformed", ["Invalid id", "nonsense"]),
        (["i-xyz"], "InvalidInstanceID.Malformed", ["Invalid id", "i-xyz"]),
    ],
)
def test_refuses_ids_of_nothing(world: World, ids: list[str], code: str, words: list[str]) -> None:
    with refused(code, *words):
        world.ec2.describe_instances(InstanceIds=ids)


def test_one_unknown_id_fails_a_whole_describe(world: World) -> None:
    with refused("InvalidInstanceID.NotFound", NOWHERE):
        world.ec2.describe_instances(InstanceIds=[*world.scene(), NOWHERE])


def test_pages_through_all_instances_once(world: World) -> None:
    ids = world.scene(23)
    pages = list(world.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert len(pages) >= 5
    found = [[i["InstanceId"] for r in page["Reservations"] for i in r["Instances"]] for page in pages]
    assert all(len(page) <= 5 for page in found)
    assert sorted(one for page in found for one in page) == sorted(ids)
    assert "NextToken" not in pages[-1]


def test_refuses_page_sizes_that_do_not_fit(world: World) -> None:
    ids = world.scene()
    with refused("InvalidParameterCombination", "instancesSet", "maxResults"):
        world.ec2.describe_instances(InstanceIds=ids, MaxResults=5)
    with refused("InvalidParameterValue", "maxResults"):
        world.ec2.describe_instances(MaxResults=4)


def test_an_instance_can_vanish(world: World) -> None:
    ids = world.scene(2)
    world.post("instances/vanish", instance_id=ids[0])
    with refused("InvalidInstanceID.NotFound", ids[0]):
        world.ec2.describe_instances(InstanceIds=ids)
    assert states(world, ids[1]) == ["running"]


def test_tags_of_a_launch_reach_what_they_name(world: World) -> None:
    instance = world.launch(
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}],
        TagSpecifications=[
            tagged("instance", Name="web"),
            tagged("volume", Name="disk"),
            tagged("network-interface", Name="card"),
        ],
    )
    assert read_tags(instance["Tags"]) == {"Name": "web"}
    volumes = world.ec2.describe_volumes(VolumeIds=list(by_device(instance).values()))["Volumes"]
    assert [read_tags(volume["Tags"]) for volume in volumes] == [{"Name": "disk"}] * 2
    cards = [card["NetworkInterfaceId"] for card in instance["NetworkInterfaces"]]
    found = world.ec2.describe_network_interfaces(NetworkInterfaceIds=cards)["NetworkInterfaces"]
    assert [read_tags(card["TagSet"]) for card in found] == [{"Name": "card"}]


def test_refuses_tags_for_what_a_launch_does_not_make(world: World) -> None:
    with refused("InvalidParameterValue", "snapshot", "taggable resource type"):
        world.launch(TagSpecifications=[tagged("snapshot", Name="no")])
    assert world.ec2.describe_instances()["Reservations"] == []
