"""The server's connection to the broker breaks, and what was under way then."""

import asyncio
import itertools
import time

import pytest
from msgspec.structs import replace

from resonate_broker.config import Config, ShutdownConfig
from resonate_sdk.amqp import session as session_module
from tests.integration.amqp.foreign import (
    OK,
    ForeignClient,
    create,
    foreign_client,
    request,
    task_for,
)
from tests.integration.amqp.server import Gate, ServerThread

GROUP = "billing"
REACH_SECONDS_MAX = 10
READ_SECONDS_MAX = 1
STOP_SECONDS_MAX = 5
DRAIN_SECONDS = 0.2
NOT_FOUND = 404


def break_session(server: ServerThread) -> None:
    session = server.server._messages._session
    assert session is not None, "the server is connected"
    server.call(lambda: session.lose("broken by the test"))


def close_publishing(server: ServerThread) -> None:
    """As the broker does it, when a channel of the connection has crashed there."""
    session = server.server._messages._session
    assert session is not None, "the server is connected"
    transport = session.publisher._wire._transport
    assert transport is not None, "what is open has a socket"
    server.call(transport.close)


async def read_until_answered(client: ForeignClient, id: str) -> int:
    """A lost answer costs another read."""
    async with asyncio.timeout(REACH_SECONDS_MAX):
        for number in itertools.count():
            corr_id = f"{id} {number}"
            await client.send(request("promise.get", {"id": id}, corr_id=corr_id))
            try:
                answer = await client.answers.next_json(READ_SECONDS_MAX)
                while answer["head"]["corrId"] != corr_id:  # late, to an earlier read
                    answer = await client.answers.next_json(READ_SECONDS_MAX)
            except TimeoutError:
                continue
            return answer["head"]["status"]
    raise AssertionError("the timeout ends it")


async def test_a_server_serves_on_after_its_connection_broke(
    client: ForeignClient, server: ServerThread
):
    for number in range(3):
        id = f"p{number}"
        assert await read_until_answered(client, f"before {id}") == NOT_FOUND

        break_session(server)
        await client.send(request("promise.create", create(id)), reply_to=None)

        assert await read_until_answered(client, id) == OK


async def test_what_is_published_while_a_broken_connection_is_closed_does_not_hold_up_the_end(
    client: ForeignClient, server: ServerThread, caplog: pytest.LogCaptureFixture
):
    assert await read_until_answered(client, "before") == NOT_FOUND
    await client.greet_as_worker(GROUP, "me")
    closing = Gate(server, session_module, "_close")
    try:
        close_publishing(server)
        assert await asyncio.to_thread(closing.is_reached.wait, REACH_SECONDS_MAX)
        publishing = Gate(server, server.server._messages, "publish")
        late = request("promise.create", create("late", tags=task_for(GROUP)))
        await client.send(late, reply_to=None)
        assert await asyncio.to_thread(publishing.is_reached.wait, REACH_SECONDS_MAX)
        publishing.open()  # the hint goes to the connection that is being closed
    finally:
        closing.open()
        closing.undo()
    assert await read_until_answered(client, "late") == OK

    began_s = time.monotonic()
    await asyncio.to_thread(server.stop)

    assert time.monotonic() - began_s < STOP_SECONDS_MAX
    assert "not everything was finished in time" not in caplog.text


async def test_a_server_ends_although_it_could_not_finish_what_it_had_begun(config: Config):
    impatient = replace(config, shutdown=ShutdownConfig(drain_s=DRAIN_SECONDS))
    server = ServerThread(impatient).start()
    async with foreign_client(config.url, config.namespace) as client:
        await client.greet_as_worker(GROUP, "me")
        stuck = Gate(server, server.server._messages, "publish")
        await client.ask("promise.create", create("t", tags=task_for(GROUP)))
        assert await asyncio.to_thread(stuck.is_reached.wait, REACH_SECONDS_MAX)

        began_s = time.monotonic()
        await asyncio.to_thread(server.stop)

        assert time.monotonic() - began_s < STOP_SECONDS_MAX
