"""What the unit tests of the SDK share."""

from collections.abc import Iterator

import pytest

from tests.unit.sdk.execution.scripted import World


@pytest.fixture
def world() -> Iterator[World]:
    """A dictionary for a server, an empty registry, and a clock that stands still."""
    world = World()
    yield world
    world.stage.close()
