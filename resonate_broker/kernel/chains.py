"""Chains: requests that depend on the ones before them."""

from msgspec import Struct

from resonate_sdk.protocol import responses
from resonate_sdk.protocol.responses import Answer

NOT_ATTEMPTED = Answer(responses.CONFLICT, "not attempted: an earlier item of its chain failed")


class Chain:
    """Requests of one sender of which each is attempted only if all before it were answered 200."""

    __slots__ = ("_failed_at", "_length")

    def __init__(self) -> None:
        """Make a chain without links."""
        self._length = 0
        self._failed_at: int | None = None

    def link(self) -> "Link":
        """Append a request."""
        self._length += 1
        return Link(self, self._length)

    def fail(self, position: int) -> None:
        """The request at this position was not answered 200."""
        if self._failed_at is None or position < self._failed_at:
            self._failed_at = position

    def holds(self, position: int) -> bool:
        """Whether nothing before this position has failed."""
        return self._failed_at is None or position <= self._failed_at


class Link(Struct, frozen=True):
    """The place of a request in its chain."""

    chain: Chain
    position: int

    def fail(self) -> None:
        """What follows in the chain must not be attempted."""
        self.chain.fail(self.position)

    @property
    def holds(self) -> bool:
        """Whether the request may be attempted."""
        return self.chain.holds(self.position)
