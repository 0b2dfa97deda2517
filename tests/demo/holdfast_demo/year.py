"""A year of nightly recovery points that no job has taken: real snapshots, and records made after a real one.

Each snapshot is taken by EC2 itself while the simulator's clock stands at its night, and carries tags under
the stack's own seal. Each record has the shape of one that a job has just written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from holdfast_demo.catalog import Catalog
from holdfast_demo.errors import DemoError
from holdfast_demo.nights import RULES, ZONE_NAME, Night, utc
from holdfast_demo.plan import manage
from holdfast_demo.seal import seal_key, sealed
from holdfast_demo.stack import Stack

_JOB_TOOK = timedelta(seconds=30)


@dataclass(frozen=True)
class Pattern:
    """What a job has written of one instance's backup."""

    point: dict[str, Any]
    job: dict[str, Any]
    batch: dict[str, Any]
    backup: dict[str, Any]

    @classmethod
    def read(cls, catalog: Catalog, point: dict[str, Any], resource: str) -> Pattern:
        """Read it from the catalog."""
        point_id = point["recovery_point_id"]
        backups = {backup["resource_id"]: backup for backup in catalog.backups(point_id)}
        batches = catalog.batches(point_id)
        if resource not in backups or not batches:
            raise DemoError(f"The catalog lacks the backup of {resource}, or the batches of {point_id}.")
        return cls(point, catalog.job(point["job_id"]), batches[0], backups[resource])

    @property
    def resource(self) -> str:
        """Give the instance."""
        return self.backup["resource_id"]

    @property
    def volume(self) -> dict[str, Any]:
        """Give its only volume, as its configuration has it."""
        (volume,) = self.backup["configuration"]["volumes"]
        return volume


def save_year_plan(stack: Stack, plan_id: str, resource: str) -> dict[str, Any]:
    """Save the plan of the year, and give it as it was saved."""
    plan = {
        "plan_id": plan_id,
        "description": "A year of nights",
        "time_zone": ZONE_NAME,
        "selection": {"instance_ids": [resource]},
        "retention": [{"keep": rule, "count": count} for rule, count in RULES.items()],
    }
    return manage(stack, {"action": "put", "plan": plan})["plans"][0]["plan"]


def name_nights(plan_id: str, nights: list[datetime]) -> list[Night]:
    """Give the nights the ids that Holdfast would give them."""
    named = []
    for night in nights:
        moment = utc(night)
        digest = hashlib.sha256(f"{plan_id}\0slot:{moment}".encode()).hexdigest()[:16]
        suffix = f"{moment.replace('-', '').replace(':', '')}-{digest}"
        named.append(Night(night, f"rp-{suffix}", f"job-{suffix}"))
    return named


def take_snapshots(
    stack: Stack, pattern: Pattern, plan_id: str, nights: list[Night]
) -> dict[str, dict[str, Any]]:
    """Let EC2 take a sealed snapshot in each night; give them as EC2 told of them, by recovery point."""
    ec2, kms = stack.client("ec2"), stack.client("kms")
    taken = {}
    # To EC2's limits a clock that is put back stands still.
    stack.simulator.configure(throttling=False, per_volume_interval_seconds=0)
    try:
        for night in reversed(nights):
            tags = _tags(pattern, plan_id, night, seal_key(kms, stack.outputs.seal_key, night.point_id))
            stack.simulator.stop_clock_at(night.moment)
            (taken[night.point_id],) = ec2.create_snapshots(
                InstanceSpecification={"InstanceId": pattern.resource},
                TagSpecifications=_specified(tags),
            )["Snapshots"]
    finally:
        stack.simulator.let_clock_go()
        stack.simulator.configure(throttling=True, per_volume_interval_seconds=15)
    return taken


def _specified(tags: dict[str, str]) -> list[dict[str, Any]]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": "snapshot", "Tags": pairs}]


