"""Encryption by default: what is made without a word about keys is encrypted where the account says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .simulator import REGION, World, by_device, refused

OWN = "arn:aws:kms:us-east-1:000000000000:key/own"


def is_by_default(world: World) -> bool:
    """Ask whether new volumes are encrypted."""
    return world.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]


def key_of(world: World, volume_id: str) -> str | None:
    """Give the key of a volume."""
    volume = world.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
    assert volume["Encrypted"] is ("KmsKeyId" in volume)
    return volume.get("KmsKeyId")


def test_is_off_until_it_is_enabled_and_after_it_is_disabled(world: World) -> None:
    assert is_by_default(world) is False
    assert world.ec2.enable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    assert is_by_default(world) is True
    assert world.ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert is_by_default(world) is False


def test_its_key_is_that_of_aws_until_another_one_is_chosen(world: World) -> None:
    assert world.ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    assert world.ec2.modify_ebs_default_kms_key_id(KmsKeyId="own")["KmsKeyId"].endswith(":key/own")
    assert world.ec2.get_ebs_default_kms_key_id()["KmsKeyId"].endswith(":key/own")
    assert world.ec2.reset_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"


def _new(world: World, _snapshot: str, **more: Any) -> str | None:
    return key_of(world, world.volume(**more))


def _of_snapshot(world: World, snapshot: str, **more: Any) -> str | None:
    return key_of(world, world.volume(SnapshotId=snapshot, **more))


def _launched(world: World, snapshot: str, **more: Any) -> str | None:
    disk = {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot, **more}}
    return key_of(world, by_device(world.launch(BlockDeviceMappings=[disk]))["/dev/sdf"])


def _copied(world: World, snapshot: str, **more: Any) -> str | None:
    return world.described(world.copy(snapshot, REGION, **more)).get("KmsKeyId")


@pytest.mark.parametrize("make", [_new, _of_snapshot, _launched, _copied])
def test_what_is_made_is_encrypted_under_the_accounts_key_or_the_one_that_is_named(
    still: World, make: Callable[..., str | None]
) -> None:
    snapshot = still.snapshot(still.volume())
    assert make(still, snapshot) is None
    still.ec2.enable_ebs_encryption_by_default()
    of_aws = make(still, snapshot)
    still.ec2.modify_ebs_default_kms_key_id(KmsKeyId="own")
    own, named = make(still, snapshot), make(still, snapshot, Encrypted=True, KmsKeyId="named")
    assert None not in {of_aws, own, named}
    assert len({of_aws, own, named}) == 3
    assert str(own).endswith(":key/own")
    assert str(named).endswith(":key/named")


def test_a_snapshot_keeps_the_key_it_has(still: World) -> None:
    still.ec2.enable_ebs_encryption_by_default()
    snapshot = still.snapshot(still.volume(Encrypted=True, KmsKeyId=OWN))
    assert _of_snapshot(still, snapshot) == OWN


def test_no_unencrypted_snapshot_is_started_through_ebs_direct(world: World) -> None:
    parent = world.ebs.start_snapshot(VolumeSize=1)
    assert "KmsKeyArn" not in parent
    world.ebs.complete_snapshot(SnapshotId=parent["SnapshotId"], ChangedBlocksCount=0)
    world.ec2.enable_ebs_encryption_by_default()
    world.ec2.modify_ebs_default_kms_key_id(KmsKeyId="own")
    assert world.ebs.start_snapshot(VolumeSize=1)["KmsKeyArn"].endswith(":key/own")
    with refused("ValidationException"):
        world.ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent["SnapshotId"])
