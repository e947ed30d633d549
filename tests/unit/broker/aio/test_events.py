"""The order in which events leave."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from resonate_broker.aio.events import EventOutlet, turns
from resonate_broker.kernel.meters import Meters
from resonate_sdk.amqp.publisher import Publication, RefusedError
from resonate_sdk.amqp.session import Session
from resonate_sdk.protocol.topology import Names
from resonate_store.state import Event, NumberedEvent


def numbered(origin: str, position: int) -> NumberedEvent:
    event = Event(
        origin=origin, kind="promise.created", subject=origin, group="", at_ms=0, data="{}"
    )
    return NumberedEvent(position=position, sequence=position, event=event)


def test_the_next_event_of_a_tree_has_a_later_turn():
    events = [numbered(origin, position) for position, origin in enumerate("abacab")]

    found = [[event.position for event in turn] for turn in turns(events)]

    assert found == [[0, 1, 3], [2, 5], [4]]


class Rows:
    """Events that nobody has been told; also what of them was forgotten."""

    def __init__(self, events: Sequence[NumberedEvent]) -> None:
        self.events = events
        self.forgotten: list[int] = []
        self.has_forgotten = asyncio.Event()

    @asynccontextmanager
    async def claim(self, limit: int) -> "AsyncGenerator[Rows]":
        yield self

    async def forget(self, positions: Sequence[int]) -> None:
        self.forgotten += positions
        self.has_forgotten.set()


class Broker:
    """A session and its publisher, which confirms or refuses what a test says."""

    is_lost = False
    unconfirmed = waiting_bytes = unconfirmed_s = 0

    def __init__(self) -> None:
        self.publisher = self
        self.published: list[asyncio.Future[None]] = []
        self._has_published = asyncio.Event()

    def publish(self, publication: Publication) -> "asyncio.Future[None]":
        future = asyncio.get_running_loop().create_future()
        self.published.append(future)
        self._has_published.set()
        return future

    async def until_published(self, count: int) -> None:
        while len(self.published) < count:
            self._has_published.clear()
            await self._has_published.wait()


@pytest.mark.parametrize("is_taken", [True, False], ids=["confirmed", "refused"])
async def test_an_event_leaves_when_the_one_before_it_is_confirmed_and_not_if_it_is_refused(
    is_taken: bool,
):
    rows = Rows([numbered("a", 0), numbered("b", 1), numbered("a", 2)])
    broker = Broker()
    outlet = EventOutlet(Names("n"), cast(Any, rows), Meters())

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(outlet.serve(cast(Session, broker)))
        await broker.until_published(2)
        first, other, *more = broker.published
        assert more == []
        other.set_result(None)
        if is_taken:
            first.set_result(None)
            await broker.until_published(3)
            broker.published[2].set_result(None)
        else:
            first.set_exception(RefusedError("full"))
        await rows.has_forgotten.wait()
        serving.cancel()

    assert len(broker.published) == (3 if is_taken else 2)
    assert rows.forgotten == ([0, 1, 2] if is_taken else [1])
