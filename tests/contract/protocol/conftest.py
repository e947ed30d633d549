"""The two ways to a server: inside this process, and over RabbitMQ."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, Protocol

import msgspec
import pytest

from resonate_broker.config import Config
from resonate_broker.embedded.broker import EmbeddedBroker
from resonate_sdk.protocol import envelope, messages
from resonate_sdk.protocol.messages import Message
from resonate_store.postgres.migrate import migrate
from tests.databases import new_database
from tests.integration.amqp.foreign import ForeignClient, foreign_client, request
from tests.integration.amqp.server import ServerThread

Json = Any
NEWS_SECONDS_MAX = 10


class Transport(Protocol):
    """Asks a server, and takes what it sends unasked."""

    pid: str

    async def ask_all(self, requests: Sequence[Json]) -> list[Json]:
        """The answers to requests of one message, in the order of the requests."""
        ...

    async def attach(self, group: str) -> None:
        """Take what goes to this process, and the hints of a group."""
        ...

    async def next_message(self) -> Json:
        """The next message that the server sends unasked."""
        ...


class InProcess:
    """A server inside this process."""

    def __init__(self, broker: EmbeddedBroker, pid: str) -> None:
        self.pid = pid
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._messages = asyncio.Queue[Message]()

    async def ask_all(self, requests: Sequence[Json]) -> list[Json]:
        answers: list[Json] = []

        def take(given: Sequence[tuple[str, Any]]) -> None:
            for (id, answer), asked in zip(given, requests, strict=True):
                encoded = envelope.encode_answer(asked["kind"], id, answer)
                answers.append(msgspec.json.decode(encoded))

        self._broker.submit(msgspec.json.encode(requests), take)
        return answers

    async def attach(self, group: str) -> None:
        self._broker.attach(self.pid, group, self._deliver)
        self._broker.add_credit(self.pid, 1_000)

    def _deliver(self, message: Message) -> None:
        """Comes from whatever thread the server ticks on."""
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    async def next_message(self) -> Json:
        async with asyncio.timeout(NEWS_SECONDS_MAX):
            return msgspec.json.decode(messages.encode(await self._messages.get()))


class OverAmqp:
    """A server behind RabbitMQ."""

    def __init__(self, client: ForeignClient, pid: str) -> None:
        self.pid = pid
        self._client = client
        self._messages = asyncio.Queue[Json]()

    async def ask_all(self, requests: Sequence[Json]) -> list[Json]:
        answers = await self._client.ask_all(requests)
        by_id = {answer["head"]["corrId"]: answer for answer in answers}
        return [by_id[request["head"]["corrId"]] for request in requests]

    async def attach(self, group: str) -> None:
        await self._client.greet_as_worker(group, self.pid)
        await self._client.declare(self._client.names.reply_queue(self.pid))
        for queue in (
            self._client.names.reply_queue(self.pid),
            self._client.names.task_queue(group),
        ):
            found = await self._client.channel.get_queue(queue, ensure=False)
            await found.consume(self._take, no_ack=True)

    async def _take(self, message: Any) -> None:
        found = msgspec.json.decode(message.body)
        for each in found if isinstance(found, list) else [found]:
            self._messages.put_nowait(each)

    async def next_message(self) -> Json:
        async with asyncio.timeout(NEWS_SECONDS_MAX):
            return await self._messages.get()


class Server:
    """What tests ask: the data of answers, and their status."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.pid = transport.pid
        self._numbers = itertools.count(1)

    async def ask(self, kind: str, data: Json) -> tuple[int, Json]:
        """What a request is answered."""
        ((status, answer),) = await self.ask_all((kind, data))
        return status, answer

    async def ask_all(
        self, *requests: tuple[str, Json], chain: str | None = None
    ) -> list[tuple[int, Json]]:
        """What the requests of one message are answered."""
        asked = [
            request(kind, data, corr_id=f"c{next(self._numbers)}", chain=chain)
            for kind, data in requests
        ]
        answers = await self.transport.ask_all(asked)
        return [(answer["head"]["status"], answer["data"]) for answer in answers]

    async def do(self, kind: str, data: Json) -> Json:
        """The data of an answer that must be 200."""
        status, answer = await self.ask(kind, data)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="package")
def amqp_config(amqp_server: str, package_database: str) -> Generator[Config]:
    """A server behind RabbitMQ that all tests share."""
    namespace = f"test-{secrets.token_hex(6)}"
    asyncio.run(migrate(package_database, namespace))
    config = Config(url=amqp_server, database_url=package_database, namespace=namespace)
    with ServerThread(config):
        yield config


@pytest.fixture(scope="package")
def package_database(postgres_server: str) -> Generator[str]:
    """A database for that server."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["in process", "over AMQP"])
def amqp(request: pytest.FixtureRequest) -> Config | None:
    """Where RabbitMQ and a server behind it are; None for a server in this process."""
    return None if request.param == "in process" else request.getfixturevalue("amqp_config")


@pytest.fixture
async def server(amqp: Config | None) -> AsyncGenerator[Server]:
    pid = f"p{secrets.token_hex(4)}"
    if amqp is None:
        broker = EmbeddedBroker(None, lambda: time.time_ns() // 1_000_000)
        broker.start()
        yield Server(InProcess(broker, pid))
        broker.close()
        return
    async with foreign_client(amqp.url, amqp.namespace) as client:
        yield Server(OverAmqp(client, pid))


@pytest.fixture
def id() -> str:
    """An id that only this test knows."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def group() -> str:
    """A group that only this test knows."""
    return f"g{secrets.token_hex(4)}"
