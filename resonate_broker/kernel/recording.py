"""What becomes of requests, told as it happens to somebody who writes it down.

A run is told before its batch is committed, and its end after that: who finds the first without
the second, because the process has died in between, knows that nobody can tell.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import Answer

Outcome = Literal["committed", "aborted", "unknown"]


class Caller(Struct, frozen=True):
    """Who has asked.

    Attributes:
        client: tells senders apart.
        called_ns: when the request arrived, on a clock that never runs backwards.
    """

    client: str
    correlation_id: str
    called_ns: int


class Run(Struct, frozen=True):
    """One run of a request: what it wants to answer, and the instant it was decided at."""

    request: Request
    caller: Caller
    answer: Answer
    now_ms: int


class Recorder(Protocol):
    """Writes down what is decided. One batch at a time."""

    def intend(self, runs: Sequence[Run]) -> None:
        """These runs are about to be committed together."""
        ...

    def end(self, outcome: Outcome) -> None:
        """What has become of the runs that were intended last; nothing, if there are none."""
        ...

    def refuse(self, run: Run) -> None:
        """This run has ended without a look at what is stored."""
        ...
