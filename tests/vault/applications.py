"""Applications to back up: two instances whose volumes are encrypted in every way that matters to a copy."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from places import Place, until

BLOCK = 512 * 1024
_IMAGE = "ami-0123456789abcdef0"
# What the vault's account may do with a key that snapshots are shared under.
_FOR_VAULTS = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:ReEncryptFrom"]


@dataclass
class Application:
    """Instances with their volumes, and what these held when the application was made."""

    name: str
    instances: list[str] = field(default_factory=list)
    blocks: dict[str, dict[int, str]] = field(default_factory=dict)  # volume, block, SHA-256

    @property
    def selection(self) -> dict[str, Any]:
        """What a plan selects it by."""
        return {"tags": [{"key": "app", "values": [self.name]}]}


def make_application(place: Place, name: str, vault: str) -> Application:
    """Start `web`, with a plain volume and one under the default key, and `db`, with one under a customer's key."""
    key = make_key(place, vault)
    made = Application(name)
    _start(place, made, "web", {"/dev/xvda": {}, "/dev/sdf": {"Encrypted": True}})
    _start(place, made, "db", {"/dev/xvda": {"Encrypted": True, "KmsKeyId": key}})
    return made


def make_small_application(place: Place, name: str) -> Application:
    """Start one instance with one plain volume."""
    made = Application(name)
    _start(place, made, "web", {"/dev/xvda": {}})
    return made


def make_key(place: Place, other: str, *, may: Sequence[str] = _FOR_VAULTS) -> str:
    """Make a key that another account may use: to read what is shared under it, or for more; give its ARN."""
    own = {"AWS": f"arn:aws:iam::{place.account}:root"}
    far = {"AWS": f"arn:aws:iam::{other}:root"}
    statements = [
        {"Effect": "Allow", "Principal": own, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": far, "Action": list(may), "Resource": "*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return place.client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]


def _start(place: Place, application: Application, name: str, devices: dict[str, dict[str, Any]]) -> None:
    ec2 = place.client("ec2")
    tags = [{"Key": "app", "Value": application.name}, {"Key": "Name", "Value": name}]
    (instance,) = ec2.run_instances(
        ImageId=_IMAGE,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[
            {"DeviceName": device, "Ebs": {"VolumeSize": 1, "VolumeType": "gp3", **encryption}}
            for device, encryption in devices.items()
        ],
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    )["Instances"]
    application.instances.append(instance["InstanceId"])

    def volumes() -> list[str]:
        shown = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"][0]["Instances"][0]
        found = [mapping["Ebs"]["VolumeId"] for mapping in shown["BlockDeviceMappings"]]
        return found if len(found) == len(devices) else []

    for volume in until(f"the volumes of {name}", volumes):
        write(place, volume, f"{application.name} {volume}")
        application.blocks[volume] = place.volume_blocks(volume)


def write(place: Place, volume: str, seed: str) -> None:
    """Write bytes that nobody else writes onto four blocks of a volume, as its instance would."""
    chance = random.Random(seed)
    for index in [*sorted(chance.sample(range(1, 2048), 3)), 0]:
        place.simulator("PUT", f"volumes/{volume}/content", chance.randbytes(BLOCK), offset=index * BLOCK)
