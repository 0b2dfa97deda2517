"""The deployed stack with its two vaults. `tests/run` deploys them; `. .local/…/env` names them to a run by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployed import Deployed


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """Give everything that was deployed, in worlds that are quick and have no faults."""
    found = Deployed()
    with found.made_quick():
        yield found
