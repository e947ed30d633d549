"""A session of our own on a real broker: what is published, confirmed, returned and acknowledged."""

import asyncio

import pytest

from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.publisher import Publication, RefusedError, ReturnedError
from resonate_sdk.amqp.session import Session, open_session
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.amqp.under_way import NOTHING
from resonate_sdk.protocol.topology import ArgumentValue, Queue, Topology

PATIENCE_S = 20


class Queues:
    """A queue that two sessions use."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name

    def topology(self, **arguments: ArgumentValue) -> Topology:
        return Topology(queues=(Queue(name=self.name, arguments=arguments),))

    def publication(self, body: bytes) -> Publication:
        return Publication(exchange="", routing_key=self.name, body=body)

    async def take(
        self, session: Session, count: int, prefetch: int
    ) -> tuple[Consumer, list[Delivery]]:
        taken: asyncio.Queue[Delivery] = asyncio.Queue()
        consumer = await session.consume(
            self.name, lambda _, delivery: taken.put_nowait(delivery), prefetch=prefetch
        )
        return consumer, [await taken.get() for _ in range(count)]


@pytest.fixture
def queues(amqp_server: str, namespace: str) -> Queues:
    return Queues(amqp_server, f"{namespace}.sessions")


async def test_only_what_is_acknowledged_is_gone(queues: Queues):
    async with asyncio.timeout(PATIENCE_S):
        async with open_session(queues.url, name="test", heartbeat_s=10) as first:
            await first.declare(queues.topology())
            for body in (b"1", b"2", b"3", b"4", b"5", b"6"):
                await first.publisher.publish(queues.publication(body))
            consumer, taken = await queues.take(first, 6, prefetch=10)
            tags = {delivery.body: delivery.tag for delivery in taken}
            for body in (b"2", b"1", b"4"):
                consumer.ack(tags[body])
            consumer.reject(tags[b"6"], requeue=False)

        async with open_session(queues.url, name="test", heartbeat_s=10) as second:
            _, again = await queues.take(second, 2, prefetch=10)
            count = await second.count(queues.name)

    assert [delivery.body for delivery in again] == [b"3", b"5"]
    assert all(delivery.is_redelivered for delivery in again)
    assert count is not None
    assert count.ready == 0


async def test_an_acknowledgement_makes_room_for_the_next_message(queues: Queues, session: Session):
    await session.declare(queues.topology())
    for number in range(20):
        session.publisher.publish(queues.publication(b"%d" % number))
    taken: list[bytes] = []
    is_done = asyncio.Event()

    def take(consumer: Consumer, delivery: Delivery) -> None:
        taken.append(delivery.body)
        consumer.ack(delivery.tag)
        if len(taken) == 20:
            is_done.set()

    await session.consume(queues.name, take, prefetch=3)
    await is_done.wait()

    assert taken == [b"%d" % number for number in range(20)]


async def test_every_message_is_confirmed_by_itself(queues: Queues, session: Session):
    await session.declare(queues.topology())
    confirmed = [session.publisher.publish(queues.publication(b"x" * 300_000)) for _ in range(5)]

    assert session.publisher.under_way.messages == 5
    assert session.publisher.under_way.unsent_bytes > 5 * 300_000
    done, _ = await asyncio.wait(confirmed)

    assert [future.exception() for future in done] == [None] * 5
    assert session.publisher.under_way == NOTHING


async def test_what_no_queue_takes_comes_back_to_its_sender_alone(queues: Queues, session: Session):
    await session.declare(queues.topology())
    lost = Publication(exchange="", routing_key=f"{queues.name}.none", body=b"x")
    publisher = session.publisher
    before, nowhere, unwanted, behind = (
        publisher.publish(queues.publication(b"1")),
        publisher.publish(lost),
        publisher.publish(
            Publication(exchange="", routing_key="none", body=b"", is_mandatory=False)
        ),
        publisher.publish(queues.publication(b"2")),
    )
    await asyncio.wait((before, nowhere, unwanted, behind))

    assert isinstance(nowhere.exception(), ReturnedError)
    assert f"no queue takes '{queues.name}.none' of exchange ''" in str(nowhere.exception())
    assert [future.exception() for future in (before, unwanted, behind)] == [None] * 3


async def test_what_a_full_queue_refuses_is_told(queues: Queues, session: Session):
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await session.declare(queues.topology(**arguments))
    first = session.publisher.publish(queues.publication(b"1"))
    await first
    second = session.publisher.publish(queues.publication(b"2"))
    await asyncio.wait((second,))

    assert isinstance(second.exception(), RefusedError)


async def test_a_large_message_arrives_whole(queues: Queues, session: Session):
    body = bytes(range(256)) * 4_000
    await session.declare(queues.topology())
    await session.publisher.publish(queues.publication(body))

    _, (delivery,) = await queues.take(session, 1, prefetch=1)

    assert delivery.body == body
