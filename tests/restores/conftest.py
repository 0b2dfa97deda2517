"""The deployed stack with a fleet of instances, backed up. `. .local/…/env` names the stack to a run by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployed import Deployed
from fleet import Fleet, make_fleet
from places import Place
from restoring import Restorer


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """Give everything that was deployed, in worlds that are quick and have no faults."""
    found = Deployed()
    with found.made_quick():
        yield found


@pytest.fixture(scope="session")
def fleet(deployed: Deployed) -> Fleet:
    """Give the instances that are restored here."""
    return make_fleet(deployed)


@pytest.fixture(scope="session")
def place(deployed: Deployed) -> Place:
    """Give the place of the main stack."""
    return deployed.source


@pytest.fixture(scope="session")
def restorer(fleet: Fleet) -> Restorer:
    """Give the main stack's restores."""
    return fleet.restorer
