"""What somebody would do to a vault who has taken its source account over.

Each attack names what it aims at by an id, an ARN or a bucket that exists in the vault. So what is refused is refused
by the vault, and not because there is nothing of that name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployed import Vault

Client = Callable[[str], Any]


@dataclass(frozen=True)
class Target:
    """What a vault holds of one recovery point. The attacker knows all of it."""

    vault: Vault
    attacker: str  # the account that copies would be shared with
    snapshot: str
    block_token: str
    record: str
    version: str
    retirement: str
    ciphertext: bytes
    retention_role: str
    schedule: str

    @property
    def role(self) -> str:
        """The name of the role that lets the source in."""
        return self.vault.role.rpartition("/")[2]

    @property
    def function(self) -> str:
        """The ARN of the vault's retention."""
        place, name = self.vault.place, self.vault.outputs["ApplyRetentionFunctionName"]
        return f"arn:aws:lambda:{place.region}:{place.account}:function:{name}"

    @property
    def machine(self) -> str:
        """The ARN of the state machine that runs it."""
        return self.vault.outputs["RetentionStateMachineArn"]

    @property
    def object(self) -> dict[str, str]:
        """The record, as S3's calls name it."""
        return {"Bucket": self.vault.bucket, "Key": self.record}

    @property
    def everybody(self) -> str:
        """A policy that lets everybody do everything."""
        return json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}
        )


@dataclass(frozen=True)
class Attack:
    """One call, and the action that IAM is to refuse for it."""

    action: str
    call: Callable[[Client, Target], Any]
    # Whether the call reaches the vault from other accounts too, by a bucket or an ARN: then the source's own
    # administrators are to be refused as well.
    from_outside: bool = False

    @property
    def service(self) -> str:
        """Whose call it is."""
        return self.action.partition(":")[0]


def _share(t: Target, direction: str) -> dict[str, Any]:
    """Give the call that shares the copy, or ends it."""
    return {
        "SnapshotId": t.snapshot,
        "Attribute": "createVolumePermission",
        "OperationType": direction,
        "UserIds": [t.attacker],
    }


def _block(t: Target) -> dict[str, Any]:
    return {"SnapshotId": t.snapshot, "BlockIndex": 0, "BlockToken": t.block_token}


def _disk(t: Target) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": t.snapshot}}]


def _target_of_schedule(t: Target) -> dict[str, Any]:
    return {"Arn": t.machine, "RoleArn": t.retention_role, "Input": "{}"}


_TAG = [{"Key": "holdfast:source-snapshot", "Value": "snap-0"}]
# Nobody could ever delete what is locked like this, and somebody would have to pay for it.
_FOR_A_CENTURY = {"LockMode": "compliance", "LockDuration": 36_500}
_UNTIL_2100 = {"LockMode": "compliance", "ExpirationDate": "2100-01-01T00:00:00Z"}
_WEEK = {"PendingWindowInDays": 7}
_EXPIRE = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
_ZERO = {"Variables": {"HOLDFAST_MINIMUM_DAYS": "0"}}
_OFF = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpression": "rate(1 minute)"}
_NOTHING = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})

