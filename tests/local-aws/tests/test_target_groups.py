"""Load balancers' target groups hold ec2-sim's instances and tell whether they run."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow, refusal


def _instances(account: Account, **states: str) -> None:
    """Let EC2 have instances `i-NAME`, each with an address of its own."""
    items = "".join(
        f"<item><instanceId>i-{name}</instanceId><instanceState><name>{state}</name></instanceState>"
        f"<privateIpAddress>10.0.0.{n}</privateIpAddress></item>"
        for n, (name, state) in enumerate(states.items(), start=1)
    )
    inner = f"<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>"
    account.described("DescribeInstances", inner)


def _group(account: Account, kind: str = "instance", **where: str) -> str:
    asked = {"Name": f"by-{kind}", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1", "TargetType": kind}
    return account.client("elbv2", **where).create_target_group(**asked)["TargetGroups"][0]["TargetGroupArn"]


def _health(elb: Any, group: str, **which: Any) -> dict[tuple[str, int], tuple[str, str]]:
    described = elb.describe_target_health(TargetGroupArn=group, **which)["TargetHealthDescriptions"]
    return {
        (d["Target"]["Id"], d["Target"]["Port"]): (d["TargetHealth"]["State"], d["TargetHealth"].get("Reason", ""))
        for d in described
    }


def test_an_instance_is_healthy_while_it_runs(account: Account) -> None:
    _instances(account, a="running", b="running")
    elb, group = account.client("elbv2"), _group(account)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "i-a"}, {"Id": "i-b", "Port": 8080}])
    healthy, idle = ("healthy", ""), ("unused", "Target.InvalidState")
    assert _health(elb, group) == {("i-a", 80): healthy, ("i-b", 8080): healthy}
    _instances(account, a="running", b="stopped")
    assert _health(elb, group) == {("i-a", 80): healthy, ("i-b", 8080): idle}
    _instances(account, a="running")
    assert _health(elb, group)["i-b", 8080] == idle
    unknown = _health(elb, group, Targets=[{"Id": "i-c"}])
    assert unknown == {("i-c", 80): ("unused", "Target.NotRegistered")}


def test_an_address_is_healthy_while_an_instance_that_has_it_runs(account: Account) -> None:
    _instances(account, a="running", b="stopped")
    elb, group = account.client("elbv2"), _group(account, "ip")
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": f"10.0.0.{n}"} for n in (1, 2, 3)])
    out_of_reach = ("unhealthy", "Target.Timeout")
    assert _health(elb, group) == {
        ("10.0.0.1", 80): ("healthy", ""),
        ("10.0.0.2", 80): out_of_reach,
        ("10.0.0.3", 80): out_of_reach,
    }


@pytest.mark.parametrize("target", ["i-b", "i-c"])
def test_an_instance_that_does_not_run_is_not_registered(account: Account, target: str) -> None:
    _instances(account, a="running", b="stopped")
    elb, group = account.client("elbv2"), _group(account)
    with pytest.raises(ClientError, match="not in a running state"):
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "i-a"}, {"Id": target}])
    assert _health(elb, group) == {}


def test_a_target_is_an_id_and_a_port(account: Account) -> None:
    _instances(account, a="running")
    elb, group = account.client("elbv2"), _group(account)
    for _ in range(2):
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "i-a"}, {"Id": "i-a", "Port": 8080}])
    assert set(_health(elb, group)) == {("i-a", 80), ("i-a", 8080)}
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "i-a"}])
    assert set(_health(elb, group)) == {("i-a", 8080)}


def test_target_groups_are_their_accounts_and_regions_own(account: Account, vault: Account) -> None:
    group = _group(account)
    elsewhere = account.client("elbv2", region="eu-central-1")
    for client in (vault.client("elbv2"), elsewhere):
        assert client.describe_target_groups()["TargetGroups"] == []
        with pytest.raises(ClientError, match="TargetGroupNotFound"):
            client.describe_target_health(TargetGroupArn=group)
    assert [g["TargetGroupArn"] for g in account.client("elbv2").describe_target_groups()["TargetGroups"]] == [group]
    assert _group(account, region="eu-central-1").split(":")[3] == "eu-central-1"


def test_registering_is_judged_on_the_group_and_describing_on_everything(account: Account) -> None:
    _instances(account, a="running")
    ours, other = _group(account), _group(account, "ip")
    changes = ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"]
    looks = ["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"]
    elb = account.client("elbv2", account.assume(account.role("restore", allow(changes, ours), allow(looks))))
    elb.register_targets(TargetGroupArn=ours, Targets=[{"Id": "i-a"}])
    elb.deregister_targets(TargetGroupArn=ours, Targets=[{"Id": "i-a"}])
    assert "RegisterTargets" in refusal(elb.register_targets, TargetGroupArn=other, Targets=[{"Id": "10.0.0.1"}])
    assert "DeregisterTargets" in refusal(elb.deregister_targets, TargetGroupArn=other, Targets=[{"Id": "10.0.0.1"}])
    elb.describe_target_groups(TargetGroupArns=[ours])
    elb.describe_target_health(TargetGroupArn=other)
    narrow = account.client("elbv2", account.assume(account.role("narrow", allow(looks, ours))))
    assert "DescribeTargetHealth" in refusal(narrow.describe_target_health, TargetGroupArn=ours)
    assert "DescribeTargetGroups" in refusal(narrow.describe_target_groups, TargetGroupArns=[ours])
