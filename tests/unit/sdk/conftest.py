"""What the unit tests of the SDK share."""

import pytest

from tests.unit.sdk.execution.scripted import World


@pytest.fixture
def world() -> World:
    """A dictionary for a server, an empty registry, and a clock that stands still."""
    return World()
