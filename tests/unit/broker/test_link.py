"""C14: since when no heartbeat has been waiting unheard."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.kernel.meters import Meters
from resonate_broker.link import Link
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import QueueCount, Session
from resonate_sdk.protocol.topology import Names, Topology
from tests.unit.sdk import virtual_time

NOW_MS = 7
EMPTY = QueueCount(ready=0, consumers=1)


class Broker:
    """A session and its publisher, in which each look at the queue of heartbeats finds what a test says."""

    def __init__(
        self, counts: Sequence[QueueCount | None], guard: LeaseGuard, confirms: int
    ) -> None:
        self.publisher = self
        self.is_lost = False
        self.heard: list[int | None] = []  # before each look, and after the last
        self._counts = [*counts]
        self._guard = guard
        self._confirms = confirms

    def publish(self, publication: Publication) -> "asyncio.Future[None]":
        taken = asyncio.get_running_loop().create_future()
        if self._confirms:
            self._confirms -= 1
            taken.set_result(None)
        return taken

    async def count(self, queue: str) -> QueueCount | None:
        assert queue == Names("n").heartbeat
        self.heard.append(self._guard.heard_since_ms)
        self.is_lost = len(self._counts) == 1
        return self._counts.pop(0)


class Api:
    """Heartbeats that the kernel has no room for."""

    def __init__(self, *, has_beats: bool) -> None:
        self.has_beats = has_beats


def heard(
    *counts: QueueCount | None, confirms: int = 100, has_beats: bool = False
) -> list[int | None]:
    """Since when heartbeats were heard, after each look."""
    guard = LeaseGuard()
    broker = Broker(counts, guard, confirms)
    link = Link(
        "amqp://nowhere",
        Names("n"),
        partitions=1,
        prefetch=1,
        api=cast(Any, Api(has_beats=has_beats)),
        users=(),
        triggers=None,
        events=None,
        more=Topology(),
        guard=guard,
        store_now_ms=lambda: NOW_MS,
        on_connected=lambda: None,
        wake=lambda: None,
        meters=Meters(),
    )
    virtual_time.run(link._listen(cast(Session, broker)))
    return [*broker.heard[1:], guard.heard_since_ms]


def test_heartbeats_are_heard_while_none_waits():
    assert heard(EMPTY, EMPTY) == [NOW_MS, NOW_MS]


@pytest.mark.parametrize(
    "count", [None, QueueCount(ready=1, consumers=1)], ids=["no queue", "one waits"]
)
def test_nothing_is_heard_while_a_heartbeat_may_be_waiting(count: QueueCount | None):
    assert heard(EMPTY, count, EMPTY) == [NOW_MS, None, NOW_MS]


def test_a_heartbeat_that_waits_for_the_kernel_is_not_heard():
    assert heard(EMPTY, has_beats=True) == [None]


def test_nothing_is_heard_while_the_broker_takes_no_messages():
    assert heard(EMPTY, EMPTY, EMPTY, confirms=2) == [NOW_MS, NOW_MS, None]
