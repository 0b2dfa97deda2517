"""Restores in which the instance stays, and what can be undone of them."""

from __future__ import annotations

from typing import Any

import pytest

from deployed import Deployed, unique
from fleet import Fleet, plan_of
from machines import (
    blocks_of,
    disk,
    inventory,
    shown,
    start_machine,
    tagged_for_a_restore,
    tags_of,
    volumes_as_shown,
    volumes_of,
    write_later,
)
from places import Place, until
from restoring import Restorer, whole

LONG_AGO = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def restored(fleet: Fleet, place: Place) -> dict[str, Any]:
    """Restore an instance in place."""
    later = blocks_of(place, fleet.machines["db"].volumes)
    told = fleet.restorer.run(**fleet.request("in_place", "db"))
    return {"job": told["job_id"], "restore": whole(told), "later": later}


def test_the_volumes_go_back_and_those_that_were_there_are_kept(
    fleet: Fleet, place: Place, restored: dict[str, Any]
) -> None:
    db = fleet.machines["db"]
    assert restored["restore"]["instance_id"] == db.instance
    assert shown(place, db.instance)["State"]["Name"] == "running"
    assert blocks_of(place, volumes_of(place, db.instance)) == db.blocks
    kept = place.client("ec2").describe_volumes(VolumeIds=list(db.volumes.values()))["Volumes"]
    for volume in kept:
        assert volume["State"] == "available"
        assert tags_of(volume)["holdfast:undo-of"] == f"{restored['job']}/{db.instance}"
        assert tags_of(volume)["holdfast:undo-until"] >= restored["restore"]["undo_until"][:19]
    assert tagged_for_a_restore(place) == []


def test_an_undo_that_is_stopped_leaves_the_restore_as_it_was(
    fleet: Fleet, place: Place, restored: dict[str, Any]
) -> None:
    db = fleet.machines["db"]
    before, found = inventory(place), undo_tags(place, db.instance, db.volumes)
    put_on = volumes_of(place, db.instance)
    place.simulator("POST", "settings", {"instance_transition_seconds": 3})
    try:
        job = fleet.restorer.job_of(fleet.restorer.start(undo=restored["job"]))
        # Late: the volumes have changed places, and the instance is starting.
        fleet.restorer.wait_for(job, "the exchange", lambda record: record["next"] == 2)
        fleet.restorer.ask(action="abort", job_id=job)
        told = fleet.restorer.end_of_job(job)
    finally:
        place.simulator("POST", "settings", {"instance_transition_seconds": 0})
    assert told["status"] == "ABORTED", told
    assert inventory(place) == before
    assert volumes_of(place, db.instance) == put_on
    assert blocks_of(place, put_on) == db.blocks
    assert undo_tags(place, db.instance, db.volumes) == found, "what is kept expires, and what stands never does"


def undo_tags(place: Place, instance: str, kept: dict[str, str]) -> dict[str, dict[str, str]]:
    """Give what volumes say of an undo: those of an instance, and those that are kept."""
    volumes = [*volumes_of(place, instance).values(), *kept.values()]
    shown_now = place.client("ec2").describe_volumes(VolumeIds=volumes)["Volumes"]
    return {
        volume["VolumeId"]: {key: value for key, value in tags_of(volume).items() if key.startswith("holdfast:undo")}
        for volume in shown_now
    }


@pytest.fixture(scope="module")
def undone(fleet: Fleet, place: Place, restored: dict[str, Any]) -> dict[str, Any]:
    """Undo that."""
    put_on = volumes_of(place, fleet.machines["db"].instance)
    told = fleet.restorer.run(undo=restored["job"])
    whole(told)
    return {**restored, "undo": told["job_id"], "put_on": put_on}


def test_an_undo_brings_back_what_was_written_since(fleet: Fleet, place: Place, undone: dict[str, Any]) -> None:
    db = fleet.machines["db"]
    assert shown(place, db.instance)["State"]["Name"] == "running"
    assert volumes_of(place, db.instance) == db.volumes
    assert blocks_of(place, db.volumes) == undone["later"]
    for volume in volumes_as_shown(place, db.instance).values():
        assert [key for key in tags_of(volume) if key.startswith("holdfast:")] == []


