"""IAM holds for EC2 and EBS, on the resources that AWS would judge a call on."""

from __future__ import annotations

import pytest
from botocore import xform_name

from conftest import Account, allow, refusal

OUR_TAG = "holdfast:recovery-point"


def test_a_role_without_the_action_is_refused_in_the_words_of_aws(account: Account) -> None:
    role = account.role("writer", allow("ec2:CreateTags"))
    said = refusal(account.client("ec2", account.assume(role)).describe_volumes)
    assert said == (
        f"User: arn:aws:sts::{account.id}:assumed-role/writer/test is not authorized to perform: ec2:DescribeVolumes "
        "because no identity-based policy allows the ec2:DescribeVolumes action"
    )


INSTANCES, VOLUMES, SNAPSHOTS = "arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*::snapshot/*"
TAGGED = [{"ResourceType": "snapshot", "Tags": [{"Key": OUR_TAG, "Value": "rp-1"}]}]


def _create_snapshots(account: Account, *statements: dict[str, object]):
    client = account.client("ec2", account.assume(account.role("snapshots", *statements)))

    def create(tags: list = TAGGED) -> object:
        return client.create_snapshots(InstanceSpecification={"InstanceId": "i-1"}, TagSpecifications=tags)

    return create


@pytest.mark.parametrize("missing", [INSTANCES, VOLUMES, SNAPSHOTS])
def test_a_snapshot_set_needs_its_instance_its_volumes_and_its_snapshots(account: Account, missing: str) -> None:
    granted = [arn for arn in (INSTANCES, VOLUMES, SNAPSHOTS) if arn != missing]
    create = _create_snapshots(account, allow("ec2:CreateSnapshots", granted), allow("ec2:CreateTags"))
    assert "ec2:CreateSnapshots" in refusal(create)


def test_tags_in_a_creating_call_need_create_tags(account: Account) -> None:
    assert "ec2:CreateTags" in refusal(_create_snapshots(account, allow("ec2:CreateSnapshots")))


def test_create_tags_can_be_granted_for_one_creating_action(account: Account) -> None:
    while_creating = {"StringEquals": {"ec2:CreateAction": "CreateSnapshots"}}
    policy = allow("ec2:CreateSnapshots"), allow("ec2:CreateTags", SNAPSHOTS, **while_creating)
    _create_snapshots(account, *policy)()
    client = account.client("ec2", account.assume(f"arn:aws:iam::{account.id}:role/snapshots"))
    tags = [{"Key": "a", "Value": "b"}]
    assert "ec2:CreateTags" in refusal(client.create_tags, Resources=["snap-1"], Tags=tags)


def test_a_snapshot_can_be_required_to_carry_a_tag(account: Account) -> None:
    tagged = {"Null": {f"aws:RequestTag/{OUR_TAG}": "false"}}
    policy = allow("ec2:CreateSnapshots", [INSTANCES, VOLUMES]), allow("ec2:CreateSnapshots", SNAPSHOTS, **tagged)
    create = _create_snapshots(account, *policy, allow("ec2:CreateTags"))
    assert "ec2:CreateSnapshots" in refusal(create, tags=[])
    create()


def test_a_condition_on_a_resources_tags_is_answered_by_the_simulator(account: Account) -> None:
    ours = {"Null": {f"aws:ResourceTag/{OUR_TAG}": "false"}}
    client = account.client("ec2", account.assume(account.role("tagger", allow("ec2:CreateTags", SNAPSHOTS, **ours))))
    account.snapshot("snap-ours", tags={OUR_TAG: "rp-1"})
    tags = [{"Key": "a", "Value": "b"}]
    client.create_tags(Resources=["snap-ours"], Tags=tags)
    assert "ec2:CreateTags" in refusal(client.create_tags, Resources=["snap-ours", "snap-foreign"], Tags=tags)


