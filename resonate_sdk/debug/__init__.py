"""Stored executions, run again to look at them: nothing is written, no step is repeated.

Names are loaded when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resonate_sdk.debug.checking import check as check
    from resonate_sdk.debug.explaining import explain as explain
    from resonate_sdk.debug.histories import History as History, history as history
    from resonate_sdk.debug.replaying import Report as Report, replay as replay
    from resonate_sdk.debug.trees import tree as tree

_HOME_OF = {
    "History": "resonate_sdk.debug.histories",
    "Report": "resonate_sdk.debug.replaying",
    "check": "resonate_sdk.debug.checking",
    "explain": "resonate_sdk.debug.explaining",
    "history": "resonate_sdk.debug.histories",
    "replay": "resonate_sdk.debug.replaying",
    "tree": "resonate_sdk.debug.trees",
}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # one list, in _HOME_OF


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
