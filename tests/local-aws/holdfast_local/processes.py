"""Background processes that can be found and ended again, whatever happened in between.

A process is started as the leader of a group and with a mark in its environment, which its children (Lambda
functions, for one) inherit. To end it means to end the marked processes of that group: nothing else is touched, even
if the leader was killed and its number has been given to somebody else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MARK = "HOLDFAST_STACK_ID"
_GRACE_SECONDS = 5.0


def start(
    command: Sequence[str | Path], *, mark: str, environment: Mapping[str, str], log: Path, pid_file: Path
) -> int:
    """Start `command` in the background and give its process id, which `pid_file` holds as well."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    pid_file.write_text(f"{process.pid} {mark}\n")
    return process.pid


def running(pid_file: Path) -> list[int]:
    """Give the ids of the processes that `pid_file` stands for and that still run, the leader's first."""
    try:
        group, mark = pid_file.read_text().split()
    except (OSError, ValueError):
        return []
    return sorted(_members(int(group), mark), key=lambda pid: pid != int(group))


def leader_runs(pid_file: Path) -> bool:
    """Tell whether the very process that was started still runs."""
    found = running(pid_file)
    return bool(found) and pid_file.read_text().split()[0] == str(found[0])


def stop(pid_file: Path) -> int:
    """End what `pid_file` stands for, give how many processes that were, and remove the file."""
    ended: set[int] = set()
    deadline = time.monotonic() + _GRACE_SECONDS
    while found := running(pid_file):
        force = time.monotonic() > deadline
        for pid in found:
            if force or pid not in ended:
                _signal(pid, signal.SIGKILL if force else signal.SIGTERM)
                ended.add(pid)
        time.sleep(0.05)
    pid_file.unlink(missing_ok=True)
    return len(ended)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
        os.waitpid(pid, os.WNOHANG)
    except (ProcessLookupError, ChildProcessError):
        pass  # gone already, or started by an earlier command


def _members(group: int, mark: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in brackets, may hold anything: what counts stands behind the last bracket.
            state, _, its_group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
            is_ours = state != "Z" and int(its_group) == group
            if is_ours and f"{MARK}={mark}".encode() in _environment(process):
                found.append(int(process.name))
        except (OSError, ValueError):
            continue  # ended meanwhile, or another user's
    return found


def _environment(process: Path) -> list[bytes]:
    """Read a process's environment, which is empty for the moment in which the process becomes another program."""
    for _ in range(100):
        if content := (process / "environ").read_bytes():
            return content.split(b"\0")
        time.sleep(0.002)
    return []