def test_a_condition_on_tags_sees_the_callers_account_and_the_calls_region_only(
    account: Account, vault: Account
) -> None:
    ours = {"Null": {f"aws:ResourceTag/{OUR_TAG}": "false"}}
    role = account.role("deleter", allow("ec2:DeleteSnapshot", SNAPSHOTS, **ours))
    account.snapshot("snap-west", region="us-west-2", tags={OUR_TAG: "rp-1"})
    vault.snapshot("snap-shared", tags={OUR_TAG: "rp-1"}, shared_with=[account.id])
    here, west = (account.client("ec2", account.assume(role), region) for region in ("us-east-1", "us-west-2"))
    west.delete_snapshot(SnapshotId="snap-west")
    assert "ec2:DeleteSnapshot" in refusal(here.delete_snapshot, SnapshotId="snap-west")
    assert "ec2:DeleteSnapshot" in refusal(here.delete_snapshot, SnapshotId="snap-shared")


def _copy(account: Account, *statements: dict[str, object]):
    client = account.client("ec2", account.assume(account.role("copier", *statements)), "eu-central-1")

    def copy(source: str = "snap-source", tags: list = TAGGED) -> object:
        where = {"SourceRegion": "us-east-1", "SourceSnapshotId": source}
        return client.copy_snapshot(**where, TagSpecifications=tags)

    return copy


SOURCE, COPY = "arn:aws:ec2:us-east-1::snapshot/snap-source", "arn:aws:ec2:eu-central-1::snapshot/*"


@pytest.mark.parametrize("granted", [SOURCE, COPY])
def test_a_copy_needs_its_source_in_its_region_and_the_snapshot_to_come(account: Account, granted: str) -> None:
    copy = _copy(account, allow("ec2:CopySnapshot", granted), allow("ec2:CreateTags"))
    assert "ec2:CopySnapshot" in refusal(copy)


def test_a_copy_can_be_granted_by_the_tags_of_the_source_and_of_the_copy(account: Account) -> None:
    tagged = {"Null": {f"aws:RequestTag/{OUR_TAG}": "false"}}
    of_ours = {"Null": {f"aws:ResourceTag/{OUR_TAG}": "false"}}
    while_copying = {"StringEquals": {"ec2:CreateAction": "CopySnapshot"}}
    account.snapshot("snap-source", tags={OUR_TAG: "rp-1"})
    copy = _copy(
        account,
        allow("ec2:CopySnapshot", COPY, **tagged),
        allow("ec2:CopySnapshot", "arn:aws:ec2:us-east-1::snapshot/*", **of_ours),
        allow("ec2:CreateTags", COPY, **while_copying),
    )
    copy()
    assert "ec2:CopySnapshot" in refusal(copy, tags=[])
    assert "ec2:CopySnapshot" in refusal(copy, source="snap-foreign")


def test_the_tags_of_a_copy_are_not_those_of_its_source(account: Account) -> None:
    tagged = {"Null": {f"aws:RequestTag/{OUR_TAG}": "false"}}
    copy = _copy(account, allow("ec2:CopySnapshot", [SOURCE, COPY], **tagged), allow("ec2:CreateTags"))
    assert "ec2:CopySnapshot" in refusal(copy)


LOCK = {"LockMode": "governance", "LockDuration": 1}


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("DeleteSnapshot", {}),
        ("LockSnapshot", LOCK),
        ("UnlockSnapshot", {}),
        ("ModifySnapshotTier", {}),
        ("RestoreSnapshotTier", {"PermanentRestore": True}),
        ("ResetSnapshotAttribute", {"Attribute": "createVolumePermission"}),
        ("DescribeSnapshotAttribute", {"Attribute": "createVolumePermission"}),
    ],
)
def test_what_is_done_to_a_snapshot_is_judged_on_it(account: Account, action: str, arguments: dict) -> None:
    role = account.role("keeper", allow(f"ec2:{action}", "arn:aws:ec2:us-east-1::snapshot/snap-1"))
    client = account.client("ec2", account.assume(role))
    call = getattr(client, xform_name(action))
    call(SnapshotId="snap-1", **arguments)
    assert f"ec2:{action}" in refusal(call, SnapshotId="snap-2", **arguments)


