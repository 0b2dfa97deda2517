"""The proof: what the snapshots hold is what the volumes held."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast_demo import filesystems
from holdfast_demo.errors import DemoError
from holdfast_demo.filesystems import BLOCK
from holdfast_demo.scene import Scene, Volume
from holdfast_demo.stack import Place, Stack

_ZEROS = hashlib.sha256(bytes(BLOCK)).hexdigest()
_READERS = 4


@dataclass
class Verdict:
    """What was found of one snapshot."""

    volume: Volume
    snapshot_id: str
    blocks: int = 0
    wrong: list[int] = field(default_factory=list)
    live_differs: bool = False
    file_system: str | None = None
    file_is_there: bool = False

    @property
    def good(self) -> bool:
        """Whether everything is as it should be."""
        changed_as_meant = self.live_differs == self.volume.is_data
        clean = self.file_system is None and self.file_is_there
        return self.blocks > 0 and not self.wrong and clean and changed_as_meant


def prove(
    stack: Stack, scene: Scene, snapshots: dict[str, str], folder: Path, place: Place | None = None
) -> list[Verdict]:
    """Look into the snapshot of every volume, or into its copy in another place, as the owner there."""
    missing = [volume.title for volume in scene.volumes if volume.volume_id not in snapshots]
    if missing:
        raise DemoError(f"There is no snapshot of {', '.join(missing)} in {place or stack.home}.")
    ebs = stack.client("ebs", place)
    return [_look_into(stack, ebs, volume, snapshots[volume.volume_id], folder) for volume in scene.volumes]


def _look_into(stack: Stack, ebs: Any, volume: Volume, snapshot_id: str, folder: Path) -> Verdict:
    verdict = Verdict(volume, snapshot_id)
    image = folder / f"{snapshot_id}.img"
    read = _read_snapshot(ebs, snapshot_id, image)
    verdict.blocks = len(read)
    verdict.wrong = differing(volume.before, read)
    verdict.live_differs = bool(differing(volume.before, stack.simulator.blocks(volume.volume_id)))
    verdict.file_system = filesystems.check(image)
    verdict.file_is_there = filesystems.read_file(image, volume.file) == volume.text
    image.unlink()
    return verdict


def differing(some: dict[int, str], others: dict[int, str]) -> list[int]:
    """Give the blocks that are not the same. A block that is not there holds zeros."""
    return [i for i in sorted({*some, *others}) if some.get(i, _ZEROS) != others.get(i, _ZEROS)]


def _read_snapshot(ebs: Any, snapshot_id: str, image: Path) -> dict[int, str]:
    """Read a whole snapshot through EBS direct into a sparse file; give each block's SHA-256."""
    digests: dict[int, str] = {}

    def fetch(block: dict[str, Any]) -> tuple[int, bytes]:
        index = block["BlockIndex"]
        got = ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=block["BlockToken"])
        data = got["BlockData"].read()
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        if got["ChecksumAlgorithm"] != "SHA256" or got["Checksum"] != checksum:
            raise DemoError(f"Block {index} of {snapshot_id} came with a checksum that is not its own.")
        return index, data

    with image.open("wb") as out, ThreadPoolExecutor(_READERS) as readers:
        for page in _pages(ebs, snapshot_id):
            out.truncate(page["VolumeSize"] * 1024**3)
            for index, data in readers.map(fetch, page["Blocks"]):
                digests[index] = hashlib.sha256(data).hexdigest()
                out.seek(index * BLOCK)
                out.write(data)
    return digests


def _pages(ebs: Any, snapshot_id: str) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        page = ebs.list_snapshot_blocks(SnapshotId=snapshot_id, MaxResults=100, **token)
        yield page
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def print_verdicts(console: Console, verdicts: list[Verdict]) -> None:
    """Print the proof, in words as well as in signs."""
    table = Table(title="The proof", box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for heading in ("volume", "blocks", "snapshot and volume", "volume now", "e2fsck -fn", "a file", ""):
        table.add_column(heading, overflow="fold")
    for verdict in verdicts:
        volume = verdict.volume
        file = f"✓ {volume.file}" if verdict.file_is_there else f"✗ {volume.file} differs"
        table.add_row(
            volume.title + (" (encrypted)" if volume.encrypted else ""),
            str(verdict.blocks),
            f"✗ {len(verdict.wrong)} blocks differ" if verdict.wrong else "✓ equal",
            "has changed since" if verdict.live_differs else "unchanged",
            "✗ damaged" if verdict.file_system else "✓ clean",
            file,
            "✓ proved" if verdict.good else "✗ WRONG",
        )
    console.print(table)


def require_good(verdicts: list[Verdict]) -> None:
    """Fail if one snapshot is not what it should be."""
    bad = [verdict for verdict in verdicts if not verdict.good]
    if not bad:
        return
    verdict = bad[0]
    why = [
        (bool(verdict.wrong), f"blocks {verdict.wrong[:8]} differ from the volume at that moment"),
        (not verdict.blocks, "it holds no block"),
        (bool(verdict.file_system), f"e2fsck says: {verdict.file_system}"),
        (not verdict.file_is_there, f"{verdict.volume.file} is not as it was"),
        (verdict.live_differs != verdict.volume.is_data, "the live volume is not as this demo left it"),
    ]
    reasons = "; ".join(text for applies, text in why if applies)
    raise DemoError(
        f"{len(bad)} of {len(verdicts)} snapshots are not right. {verdict.volume.title}: {reasons}."
    )
