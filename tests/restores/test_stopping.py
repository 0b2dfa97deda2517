"""Restores that somebody stops, by the function or by the execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployed import RefusedError, unique
from fleet import Fleet
from machines import blocks_of, inventory, shown, volumes_of
from places import Place
from proofs import UNDECIDED, make_proof
from restoring import Restorer


def by_function(restorer: Restorer, _: str, job: str) -> None:
    asked = restorer.ask(action="describe", job_id=job)
    told = restorer.ask(action="abort", job_id=job)
    for field in ("mode", "recovery_point_id", "moment"):
        assert told[field] == asked[field], told


def by_execution(restorer: Restorer, execution: str, _: str) -> None:
    restorer.place.client("stepfunctions").stop_execution(executionArn=execution, error="enough")


def start_to_wait(fleet: Fleet, place: Place, mode: str) -> tuple[str, str]:
    """Start a restore that waits for a proof which never comes; give its execution and its job."""
    proof = make_proof(place, UNDECIDED)
    asked = fleet.request(mode, "steady", proof=proof, overrides={"lift_protection": True})
    execution = fleet.restorer.start(**asked)
    job = fleet.restorer.job_of(execution)

    def waits(record: dict[str, Any]) -> bool:
        step = record["blueprint"]["steps"][int(record["next"])]
        return step in ({"prove": "candidate"}, "prove_original")

    fleet.restorer.wait_for(job, "the proof", waits)
    return execution, job


@pytest.mark.parametrize("stop", [by_function, by_execution])
@pytest.mark.parametrize("mode", ["destructive", "in_place"])
def test_the_original_is_as_it_was_and_nothing_is_left(
    fleet: Fleet, place: Place, stop: Callable[[Restorer, str, str], None], mode: str
) -> None:
    before, found = inventory(place), as_it_is(fleet, place)
    execution, job = start_to_wait(fleet, place, mode)
    assert as_it_is(fleet, place) != found, "it is about to be changed"
    stop(fleet.restorer, execution, job)
    told = fleet.restorer.end_of_job(job)
    assert told["status"] == "ABORTED", told
    assert told["restores"][0]["failure"] == "it was stopped"
    assert as_it_is(fleet, place) == found
    assert inventory(place) == before


def test_a_machine_image_that_is_stopped_half_way_leaves_no_snapshot(fleet: Fleet, place: Place) -> None:
    before = inventory(place)
    place.simulator("POST", "settings", {"snapshot_base_seconds": 3600})
    try:
        execution = fleet.restorer.start(**fleet.request("image", "server", image={"name": unique("never")}))
        job = fleet.restorer.job_of(execution)
        fleet.restorer.wait_for(job, "the image", lambda record: "machine_image_id" in record["made"])
        fleet.restorer.ask(action="abort", job_id=job)
        told = fleet.restorer.end_of_job(job)
    finally:
        place.simulator("POST", "settings", {"snapshot_base_seconds": 1})
    assert told["status"] == "ABORTED", told
    assert inventory(place) == before


def test_a_restore_that_has_ended_is_not_stopped_any_more(fleet: Fleet) -> None:
    told = fleet.restorer.run(**fleet.request("volumes", "proved"))
    with pytest.raises(RefusedError, match="has ended as COMPLETED"):
        fleet.restorer.ask(action="abort", job_id=told["job_id"])


def as_it_is(fleet: Fleet, place: Place) -> dict[str, Any]:
    """Give everything of the original that a restore could change."""
    ec2, steady = place.client("ec2"), fleet.machines["steady"].instance
    now = shown(place, steady)
    kept = ("State", "NetworkInterfaces", "Tags", "PrivateIpAddress")
    disks = {disk["DeviceName"]: {**disk["Ebs"], "AttachTime": None} for disk in now["BlockDeviceMappings"]}
    protected = [
        ec2.describe_instance_attribute(InstanceId=steady, Attribute=name)[name[0].upper() + name[1:]]
        for name in ("disableApiStop", "disableApiTermination")
    ]
    volumes = volumes_of(place, steady)
    tags = [volume.get("Tags") for volume in ec2.describe_volumes(VolumeIds=sorted(volumes.values()))["Volumes"]]
    return {
        **{name: now[name] for name in kept},
        "disks": disks,
        "protected": protected,
        "blocks": blocks_of(place, volumes),
        "tags": tags,
    }
