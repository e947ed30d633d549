"""Many requests, few messages: what one process has ready travels together."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from resonate_sdk.protocol import limits

Ticket = TypeVar("Ticket")


class Ready(Struct, Generic[Ticket], frozen=True):
    """An encoded request that waits to be sent.

    Attributes:
        chain: requests of one chain travel in one message.
        ticket: what its answer is for.
    """

    encoded: bytes
    chain: str | None
    ticket: Ticket


def into_messages(ready: Sequence[Ready[Ticket]]) -> Iterator[list[Ready[Ticket]]]:
    """Split requests into messages within the limits, in order, without breaking a chain."""
    message: list[Ready[Ticket]] = []
    size = 0
    for run in _runs(ready):
        run_size = sum(len(item.encoded) + 1 for item in run)
        is_full = (
            len(message) + len(run) > limits.ENVELOPES_PER_MESSAGE_MAX
            or size + run_size + 1 > limits.MESSAGE_BYTES_MAX
        )
        if message and is_full:
            yield message
            message, size = [], 0
        message += run
        size += run_size
    if message:
        yield message


def _runs(ready: Sequence[Ready[Ticket]]) -> Iterator[list[Ready[Ticket]]]:
    """Single requests, and chains as a whole."""
    run: list[Ready[Ticket]] = []
    for item in ready:
        if run and (item.chain is None or item.chain != run[-1].chain):
            yield run
            run = []
        run.append(item)
    if run:
        yield run
