"""Restores by the vault alone: the source account answers nothing, its keys are off and its instances are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from applications import make_key
from deployed import Deployed, unique
from machines import (
    Machine,
    blocks_of,
    disk,
    give_address,
    interfaces_of,
    inventory,
    make_profile,
    shown,
    start_machine,
    tagged_for_a_restore,
    two_interfaces,
    user_data_of,
    volumes_as_shown,
    volumes_of,
    windows_server,
    write_later,
)
from places import Place, decisions
from proofs import NO, YES, make_proof
from restoring import Restorer, whole

USER_DATA = "#!/bin/sh\necho shop\n"
COMMAND = {"ssm": {"document": "AWS-RunShellScript", "parameters": {"commands": ["systemctl is-active shop"]}}}


@dataclass
class Lost:
    """An application whose account is lost, and what a new instance is to have in the vault's."""

    name: str
    place: Place  # the vault's
    restorer: Restorer
    server_image: str
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def here(self) -> dict[str, Any]:
        """What an instance has to be told of its new place."""
        ec2 = self.place.client("ec2")
        return {
            "subnet_id": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
            "security_group_ids": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
            "key_name": "",
            "iam_instance_profile_arn": "",
        }

    @property
    def carrier(self) -> dict[str, Any]:
        """What carries the billing of Windows here, and where it may start."""
        where = {name: self.here[name] for name in ("subnet_id", "security_group_ids")}
        return {"image_id": self.server_image, **where}

    def request(self, mode: str, name: str, **more: Any) -> dict[str, Any]:
        """Ask for one of its instances."""
        return {"plan_id": self.name, "mode": mode, "resources": [self.machines[name].instance], **more}

    def restore(self, mode: str, name: str, **more: Any) -> dict[str, Any]:
        """Restore one of them to a good end, exactly as asked for, and give what is told of it."""
        return whole(self.restorer.run(**self.request(mode, name, **more)))


@pytest.fixture(scope="module")
def lost(deployed: Deployed) -> Iterator[Lost]:
    """Copy an application into the vault, and lose its account."""
    source, vault, name = deployed.source, deployed.far, unique("lost")
    image = vault.place.simulator("POST", "images", windows_server(f"{name}-there"))["image_id"]
    made = Lost(name, vault.place, Restorer(vault.place, vault.outputs), image)
    key = make_key(source, vault.place.account)
    start_all(source, made, key)
    selection = {"tags": [{"key": "app", "values": [name]}]}
    plan = {"plan_id": name, "selection": selection, "retention": [{"keep": "newest", "count": 3}]}
    deployed.manage_plan(action="put", plan={**plan, "replicas": [vault.replica()]})
    output = deployed.back_up(name)
    assert output["status"] == "COMPLETED", output
    with unreachable(source, made, key):
        yield made


def start_all(source: Place, lost: Lost, key: str) -> None:
    """Start one of each kind."""
    image = source.simulator("POST", "images", windows_server(f"{lost.name}-here"))["image_id"]
    profile = {"Arn": f"arn:aws:iam::{source.account}:instance-profile/web"}
    ec2 = source.client("ec2")
    ec2.create_key_pair(KeyName=lost.name)
    source.simulator("POST", "settings", {"throttling": False})
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "web": (
            {"/dev/xvda": disk(Encrypted=True, KmsKeyId=key), "/dev/sdf": disk(Encrypted=True, Iops=4000)},
            {"UserData": USER_DATA, "KeyName": lost.name, "IamInstanceProfile": profile},
        ),
        "pair": ({"/dev/xvda": disk()}, {"NetworkInterfaces": two_interfaces(source), "DisableApiTermination": True}),
        "server": ({"/dev/sda1": disk(), "xvdb": disk()}, {"ImageId": image}),
    }
    for name, (disks, more) in kinds.items():
        lost.machines[name] = start_machine(source, name, {"app": lost.name}, disks, **more)
    source.simulator("POST", "settings", {"throttling": True})
    give_address(source, lost.machines["pair"])
    card = interfaces_of(source, lost.machines["pair"].instance)[0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=card, SourceDestCheck={"Value": False})


