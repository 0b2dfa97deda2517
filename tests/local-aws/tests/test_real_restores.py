"""A restore with ec2-sim itself: its instances, volumes and images are judged, attached, told and registered.

Here the launcher and the simulator prove that they mean the same by their calls and routes.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow, refusal
from holdfast_local import stack
from holdfast_local.settings import REGION

_accounts = itertools.count(200000000001)
ZONE = {"AvailabilityZone": f"{REGION}a"}
TAG = {"Key": "holdfast:restore", "Value": "job-1"}
OF_OURS = {"StringEquals": {"aws:ResourceTag/holdfast:restore": "job-1"}}
OF_NEW = ["kms:DescribeKey", "kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext"]
OF_SNAPSHOT = ["kms:CreateGrant", "kms:Decrypt"]


@pytest.fixture
def account(real: stack.Stack) -> Account:
    """Give an account of the stack with the real simulator that no other test uses."""
    return Account(real, str(next(_accounts)))


def _tagged(*kinds: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": [TAG]} for kind in kinds]}


def _run(ec2: Any, **more: Any) -> str:
    (instance,) = ec2.run_instances(**{"ImageId": "ami-1234", "MinCount": 1, "MaxCount": 1, **more})["Instances"]
    return instance["InstanceId"]


def _snapshot(account: Account, **disk: Any) -> str:
    ec2 = account.client("ec2")
    snapshot = ec2.create_snapshot(VolumeId=ec2.create_volume(**ZONE, Size=1, **disk)["VolumeId"])["SnapshotId"]
    account.ask("POST", f"/_sim/clock/advance?account={account.id}", {"seconds": 60}, base=account.stack.simulator)
    return snapshot


def test_a_role_ends_and_deletes_only_what_carries_its_tag(account: Account) -> None:
    root = account.client("ec2")
    ours = _run(root, **_tagged("instance", "network-interface"))
    theirs = _run(root)
    volumes = [root.create_volume(**ZONE, Size=1, **tags)["VolumeId"] for tags in (_tagged("volume"), {})]
    changes = ["ec2:TerminateInstances", "ec2:StopInstances", "ec2:DeleteVolume"]
    ec2 = account.client("ec2", account.assume(account.role("restore", allow(changes, **OF_OURS))))
    ec2.stop_instances(InstanceIds=[ours])
    assert "ec2:StopInstances" in refusal(ec2.stop_instances, InstanceIds=[ours, theirs])
    assert "ec2:TerminateInstances" in refusal(ec2.terminate_instances, InstanceIds=[theirs])
    ec2.terminate_instances(InstanceIds=[ours])
    ec2.delete_volume(VolumeId=volumes[0])
    assert "ec2:DeleteVolume" in refusal(ec2.delete_volume, VolumeId=volumes[1])


def test_a_role_launches_from_snapshots_under_a_key(account: Account) -> None:
    key = account.key()
    root_snapshot, data_snapshot = (_snapshot(account, Encrypted=True, KmsKeyId=key) for _ in range(2))
    calls = ["ec2:RegisterImage", "ec2:RunInstances", "ec2:CreateVolume", "ec2:AttachVolume", "ec2:CreateTags"]
    roles = {"may": [allow([*OF_NEW, *OF_SNAPSHOT], key)], "may-not": []}
    may, may_not = (
        account.client("ec2", account.assume(account.role(name, allow(calls), *more))) for name, more in roles.items()
    )
    device = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": root_snapshot}}
    image = may.register_image(Name="restored", RootDeviceName="/dev/sda1", BlockDeviceMappings=[device])["ImageId"]
    assert f"on resource: {key}" in refusal(_run, ec2=may_not, ImageId=image)
    made = {"ec2": may, "ImageId": image, "Placement": ZONE}
    instance = _run(**made, **_tagged("instance", "volume"))
    assert f"on resource: {key}" in refusal(may_not.create_volume, **ZONE, SnapshotId=data_snapshot)
    volume = may.create_volume(**ZONE, SnapshotId=data_snapshot)
    assert volume["KmsKeyId"] == key
    attach = {"VolumeId": volume["VolumeId"], "InstanceId": instance, "Device": "/dev/sdf"}
    assert f"kms:CreateGrant on resource: {key}" in refusal(may_not.attach_volume, **attach)
    may.attach_volume(**attach)
    account.client("kms").disable_key(KeyId=key)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        may.create_volume(**ZONE, SnapshotId=data_snapshot)


def test_starting_an_instance_needs_a_grant_on_the_keys_of_its_volumes(account: Account) -> None:
    key, root = account.key(), account.client("ec2")
    device = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": key}}
    instance = _run(root, BlockDeviceMappings=[device])
    root.stop_instances(InstanceIds=[instance])
    start = allow("ec2:StartInstances")
    may_not = account.client("ec2", account.assume(account.role("may-not", start)))
    assert "kms:CreateGrant" in refusal(may_not.start_instances, InstanceIds=[instance])
    may = account.client("ec2", account.assume(account.role("may", start, allow("kms:CreateGrant", key))))
    may.start_instances(InstanceIds=[instance])


@pytest.mark.parametrize("region", [REGION, "eu-central-1"])
def test_the_default_key_of_a_volume_is_described_as_a_key_of_aws(account: Account, region: str) -> None:
    disk = {"AvailabilityZone": f"{region}a", "Size": 1, "Encrypted": True}
    key = account.client("ec2", region=region).create_volume(**disk)["KmsKeyId"]
    role = account.role("restore", allow("kms:DescribeKey", f"arn:aws:kms:*:{account.id}:key/*"))
    root, may = account.client("kms", region=region), account.client("kms", account.assume(role), region)
    alias = "alias/aws/ebs"
    asked = [(root, name) for name in (key, key.split("/")[1], alias, f"{key.partition(':key/')[0]}:{alias}")]
    for kms, name in [*asked, (may, key)]:
        found = kms.describe_key(KeyId=name)["KeyMetadata"]
        assert (found["Arn"], found["KeyState"], found["KeyManager"]) == (key, "Enabled", "AWS")
    may_not = account.client("kms", account.assume(account.role("may-not")), region)
    assert "kms:DescribeKey" in refusal(may_not.describe_key, KeyId=key)


def test_only_the_default_key_of_ones_own_account_and_region_is_there(account: Account) -> None:
    other, elsewhere = Account(account.stack, str(next(_accounts))), "eu-central-1"
    default, foreign = (
        who.client("ec2").create_volume(**ZONE, Size=1, Encrypted=True)["KmsKeyId"] for who in (account, other)
    )
    invented = f"{default.rpartition('/')[0]}/{account.id}"
    unknown = [(REGION, foreign), (REGION, invented), (REGION, "alias/aws/s3"), (REGION, "alias/mine")]
    for region, name in [*unknown, (elsewhere, default), (elsewhere, default.split("/")[1])]:
        with pytest.raises(ClientError, match="NotFoundException"):
            account.client("kms", region=region).describe_key(KeyId=name)


def test_a_target_group_follows_the_state_of_an_instance(account: Account) -> None:
    ec2, elb = account.client("ec2"), account.client("elbv2")
    instance = _run(ec2)
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    ids = {"instance": instance, "ip": described["PrivateIpAddress"]}
    asked = {"Protocol": "HTTP", "Port": 80, "VpcId": described["VpcId"]}
    made = {
        kind: elb.create_target_group(Name=f"by-{kind}", TargetType=kind, **asked)["TargetGroups"][0]["TargetGroupArn"]
        for kind in ids
    }

    def states() -> list[str]:
        found = [elb.describe_target_health(TargetGroupArn=made[kind])["TargetHealthDescriptions"] for kind in ids]
        return [target["TargetHealth"]["State"] for targets in found for target in targets]

    for kind, target in ids.items():
        elb.register_targets(TargetGroupArn=made[kind], Targets=[{"Id": target}])
    assert states() == ["healthy", "healthy"]
    ec2.stop_instances(InstanceIds=[instance])
    assert states() == ["unused", "unhealthy"]
    with pytest.raises(ClientError, match="InvalidTarget"):
        elb.register_targets(TargetGroupArn=made["instance"], Targets=[{"Id": instance}])


def test_a_command_is_answered_by_the_guest_of_a_running_instance(account: Account) -> None:
    ec2, ssm = account.client("ec2"), account.client("ssm")
    told, other, stopped = (_run(ec2) for _ in range(3))
    ec2.stop_instances(InstanceIds=[stopped])
    simulator, where = account.stack.simulator, f"account={account.id}&region={REGION}"
    answer = {"instance_id": told, "status": "Failed", "output": "no database", "after_seconds": 30}
    account.ask("POST", f"/_sim/clock?{where}", {"mode": "frozen"}, base=simulator)
    account.ask("POST", f"/_sim/guest/answers?{where}", answer, base=simulator)

    def send(*instances: str) -> str:
        asked = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
        return ssm.send_command(InstanceIds=list(instances), **asked)["Command"]["CommandId"]

    def found(command: str, instance: str) -> tuple[str, int, str]:
        told = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
        return told["Status"], told["ResponseCode"], told["StandardOutputContent"]

    command = send(told, other)
    assert found(command, other) == ("Success", 0, "")
    assert found(command, told) == ("Pending", -1, "")
    account.ask("POST", f"/_sim/clock/advance?{where}", {"seconds": 10}, base=simulator)
    assert found(command, told) == ("InProgress", -1, "")
    account.ask("POST", f"/_sim/clock/advance?{where}", {"seconds": 20}, base=simulator)
    assert found(command, told) == ("Failed", 1, "no database")
    with pytest.raises(ClientError, match="InvalidInstanceId") as refused:
        send(told, stopped)
    assert stopped in str(refused.value)
    with pytest.raises(ClientError, match="InvocationDoesNotExist"):
        found(command, stopped)
