"""Several instances of one recovery point in one restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fleet import Fleet
from machines import blocks_of, inventory, volumes_of
from places import Place


@contextmanager
def refused(place: Place, instance: str) -> Iterator[None]:
    """Refuse every launch for the restore of one instance."""
    error = {"kind": "error", "code": "InvalidParameterValue", "message": "not today", "status": 400}
    place.simulator("POST", "faults", {"action": "RunInstances", "match": instance, "times": 1000, **error})
    try:
        yield
    finally:
        place.simulator("DELETE", "faults")


def test_one_wave_begins_when_the_one_before_it_has_ended(fleet: Fleet, place: Place) -> None:
    names = ["proved", "web"]
    resources = [fleet.machines[name].instance for name in names]
    told = fleet.restorer.run(plan_id=fleet.plan_id, mode="clone", resources=resources, order="listed")
    assert told["status"] == "COMPLETED", told
    assert [restore["resource_id"] for restore in told["restores"]] == resources
    for name, restore in zip(names, told["restores"], strict=True):
        assert blocks_of(place, volumes_of(place, restore["instance_id"])) == fleet.machines[name].blocks
    first, second = fleet.restorer.records(told["job_id"])
    assert (first["wave"], second["wave"]) == (0, 1)
    assert first["ended_at"] <= second["done"][0]["at"]


def test_one_that_cannot_be_restored_leaves_the_others_alone(fleet: Fleet, place: Place) -> None:
    good, bad = fleet.machines["proved"], fleet.machines["resting"]
    before = inventory(place)
    with refused(place, bad.instance):
        told = fleet.restorer.run(plan_id=fleet.plan_id, mode="clone", resources=[good.instance, bad.instance])
    assert told["status"] == "PARTIAL", told
    restores = {restore["resource_id"]: restore for restore in told["restores"]}
    assert (restores[good.instance]["status"], restores[bad.instance]["status"]) == ("COMPLETED", "FAILED")
    assert "not today" in restores[bad.instance]["failure"]
    clone = restores[good.instance]["instance_id"]
    left = inventory(place) - before
    assert {found for found in left if found.startswith(("i-", "vol-"))} == {clone, *volumes_of(place, clone).values()}
