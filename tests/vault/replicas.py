"""A recovery point with its replicas, and what must be true of every one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from applications import Application
from deployed import Deployed, Vault


@dataclass
class Replicated:
    """A recovery point of an application."""

    plan_id: str
    application: Application
    output: dict[str, Any] = field(default_factory=dict)

    @property
    def point(self) -> str:
        """The recovery point's id."""
        return self.output["recovery_point_id"]

    @property
    def prefix(self) -> str:
        """Where its replicas stand in a vault's catalog."""
        return f"catalog/{self.plan_id}/{self.point}/"


def put_plan(
    deployed: Deployed, application: Application, replicas: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Save a plan for an application, under the application's name."""
    plan = {
        "plan_id": application.name,
        "selection": application.selection,
        "tags": {"team": "shop"},
        "retention": [{"keep": "newest", "count": 3}],
        "replicas": replicas,
        **more,
    }
    return deployed.manage_plan(action="put", plan=plan)


def replicate(deployed: Deployed, application: Application) -> Replicated:
    """Run an application's plan to its end, whatever comes of it."""
    return Replicated(application.name, application, deployed.back_up(application.name))


def backups(vault: Vault, replicated: Replicated) -> list[dict[str, Any]]:
    """Read the backups that a vault's catalog holds of a recovery point."""
    return [vault.read(key) for key in vault.keys(f"{replicated.prefix}backups/")]


def assert_nothing_left(deployed: Deployed, replicated_point: str) -> None:
    """See that a recovery point's own snapshots are shared with nobody, and that no hop is left."""
    for snapshot in deployed.source.snapshots_of(replicated_point):
        assert "holdfast:hop" not in snapshot["tags"], snapshot
        assert snapshot["shared_with"] == [], snapshot


def assert_restores(vault: Vault, replicated: Replicated) -> int:
    """See that each volume comes back from the vault alone: catalog, copies, key. Give the number of copies."""
    found, ec2 = 0, vault.place.client("ec2")
    records = backups(vault, replicated)
    assert {record["backup"]["resource_id"] for record in records} == set(replicated.application.instances)
    for record in records:
        devices = {volume["volume_id"]: volume for volume in record["backup"]["configuration"]["volumes"]}
        assert len(record["copies"]) == len(devices)
        for copy in record["copies"]:
            before = replicated.application.blocks[copy["volume_id"]]
            assert len(before) == 4, "an empty volume proves nothing"
            assert vault.place.snapshot_blocks(copy["snapshot_id"]) == before, copy
            size = devices[copy["volume_id"]]["size_gib"]
            zone = f"{vault.place.region}a"
            made = ec2.create_volume(SnapshotId=copy["snapshot_id"], AvailabilityZone=zone)
            assert made["Size"] == size
            assert vault.place.volume_blocks(made["VolumeId"]) == before, copy
            ec2.delete_volume(VolumeId=made["VolumeId"])
            found += 1
    assert found == len(replicated.application.blocks)
    return found
