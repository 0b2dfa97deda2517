"""A new instance takes the original's place."""

from __future__ import annotations

from typing import Any

from deployed import unique
from fleet import Fleet
from machines import (
    blocks_of,
    interfaces_of,
    inventory,
    shown,
    tagged_for_a_restore,
    volumes_of,
)
from places import Place


def make_target_group(place: Place, instance: str) -> str:
    """Register an instance in a target group of its own."""
    balancers = place.client("elbv2")
    vpc = shown(place, instance)["VpcId"]
    asked = {"Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "instance"}
    (group,) = balancers.create_target_group(Name=unique("shop")[-32:].strip("-"), **asked)["TargetGroups"]
    balancers.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": instance, "Port": 80}])
    return group["TargetGroupArn"]


def targets(place: Place, group: str) -> list[str]:
    """Give the instances of a target group."""
    health: list[dict[str, Any]] = place.client("elbv2").describe_target_health(TargetGroupArn=group)[
        "TargetHealthDescriptions"
    ]
    return [target["Target"]["Id"] for target in health]


def test_a_new_instance_takes_the_originals_interface_addresses_and_place_at_the_load_balancer(
    fleet: Fleet, place: Place
) -> None:
    shop = fleet.machines["shop"]
    group = make_target_group(place, shop.instance)
    before = shown(place, shop.instance)
    (card,) = interfaces_of(place, shop.instance)

    told = fleet.restore("destructive", "shop", overrides={"lift_protection": True})
    new = told["instance_id"]
    assert shown(place, shop.instance)["State"]["Name"] == "terminated"
    (now,) = interfaces_of(place, new)
    assert now["NetworkInterfaceId"] == card["NetworkInterfaceId"]
    assert now["Attachment"]["DeleteOnTermination"] is True
    after = shown(place, new)
    for same in ("PrivateIpAddress", "PublicIpAddress", "SecurityGroups", "InstanceType", "Tags"):
        assert without_ours(after[same]) == without_ours(before[same]), same
    assert targets(place, group) == [new]
    assert blocks_of(place, volumes_of(place, new)) == shop.blocks
    for attribute in ("disableApiTermination", "disableApiStop"):
        said = place.client("ec2").describe_instance_attribute(InstanceId=new, Attribute=attribute)
        assert said[attribute[0].upper() + attribute[1:]]["Value"] is True
    # What was to end with the original is gone, what was to outlive it is not.
    left = inventory(place)
    assert shop.volumes["/dev/xvda"] not in left
    assert shop.volumes["/dev/sdf"] in left
    assert tagged_for_a_restore(place) == []


def without_ours(value: Any) -> Any:
    """Leave the tags out that Holdfast puts on what it restores."""
    if not isinstance(value, list):
        return value
    return sorted(
        (found for found in value if not found.get("Key", "").startswith("holdfast:")), key=lambda found: str(found)
    )


def test_a_protected_original_is_not_touched_unless_that_is_asked_for(fleet: Fleet, place: Place) -> None:
    before = inventory(place)
    job, cause = fleet.restorer.fail(**fleet.request("destructive", "steady"))
    assert job is None
    assert "overrides.lift_protection" in cause
    assert inventory(place) == before