@contextmanager
def unreachable(source: Place, lost: Lost, key: str) -> Iterator[None]:
    """Take everything of the source away: its instances, its key, and every answer of EC2 there."""
    for machine in lost.machines.values():
        write_later(source, machine)
        source.simulator("POST", "instances/vanish", {"instance_id": machine.instance})
    source.client("kms").disable_key(KeyId=key)
    fault = {"action": "*", "kind": "error", "code": "InternalError", "message": "gone", "status": 500}
    source.simulator("POST", "faults", {**fault, "times": 1_000_000})
    try:
        with pytest.raises(ClientError, match="InternalError"):
            source.client("ec2").describe_volumes()
        yield
    finally:
        source.simulator("DELETE", "faults")


def test_a_clone_has_every_byte_under_the_vaults_key(deployed: Deployed, lost: Lost) -> None:
    told = lost.restore("clone", "web", overrides=lost.here)
    clone = told["instance_id"]
    assert blocks_of(lost.place, volumes_of(lost.place, clone)) == lost.machines["web"].blocks
    assert user_data_of(lost.place, clone) == USER_DATA
    for volume in volumes_as_shown(lost.place, clone).values():
        assert volume["KmsKeyId"] == deployed.far.key
    assert tagged_for_a_restore(lost.place) == []


def test_an_instance_comes_back_with_both_interfaces_a_role_and_a_key_pair_of_this_account(lost: Lost) -> None:
    ec2, place = lost.place.client("ec2"), lost.place
    key = place.client("kms").create_key()["KeyMetadata"]["Arn"]
    ec2.create_key_pair(KeyName=lost.name)
    profile = make_profile(place, unique("restored-web"))
    overrides = {
        **lost.here,
        "interfaces": "all",
        "elastic_ips": "leave",
        "key_name": lost.name,
        "kms_key_id": key,
        "iam_instance_profile_arn": profile,
    }
    told = lost.restore("non_destructive", "pair", overrides=overrides, proof={**COMMAND, **make_proof(place, YES)})
    back = shown(place, told["instance_id"])
    assert [card["SourceDestCheck"] for card in interfaces_of(place, back["InstanceId"])] == [False, True]
    assert back["KeyName"] == lost.name
    assert back["IamInstanceProfile"]["Arn"] == profile
    assert blocks_of(place, volumes_of(place, told["instance_id"])) == lost.machines["pair"].blocks
    assert {volume["KmsKeyId"] for volume in volumes_as_shown(place, told["instance_id"]).values()} == {key}
    said = ec2.describe_instance_attribute(InstanceId=told["instance_id"], Attribute="disableApiTermination")
    assert said["DisableApiTermination"]["Value"] is True


def test_volumes_are_attached_to_an_instance_of_the_vaults_account(lost: Lost) -> None:
    helper = start_machine(lost.place, "helper", {}, {"/dev/xvda": disk()})
    asked = {"attach_to": helper.instance, "attach_as": {"/dev/xvda": "/dev/sdy", "/dev/sdf": "/dev/sdz"}}
    told = lost.restore("volumes", "web", volumes=asked)
    there = volumes_of(lost.place, helper.instance)
    assert {there["/dev/sdy"], there["/dev/sdz"]} == set(told["volumes"].values())
    assert blocks_of(lost.place, told["volumes"]) == lost.machines["web"].blocks


def test_a_machine_image_holds_every_byte(lost: Lost) -> None:
    told = lost.restore("image", "web")
    assert launch(lost.place, told["image_id"]) == lost.machines["web"].blocks


def test_windows_needs_an_image_here_that_is_billed_as_it(lost: Lost) -> None:
    _, cause = lost.restorer.fail(**lost.request("clone", "server", overrides=lost.here))
    assert "overrides.image_id" in cause


