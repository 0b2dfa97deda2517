"""Disk images with real ext4 file systems, made and checked with e2fsprogs, without root rights or mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from holdfast_demo.errors import DemoError

BLOCK = 512 * 1024  # a block of EBS
# Where Debian keeps what only administrators are thought to need.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def require_tools() -> None:
    """Say what is missing before anything is begun."""
    missing = [tool for tool in ("mkfs.ext4", "e2fsck", "debugfs") if not shutil.which(tool, path=_PATH)]
    if missing:
        raise DemoError(f"Missing: {', '.join(missing)}. They come with the package e2fsprogs.")


def make_image(image: Path, files: Path, size_mib: int) -> None:
    """Make a sparse image whose file system holds what the folder `files` holds."""
    with image.open("wb") as out:
        out.truncate(size_mib * 1024 * 1024)
    made = _run("mkfs.ext4", "-q", "-F", "-d", str(files), str(image))
    if made.returncode:
        raise DemoError(f"mkfs.ext4 failed: {made.stderr.strip()}")


def data_blocks(image: Path) -> Iterator[tuple[int, bytes]]:
    """Give the blocks of an image that are not all zero."""
    zeros = bytes(BLOCK)
    with image.open("rb") as source:
        index = 0
        while block := source.read(BLOCK):
            if block != zeros[: len(block)]:
                yield index, block
            index += 1


def check(image: Path) -> str | None:
    """Let e2fsck look at an image without changing it; give what it finds wrong."""
    looked = _run("e2fsck", "-fn", str(image))
    return None if looked.returncode == 0 else (looked.stdout + looked.stderr).strip()


def read_file(image: Path, path: str) -> str:
    """Read one file of an image; empty if it is not there."""
    return _run("debugfs", "-R", f"cat {path}", str(image)).stdout


def _run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(tool, path=_PATH)
    if not found:
        raise DemoError(f"Missing: {tool}. It comes with the package e2fsprogs.")
    return subprocess.run([found, *arguments], capture_output=True, text=True, errors="replace", timeout=120)
