"""Dry runs: everything is said, nothing is done."""

from __future__ import annotations

from typing import Any

import pytest

from fleet import HOST, Fleet
from machines import interfaces_of
from places import Place

READS = ("Describe", "Get", "List")


@pytest.mark.parametrize(
    "mode", ["clone", "non_destructive", "destructive", "in_place", "volumes", "image", "rehearsal"]
)
def test_a_dry_run_tells_the_steps_and_changes_nothing(fleet: Fleet, place: Place, mode: str) -> None:
    card = interfaces_of(place, fleet.machines["proved"].instance)[0]
    overrides = {
        "non_destructive": {"private_address": "automatic"},
        "rehearsal": {"subnet_id": card["SubnetId"], "security_group_ids": [g["GroupId"] for g in card["Groups"]]},
    }
    since = calls_of(place)[-1]["seq"]
    records = fleet.restorer.table.scan(Select="COUNT")["Count"]
    request = fleet.request(mode, "proved", dry_run=True, overrides=overrides.get(mode, {}))
    told = fleet.restorer.run(**request)
    (planned,) = told["planned"]
    assert planned["steps"], told
    assert planned.get("obstacles", []) == []
    assert told.get("job_id") is None
    assert fleet.restorer.table.scan(Select="COUNT")["Count"] == records
    calls = calls_of(place, since)
    assert calls, "it looked around"
    assert [call["action"] for call in calls if not call["action"].startswith(READS)] == []


def calls_of(place: Place, since: int = 0) -> list[dict[str, Any]]:
    """Give the calls that EC2 had after that number."""
    return place.simulator("GET", "calls", since=since)["calls"]


def test_a_dry_run_names_what_is_in_the_way_and_what_can_be_chosen(fleet: Fleet, place: Place) -> None:
    del place
    told = fleet.restorer.run(**fleet.request("non_destructive", "proved", dry_run=True))
    (planned,) = told["planned"]
    (obstacle,) = planned["obstacles"]
    assert obstacle["field"] == "overrides.private_address"
    assert "automatic" in obstacle["choices"]


def test_a_dry_run_finds_out_that_the_instance_profile_is_gone(fleet: Fleet, place: Place) -> None:
    gone = f"arn:aws:iam::{place.account}:instance-profile/nobody"
    asked = fleet.request("clone", "web", dry_run=True, overrides={"iam_instance_profile_arn": gone})
    (planned,) = fleet.restorer.run(**asked)["planned"]
    (obstacle,) = planned["obstacles"]
    assert obstacle["field"] == "overrides.iam_instance_profile_arn"
    assert obstacle["problem"] == f"there is no instance profile {gone}"


def test_a_dry_run_finds_out_that_the_dedicated_host_is_gone(fleet: Fleet, place: Place) -> None:
    def obstacles(**more: Any) -> list[dict[str, Any]]:
        told = fleet.restorer.run(**fleet.request("clone", "bound", dry_run=True, **more))
        return told["planned"][0].get("obstacles", [])

    ec2 = place.client("ec2")
    assert obstacles() == []
    ec2.terminate_instances(InstanceIds=[fleet.machines["bound"].instance])
    assert ec2.release_hosts(HostIds=[HOST])["Successful"] == [HOST]
    (obstacle,) = obstacles()
    assert (obstacle["field"], obstacle["choices"]) == ("overrides.placement", ["default"])
    assert HOST in obstacle["problem"]
    assert obstacles(overrides={"placement": "default"}) == []
