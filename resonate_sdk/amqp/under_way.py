"""What a publisher has handed over and the broker has not dealt with; no I/O."""

from msgspec import Struct


class UnderWay(Struct, frozen=True, kw_only=True):
    """What is under way to the broker at one moment.

    Attributes:
        messages: that it has neither confirmed nor refused.
        oldest_s: how long the oldest of them has waited, in seconds; 0 if there is none.
        unsent_bytes: that the connection has not taken yet.
    """

    messages: int
    oldest_s: float
    unsent_bytes: int


NOTHING = UnderWay(messages=0, oldest_s=0.0, unsent_bytes=0)
