"""Restores of a replica in another region of the same account, of volumes under keys of every kind."""

from __future__ import annotations

import pytest

from applications import make_key
from deployed import Deployed, unique
from fleet import plan_of
from machines import (
    Machine,
    blocks_of,
    disk,
    shown,
    start_machine,
    tagged_for_a_restore,
    volumes_as_shown,
    volumes_of,
    write_later,
)
from places import Place
from restoring import Restorer, whole

# The account whose keys the stack is told of as `OtherKeyArns`.
CENTRAL = "333344445555"


@pytest.fixture(scope="module")
def central_key(place: Place) -> str:
    """Make a key in an account that has all the keys."""
    return make_key(Place(CENTRAL, place.region), place.account, may=["kms:*"])


@pytest.fixture(scope="module")
def machine(deployed: Deployed, place: Place, central_key: str) -> Machine:
    """Back an instance up into the other region."""
    name = unique("abroad")
    disks = {
        "/dev/xvda": disk(),
        "/dev/sdf": disk(Encrypted=True),
        "/dev/sdg": disk(Encrypted=True, KmsKeyId=central_key),
    }
    made = start_machine(place, name, {"fleet": name}, disks)
    deployed.manage_plan(action="put", plan=plan_of(name, replicas=[deployed.near.replica()]))
    output = deployed.back_up(name)
    assert output["status"] == "COMPLETED", output
    write_later(place, made)
    return made


def test_a_replica_becomes_an_instance_in_its_own_region(deployed: Deployed, machine: Machine) -> None:
    there, restorer = deployed.near.place, Restorer(deployed.source, deployed.outputs)
    ec2 = there.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    overrides = {"subnet_id": subnet["SubnetId"], "security_group_ids": [group], "private_address": "automatic"}
    source = {"region": there.region}
    ssm = {"document": "AWS-RunShellScript", "parameters": {"commands": ["true"]}}
    told = whole(
        restorer.run(
            plan_id=machine.name,
            mode="non_destructive",
            source=source,
            overrides=overrides,
            proof={"ssm": ssm},
        )
    )
    back = told["instance_id"]
    assert shown(there, back)["SubnetId"] == subnet["SubnetId"]
    assert blocks_of(there, volumes_of(there, back)) == machine.blocks
    assert {volume["KmsKeyId"] for volume in volumes_as_shown(there, back).values()} == {deployed.near.key}
    assert tagged_for_a_restore(there) == []


def test_a_volume_under_a_key_of_another_account_comes_back_under_it(
    deployed: Deployed, machine: Machine, place: Place, central_key: str
) -> None:
    told = whole(Restorer(place, deployed.outputs).run(plan_id=machine.name, mode="clone"))
    clone = told["instance_id"]
    keys = {device: volume.get("KmsKeyId") for device, volume in volumes_as_shown(place, clone).items()}
    assert keys["/dev/sdg"] == central_key
    assert keys["/dev/xvda"] is None
    assert blocks_of(place, volumes_of(place, clone)) == machine.blocks
