"""New instances beside the original, or where it was."""

from __future__ import annotations

import pytest

from fleet import ROLE, Fleet
from machines import (
    USER_DATA,
    addresses_of,
    blocks_of,
    interfaces_of,
    inventory,
    shown,
    tagged_for_a_restore,
    tags_of,
    user_data_of,
    volumes_as_shown,
    volumes_of,
)
from places import Place
from proofs import NO, YES, make_proof


def test_a_clone_has_everything_that_was_captured_and_volumes_under_another_key(fleet: Fleet, place: Place) -> None:
    web = fleet.machines["web"]
    before = shown(place, web.instance)
    told = fleet.restore("clone", "web", overrides={"kms_key_id": fleet.keys["new"], "tags": {"copy": "yes"}})
    clone = shown(place, told["instance_id"])
    for same in ("InstanceType", "KeyName", "SecurityGroups", "MetadataOptions", "SubnetId", "SourceDestCheck"):
        assert clone[same] == before[same], same
    assert clone["IamInstanceProfile"]["Arn"].endswith(f"/{ROLE}")
    assert clone["SourceDestCheck"] is False
    assert user_data_of(place, told["instance_id"]) == USER_DATA
    assert tags_of(before).items() | {("copy", "yes")} <= tags_of(clone).items()
    assert clone["PrivateIpAddress"] != before["PrivateIpAddress"]

    assert blocks_of(place, volumes_of(place, told["instance_id"])) == web.blocks
    for device, volume in volumes_as_shown(place, told["instance_id"]).items():
        assert volume["KmsKeyId"] == fleet.keys["new"], device
        assert volume["Attachments"][0]["DeleteOnTermination"] == (device == "/dev/xvda")
        assert volume["Iops"] == {"/dev/xvda": 3000, "/dev/sdf": 4000}[device]
    assert shown(place, web.instance)["BlockDeviceMappings"] == before["BlockDeviceMappings"]
    assert tagged_for_a_restore(place) == []


def test_what_is_gone_comes_back_with_its_interfaces_and_addresses(fleet: Fleet, place: Place) -> None:
    ec2, pair = place.client("ec2"), fleet.machines["pair"]
    addresses = addresses_of(place, pair.instance)
    # Its second interface outlives it, and somebody else has its elastic address by now.
    second = interfaces_of(place, pair.instance)[1]["NetworkInterfaceId"]
    ec2.terminate_instances(InstanceIds=[pair.instance])
    stranger = interfaces_of(place, fleet.machines["steady"].instance)[0]["NetworkInterfaceId"]
    ec2.associate_address(AllocationId=fleet.addresses["pair"], NetworkInterfaceId=stranger)

    told = fleet.restore("non_destructive", "pair", overrides={"elastic_ips": "take"})
    back = told["instance_id"]
    assert addresses_of(place, back) == addresses
    first, kept = interfaces_of(place, back)
    assert kept["NetworkInterfaceId"] == second
    (address,) = ec2.describe_addresses(AllocationIds=[fleet.addresses["pair"]])["Addresses"]
    assert address["NetworkInterfaceId"] == first["NetworkInterfaceId"]
    assert blocks_of(place, volumes_of(place, back)) == pair.blocks
    assert tagged_for_a_restore(place) == []


def test_an_instance_that_was_stopped_rests_again_once_it_is_proved_good(fleet: Fleet, place: Place) -> None:
    proof = {"ssm": {"document": "AWS-RunShellScript", "parameters": {"commands": ["systemctl is-active shop"]}}}
    told = fleet.restore("clone", "resting", proof=proof)
    assert shown(place, told["instance_id"])["State"]["Name"] == "stopped"
    assert blocks_of(place, volumes_of(place, told["instance_id"])) == fleet.machines["resting"].blocks


def test_a_function_of_the_users_own_proves_an_instance_good(fleet: Fleet, place: Place) -> None:
    told = fleet.restore("clone", "proved", proof=make_proof(place, YES))
    assert shown(place, told["instance_id"])["State"]["Name"] == "running"


@pytest.mark.parametrize("mode", ["clone", "rehearsal"])
def test_nothing_is_left_of_an_instance_that_is_not_proved_good(fleet: Fleet, place: Place, mode: str) -> None:
    before = inventory(place)
    request = fleet.request(mode, "doubtful", proof=make_proof(place, NO))
    if mode == "rehearsal":
        card = interfaces_of(place, fleet.machines["doubtful"].instance)[0]
        groups = [group["GroupId"] for group in card["Groups"]]
        request["overrides"] = {"subnet_id": card["SubnetId"], "security_group_ids": groups}
    job, cause = fleet.restorer.fail(**request)
    assert "the shop is empty" in cause
    assert job
    (record,) = fleet.restorer.records(job)
    assert record["made"]["instances"], "it was launched"
    assert inventory(place) == before
