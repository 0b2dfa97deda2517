"""What is on a volume now: copied to an image through the simulator, without any snapshot."""

from __future__ import annotations

import hashlib
from pathlib import Path

from holdfast_demo import filesystems
from holdfast_demo.errors import DemoError
from holdfast_demo.filesystems import BLOCK
from holdfast_demo.simulator import Simulator

GIB = 1024**3


def copy_volume(simulator: Simulator, volume_id: str, size_gib: int, image: Path) -> dict[int, str]:
    """Copy a volume to a sparse image; give the SHA-256 of each block that holds data."""
    blocks = simulator.blocks(volume_id)
    with image.open("wb") as out:
        out.truncate(size_gib * GIB)
        for index, expected in blocks.items():
            data = simulator.read(volume_id, index * BLOCK, BLOCK)
            if hashlib.sha256(data).hexdigest() != expected:
                raise DemoError(f"Block {index} of {volume_id} changed while it was read.")
            out.seek(index * BLOCK)
            out.write(data)
    return blocks


def write_changes(simulator: Simulator, volume_id: str, before: dict[int, str], image: Path) -> int:
    """Write to a volume what an image holds and the volume did not; give the number of blocks."""
    changed = 0
    for index, block in filesystems.data_blocks(image):
        if hashlib.sha256(block).hexdigest() != before.get(index):
            simulator.write(volume_id, index * BLOCK, block)
            changed += 1
    return changed