@pytest.mark.parametrize("action", ["DeregisterImage", "DisableImage", "EnableImage"])
def test_what_is_done_to_an_image_is_judged_on_it(account: Account, action: str) -> None:
    role = account.role("keeper", allow(f"ec2:{action}", "arn:aws:ec2:us-east-1::image/ami-1"))
    call = getattr(account.client("ec2", account.assume(role)), xform_name(action))
    call(ImageId="ami-1")
    assert f"ec2:{action}" in refusal(call, ImageId="ami-2")


IMAGE, INSTANCE, SNAPSHOT = "arn:aws:ec2:*::image/*", "arn:aws:ec2:*:*:instance/i-1", "arn:aws:ec2:*::snapshot/*"


@pytest.mark.parametrize("missing", [IMAGE, INSTANCE, SNAPSHOT])
def test_an_image_of_an_instance_needs_the_instance_the_image_and_its_snapshots(account: Account, missing: str) -> None:
    granted = [arn for arn in (IMAGE, INSTANCE, SNAPSHOT) if arn != missing]
    client = account.client("ec2", account.assume(account.role("imager", allow("ec2:CreateImage", granted))))
    assert "ec2:CreateImage" in refusal(client.create_image, InstanceId="i-1", Name="image")


def test_an_image_of_snapshots_needs_each_of_them(account: Account) -> None:
    one = "arn:aws:ec2:us-east-1::snapshot/snap-1"
    client = account.client("ec2", account.assume(account.role("imager", allow("ec2:RegisterImage", [IMAGE, one]))))
    devices = [{"DeviceName": f"/dev/sd{n}", "Ebs": {"SnapshotId": f"snap-{n}"}} for n in (1, 2)]
    client.register_image(Name="image", BlockDeviceMappings=devices[:1])
    assert "ec2:RegisterImage" in refusal(client.register_image, Name="image", BlockDeviceMappings=devices)


def test_locking_can_be_granted_for_so_many_days_at_most(account: Account) -> None:
    for_a_week = {"NumericLessThanEquals": {"ec2:SnapshotLockDuration": "7"}}
    role = account.role("locker", allow("ec2:LockSnapshot", SNAPSHOTS, **for_a_week))
    lock = account.client("ec2", account.assume(role)).lock_snapshot
    lock(SnapshotId="snap-1", LockMode="governance", LockDuration=7)
    assert "ec2:LockSnapshot" in refusal(lock, SnapshotId="snap-1", LockMode="governance", LockDuration=8)
    for_ever = {"LockMode": "compliance", "ExpirationDate": "2100-01-01T00:00:00Z"}
    assert "ec2:LockSnapshot" in refusal(lock, SnapshotId="snap-1", **for_ever)


def test_sharing_can_be_granted_for_named_accounts_only_in_either_form(account: Account) -> None:
    with_vault = {"StringEquals": {"ec2:Add/userId": "222233334444"}}
    role = account.role("sharer", allow("ec2:ModifySnapshotAttribute", SNAPSHOTS, **with_vault))
    share = account.client("ec2", account.assume(role)).modify_snapshot_attribute
    one = {"SnapshotId": "snap-1", "Attribute": "createVolumePermission"}
    share(**one, OperationType="add", UserIds=["222233334444"])
    share(**one, CreateVolumePermission={"Add": [{"UserId": "222233334444"}]})
    for wrong in (
        {"OperationType": "add", "UserIds": ["999999999999"]},
        {"OperationType": "remove", "UserIds": ["222233334444"]},
        {"OperationType": "add", "GroupNames": ["all"]},
        {"CreateVolumePermission": {"Add": [{"UserId": "999999999999"}]}},
        {"CreateVolumePermission": {"Add": [{"Group": "all"}]}},
        {"CreateVolumePermission": {"Remove": [{"UserId": "222233334444"}]}},
    ):
        assert "ec2:ModifySnapshotAttribute" in refusal(share, **one, **wrong)


