"""IAM holds for EC2 and EBS, on the resources that AWS would judge a call on."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from conftest import Account

OUR_TAG = "holdfast:recovery-point"


def allow(action: str, resource: object = "*", **condition: object) -> dict[str, object]:
    """Give a statement."""
    return {
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
        **({"Condition": condition} if condition else {}),
    }


def refusal(call, **arguments: object) -> str:
    """Give EC2's words when it refuses a call."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    assert refused.value.response["Error"]["Code"] in ("UnauthorizedOperation", "AccessDeniedException")
    return refused.value.response["Error"]["Message"]


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
    account.ask("PUT", "/_sim/snapshots?id=snap-ours", {OUR_TAG: "rp-1"}, base=account.stack.simulator)
    tags = [{"Key": "a", "Value": "b"}]
    client.create_tags(Resources=["snap-ours"], Tags=tags)
    assert "ec2:CreateTags" in refusal(client.create_tags, Resources=["snap-ours", "snap-foreign"], Tags=tags)


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
