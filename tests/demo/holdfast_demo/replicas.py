"""The replicas: whose they are, under which key, what they hold, and what lies beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast_demo.catalog import Catalog
from holdfast_demo.errors import DemoError
from holdfast_demo.proof import Verdict, prove
from holdfast_demo.scene import Scene
from holdfast_demo.stack import Stack, Vault

_KEY_END = 12  # characters of a key's id that tell it from others


def prove_replica(
    stack: Stack, scene: Scene, catalog: Catalog, point_id: str, vault: Vault, folder: Path
) -> tuple[list[Verdict], dict[str, dict[str, Any]]]:
    """Look into every copy as its owner; give what was found, and each copy as EC2 describes it there."""
    copies = {copy["volume_id"]: copy.get("copy_id") for copy in catalog.copies(point_id, vault.place)}
    lacking = [volume_id for volume_id, copy_id in copies.items() if not copy_id]
    if lacking:
        raise DemoError(f"No copy of {', '.join(lacking)} is in {vault.place}.")
    ec2 = stack.client("ec2", vault.place)
    found = ec2.describe_snapshots(OwnerIds=["self"], SnapshotIds=list(copies.values()))["Snapshots"]
    described = {snapshot["SnapshotId"]: snapshot for snapshot in found}
    for copy_id, snapshot in described.items():
        _require_own(copy_id, snapshot, vault)
    return prove(stack, scene, copies, folder, vault.place), described


def _require_own(copy_id: str, snapshot: dict[str, Any], vault: Vault) -> None:
    if snapshot["OwnerId"] != vault.place.account:
        raise DemoError(f"{copy_id} belongs to {snapshot['OwnerId']}, not to {vault.place.account}.")
    if snapshot.get("KmsKeyId") != vault.key_arn:
        raise DemoError(f"{copy_id} is under {snapshot.get('KmsKeyId')}, not under {vault.key_arn}.")


def print_replica(
    console: Console, vault: Vault, verdicts: list[Verdict], described: dict[str, dict[str, Any]]
) -> None:
    """Print what was found in one destination."""
    table = Table(title=f"In {vault.place}", box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for heading in ("copy of", "copy", "owner", "key", "blocks", "copy and volume", "e2fsck -fn", ""):
        table.add_column(heading, no_wrap=True)
    for verdict in verdicts:
        snapshot = described[verdict.snapshot_id]
        table.add_row(
            verdict.volume.title,
            verdict.snapshot_id,
            snapshot["OwnerId"],
            f"…{snapshot['KmsKeyId'][-_KEY_END:]}",
            str(verdict.blocks),
            f"✗ {len(verdict.wrong)} blocks differ" if verdict.wrong else "✓ equal",
            "✗ damaged" if verdict.file_system else "✓ clean",
            "✓ proved" if verdict.good else "✗ WRONG",
        )
    console.print(table)


def hops(stack: Stack, scene: Scene, point_id: str) -> list[str]:
    """Say of each snapshot that was copied over a hop which it was. No hop may be left."""
    words = []
    found = stack.simulator.snapshots(tag="holdfast:hop")
    for hop in (hop for hop in found if hop["tags"].get("holdfast:recovery-point") == point_id):
        if not hop["deleted"]:
            raise DemoError(f"The hop {hop['snapshot_id']} is still there.")
        source = hop["copy_of"]["snapshot_id"]
        volume = scene.volume(hop["tags"]["holdfast:source-volume"])
        words.append(
            f"{source} ({volume.title if volume else 'unknown'}) went over the hop {hop['snapshot_id']} "
            f"on its way to {hop['tags']['holdfast:hop']}"
        )
    return words


def catalog_beside(stack: Stack, vault: Vault, plan_id: str, point_id: str, copies: set[str]) -> list[str]:
    """Say what lies in a vault's catalog, and see that it names just these copies."""
    s3 = stack.client("s3", vault.place)
    prefix = f"catalog/{plan_id}/{point_id}/"
    keys = [
        item["Key"] for item in s3.list_objects_v2(Bucket=vault.bucket, Prefix=prefix).get("Contents", [])
    ]
    backups = [key for key in keys if key.startswith(f"{prefix}backups/")]
    if f"{prefix}point.json" not in keys:
        raise DemoError(f"s3://{vault.bucket}/{prefix} holds no point.json, so the replica does not count.")
    named: set[str] = set()
    for key in backups:
        backup = json.loads(s3.get_object(Bucket=vault.bucket, Key=key)["Body"].read())
        if not backup["backup"].get("configuration"):
            raise DemoError(f"s3://{vault.bucket}/{key} holds no configuration of the instance.")
        named |= {copy["snapshot_id"] for copy in backup["copies"]}
    if named != copies:
        raise DemoError(
            f"s3://{vault.bucket}/{prefix} names other copies than there are: {sorted(named ^ copies)}."
        )
    files = ", ".join(key.removeprefix(prefix) for key in keys)
    return [f"s3://{vault.bucket}/{prefix}", f"  {files}"]
