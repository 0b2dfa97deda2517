"""Disk images with real ext4 file systems, made and checked with e2fsprogs, without root rights or mounts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
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
    return _ask(image, f"cat {path}")


def _ask(image: Path, command: str) -> str:
    return _run("debugfs", "-R", command, str(image)).stdout


def complaints(found: str) -> list[str]:
    """Give what e2fsck complains of, without what it says of itself, asks and answers."""
    own = re.compile(r"e2fsck |Pass |.*\.img: ")
    lines = (re.sub(r"\s*\S+\? no$", "", line).strip() for line in found.splitlines())
    return [line for line in lines if line and not own.match(line)]


def inode_offset(image: Path, path: str) -> int:
    """Tell where in an image the inode of a file is."""
    found = re.search(r"located at block (\d+), offset (0x[0-9a-f]+)", _ask(image, f"imap {path}"))
    if not found:
        raise DemoError(f"debugfs does not say where the inode of {path} is.")
    return int(found[1]) * _block_size(image) + int(found[2], 16)


def content_offset(image: Path, path: str) -> int:
    """Tell where in an image a file's content begins."""
    found = _ask(image, f"bmap {path} 0").strip()
    if not found.isdecimal():
        raise DemoError(f"debugfs does not say where the content of {path} is.")
    return int(found) * _block_size(image)


def _block_size(image: Path) -> int:
    with image.open("rb") as source:
        source.seek(1024 + 24)  # s_log_block_size of the superblock
        return 1024 << int.from_bytes(source.read(4), "little")


def write_file(image: Path, path: str, text: str) -> None:
    """Write one file of an image, in place of one that is there."""
    folder, _, name = path.rpartition("/")
    with tempfile.NamedTemporaryFile("w") as source:
        source.write(text)
        source.flush()
        commands = f"cd {folder}\nrm {name}\nwrite {source.name} {name}\n"
        wrote = _run("debugfs", "-w", "-f", "-", str(image), given=commands)
    if wrote.returncode or read_file(image, path) != text:
        raise DemoError(f"debugfs did not write {path}: {wrote.stderr.strip()}")


def _run(tool: str, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    found = shutil.which(tool, path=_PATH)
    if not found:
        raise DemoError(f"Missing: {tool}. It comes with the package e2fsprogs.")
    return subprocess.run(
        [found, *arguments], input=given, capture_output=True, text=True, errors="replace", timeout=120
    )
