"""Finding a free port, and saying who holds one that is taken."""

from __future__ import annotations

import socket
from pathlib import Path

from holdfast_local.settings import HOST

_LISTEN = "0A"


class PortTakenError(Exception):
    """A port that somebody else listens on."""


def free_port() -> int:
    """Give a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, variable: str) -> None:
    """Raise when `port` is taken, naming the port, its holder and the variable that chooses another."""
    with socket.socket() as probe:
        # As the servers do: a connection of an earlier run that is still closing is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTakenError(
                f"Port {port} cannot be used: {_holder(port) or error.strerror}. "
                f"Set {variable} to another port (0 = any free one), or end that process."
            ) from error


def _holder(port: int) -> str | None:
    """Name the process that listens on `port`, as far as this user may see it."""
    sockets = {inode for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = any(str(link.readlink()) in sockets for link in (process / "fd").iterdir())
            if held:
                words = (process / "cmdline").read_bytes().split(b"\0")
                command = b" ".join(words).decode(errors="replace").strip()
                return f"process {process.name} ({command[:80]}) listens on it"
        except OSError:
            continue  # ended meanwhile, or another user's
    return "a process of another user listens on it"


def _listening(table: str, port: int) -> list[str]:
    try:
        lines = Path("/proc/net", table).read_text().splitlines()[1:]
    except OSError:
        return []
    rows = (line.split() for line in lines)
    return [f"socket:[{row[9]}]" for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port]
