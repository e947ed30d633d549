"""Stops a debugger in the function of the user, not in ours."""

import sys
from pdb import Pdb
from types import FrameType

_PACKAGE = __name__.partition(".")[0]
_EXAMPLES = f"{_PACKAGE}.examples"


class _Debugger(Pdb):
    """Stops first in a given frame, however much is called before that goes on."""

    def __init__(self, frame: FrameType) -> None:
        super().__init__()
        self._first: FrameType | None = frame

    def stop_here(self, frame: FrameType) -> bool:
        if self._first is not None and frame is not self._first:
            return False
        self._first = None
        return super().stop_here(frame)


def break_in(wanted: str, id: str) -> None:
    """Stop in the line that has made a call, if it is the wanted one.

    Args:
        wanted: the id of a call.
        id: of the call that is made.
    """
    if id != wanted:
        return
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]  # debuggers begin at a frame
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    _Debugger(frame).set_trace(frame)


def _is_ours(module: str) -> bool:
    return module.startswith(f"{_PACKAGE}.") and not module.startswith(_EXAMPLES)
