"""What hangs on a restored instance: each volume against its snapshot, and the file system on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast_demo import filesystems
from holdfast_demo.disks import copy_volume
from holdfast_demo.errors import DemoError
from holdfast_demo.proof import differing
from holdfast_demo.scene import Volume
from holdfast_demo.stack import Place, Stack, Vault


@dataclass(frozen=True)
class Found:
    """A volume of a restored instance, and what was found on it."""

    captured: Volume
    volume_id: str
    made_of: str
    wanted: str  # the snapshot it must be made of
    blocks: int
    wrong: list[int]
    complaints: str | None
    file_is_there: bool

    @property
    def good(self) -> bool:
        """Whether it is what was captured."""
        clean = self.complaints is None and self.file_is_there
        return self.blocks > 0 and not self.wrong and self.made_of == self.wanted and clean


def describe(stack: Stack, instance_id: str, place: Place | None = None) -> dict[str, Any]:
    """Give an instance as EC2 describes it."""
    found = stack.client("ec2", place).describe_instances(InstanceIds=[instance_id])
    return found["Reservations"][0]["Instances"][0]


def mapped(instance: dict[str, Any]) -> dict[str, str]:
    """Give an instance's volumes by device."""
    return {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"]}


def look(
    stack: Stack,
    instance_id: str,
    captured: list[Volume],
    snapshots: dict[str, str],
    folder: Path,
    vault: Vault | None = None,
) -> list[Found]:
    """Look at every volume of an instance that was restored with what was captured of these.

    In a vault every volume is under the vault's key, and else under its own.
    """
    place = vault and vault.place
    there = mapped(describe(stack, instance_id, place))
    if there.keys() != {volume.device for volume in captured}:
        raise DemoError(f"{instance_id} has other devices than were captured: {', '.join(there)}.")
    described = stack.client("ec2", place).describe_volumes(VolumeIds=list(there.values()))["Volumes"]
    made_of = {volume["VolumeId"]: volume.get("SnapshotId", "") for volume in described}
    keys = {volume["VolumeId"]: volume.get("KmsKeyId", "") for volume in described}
    simulator = stack.simulator_of(place or stack.home)
    found = []
    for volume in captured:
        volume_id = there[volume.device]
        key = vault.key_arn if vault else volume.key_arn
        if keys[volume_id] != key:
            raise DemoError(
                f"{volume_id} at {volume.title} is under the key {keys[volume_id]!r}, not {key!r}."
            )
        image = folder / f"{volume_id}.img"
        blocks = copy_volume(simulator, volume_id, volume.size_gib, image)
        found.append(
            Found(
                volume,
                volume_id,
                made_of[volume_id],
                snapshots[volume.volume_id],
                len(blocks),
                differing(volume.before, blocks),
                filesystems.check(image),
                filesystems.read_file(image, volume.file) == volume.text,
            )
        )
        image.unlink()
    return found


def print_found(console: Console, title: str, found: list[Found]) -> None:
    """Print what was found."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for heading in ("device", "volume now", "made of", "its content", "e2fsck -fn", "a file"):
        table.add_column(heading, no_wrap=True)
    for one in found:
        file = one.captured.file
        table.add_row(
            one.captured.title,
            one.volume_id,
            one.made_of,
            f"✗ {len(one.wrong)} blocks differ" if one.wrong else f"✓ {one.blocks} blocks equal",
            "✗ damaged" if one.complaints else "✓ clean",
            f"✓ {file}" if one.file_is_there else f"✗ {file}",
        )
    console.print(table)


def require_good(found: list[Found]) -> None:
    """Fail if one volume is not what was captured."""
    for one in found:
        if not one.good:
            raise DemoError(
                f"{one.volume_id} at {one.captured.title} is not what was captured: made of {one.made_of}, "
                f"wanted {one.wanted}, {one.blocks} blocks, wrong ones {one.wrong[:8]}, "
                f"e2fsck says: {one.complaints or 'clean'}, {one.captured.file} "
                f"{'is there' if one.file_is_there else 'is not as it was'}."
            )
