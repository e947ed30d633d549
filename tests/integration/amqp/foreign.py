"""A client that knows AMQP and the protocol, and nothing of our SDK: plain aio-pika and JSON."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)

from resonate_sdk.protocol.topology import Names

ANSWER_SECONDS_MAX = 10
VERSION = "2026-04-01"
FAR_FUTURE_MS = 4_102_444_800_000
DIRECT_REPLY = "amq.rabbitmq.reply-to"
OK = 200

Json = Any


def request(
    kind: str, data: Json, *, corr_id: str | None = None, chain: str | None = None
) -> dict[str, Json]:
    """An envelope, as the documentation describes it."""
    head: dict[str, Json] = {"version": VERSION}
    if corr_id is not None:
        head["corrId"] = corr_id
    if chain is not None:
        head["chain"] = chain
    return {"kind": kind, "head": head, "data": data}


def create(id: str, **more: Json) -> dict[str, Json]:
    """The data of a `promise.create`."""
    return {"id": id, "timeoutAt": FAR_FUTURE_MS, **more}


def settle(id: str, text: str = "", state: str = "resolved") -> dict[str, Json]:
    """The data of a `promise.settle`."""
    return {"id": id, "state": state, "value": {"data": text}}


def task_for(group: str) -> dict[str, str]:
    """The tags of a promise that a group carries out."""
    return {"resonate:target": group}


class Inbox:
    """What arrives in a queue."""

    def __init__(self) -> None:
        self._messages = asyncio.Queue[AbstractIncomingMessage]()

    async def take(self, message: AbstractIncomingMessage) -> None:
        self._messages.put_nowait(message)

    async def next(self, seconds: float = ANSWER_SECONDS_MAX) -> AbstractIncomingMessage:
        async with asyncio.timeout(seconds):
            return await self._messages.get()

    async def next_json(self, seconds: float = ANSWER_SECONDS_MAX) -> Json:
        return json.loads((await self.next(seconds)).body)

    @property
    def is_empty(self) -> bool:
        return self._messages.empty()


class ForeignClient:
    """Publishes to the submission exchange and takes its answers by direct reply-to."""

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, names: Names
    ) -> None:
        self.connection = connection
        self.channel = channel
        self.names = names
        self.answers = Inbox()
        self._address = DIRECT_REPLY
        self._corr_ids = (f"c{number}" for number in itertools.count(1))

    async def send(
        self,
        body: bytes | Json,
        *,
        key: str = "promise.get",
        reply_to: str | None = DIRECT_REPLY,
        correlation_id: str | None = None,
        **properties: Any,
    ) -> None:
        """Publish a message of requests; returns when the broker has it."""
        if reply_to == DIRECT_REPLY:
            reply_to = self._address
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        message = aio_pika.Message(
            body,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=reply_to,
            correlation_id=correlation_id,
            **properties,
        )
        exchange = await self.channel.get_exchange(self.names.submit, ensure=False)
        await exchange.publish(message, routing_key=key)

    async def ask(self, kind: str, data: Json, **properties: Any) -> dict[str, Json]:
        """Send one request and return its answer."""
        corr_id = next(self._corr_ids)
        await self.send(request(kind, data, corr_id=corr_id), key=kind, **properties)
        answer = await self.answers.next_json()
        assert answer["head"]["corrId"] == corr_id, f"the answer to another request: {answer}"
        return answer

    async def ask_all(self, requests: Sequence[Json]) -> list[dict[str, Json]]:
        """Send an array of requests; return its answers when all have come."""
        await self.send(requests)
        return await self.take_answers(len(requests))

    async def take_answers(self, count: int) -> list[dict[str, Json]]:
        """Take so many answers to arrays, however they were put into messages."""
        answers: list[dict[str, Json]] = []
        while len(answers) < count:
            part = await self.answers.next_json()
            assert isinstance(part, list), f"the answer to an array is an array: {part}"
            answers += part
        return answers

    async def use_queue(self, pid: str) -> None:
        """From now on take answers from a queue of our own, where also messages come."""
        name = self.names.reply_queue(pid)
        await self.declare(name)
        self.answers = await self.consume(name)
        self._address = name

    async def promise(self, id: str) -> dict[str, Json]:
        answer = await self.ask("promise.get", {"id": id})
        assert answer["head"]["status"] == OK, answer
        return answer["data"]["promise"]

    async def task(self, id: str) -> dict[str, Json]:
        answer = await self.ask("task.get", {"id": id})
        assert answer["head"]["status"] == OK, answer
        return answer["data"]["task"]

    async def greet_as_worker(self, group: str, pid: str) -> None:
        """Say that a worker is there; the queues of its group exist afterwards."""
        answer = await self.ask("hello", {"pid": pid, "group": group, "slots": 1})
        assert answer["head"]["status"] == OK, answer

    async def declare(
        self, queue: str, arguments: Mapping[str, Any] | None = None
    ) -> AbstractQueue:
        """Make a queue that goes with this client."""
        return await self.channel.declare_queue(
            queue, exclusive=True, arguments=dict(arguments or {})
        )

    async def consume(self, queue: str, *, acknowledges: bool = False) -> Inbox:
        """Take what arrives in a queue that exists."""
        inbox = Inbox()
        found = await self.channel.get_queue(queue, ensure=False)
        await found.consume(inbox.take, no_ack=not acknowledges)
        return inbox


@asynccontextmanager
async def foreign_client(url: str, namespace: str) -> AsyncGenerator[ForeignClient]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        client = ForeignClient(connection, channel, Names(namespace))
        replies = await channel.get_queue(DIRECT_REPLY, ensure=False)
        await replies.consume(client.answers.take, no_ack=True)
        yield client


def statuses(answers: Sequence[Mapping[str, Json]]) -> list[int]:
    return [answer["head"]["status"] for answer in answers]
