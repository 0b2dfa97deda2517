"""A simulator for the whole run, and an account for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .simulator import World, running

_accounts = itertools.count(700000000001)


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    """Give the address of a simulator that all tests share."""
    with running() as url:
        yield url


@pytest.fixture
def world(simulator: str) -> World:
    """Give an account that no other test uses, on the real clock."""
    return World(simulator, str(next(_accounts)))


@pytest.fixture
def still(world: World) -> World:
    """Give such an account with a clock that only the test moves."""
    world.freeze()
    return world