@pytest.mark.parametrize("mode", ["clone", "image"])
def test_windows_comes_back_as_windows_by_an_image_that_is_here(lost: Lost, mode: str) -> None:
    place, before = lost.place, inventory(lost.place)
    told = lost.restore(mode, "server", overrides=lost.carrier if mode == "image" else {**lost.here, **lost.carrier})
    if mode == "image":
        (made,) = place.client("ec2").describe_images(ImageIds=[told["image_id"]])["Images"]
        assert launch(place, told["image_id"]) == lost.machines["server"].blocks
    else:
        made = shown(place, told["instance_id"])
        volumes = volumes_of(place, told["instance_id"])
        assert blocks_of(place, volumes) == lost.machines["server"].blocks
        assert {found for found in inventory(place) - before if found.startswith("vol-")} == set(volumes.values())
    assert (made["PlatformDetails"], made["UsageOperation"]) == ("Windows", "RunInstances:0002")


def test_a_rehearsal_leaves_nothing(lost: Lost) -> None:
    before = inventory(lost.place)
    lost.restore("rehearsal", "web", overrides=lost.here, proof=COMMAND)
    assert inventory(lost.place) == before


def test_nothing_is_left_of_an_instance_that_is_not_proved_good(lost: Lost) -> None:
    before = inventory(lost.place)
    overrides = {**lost.here, "interfaces": "all", "elastic_ips": "leave"}
    request = lost.request("non_destructive", "pair", overrides=overrides, proof=make_proof(lost.place, NO))
    job, cause = lost.restorer.fail(**request)
    assert job
    assert NO["reason"] in cause
    assert inventory(lost.place) == before


def test_an_image_that_is_stopped_half_way_leaves_no_snapshot(lost: Lost) -> None:
    place, before = lost.place, inventory(lost.place)
    place.simulator("POST", "settings", {"snapshot_base_seconds": 3600})
    try:
        asked = lost.request("image", "server", overrides=lost.carrier, image={"name": unique("never")})
        execution = lost.restorer.start(**asked)
        job = lost.restorer.job_of(execution)
        lost.restorer.wait_for(job, "the image", lambda record: "machine_image_id" in record["made"])
        lost.restorer.ask(action="abort", job_id=job)
        told = lost.restorer.end_of_job(job)
    finally:
        place.simulator("POST", "settings", {"snapshot_base_seconds": 1})
    assert told["status"] == "ABORTED", told
    assert inventory(place) == before


@pytest.mark.parametrize("mode", ["destructive", "in_place"])
def test_what_needs_the_original_is_refused_with_what_can_be_had(lost: Lost, mode: str) -> None:
    before = inventory(lost.place)
    job, cause = lost.restorer.fail(**lost.request(mode, "web"))
    assert job is None
    for word in ("mode", "clone", "non_destructive", "volumes", "image"):
        assert word in cause
    assert inventory(lost.place) == before


def test_nothing_outside_the_vaults_account_and_region_was_asked(deployed: Deployed, lost: Lost) -> None:
    vault = deployed.far.place
    name = vault.client("lambda").get_function(FunctionName=deployed.far.outputs["RestoreInstanceFunctionName"])
    role = name["Configuration"]["Role"].rpartition("/")[2]
    used = {entry["action"] for entry in decisions(vault.account) if entry["principal"] == role}
    assert "ec2:RunInstances" in used
    assert "sts:AssumeRole" not in used
    for account in (vault.account, deployed.source.account):
        calls = Place(account, vault.region).simulator("GET", "calls", since=0)["calls"]
        regions = {call["region"] for call in calls if f"/{role}/" in call["principal"]}
        assert regions == ({vault.region} if account == vault.account else set())


def launch(place: Place, image: str) -> dict[str, dict[int, str]]:
    """Start an instance of an image, read its volumes, and end it."""
    ec2 = place.client("ec2")
    (made,) = ec2.run_instances(ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1)["Instances"]
    held = blocks_of(place, volumes_of(place, made["InstanceId"]))
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    return held
