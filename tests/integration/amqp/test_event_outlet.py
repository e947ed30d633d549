"""C23: what of the outbox is published, and forgotten, is what the broker has confirmed, in order."""

import asyncio

import pytest

from resonate_broker.aio.events import EventOutlet
from resonate_broker.kernel.meters import Meters
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import Session
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.topology import Binding, Names, Queue, Topology, events_topology
from resonate_store.postgres import PostgresStore
from resonate_store.state import Changes, Event
from tests.contract.rows import write
from tests.integration.amqp.publishing import many_messages
from tests.integration.conftest import Tables

FULL = {"x-max-length": 1, "x-overflow": "reject-publish"}
READ_SECONDS_MAX = 10
CREATED = "promise.created"
RESOLVED = "promise.resolved"


class Tap:
    """An outbox, and queues that are bound to the exchange of events."""

    def __init__(self, session: Session, names: Names, store: PostgresStore) -> None:
        self.meters = Meters()
        self.outlet = EventOutlet(names, store.events, self.meters)
        self.session = session
        self._names = names
        self._store = store
        self._all = f"{names.namespace}.all"

    async def open(self) -> None:
        """Bind a queue to all events."""
        await self.session.declare(events_topology(self._names, log_days=None))
        await self._bind(Queue(name=self._all, is_exclusive=True), "#")

    async def fill(self, key: str) -> None:
        """Bind a queue that is full."""
        full = Queue(name=f"{self._names.namespace}.full", is_exclusive=True, arguments=FULL)
        await self._bind(full, key)
        await self.session.publisher.publish(
            Publication(exchange="", routing_key=full.name, body=b"it is full")
        )

    async def happened(self, *events: tuple[str, str]) -> None:
        """Events of origins, in this order."""
        rows = tuple(
            Event(origin=origin, kind=kind, subject=origin, group="", at_ms=0, data="{}")
            for origin, kind in events
        )
        await write(self._store, Changes(events=rows))

    async def untold(self) -> list[tuple[str, str]]:
        """The events that nobody is known to have been told."""
        async with self._store.events.claim(100) as claim:
            return [(row.event.origin, row.event.kind) for row in claim.events]

    async def told(self) -> list[tuple[str, str]]:
        """What has arrived in the queue that takes everything."""
        count = await self.session.count(self._all)
        assert count is not None
        taken = asyncio.Queue[Delivery]()

        def take(consumer: Consumer, delivery: Delivery) -> None:
            taken.put_nowait(delivery)

        await self.session.consume(self._all, take, prefetch=None)
        async with asyncio.timeout(READ_SECONDS_MAX):
            return [_told(await taken.get()) for _ in range(count.ready)]

    async def _bind(self, queue: Queue, key: str) -> None:
        binding = Binding(exchange=self._names.events, queue=queue.name, key=key)
        await self.session.declare(Topology(queues=(queue,), bindings=(binding,)))


def _told(delivery: Delivery) -> tuple[str, str]:
    headers = delivery.headers
    assert headers is not None
    return str(headers["cloudEvents:partitionkey"]), delivery.routing_key


@pytest.fixture
async def tap(session: Session, store: PostgresStore, tables: Tables) -> Tap:
    tap = Tap(session, Names(tables.namespace), store)
    await tap.open()
    return tap


async def test_events_that_are_confirmed_are_forgotten(tap: Tap):
    await tap.happened(("a", CREATED), ("a", RESOLVED), ("b", CREATED))

    await tap.outlet.publish_oldest(tap.session)

    assert await tap.told() == [("a", CREATED), ("b", CREATED), ("a", RESOLVED)]
    assert await tap.untold() == []
    assert tap.meters.events_told == 3


async def test_an_event_does_not_leave_before_the_one_before_it_is_confirmed(tap: Tap):
    """Of `a` the first is refused. The second would have been taken: no full queue wants it."""
    await tap.fill(CREATED)
    await tap.happened(("a", CREATED), ("b", RESOLVED), ("a", RESOLVED))

    await tap.outlet.publish_oldest(tap.session)

    assert await tap.told() == [("a", CREATED), ("b", RESOLVED)]
    assert await tap.untold() == [("a", CREATED), ("a", RESOLVED)]
    assert tap.meters.events_told == 1


async def test_no_event_leaves_while_the_broker_does_not_keep_up(tap: Tap):
    await tap.happened(("a", CREATED))
    congestion = many_messages(tap.session)

    await tap.outlet.publish_oldest(tap.session)
    assert await tap.untold() == [("a", CREATED)]

    await congestion.over()
    await tap.outlet.publish_oldest(tap.session)
    assert await tap.untold() == []
