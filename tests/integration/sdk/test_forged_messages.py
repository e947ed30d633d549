"""What anybody may put into the queues of a worker costs it nothing but a line in its log."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import aio_pika
import pytest

from resonate_sdk import Resonate
from tests.integration.amqp.foreign import ForeignClient, foreign_client
from tests.integration.amqp.server import ServerThread

GROUP = "g"
PID = "w1"
DEEP = 100_000

FORGED = (
    b"",
    b"garbage",
    b"\xff",
    b"[]",
    b"[" * DEEP,
    b'{"kind":"invoke","data":{"task":{"id":"\xff","version":0}}}',
    b'{"kind":"invoke","x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"kind":"invoke","data":{"task":{"id":"","version":0}}}',
    b'{"kind":"invoke","data":{"task":{"id":"nobody\'s","version":-1}}}',
    b'{"kind":"resume","data":{"task":{"id":"nobody\'s","version":9223372036854775807}}}',
    b'{"kind":"promise.get","head":{"corrId":"1","status":200,"version":""},"data":{}}',
    b'{"kind":"promise.get","head":{"corrId":"\xff","status":200,"version":""},"data":{}}',
)


@pytest.fixture
async def stranger(server: ServerThread) -> AsyncGenerator[ForeignClient]:
    async with foreign_client(server.config.url, server.config.namespace) as client:
        yield client


async def test_forged_messages_do_not_cost_a_worker_its_connection(
    server: ServerThread, stranger: ForeignClient, caplog: pytest.LogCaptureFixture
):
    url, namespace, names = server.config.url, server.config.namespace, stranger.names
    with (
        caplog.at_level(logging.INFO),
        Resonate.remote(url, namespace=namespace, group=GROUP, pid=PID) as worker,
        Resonate.remote(url, namespace=namespace, group="caller") as caller,
    ):
        worker.register(lambda ctx, n: 2 * n, name="double")
        worker.start()
        double = caller.options(target=GROUP)
        assert await asyncio.to_thread(double.rpc, "before", "double", 1) == 2

        group = await stranger.channel.get_exchange(names.group(GROUP), ensure=False)
        for body in FORGED:
            for key in ("any", PID):
                await group.publish(aio_pika.Message(body), key)
            for kind in ("notify", "task.invoke", "promise.get", None):
                message = aio_pika.Message(body, type=kind)
                reply_queue = names.reply_queue(PID)
                await stranger.channel.default_exchange.publish(message, reply_queue)

        assert await asyncio.to_thread(double.rpc, "after", "double", 2) == 4
    lines = [record.message for record in caplog.records]
    assert not [line for line in lines if "not connected" in line or "could not be taken" in line]
