"""C14: since when heartbeats are heard, from the looks of a server at their queue on a real broker."""

import asyncio

import pytest

from resonate_broker.api.heartbeats import PROBE, HeartbeatWatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import Session, open_session
from resonate_sdk.protocol.topology import Names, Queue, Topology

PATIENCE_S = 20


class Watched:
    """A queue of heartbeats, and a server that looks at it without a pause."""

    def __init__(self, session: Session, names: Names) -> None:
        self.session = session
        self.now_ms = 1
        self.has_beats = False
        self.has_looked = asyncio.Event()
        self._guard = LeaseGuard()
        self._queue = names.heartbeat
        self.watch = HeartbeatWatch(
            names,
            self._guard,
            store_now_ms=lambda: self.now_ms,
            has_beats=self._looks,
            interval_s=0,
        )

    @property
    def heard_since_ms(self) -> int | None:
        return self._guard.heard_since_ms

    async def make_queue(self) -> None:
        queue = Queue(name=self._queue, is_exclusive=True)
        await self.session.declare(Topology(queues=(queue,)))

    async def delete_queue(self) -> None:
        await self.session.delete_queue(self._queue)

    async def beat(self) -> None:
        """A worker sends a heartbeat."""
        await self.session.publisher.publish(
            Publication(exchange="", routing_key=self._queue, body=b"")
        )

    async def consume(self) -> None:
        await self.session.consume(self._queue, lambda *_: None, prefetch=None)

    async def look(self) -> int | None:
        """Look while the broker takes messages; since when heartbeats are heard, by number of look."""
        probe = self.session.publisher.publish(PROBE)
        await probe
        await self.watch.look(self.session, probe)
        self.now_ms += 1
        return self.heard_since_ms

    async def until(self, *, is_heard: bool) -> None:
        """Return after the first look that says so."""
        while (self.heard_since_ms is not None) != is_heard:
            self.has_looked.clear()
            await self.has_looked.wait()

    def _looks(self) -> bool:
        self.has_looked.set()
        return self.has_beats


@pytest.fixture
async def watched(session: Session, namespace: str) -> Watched:
    watched = Watched(session, Names(namespace))
    await watched.make_queue()
    return watched


async def test_heartbeats_are_heard_since_the_first_look_that_found_none_waiting(watched: Watched):
    assert [await watched.look() for _ in range(3)] == [1, 1, 1]

    await watched.beat()
    assert await watched.look() is None
    await watched.consume()
    assert [await watched.look() for _ in range(2)] == [5, 5]


async def test_nothing_is_heard_without_the_queue(watched: Watched):
    assert await watched.look() == 1

    await watched.delete_queue()
    assert await watched.look() is None
    await watched.make_queue()
    assert await watched.look() == 3


async def test_nothing_is_heard_while_heartbeats_wait_for_the_kernel(watched: Watched):
    assert await watched.look() == 1

    watched.has_beats = True
    assert await watched.look() is None
    watched.has_beats = False
    assert await watched.look() == 3


async def test_nothing_is_heard_until_the_broker_has_taken_the_probe(watched: Watched):
    probe = watched.session.publisher.publish(PROBE)
    assert await watched.watch.look(watched.session, probe) is probe  # at once: no confirm has come
    assert watched.heard_since_ms is None

    await probe
    next_probe = await watched.watch.look(watched.session, probe)
    assert next_probe is not probe
    assert watched.heard_since_ms == 1

    await watched.watch.look(watched.session, watched.session.publisher.publish(PROBE))
    assert watched.heard_since_ms is None


async def test_the_queue_counts_as_consumed_when_the_broker_has_seen_a_consumer(watched: Watched):
    assert not watched.watch.is_consumed
    await watched.look()
    assert not watched.watch.is_consumed

    await watched.consume()
    await watched.look()
    assert watched.watch.is_consumed


async def test_without_a_session_nothing_is_heard_or_consumed(watched: Watched):
    await watched.consume()
    assert await watched.look() == 1

    watched.watch.end()

    assert (watched.heard_since_ms, watched.watch.is_consumed) == (None, False)


async def test_a_server_goes_on_looking_until_its_session_is_lost(watched: Watched):
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(watched.watch.serve(watched.session))
        await watched.until(is_heard=True)
        await watched.beat()
        await watched.until(is_heard=False)
        await watched.consume()
        await watched.until(is_heard=True)
        assert not serving.done()

        watched.session.lose("the broker has gone")


async def test_a_look_that_the_broker_refuses_ends_the_session(
    watched: Watched, amqp_server: str, namespace: str
):
    await watched.delete_queue()
    async with open_session(amqp_server, name="test", heartbeat_s=10) as other:
        await Watched(other, Names(namespace)).make_queue()

        async with asyncio.timeout(PATIENCE_S):
            await watched.watch.serve(watched.session)

    assert watched.session.is_lost
    assert "could not count a queue" in await watched.session.lost()
