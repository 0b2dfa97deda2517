"""The whole way of a copy into another account, with ec2-sim itself: shared, taken on by the vault, under its key.

Here the launcher and the simulator prove that they mean the same by their headers and routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, Credentials, allow
from holdfast_local import stack
from holdfast_local.settings import REGION

VAULT_REGION = "eu-central-1"
FOR_SOURCE = ["kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom"]
TAG = {"Key": "holdfast:recovery-point", "Value": "rp-1"}


@dataclass(frozen=True)
class Scene:
    """A snapshot of the source account under a key, and a session of the vault's role."""

    source: Account
    vault: Account
    session: Credentials
    snapshot: str
    key: str

    def copy(self, **more: Any) -> dict[str, Any]:
        """Share the snapshot and copy it into the vault; describe the copy once it has ended."""
        client = self.vault.client("ec2", self.session, VAULT_REGION)
        tags = [{"ResourceType": "snapshot", "Tags": [TAG]}]
        where = {"SourceRegion": REGION, "SourceSnapshotId": self.snapshot}
        made = client.copy_snapshot(**where, TagSpecifications=tags, **more)["SnapshotId"]
        advance(self.vault)
        (described,) = client.describe_snapshots(SnapshotIds=[made])["Snapshots"]
        return described


def advance(account: Account) -> None:
    """Let an hour pass for EC2."""
    account.ask("POST", f"/_sim/clock/advance?account={account.id}", {"seconds": 3600}, base=account.stack.simulator)


def scene(real: stack.Stack, source: Account, vault: Account, *, opened: bool) -> Scene:
    """Make both accounts. The source's key lets the vault in, or does not."""
    by_iam = {"Effect": "Allow", "Principal": {"AWS": source.root}, "Action": "kms:*", "Resource": "*"}
    to_vault = {"Effect": "Allow", "Principal": {"AWS": vault.root}, "Action": FOR_SOURCE, "Resource": "*"}
    source.client("kms").create_alias(
        AliasName="alias/disks", TargetKeyId=source.key(by_iam, *([to_vault] if opened else []))
    )
    ec2 = source.client("ec2")
    disk = {"AvailabilityZone": f"{REGION}a", "Size": 1, "Encrypted": True, "KmsKeyId": "alias/disks"}
    snapshot = ec2.create_snapshot(VolumeId=ec2.create_volume(**disk)["VolumeId"])["SnapshotId"]
    advance(source)
    share = {"Attribute": "createVolumePermission", "OperationType": "add", "UserIds": [vault.id]}
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, **share)
    key = vault.key(region=VAULT_REGION)
    trust = {"Effect": "Allow", "Principal": {"AWS": source.root}, "Action": "sts:AssumeRole"}
    to_copy = ["ec2:CopySnapshot", "ec2:CreateTags", "ec2:DescribeSnapshots", "kms:*"]
    role = vault.role("copies", allow(to_copy), trust=trust)
    session = source.assume(role, source.assume(source.role("copy-region", allow("sts:AssumeRole", role))))
    return Scene(source, vault, session, snapshot, key)


def test_a_shared_snapshot_becomes_the_vaults_own_under_its_key(real: stack.Stack) -> None:
    scenery = scene(real, Account(real, "100000000001"), Account(real, "100000000002"), opened=True)
    copy = scenery.copy(Encrypted=True, KmsKeyId=scenery.key)
    assert (copy["State"], copy["OwnerId"], copy["KmsKeyId"]) == ("completed", scenery.vault.id, scenery.key)
    assert copy["Tags"] == [TAG]


def test_a_copy_fails_later_when_the_sources_key_is_closed_to_the_vault(real: stack.Stack) -> None:
    scenery = scene(real, Account(real, "100000000003"), Account(real, "100000000004"), opened=False)
    copy = scenery.copy(Encrypted=True, KmsKeyId=scenery.key)
    assert (copy["State"], copy["StateMessage"]) == ("error", "Given key ID is not accessible")
    assert scenery.vault.decisions()[("copies", "kms:Decrypt", False)] == 1


def test_a_copy_fails_later_when_its_own_key_is_disabled(real: stack.Stack) -> None:
    scenery = scene(real, Account(real, "100000000005"), Account(real, "100000000006"), opened=True)
    scenery.vault.client("kms", region=VAULT_REGION).disable_key(KeyId=scenery.key)
    assert scenery.copy(Encrypted=True, KmsKeyId=scenery.key)["State"] == "error"


def test_a_copy_under_the_default_key_needs_no_key_of_ones_own(real: stack.Stack) -> None:
    account = Account(real, "100000000007")
    ec2 = account.client("ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    advance(account)
    role = account.role("copier", allow(["ec2:CopySnapshot", "ec2:CreateTags", "ec2:DescribeSnapshots"]))
    copy = Scene(account, account, account.assume(role), snapshot, "").copy()
    assert (copy["State"], copy["Encrypted"]) == ("completed", True)


def test_a_role_deletes_only_the_snapshots_whose_tags_its_policy_names(real: stack.Stack) -> None:
    account = Account(real, "100000000008")
    ec2 = account.client("ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    tagged = [{"ResourceType": "snapshot", "Tags": [TAG]}]
    ours = ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged)["SnapshotId"]
    advance(account)  # EC2 lets a volume rest between snapshots
    foreign = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    of_ours = {"Null": {"aws:ResourceTag/holdfast:recovery-point": "false"}}
    role = account.role("retention", allow("ec2:DeleteSnapshot", "arn:aws:ec2:*::snapshot/*", **of_ours))
    delete = account.client("ec2", account.assume(role)).delete_snapshot
    delete(SnapshotId=ours)
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        delete(SnapshotId=foreign)
