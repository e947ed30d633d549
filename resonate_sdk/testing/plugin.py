"""For pytest: the fixture `env`, the marker `resonate`, the option `--resonate-seed`.

Installed with the package; without installing it: `-p resonate_sdk.testing.plugin`.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # a run that tests nothing durable loads nothing of it
    from resonate_sdk.testing.environment import Environment

MARKER = "resonate(seed=, start=, always_replay=): how the fixture `env` is made"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--resonate-seed`."""
    parser.getgroup("resonate").addoption(
        "--resonate-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of what happens by chance in the fixture `env`",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def env(request: pytest.FixtureRequest) -> "Generator[Environment]":
    """An environment for durable functions, closed when the test ends."""
    from resonate_sdk.testing.environment import Environment

    keywords: dict[str, Any] = {"seed": request.config.getoption("--resonate-seed", default=0)}
    marker = request.node.get_closest_marker("resonate")
    if marker is not None:
        keywords |= marker.kwargs
    with Environment(**keywords) as environment:
        yield environment