ON_COPIES = [
    Attack("ec2:DeleteSnapshot", lambda c, t: c("ec2").delete_snapshot(SnapshotId=t.snapshot)),
    Attack("ec2:ModifySnapshotAttribute", lambda c, t: c("ec2").modify_snapshot_attribute(**_share(t, "add"))),
    Attack("ec2:ModifySnapshotAttribute", lambda c, t: c("ec2").modify_snapshot_attribute(**_share(t, "remove"))),
    Attack(
        "ec2:ResetSnapshotAttribute",
        lambda c, t: c("ec2").reset_snapshot_attribute(SnapshotId=t.snapshot, Attribute="createVolumePermission"),
    ),
    Attack("ec2:UnlockSnapshot", lambda c, t: c("ec2").unlock_snapshot(SnapshotId=t.snapshot)),
    Attack("ec2:LockSnapshot", lambda c, t: c("ec2").lock_snapshot(SnapshotId=t.snapshot, **_FOR_A_CENTURY)),
    Attack("ec2:LockSnapshot", lambda c, t: c("ec2").lock_snapshot(SnapshotId=t.snapshot, **_UNTIL_2100)),
    Attack(
        "ec2:ModifySnapshotTier",
        lambda c, t: c("ec2").modify_snapshot_tier(SnapshotId=t.snapshot, StorageTier="archive"),
    ),
    Attack("ec2:CreateTags", lambda c, t: c("ec2").create_tags(Resources=[t.snapshot], Tags=_TAG)),
    Attack("ec2:DeleteTags", lambda c, t: c("ec2").delete_tags(Resources=[t.snapshot], Tags=_TAG)),
    Attack(
        "ec2:CreateVolume",
        lambda c, t: c("ec2").create_volume(SnapshotId=t.snapshot, AvailabilityZone=f"{t.vault.place.region}a"),
    ),
    Attack(
        "ec2:CopySnapshot",
        lambda c, t: c("ec2").copy_snapshot(SourceSnapshotId=t.snapshot, SourceRegion=t.vault.place.region),
    ),
    Attack(
        "ec2:RegisterImage",
        lambda c, t: c("ec2").register_image(
            Name="taken", RootDeviceName="/dev/xvda", BlockDeviceMappings=_disk(t), Architecture="x86_64"
        ),
    ),
    Attack("ebs:ListSnapshotBlocks", lambda c, t: c("ebs").list_snapshot_blocks(SnapshotId=t.snapshot)),
    Attack("ebs:GetSnapshotBlock", lambda c, t: c("ebs").get_snapshot_block(**_block(t))),
]

