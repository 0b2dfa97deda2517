"""A restore's keys are judged as on AWS, but in the call itself: volumes to come, attached and started ones."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow, refusal

ZONE = {"AvailabilityZone": "us-east-1a"}
LAUNCH = {"MinCount": 1, "MaxCount": 1}
OF_NEW = ["kms:DescribeKey", "kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext"]
OF_SNAPSHOT = ["kms:CreateGrant", "kms:Decrypt"]
TO_OTHER_KEY, FROM_OTHER_KEY = "kms:ReEncryptTo", "kms:ReEncryptFrom"
CALLS = [
    "ec2:AttachVolume",
    "ec2:CreateReplaceRootVolumeTask",
    "ec2:CreateVolume",
    "ec2:RunInstances",
    "ec2:StartInstances",
]


def _as(account: Account, name: str, *statements: dict[str, Any]) -> Any:
    """Give EC2 as a role sees it that may make all these calls, and what the statements say."""
    return account.client("ec2", account.assume(account.role(name, allow(CALLS), *statements)))


def _asked(account: Account, role: str) -> set[tuple[str, bool]]:
    return {(action, allowed) for who, action, allowed in account.decisions() if who == role and "kms" in action}


def _code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def _image(account: Account, **snapshots: str) -> None:
    """Let EC2 describe an image with devices `sdX` of snapshots."""
    items = "".join(
        f"<item><deviceName>/dev/{device}</deviceName><ebs><snapshotId>{snapshot}</snapshotId></ebs></item>"
        for device, snapshot in snapshots.items()
    )
    inner = f"<imagesSet><item><blockDeviceMapping>{items}</blockDeviceMapping></item></imagesSet>"
    account.described("DescribeImages", inner)


def test_a_volume_under_a_key_needs_the_key(account: Account) -> None:
    key = account.key()
    call = {**ZONE, "Size": 1, "Encrypted": True, "KmsKeyId": key}
    _as(account, "all", allow(OF_NEW, key)).create_volume(**call)
    assert _asked(account, "all") == {(action, True) for action in OF_NEW}
    for n, missing in enumerate(OF_NEW):
        others = [action for action in OF_NEW if action != missing]
        said = refusal(_as(account, f"less-{n}", allow(others, key)).create_volume, **call)
        assert f"{missing} on resource: {key}" in said
        # All are asked, whatever the first answers are.
        assert len(_asked(account, f"less-{n}")) == len(OF_NEW)


def test_a_volume_of_a_snapshot_inherits_its_key_and_needs_it_twice(account: Account) -> None:
    account.snapshot("snap-1", kms_key_id=(key := account.key()))
    needed = {*OF_NEW, *OF_SNAPSHOT}
    _as(account, "all", allow(list(needed), key)).create_volume(**ZONE, SnapshotId="snap-1")
    assert _asked(account, "all") == {(action, True) for action in needed}
    for n, missing in enumerate(sorted(needed)):
        create = _as(account, f"less-{n}", allow(sorted(needed - {missing}), key)).create_volume
        assert missing in refusal(create, **ZONE, SnapshotId="snap-1")


def test_a_volume_of_a_snapshot_under_another_key_needs_both(account: Account) -> None:
    account.snapshot("snap-1", kms_key_id=(source := account.key()))
    own = account.key()
    call = {**ZONE, "SnapshotId": "snap-1", "Encrypted": True, "KmsKeyId": own}
    of_own, of_source = {*OF_NEW, TO_OTHER_KEY}, {*OF_SNAPSHOT, FROM_OTHER_KEY}
    _as(account, "all", allow(sorted(of_own), own), allow(sorted(of_source), source)).create_volume(**call)
    assert _asked(account, "all") == {(action, True) for action in of_own | of_source}
    for missing in of_own:
        role = _as(
            account, f"own-{missing[4:]}", allow(sorted(of_own - {missing}), own), allow(sorted(of_source), source)
        )
        assert f"{missing} on resource: {own}" in refusal(role.create_volume, **call)
    for missing in of_source:
        role = _as(
            account, f"source-{missing[4:]}", allow(sorted(of_own), own), allow(sorted(of_source - {missing}), source)
        )
        assert f"{missing} on resource: {source}" in refusal(role.create_volume, **call)


def test_the_default_key_and_no_key_need_nothing(account: Account) -> None:
    account.snapshot("snap-plain")
    account.snapshot("snap-default", kms_key_id=f"arn:aws:kms:us-east-1:{account.id}:key/made-by-the-simulator")
    create = _as(account, "restore").create_volume
    for snapshot in ("snap-plain", "snap-default"):
        create(**ZONE, SnapshotId=snapshot)
        create(**ZONE, SnapshotId=snapshot, Encrypted=True, KmsKeyId="alias/aws/ebs")
    create(**ZONE, Size=1, Encrypted=True)
    assert _asked(account, "restore") == set()


def test_keys_can_be_granted_through_ec2_and_for_its_grants_only(account: Account) -> None:
    account.snapshot("snap-1", kms_key_id=(key := account.key()))
    through = {"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}}
    for_ec2 = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    rest = ["kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:Decrypt"]
    ec2 = _as(account, "restore", allow(rest, key, **through), allow("kms:CreateGrant", key, **for_ec2))
    ec2.create_volume(**ZONE, SnapshotId="snap-1")


def test_an_alias_is_its_key(account: Account) -> None:
    key = account.key()
    account.client("kms").create_alias(AliasName="alias/restored", TargetKeyId=key)
    call = {**ZONE, "Size": 1, "Encrypted": True, "KmsKeyId": "alias/restored"}
    _as(account, "restore", allow(OF_NEW, key)).create_volume(**call)
    assert f"on resource: {key}" in refusal(_as(account, "nobody").create_volume, **call)


def test_a_key_that_nobody_can_use_is_an_invalid_value_for_root_too(account: Account) -> None:
    disabled, elsewhere = account.key(), account.key(region="us-west-2")
    account.client("kms").disable_key(KeyId=disabled)
    account.snapshot("snap-1", kms_key_id=disabled)
    create = account.client("ec2").create_volume
    missing = f"arn:aws:kms:us-east-1:{account.id}:key/11111111-2222-3333-4444-555555555555"
    for key in (disabled, elsewhere, missing, "alias/nobody"):
        assert _code(create, **ZONE, Size=1, Encrypted=True, KmsKeyId=key) == "InvalidParameterValue"
    assert _code(create, **ZONE, SnapshotId="snap-1") == "InvalidParameterValue"


def test_a_launch_needs_the_keys_of_its_image_and_of_its_devices(account: Account) -> None:
    keys = [account.key() for _ in range(4)]
    for n, key in enumerate(keys):
        account.snapshot(f"snap-{n}", kms_key_id=key)
    _image(account, sda1="snap-0", sdb="snap-1", sdc="snap-2")
    devices = [
        {"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-3"}},
        {"DeviceName": "/dev/sdc", "NoDevice": ""},
    ]
    call = {**LAUNCH, "ImageId": "ami-1", "BlockDeviceMappings": devices}
    needed = [*OF_NEW, *OF_SNAPSHOT]
    _as(account, "all", allow(needed, [keys[0], keys[3]])).run_instances(**call)
    for n, (given, missing) in enumerate(((keys[3], keys[0]), (keys[0], keys[3]))):
        role = _as(account, f"less-{n}", allow(needed, given))
        assert f"on resource: {missing}" in refusal(role.run_instances, **call)


def test_a_launch_can_put_a_device_of_its_image_under_another_key(account: Account) -> None:
    source, own = account.key(), account.key()
    account.snapshot("snap-0", kms_key_id=source)
    _image(account, sda1="snap-0")
    call = {**LAUNCH, "ImageId": "ami-1"}
    call["BlockDeviceMappings"] = [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "KmsKeyId": own}}]
    of_source = allow([*OF_SNAPSHOT, FROM_OTHER_KEY], source)
    _as(account, "all", of_source, allow([*OF_NEW, TO_OTHER_KEY], own)).run_instances(**call)
    assert f"{TO_OTHER_KEY} on resource: {own}" in refusal(
        _as(account, "less", of_source, allow(OF_NEW, own)).run_instances, **call
    )


def test_a_root_volume_is_replaced_with_the_key_of_its_snapshot_or_its_image(account: Account) -> None:
    account.snapshot("snap-0", kms_key_id=(key := account.key()))
    _image(account, sda1="snap-0")
    may, may_not = _as(account, "may", allow([*OF_NEW, *OF_SNAPSHOT], key)), _as(account, "may-not")
    for source in ({"SnapshotId": "snap-0"}, {"ImageId": "ami-1"}):
        may.create_replace_root_volume_task(InstanceId="i-1", **source)
        assert "kms:" in refusal(may_not.create_replace_root_volume_task, InstanceId="i-1", **source)


def test_attaching_and_starting_need_a_grant_on_each_volumes_key(account: Account) -> None:
    keys = [account.key(), account.key()]
    default = f"arn:aws:kms:us-east-1:{account.id}:key/made-by-the-simulator"
    items = "".join(f"<item><kmsKeyId>{key}</kmsKeyId></item>" for key in [*keys, default])
    account.described("DescribeVolumes", f"<volumeSet>{items}</volumeSet>")
    may, may_not = (
        _as(account, name, allow("kms:CreateGrant", given)) for name, given in (("may", keys), ("less", keys[0]))
    )
    attach = {"VolumeId": "vol-1", "InstanceId": "i-1", "Device": "/dev/sdf"}
    may.attach_volume(**attach)
    may.start_instances(InstanceIds=["i-1", "i-2"])
    for call, arguments in ((may_not.attach_volume, attach), (may_not.start_instances, {"InstanceIds": ["i-1"]})):
        assert f"kms:CreateGrant on resource: {keys[1]}" in refusal(call, **arguments)
    account.client("kms").disable_key(KeyId=keys[1])
    assert _code(may.start_instances, InstanceIds=["i-1"]) == "InvalidParameterValue"
