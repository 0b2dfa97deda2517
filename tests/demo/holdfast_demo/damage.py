"""Real damage to a real file system, on the volume of a running instance."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from holdfast_demo import filesystems
from holdfast_demo.disks import copy_volume
from holdfast_demo.errors import DemoError
from holdfast_demo.scene import Volume
from holdfast_demo.stack import Stack

_INODES = 8 * 1024  # as much as 32 of them
_CONTENT = 32 * 1024


@dataclass(frozen=True)
class Damage:
    """What was overwritten, and what e2fsck says of it."""

    places: list[str]
    complaints: list[str]


def overwrite(stack: Stack, volume: Volume, folder: Path) -> Damage:
    """Write over parts of a file system that is clean, and see that it is not any more."""
    image = folder / f"{volume.volume_id}.img"
    if wrong := _check(stack, volume, image):
        raise DemoError(f"{volume.title} is damaged before anything was done to it: {wrong}")
    places = {
        f"the inodes from that of {volume.file} on, {_INODES // 1024} KiB": (
            filesystems.inode_offset(image, volume.file),
            _INODES,
        ),
        f"the beginning of {volume.file}, {_CONTENT // 1024} KiB": (
            filesystems.content_offset(image, volume.file),
            _CONTENT,
        ),
    }
    for offset, size in places.values():
        stack.simulator.write(volume.volume_id, offset, random.Random(offset).randbytes(size))
    found = _check(stack, volume, image)
    image.unlink()
    if not found:
        raise DemoError(f"{volume.title} was overwritten in {len(places)} places, and e2fsck finds it clean.")
    return Damage(list(places), filesystems.complaints(found))


def _check(stack: Stack, volume: Volume, image: Path) -> str | None:
    copy_volume(stack.simulator, volume.volume_id, volume.size_gib, image)
    return filesystems.check(image)
