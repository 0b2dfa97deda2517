"""Instances that are billed for more than Linux keep that when they come back."""

from __future__ import annotations

import pytest

from fleet import Fleet
from machines import blocks_of, inventory, shown, tagged_for_a_restore, volumes_of
from places import Place


@pytest.mark.parametrize(
    ("name", "way"),
    [("server", "and that image carries it"), ("orphan", "launched from an image of the original")],
)
def test_a_clone_of_windows_is_windows_with_the_boot_volume_of_the_backup(
    fleet: Fleet, place: Place, name: str, way: str
) -> None:
    machine, before = fleet.machines[name], inventory(place)
    told = fleet.restore("clone", name)
    assert way in told["way"]
    clone = shown(place, told["instance_id"])
    assert (clone["PlatformDetails"], clone["UsageOperation"]) == ("Windows", "RunInstances:0002")
    volumes = volumes_of(place, told["instance_id"])
    assert blocks_of(place, volumes) == machine.blocks
    interfaces = {card["NetworkInterfaceId"] for card in clone["NetworkInterfaces"]}
    assert inventory(place) - before == {told["instance_id"], *volumes.values(), *interfaces}
    assert tagged_for_a_restore(place) == []
