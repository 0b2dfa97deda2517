"""Status checks, what protects an instance, what its guest answers, and how late describes are."""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest

from .simulator import World, refused, root_of, tagged


def checks(world: World, instance_id: str, **more: object) -> list[tuple[str, str, str]]:
    """Give the state of an instance and what its checks of system and instance found."""
    found = world.ec2.describe_instance_status(InstanceIds=[instance_id], **more)["InstanceStatuses"]
    return [
        (one["InstanceState"]["Name"], one["SystemStatus"]["Status"], one["InstanceStatus"]["Status"]) for one in found
    ]


def test_checks_begin_when_an_instance_starts(still: World) -> None:
    still.settings(status_check_seconds=120, instance_transition_seconds=10)
    instance_id = still.launch()["InstanceId"]
    assert checks(still, instance_id) == []
    assert checks(still, instance_id, IncludeAllInstances=True) == [("pending", "not-applicable", "not-applicable")]
    still.advance(10)
    assert checks(still, instance_id) == [("running", "initializing", "initializing")]
    still.advance(120)
    assert checks(still, instance_id) == [("running", "ok", "ok")]
    still.ec2.create_replace_root_volume_task(InstanceId=instance_id)
    assert checks(still, instance_id) == [("running", "initializing", "initializing")]
    still.advance(120)
    by_status = [{"Name": "instance-status.status", "Values": ["ok"]}]
    (found,) = still.ec2.describe_instance_status(Filters=by_status)["InstanceStatuses"]
    assert found["InstanceStatus"]["Details"] == [{"Name": "reachability", "Status": "passed"}]
    still.ec2.get_waiter("instance_status_ok").wait(InstanceIds=[instance_id])
    with refused("InvalidInstanceID.NotFound"):
        checks(still, "i-0123456789abcdef0")


def test_checks_fail_when_told(still: World) -> None:
    still.post("instances/impair", next=True, instance=True)
    first, second = (still.launch()["InstanceId"] for _ in range(2))
    assert checks(still, first) == [("running", "ok", "impaired")]
    assert checks(still, second) == [("running", "ok", "ok")]
    still.post("instances/impair", instance_id=second, system=True)
    assert checks(still, second) == [("running", "impaired", "ok")]
    still.post("instances/impair", instance_id=first)
    assert checks(still, first) == [("running", "ok", "ok")]


def test_a_one_time_spot_instance_does_not_stop(still: World) -> None:
    once = still.launch(InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]
    with refused("UnsupportedOperation", "Spot"):
        still.ec2.stop_instances(InstanceIds=[once])
    spot = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    kept = still.launch(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": spot})["InstanceId"]
    still.ec2.stop_instances(InstanceIds=[kept])
    assert still.instance(kept)["State"]["Name"] == "stopped"


def test_an_instance_without_a_root_does_not_start(still: World) -> None:
    instance = still.launch()
    still.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    still.ec2.detach_volume(VolumeId=root_of(instance))
    with refused("InvalidParameterValue", "attached at root (/dev/xvda)"):
        still.ec2.start_instances(InstanceIds=[instance["InstanceId"]])
    assert still.instance(instance["InstanceId"])["State"]["Name"] == "stopped"


def test_one_attribute_of_an_instance_changes_at_a_time(still: World) -> None:
    instance = still.launch()
    asked = {"InstanceId": instance["InstanceId"]}
    with refused("InvalidParameterCombination", "multiple attribute types"):
        still.ec2.modify_instance_attribute(
            DisableApiStop={"Value": True}, DisableApiTermination={"Value": True}, **asked
        )
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-0123456789abcdef0", "DeleteOnTermination": False}}
    with refused("InvalidInstanceAttributeValue", "/dev/xvda"):
        still.ec2.modify_instance_attribute(BlockDeviceMappings=[mapping], **asked)
    mapping["Ebs"]["VolumeId"] = root_of(instance)
    still.ec2.modify_instance_attribute(BlockDeviceMappings=[mapping], **asked)
    group = still.ec2.create_security_group(GroupName="web", Description="web servers")["GroupId"]
    still.ec2.modify_instance_attribute(Groups=[group], **asked)
    after = still.instance(instance["InstanceId"])
    assert after["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is False
    assert after["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]


def test_what_is_new_is_seen_late(still: World) -> None:
    still.settings(visibility_delay_seconds=30)
    key = {"Name": "tag:Job", "Values": ["7"]}
    specifications = [tagged(kind, Job="7") for kind in ("instance", "volume", "network-interface")]
    launched = still.ec2.run_instances(
        ImageId="ami-0123456789abcdef0",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specifications,
    )["Instances"][0]
    instance_id, card = launched["InstanceId"], launched["NetworkInterfaces"][0]["NetworkInterfaceId"]

    def seen() -> list[int]:
        return [
            len(still.ec2.describe_instances(Filters=[key])["Reservations"]),
            len(still.ec2.describe_volumes(Filters=[key])["Volumes"]),
            len(still.ec2.describe_network_interfaces(Filters=[key])["NetworkInterfaces"]),
        ]

    assert seen() == [0, 0, 0]
    with refused("InvalidInstanceID.NotFound", instance_id):
        still.ec2.describe_instances(InstanceIds=[instance_id])
    with refused("InvalidInstanceID.NotFound", instance_id):
        still.ec2.describe_instance_status(InstanceIds=[instance_id])
    with refused("InvalidNetworkInterfaceID.NotFound", card):
        still.ec2.describe_network_interfaces(NetworkInterfaceIds=[card])
    volume = still.volume(1)
    with refused("InvalidVolume.NotFound", volume):
        still.ec2.describe_volumes(VolumeIds=[volume])
    still.advance(30)
    assert seen() == [1, 1, 1]
    assert still.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    still.advance(3600)
    assert len(still.scene(2)) == 2
    assert len(still.ec2.describe_instances()["Reservations"]) == 2


def send(world: World, *instances: str) -> str:
    """Send a command as the front of the local stack does."""
    asked = {"instance_ids": list(instances), "document_name": "AWS-RunShellScript", "parameters": {"commands": ["x"]}}
    return world.post("guest/commands", **asked)["command_id"]


def look(world: World, command: str, instance: str) -> dict[str, Any]:
    """Tell what became of a command."""
    return json.loads(world.control("GET", f"guest/commands/{command}/{instance}"))


def test_a_guest_answers_as_it_was_told(still: World) -> None:
    first, second = still.scene(2)
    found = look(still, send(still, first), first)
    assert (found["status"], found["output"]) == ("Success", "")
    assert (found["document_name"], found["parameters"]) == ("AWS-RunShellScript", {"commands": ["x"]})
    still.post("guest/answers", any=True, status="Failed", output="no disk")
    still.post("guest/answers", instance_id=second, status="TimedOut", after_seconds=10)
    command = send(still, first, second)
    assert look(still, command, first)["status"] == "Failed"
    assert look(still, command, first)["output"] == "no disk"
    assert look(still, command, second)["status"] == "Pending"
    still.advance(5)
    assert look(still, command, second)["status"] == "InProgress"
    still.advance(5)
    assert look(still, command, second)["status"] == "TimedOut"


def test_a_command_needs_an_instance_that_runs(still: World) -> None:
    (running,) = still.scene()
    (stopped,) = still.scene(state="stopped")
    for instance in (stopped, "i-0123456789abcdef0"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            send(still, running, instance)
        assert caught.value.code == 400
        assert json.loads(caught.value.read())["code"] == "InvalidInstanceId"
