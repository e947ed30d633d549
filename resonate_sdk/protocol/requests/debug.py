"""Requests that stop the clock and look inside; refused unless the server is set up for them."""

from typing import ClassVar

from msgspec import field

from resonate_sdk.protocol.requests.base import Instant, Request


class DebugStart(Request, frozen=True, kw_only=True):
    """Let time stand still: nothing happens any more that nobody asks for."""

    kind: ClassVar[str] = "debug.start"


class DebugStop(Request, frozen=True, kw_only=True):
    """Let time pass again."""

    kind: ClassVar[str] = "debug.stop"


class DebugReset(Request, frozen=True, kw_only=True):
    """Delete everything that is stored."""

    kind: ClassVar[str] = "debug.reset"


class DebugTick(Request, frozen=True, kw_only=True):
    """Do what is due at an instant."""

    kind: ClassVar[str] = "debug.tick"
    at_ms: Instant = field(name="time")


class DebugSnap(Request, frozen=True, kw_only=True):
    """Show everything that is stored."""

    kind: ClassVar[str] = "debug.snap"
