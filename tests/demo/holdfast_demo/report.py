"""The recovery point, as a table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast_demo.errors import DemoError
from holdfast_demo.plan import rule_in_words
from holdfast_demo.scene import Scene


def print_recovery_point(
    console: Console, scene: Scene, point: dict[str, Any], job: dict[str, Any], backups: list[dict[str, Any]]
) -> None:
    """Print what the catalog holds of a recovery point."""
    table = Table(
        title=f"Recovery point {point['recovery_point_id']}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for heading in ("instance", "name", "device", "volume", "snapshot"):
        table.add_column(heading, overflow="fold")
    table.add_column("GiB", justify="right")
    table.add_column("encrypted")
    table.add_column("status")
    for backup in sorted(backups, key=lambda b: list(scene.names).index(b["resource_id"])):
        devices = {volume["volume_id"]: volume["device"] for volume in backup["configuration"]["volumes"]}
        for number, snapshot in enumerate(backup.get("snapshots", [])):
            first = number == 0
            table.add_row(
                backup["resource_id"] if first else "",
                scene.names.get(backup["resource_id"], "") if first else "",
                devices.get(snapshot["volume_id"], "?"),
                snapshot["volume_id"],
                snapshot["snapshot_id"],
                str(snapshot["size_gib"]),
                "yes" if snapshot["encrypted"] else "no",
                backup["status"],
            )
    console.print(table)
    for name, value in _facts(point, job):
        console.print(f"  {name:<18} {value}", highlight=False)


def _facts(point: dict[str, Any], job: dict[str, Any]) -> list[tuple[str, str]]:
    outcome = point.get("outcome")
    if not outcome:
        raise DemoError(
            f"Recovery point {point['recovery_point_id']} has no outcome although its job has ended."
        )
    plan = point["plan"]
    ended, began = (moment(t) for t in (job["ended_at"], job["created_at"]))
    return [
        ("status", f"{job['status']}: {job.get('message', '')}".rstrip(": ")),
        ("moment", str(point["moment"])),
        ("stack skew", f"{int(outcome['stack_skew_ms'])} ms between the first and the last snapshot's start"),
        (
            "consistency",
            f"{outcome['consistency']}: an instance's volumes are of one moment, as after a power cut",
        ),
        (
            "counts",
            f"{outcome['completed']} backups complete, {outcome['failed']} failed, "
            f"{outcome['snapshots']} snapshots of {outcome['size_gib']} GiB",
        ),
        ("duration", f"{(ended - began).total_seconds():.1f} s"),
        ("kept as", "; ".join(rule_in_words(rule) for rule in plan["retention"])),
        ("RPO target", f"at most {plan['rpo_target_minutes']} minutes old"),
    ]


def moment(text: str) -> datetime:
    """Read a time of AWS's. Python 3.10 knows neither `Z` nor nanoseconds."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{(fraction + '000000')[:6]}+00:00")
