"""Restores of a replica in another region of the same account."""

from __future__ import annotations

import pytest

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


@pytest.fixture(scope="module")
def machine(deployed: Deployed, place: Place) -> Machine:
    """Back an instance up into the other region."""
    name = unique("abroad")
    made = start_machine(place, name, {"fleet": name}, {"/dev/xvda": disk(), "/dev/sdf": disk(Encrypted=True)})
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