def test_ebs_direct_is_judged_on_its_snapshot(account: Account) -> None:
    one = allow("ebs:ListSnapshotBlocks", "arn:aws:ec2:*::snapshot/snap-1")
    client = account.client("ebs", account.assume(account.role("reader", one)))
    client.list_snapshot_blocks(SnapshotId="snap-1")
    assert "ebs:ListSnapshotBlocks" in refusal(client.list_snapshot_blocks, SnapshotId="snap-2")


def test_a_role_must_be_allowed_to_pass_the_role_of_a_schedule(account: Account) -> None:
    to_scheduler = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    own = f"arn:aws:iam::{account.id}:role/own"
    policy = allow("scheduler:CreateSchedule"), allow("iam:PassRole", own, **to_scheduler)
    client = account.client("scheduler", account.assume(account.role("planner", *policy)))

    def create(name: str, role: str) -> dict:
        target = {"Arn": f"arn:aws:states:us-east-1:{account.id}:stateMachine:m", "RoleArn": role}
        window = {"Mode": "OFF"}
        return client.create_schedule(
            Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow=window, Target=target
        )

    create("good", own)
    assert "iam:PassRole" in refusal(create, name="bad", role=f"arn:aws:iam::{account.id}:role/admin")


def test_a_schedule_is_judged_in_its_group(account: Account) -> None:
    group = account.client("scheduler").create_schedule_group(Name="ours")["ScheduleGroupArn"]
    everything = ["scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"]
    ours = group.replace("schedule-group", "schedule") + "/*"
    policy = allow(everything, ours), allow("iam:PassRole")
    client = account.client("scheduler", account.assume(account.role("planner", *policy)))
    target = {
        "Arn": f"arn:aws:states:us-east-1:{account.id}:stateMachine:m",
        "RoleArn": f"arn:aws:iam::{account.id}:role/r",
    }
    schedule = {
        "Name": "s",
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target,
    }
    client.create_schedule(GroupName="ours", **schedule)
    client.update_schedule(GroupName="ours", **schedule)
    client.delete_schedule(GroupName="ours", Name="s")
    assert "scheduler:CreateSchedule" in refusal(client.create_schedule, **schedule)
    assert "scheduler:DeleteSchedule" in refusal(client.delete_schedule, Name="s")


def test_every_decision_is_written_down(account: Account) -> None:
    role = account.role("reader", allow("ec2:DescribeVolumes"))
    client = account.client("ec2", account.assume(role))
    client.describe_volumes()
    client.describe_volumes()
    refusal(client.describe_instances)
    assert account.decisions() == {
        ("reader", "ec2:DescribeInstances", False): 1,
        ("reader", "ec2:DescribeVolumes", True): 2,
    }
    account.ask("DELETE", f"/_holdfast/decisions?account={account.id}")
    assert account.decisions() == {}


def test_a_transaction_shows_the_actions_that_aws_checks(account: Account) -> None:
    key = {"AttributeName": "pk", "AttributeType": "S"}
    account.client("dynamodb").create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[key],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    role = account.role("catalog", allow("dynamodb:PutItem"), allow("dynamodb:ConditionCheckItem"))
    client = account.client("dynamodb", account.assume(role))
    check = {"TableName": "table", "Key": {"pk": {"S": "b"}}, "ConditionExpression": "attribute_not_exists(pk)"}
    put = {"TableName": "table", "Item": {"pk": {"S": "a"}}}
    client.transact_write_items(TransactItems=[{"Put": put}, {"ConditionCheck": check}])
    refusal(client.batch_write_item, RequestItems={"table": [{"PutRequest": {"Item": {"pk": {"S": "c"}}}}]})
    assert account.decisions() == {
        ("catalog", "dynamodb:BatchWriteItem", False): 1,
        ("catalog", "dynamodb:ConditionCheckItem", True): 1,
        ("catalog", "dynamodb:PutItem", True): 1,
    }
