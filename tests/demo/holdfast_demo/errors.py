"""What can go wrong, in words for whoever runs the demo."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


class DemoError(Exception):
    """The demo cannot go on; the message says why, and where to look."""


def wait_for(what: str, ask: Callable[[], Answer | None], seconds: float, logs: str) -> Answer:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.25)
    raise DemoError(f"Waited {seconds:.0f} s for {what} in vain. The logs are in {logs}.")