def _tags(pattern: Pattern, plan_id: str, night: Night, key: bytes) -> dict[str, str]:
    volume = pattern.volume
    identity = {
        "holdfast:schema": "1",
        "holdfast:plan": plan_id,
        "holdfast:job": night.job_id,
        "holdfast:recovery-point": night.point_id,
        "holdfast:moment": night.moment,
        "holdfast:resource": pattern.resource,
        "holdfast:devices": f"{volume['device']}={volume['volume_id'].removeprefix('vol-')}",
    }
    return sealed(identity, key)


def write_records(
    catalog: Catalog,
    pattern: Pattern,
    plan: dict[str, Any],
    nights: list[Night],
    taken: dict[str, dict[str, Any]],
) -> None:
    """Write what the catalog would hold of the year, and have retention look after the plan."""
    plan_id = plan["plan_id"]
    with catalog.table.batch_writer() as batch:
        batch.put_item(Item={"pk": "RETENTION", "sk": f"PLAN#{plan_id}", "plan_id": plan_id})
        for night in nights:
            for record in _records(pattern, plan, night, taken[night.point_id]):
                batch.put_item(Item=record)


def _records(
    pattern: Pattern, plan: dict[str, Any], night: Night, snapshot: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    ids = {"recovery_point_id": night.point_id, "plan_id": plan["plan_id"], "job_id": night.job_id}
    began, ended = night.moment, utc(night.local + _JOB_TOOK)
    manifest = hashlib.sha256(f"{pattern.resource}\0".encode()).hexdigest()[:16]
    size, below = snapshot["VolumeSize"], {"pk": night.point_id}
    named = {
        **pattern.backup["snapshots"][0],
        "snapshot_id": snapshot["SnapshotId"],
        "volume_id": snapshot["VolumeId"],
        "started_at": utc(snapshot["StartTime"]),
    }
    outcome = {
        "completed": 1,
        "failed": 0,
        "snapshots": 1,
        "size_gib": size,
        "stack_skew_ms": 0,
        "ended_at": ended,
    }
    yield (
        pattern.point
        | ids
        | {
            "pk": f"PLAN#{plan['plan_id']}",
            "sk": night.point_id,
            "moment": night.moment,
            "plan": plan,
            "manifest": {"id": manifest, "batches": 1, "instances": 1},
            "outcome": pattern.point["outcome"] | outcome,
        }
    )
    yield (
        pattern.job
        | ids
        | {
            "pk": f"JOB#{night.job_id}",
            "execution_id": f"{pattern.job['execution_id']}-{night.job_id}",
            "created_at": began,
            "job_day": began[:10],
            "status_since": ended,
            "ended_at": ended,
            "reported_at": ended,
            "message": "1 of 1 backups complete",
            "progress": {"started": 1, "completed": 1, "failed": 0, "percent": 100},
        }
    )
    yield (
        pattern.batch
        | below
        | {
            "sk": f"BATCH#{manifest}#000000",
            "recovery_point_id": night.point_id,
            "number": 0,
            "instances": [pattern.resource],
            "burst": {"at": began, "settled": True},
            "snapshots": [named["snapshot_id"]],
            "tally": {
                "snapshots": 1,
                "size_gib": size,
                "largest_gib": size,
                "last_started_at": named["started_at"],
            },
        }
    )
    yield pattern.backup | below | ids | {"batch": 0, "snapshots": [named]}


def add_strangers(
    stack: Stack, plan_id: str, retired: dict[str, str], volume_ids: list[str]
) -> dict[str, str]:
    """Make snapshots that look like the plan's and are not; give what each is."""
    ec2 = stack.client("ec2")
    looks = {
        "one made by hand with the plan's tag": {"holdfast:plan": plan_id},
        "one with all tags of a retired point, its seal too": retired,
    }
    strangers = {}
    for volume_id, (what, tags) in zip(volume_ids, looks.items(), strict=False):
        made = ec2.create_snapshot(VolumeId=volume_id, TagSpecifications=_specified(tags))
        strangers[made["SnapshotId"]] = what
    return strangers
