"""The deployed stack with its two vaults. `tests/run` deploys them; `. .local/…/env` names them to a run by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deployed import Deployed
from places import ask

_SETTINGS = {
    "snapshot_base_seconds": 1,
    "copy_base_seconds": 1,
    "archive_seconds": 1,
    "per_volume_interval_seconds": 0,
}


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """Give everything that was deployed, in worlds that are quick and have no faults."""
    found = Deployed()
    shorten_waits(0.05)
    for place in (found.source, found.far.place):
        place.simulator("DELETE", "faults")
        place.simulator("POST", "settings", _SETTINGS)
    yield found
    shorten_waits(1)


def shorten_waits(scale: float) -> None:
    """Shorten every wait of the state machines; what they ask for is asked for more often then."""
    route = f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/config"
    ask("POST", route, {"stepfunctions._SFN_WAIT_SCALE": scale})
