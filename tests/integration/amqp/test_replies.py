"""C12: answers wait while the broker does not keep up, for as long as somebody may wait for them."""

import asyncio

import pytest

from resonate_broker.api.replies import HELD_S_MAX, Replies, Reply
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.session import Session
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from resonate_sdk.protocol.topology import Names, Queue, Topology
from tests.integration.amqp.foreign import ANSWER_SECONDS_MAX
from tests.integration.amqp.publishing import many_messages


class Client:
    """A client that waits for answers."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self._arrived = asyncio.Queue[str | None]()

    def take(self, consumer: Consumer, delivery: Delivery) -> None:
        self._arrived.put_nowait(delivery.correlation_id)

    async def answers(self, count: int) -> list[str | None]:
        """The first ones that arrive."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return [await self._arrived.get() for _ in range(count)]


@pytest.fixture
async def client(session: Session, namespace: str) -> Client:
    client = Client(Names(namespace).reply_queue("me"))
    await session.declare(Topology(queues=(Queue(name=client.queue, is_exclusive=True),)))
    await session.consume(client.queue, client.take, prefetch=None)
    return client


def reply(client: Client, id: str) -> Reply:
    return Reply(
        reply_to=client.queue,
        is_array=False,
        amqp_correlation_id=id,
        kind="task.release",
        correlation_id=id,
        answer=Answer(OK, Nothing()),
        now_ms=1,
    )


async def test_answers_wait_while_the_broker_does_not_keep_up_and_leave_in_order(
    session: Session, client: Client
):
    replies = Replies()
    congestion = many_messages(session)
    under_way = session.publisher.under_way.messages

    replies.add(reply(client, "1"))
    replies.flush(session, 100.0)
    replies.add(reply(client, "2"))
    replies.flush(None, 101.0)
    assert session.publisher.under_way.messages == under_way
    await congestion.over()
    replies.add(reply(client, "3"))
    replies.flush(session, 100.0 + HELD_S_MAX)

    assert await client.answers(3) == ["1", "2", "3"]


async def test_an_answer_that_has_waited_longer_than_anybody_does_is_dropped(
    session: Session, client: Client
):
    replies = Replies()
    replies.add(reply(client, "1"))
    replies.flush(None, 100.0)
    replies.add(reply(client, "2"))
    replies.flush(None, 101.0)

    replies.flush(session, 100.5 + HELD_S_MAX)

    assert await client.answers(1) == ["2"]