def test_what_the_undo_took_off_expires_and_what_it_put_back_never_does(
    fleet: Fleet, place: Place, undone: dict[str, Any]
) -> None:
    ec2, db = place.client("ec2"), fleet.machines["db"]
    put_on = set(undone["put_on"].values())
    assert fleet.restorer.ask(action="expire_undo")["deleted"] == []
    forget_deadline(fleet.restorer, undone["job"])
    forget_deadline(fleet.restorer, undone["undo"])
    age_tags(place)
    # Somebody takes one off that is the instance's own again.
    ec2.stop_instances(InstanceIds=[db.instance])
    ec2.detach_volume(VolumeId=db.volumes["/dev/sdf"])
    expire(fleet.deployed)
    until("the end of what the undo took off", lambda: not inventory(place) & put_on)
    assert set(db.volumes.values()) <= inventory(place)


def test_a_tag_that_somebody_wrote_lets_nothing_go(fleet: Fleet, place: Place) -> None:
    ec2 = place.client("ec2")
    volume = ec2.create_volume(Size=1, AvailabilityZone=f"{place.region}a")["VolumeId"]
    resource = fleet.machines["db"].instance
    forged = {"holdfast:undo-until": LONG_AGO, "holdfast:undo-of": f"job-20260101T000000Z-0123456789abcdef/{resource}"}
    ec2.create_tags(Resources=[volume], Tags=[{"Key": key, "Value": value} for key, value in forged.items()])
    told = fleet.restorer.ask(action="expire_undo")
    assert "the catalog does not name it" in told["kept"][volume]
    assert volume in inventory(place)


def forget_deadline(restorer: Restorer, job: str) -> None:
    """Let the time for an undo be over.

    It is an hour at least, by the machine's clock, which no test can turn. So the moment is written back in the record,
    as no operator ever would, and with `age_tags` on the volumes.
    """
    for record in restorer.records(job):
        restorer.table.update_item(
            Key={"pk": record["pk"], "sk": record["sk"]},
            UpdateExpression="SET blueprint.undo_until = :then",
            ExpressionAttributeValues={":then": LONG_AGO},
        )


def age_tags(place: Place) -> None:
    """Let the time be over for every volume that says it is kept for an undo."""
    ec2 = place.client("ec2")
    kept = ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": ["holdfast:undo-until"]}])["Volumes"]
    tags = [{"Key": "holdfast:undo-until", "Value": LONG_AGO}]
    ec2.create_tags(Resources=[volume["VolumeId"] for volume in kept], Tags=tags)


def expire(deployed: Deployed) -> None:
    """Have the hourly schedule's target called now, as its role."""
    scheduler = deployed.source.client("scheduler")
    (name,) = [found["Name"] for found in scheduler.list_schedules()["Schedules"] if "HourlyExpiry" in found["Name"]]
    hourly = scheduler.get_schedule(Name=name)
    scheduler.create_schedule(
        Name=unique("expiry"),
        ScheduleExpression="at(2026-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=hourly["Target"],
    )


def test_the_boot_volume_alone_is_replaced_while_the_instance_runs(deployed: Deployed, place: Place) -> None:
    name = unique("boot")
    machine = start_machine(place, name, {"fleet": name}, {"/dev/xvda": disk(), "/dev/sdf": disk()})
    deployed.manage_plan(action="put", plan=plan_of(name, volumes={"include": "boot_only"}))
    deployed.back_up(name)
    write_later(place, machine)
    data = place.volume_blocks(machine.volumes["/dev/sdf"])
    launched = shown(place, machine.instance)["LaunchTime"]

    restorer = Restorer(place, deployed.outputs)
    told = restorer.run(plan_id=name, mode="in_place")
    whole(told)
    now = volumes_of(place, machine.instance)
    assert now["/dev/sdf"] == machine.volumes["/dev/sdf"]
    assert now["/dev/xvda"] != machine.volumes["/dev/xvda"]
    assert place.volume_blocks(now["/dev/xvda"]) == machine.blocks["/dev/xvda"]
    assert place.volume_blocks(now["/dev/sdf"]) == data
    assert shown(place, machine.instance)["LaunchTime"] == launched
    (record,) = restorer.records(told["job_id"])
    assert record["made"]["replace_root_task"]