ON_THE_CATALOG = [
    Attack("s3:PutObject", lambda c, t: c("s3").put_object(**t.object, Body=b"{}"), from_outside=True),
    Attack(
        "s3:PutObject",
        lambda c, t: c("s3").put_object(**t.object, Body=b"{}", IfMatch='"*"'),
        from_outside=True,
    ),
    Attack(
        "s3:PutObject",
        lambda c, t: c("s3").put_object(Bucket=t.vault.bucket, Key=t.retirement, Body=b"{}", IfNoneMatch="*"),
        from_outside=True,
    ),
    Attack(
        "s3:PutObject",
        lambda c, t: c("s3").copy_object(**t.object, CopySource=t.object, MetadataDirective="REPLACE"),
        from_outside=True,
    ),
    Attack("s3:PutObject", lambda c, t: c("s3").create_multipart_upload(**t.object), from_outside=True),
    Attack("s3:DeleteObject", lambda c, t: c("s3").delete_object(**t.object), from_outside=True),
    Attack(
        "s3:DeleteObject",
        lambda c, t: c("s3").delete_objects(Bucket=t.vault.bucket, Delete={"Objects": [{"Key": t.record}]}),
        from_outside=True,
    ),
    Attack(
        "s3:DeleteObjectVersion",
        lambda c, t: c("s3").delete_object(**t.object, VersionId=t.version),
        from_outside=True,
    ),
    Attack("s3:GetObject", lambda c, t: c("s3").get_object(**t.object), from_outside=True),
    Attack(
        "s3:PutBucketPolicy",
        lambda c, t: c("s3").put_bucket_policy(Bucket=t.vault.bucket, Policy=t.everybody),
        from_outside=True,
    ),
    Attack(
        "s3:DeleteBucketPolicy", lambda c, t: c("s3").delete_bucket_policy(Bucket=t.vault.bucket), from_outside=True
    ),
    Attack(
        "s3:PutBucketVersioning",
        lambda c, t: c("s3").put_bucket_versioning(
            Bucket=t.vault.bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        from_outside=True,
    ),
    Attack(
        "s3:PutLifecycleConfiguration",
        lambda c, t: c("s3").put_bucket_lifecycle_configuration(Bucket=t.vault.bucket, LifecycleConfiguration=_EXPIRE),
        from_outside=True,
    ),
    Attack("s3:DeleteBucket", lambda c, t: c("s3").delete_bucket(Bucket=t.vault.bucket), from_outside=True),
]

ON_THE_KEY = [
    Attack("kms:DisableKey", lambda c, t: c("kms").disable_key(KeyId=t.vault.key), from_outside=True),
    Attack(
        "kms:ScheduleKeyDeletion",
        lambda c, t: c("kms").schedule_key_deletion(KeyId=t.vault.key, **_WEEK),
        from_outside=True,
    ),
    Attack(
        "kms:PutKeyPolicy",
        lambda c, t: c("kms").put_key_policy(KeyId=t.vault.key, PolicyName="default", Policy=t.everybody),
        from_outside=True,
    ),
    Attack(
        "kms:Decrypt",
        lambda c, t: c("kms").decrypt(KeyId=t.vault.key, CiphertextBlob=t.ciphertext),
        from_outside=True,
    ),
    Attack(
        "kms:GenerateDataKey",
        lambda c, t: c("kms").generate_data_key(KeyId=t.vault.key, KeySpec="AES_256"),
        from_outside=True,
    ),
    Attack(
        "kms:GenerateDataKeyWithoutPlaintext",
        lambda c, t: c("kms").generate_data_key_without_plaintext(KeyId=t.vault.key, KeySpec="AES_256"),
        from_outside=True,
    ),
    Attack(
        "kms:CreateGrant",
        lambda c, t: c("kms").create_grant(
            KeyId=t.vault.key, GranteePrincipal=f"arn:aws:iam::{t.attacker}:root", Operations=["Decrypt"]
        ),
        from_outside=True,
    ),
]

ON_WHO_MAY_WHAT = [
    Attack(
        "sts:AssumeRole",
        lambda c, t: c("sts").assume_role(RoleArn=t.retention_role, RoleSessionName="taken"),
        from_outside=True,
    ),
    Attack(
        "iam:PutRolePolicy",
        lambda c, t: c("iam").put_role_policy(RoleName=t.role, PolicyName="least", PolicyDocument=t.everybody),
    ),
    Attack("iam:DeleteRole", lambda c, t: c("iam").delete_role(RoleName=t.role)),
    Attack(
        "iam:UpdateAssumeRolePolicy",
        lambda c, t: c("iam").update_assume_role_policy(
            RoleName=t.retention_role.rpartition("/")[2], PolicyDocument=t.everybody
        ),
    ),
    Attack("iam:CreateUser", lambda c, t: c("iam").create_user(UserName="taken")),
]

ON_RETENTION = [
    Attack(
        "lambda:InvokeFunction",
        lambda c, t: c("lambda").invoke(FunctionName=t.function, Payload=b'{"action": "apply_next"}'),
    ),
    Attack("lambda:DeleteFunction", lambda c, t: c("lambda").delete_function(FunctionName=t.function)),
    Attack(
        "lambda:UpdateFunctionConfiguration",
        lambda c, t: c("lambda").update_function_configuration(FunctionName=t.function, Environment=_ZERO),
    ),
    Attack(
        "lambda:UpdateFunctionCode",
        lambda c, t: c("lambda").update_function_code(FunctionName=t.function, ZipFile=b"PK"),
    ),
    Attack("states:StartExecution", lambda c, t: c("stepfunctions").start_execution(stateMachineArn=t.machine)),
    Attack(
        "states:UpdateStateMachine",
        lambda c, t: c("stepfunctions").update_state_machine(stateMachineArn=t.machine, definition=_NOTHING),
    ),
    Attack(
        "states:DeleteStateMachine",
        lambda c, t: c("stepfunctions").delete_state_machine(stateMachineArn=t.machine),
    ),
    Attack(
        "scheduler:UpdateSchedule",
        lambda c, t: c("scheduler").update_schedule(Name=t.schedule, Target=_target_of_schedule(t), **_OFF),
    ),
    Attack("scheduler:DeleteSchedule", lambda c, t: c("scheduler").delete_schedule(Name=t.schedule)),
    Attack("cloudformation:DeleteStack", lambda c, t: c("cloudformation").delete_stack(StackName="holdfast-vault")),
]

ATTACKS = [*ON_COPIES, *ON_THE_CATALOG, *ON_THE_KEY, *ON_WHO_MAY_WHAT, *ON_RETENTION]
