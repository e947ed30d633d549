"""Tests of durable functions: a server inside the test, and time that passes when the test says so.

Names are loaded when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resonate_sdk.testing.environment import Environment as Environment, Process as Process
    from resonate_sdk.testing.exploration import Exploration as Exploration, explore as explore
    from resonate_sdk.testing.fakes import Fake as Fake, fake as fake
    from resonate_sdk.testing.interpreter import inline as inline
    from resonate_sdk.testing.loop import FakeClock as FakeClock

_HOME_OF = {
    "Environment": "resonate_sdk.testing.environment",
    "Exploration": "resonate_sdk.testing.exploration",
    "Fake": "resonate_sdk.testing.fakes",
    "FakeClock": "resonate_sdk.testing.loop",
    "Process": "resonate_sdk.testing.environment",
    "explore": "resonate_sdk.testing.exploration",
    "fake": "resonate_sdk.testing.fakes",
    "inline": "resonate_sdk.testing.interpreter",
}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # one list, in _HOME_OF


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
