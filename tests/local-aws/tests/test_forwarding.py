"""EC2 and EBS calls reach the simulator, as who and where they were made."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from conftest import Account


def _seen(account: Account, region: str, credentials=None) -> dict[str, str]:
    """Give the headers that the simulator got with a call."""
    client, bodies = account.client("ec2", credentials, region), []
    client.meta.events.register("after-call.ec2", lambda http_response, **_: bodies.append(http_response.text))
    client.describe_volumes()
    names = ("account", "region", "principal")
    return {name: bodies[0].partition(f"<x-sim-{name}>")[2].partition("<")[0] for name in names}


def test_a_call_carries_the_account_and_the_region_of_its_caller(account: Account) -> None:
    root = f"arn:aws:iam::{account.id}:root"
    assert _seen(account, "eu-west-1") == {"account": account.id, "region": "eu-west-1", "principal": root}


def test_a_roles_call_carries_the_role(account: Account) -> None:
    role = account.role("reader", {"Effect": "Allow", "Action": "ec2:DescribeVolumes", "Resource": "*"})
    seen = _seen(account, "us-east-1", account.assume(role))
    assert seen["principal"] == f"arn:aws:sts::{account.id}:assumed-role/reader/test"
    assert seen["account"] == account.id


def test_an_ebs_direct_call_keeps_its_path_and_its_query(account: Account) -> None:
    client, bodies = account.client("ebs"), []
    client.meta.events.register("after-call.ebs", lambda http_response, **_: bodies.append(http_response.text))
    client.list_snapshot_blocks(SnapshotId="snap-1", MaxResults=100, StartingBlockIndex=3)
    assert '"/snapshots/snap-1/blocks?' in bodies[0]
    assert "maxResults=100" in bodies[0]
    assert "startingBlockIndex=3" in bodies[0]


def test_a_lost_reply_stays_lost(account: Account) -> None:
    address = urlsplit(account.stack.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    scope = (
        f"AWS4-HMAC-SHA256 Credential={account.id}/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
    )
    headers = {"authorization": scope, "content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/", b"Action=DescribeVolumes&Version=2016-11-15&Filter.1.Name=LoseReply", headers)
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
