"""How a command talks to a server: hello first, an end to every wait, trouble in words.

The client libraries are loaded when they are needed: help and completion must not wait for them.
"""

import asyncio
import re
import secrets
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.logs import log_nothing
from resonate_broker.cli.settings import shown_url
from resonate_broker.config import Config
from resonate_sdk.ask import ask, refusal
from resonate_sdk.errors import TransportError
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.addresses import Address
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import (
    Hello,
    PromiseGet,
    PromiseRegisterListener,
    PromiseSearch,
    Request,
)
from resonate_sdk.protocol.responses import Answer, PromiseData, PromisePage
from resonate_sdk.protocol.topology import Names
from resonate_sdk.transport import Slot, Transport

GROUP = "resonate-cli"
SDK_NAME = "resonate-amqp/cli"
HEARTBEAT_S = 10
WELCOME_S = limits.HELLO_TIMEOUT_MS / 1000  # from the start to the first word of a server
ANSWER_S = 5.0
FAREWELL_S = 0.5  # for closing connections, which a broker that hangs would draw out
FAREWELL_CANCELS_MAX = 10
LOOK_AGAIN_S = 5.0  # news of a promise may get lost
SILENCE_S_MAX = 60.0  # who waits for a promise stays through a restart of anything
PROMISES_MAX = 10_000

T = TypeVar("T")

# What the broker's libraries say when a connection cannot be opened, and what it means.
_REASONS = (
    (r"Login was refused|ACCESS_REFUSED - Login", "wrong user name or password"),
    (r"Connection\.OpenOk", "there is no such virtual host, or this user may not use it"),
    (r"Errno 111\b|Connection refused", "nothing listens there (connection refused)"),
    (r"Name or service not known|Errno -[235]\b", "the name of the host is unknown"),
    (r"No route to host|Network is unreachable", "there is no way to this host"),
    (r"no answer in time", "it does not answer"),
)


class Client:
    """A conversation with the server of a namespace."""

    def __init__(self, transport: Transport, address: str) -> None:
        """Talk through a transport that runs; `address` is where news for us go."""
        self._transport = transport
        self._address = address
        self._awaited: dict[str, asyncio.Future[PromiseRecord]] = {}

    async def ask(self, request: Request, *, origin: str | None = None) -> Answer:
        """Send a request and wait for the answer, which may be a refusal.

        Raises:
            TransportError: none came in time.
        """
        return await ask(self._transport, request, origin=origin, timeout_s=ANSWER_S)

    async def promise(self, request: Request, *, origin: str | None = None) -> PromiseRecord:
        """Send a request that is answered with a promise.

        Raises:
            StoreError: it was refused.
            TransportError: no answer came in time.
        """
        answer = await self.ask(request, origin=origin)
        if not isinstance(answer.data, PromiseData):
            raise refusal(answer)
        return answer.data.promise

    async def search(self, tags: Mapping[str, str], origin: str) -> Sequence[PromiseRecord]:
        """Find all promises with these tags, up to `PROMISES_MAX`.

        Raises:
            StoreError: it was refused.
            TransportError: no answer came in time.
        """
        found: list[PromiseRecord] = []
        cursor = None
        while len(found) < PROMISES_MAX:
            answer = await self.ask(PromiseSearch(tags=tags, cursor=cursor), origin=origin)
            if not isinstance(answer.data, PromisePage):
                raise refusal(answer)
            found += answer.data.promises
            cursor = answer.data.cursor
            if cursor is None:
                break
        return found[:PROMISES_MAX]

    async def settled(self, id: str) -> PromiseRecord:
        """Wait until a promise is settled, also through a restart of the server or the broker.

        Raises:
            StoreError: it was refused.
            TransportError: there was no contact for a minute.
        """
        loop = asyncio.get_running_loop()
        heard_at_s = loop.time()
        while True:
            news = self._awaited.setdefault(id, loop.create_future())
            try:
                record = await self._look(id)
                heard_at_s = loop.time()
            except TransportError:
                if loop.time() - heard_at_s > SILENCE_S_MAX:
                    raise
                continue
            if record.state != "pending":
                return record
            await asyncio.wait((news,), timeout=LOOK_AGAIN_S)
            if news.done():
                return news.result()

    async def _look(self, id: str) -> PromiseRecord:
        """Listen to a promise, and see what state it is in."""
        answer = await self.ask(PromiseRegisterListener(awaited=id, address=self._address))
        if answer.status == responses.UNPROCESSABLE:  # internal: nobody may listen, all may look
            return await self.promise(PromiseGet(id=id))
        if not isinstance(answer.data, PromiseData):
            raise refusal(answer)
        return answer.data.promise

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """Nobody sends us work: we never subscribe."""
        slot.free()

    def on_notify(self, promise: PromiseRecord) -> None:
        """A promise that we listen to has settled."""
        news = self._awaited.get(promise.id)
        if news is not None and not news.done():
            news.set_result(promise)

    def on_reconnect(self) -> None:
        """News may have been lost: whoever waits looks again soon."""


def talk(config: Config, conversation: Callable[[Client], Awaitable[T]]) -> T:
    """Have a conversation with the server, on an event loop of its own.

    Raises:
        CommandError: RabbitMQ cannot be reached, or no server answers there; nothing but the
            hello was sent.
    """
    log_nothing()
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Impatient())
        return runner.run(_talk(config, conversation))


async def _talk(config: Config, conversation: Callable[[Client], Awaitable[T]]) -> T:
    until_s = asyncio.get_running_loop().time() + WELCOME_S
    has_exchange = await _reach(config, until_s)
    async with _connected(config) as (client, transport):
        await _greet(config, transport, until_s, has_exchange=has_exchange)
        return await conversation(client)


async def _reach(config: Config, until_s: float) -> bool:
    """See whether the broker lets us in, and whether a server has ever run there.

    The transport would go on trying whatever the reason is. A wrong password needs no 5 s.
    """
    from resonate_sdk.amqp.session import SessionLostError, open_session

    name = f"{GROUP}/{config.namespace}"
    try:
        # The outer limit cuts short what the inner one has begun: closing the connections.
        async with asyncio.timeout_at(until_s + FAREWELL_S), asyncio.timeout_at(until_s):
            async with open_session(config.url, name=name, heartbeat_s=HEARTBEAT_S) as session:
                return await session.has_exchange(Names(config.namespace).submit)
    except TimeoutError:
        raise _unreachable(config, "it does not answer") from None
    except SessionLostError as error:
        raise _unreachable(config, _in_words(str(error))) from None


async def _greet(
    config: Config, transport: Transport, until_s: float, *, has_exchange: bool
) -> None:
    """Say hello. Before a server answers, the transport sends nothing else."""
    hello = Hello(pid=secrets.token_hex(8), sdk=SDK_NAME)
    timeout_s = max(0.0, until_s - asyncio.get_running_loop().time())
    try:
        answer = await transport.request(hello, timeout_s=timeout_s)
    except TransportError:
        found = "no server answers" if has_exchange else "no server has ever run"
        raise CommandError(
            f"RabbitMQ at {shown_url(config.url)} is there, but {found} in namespace "
            f"{config.namespace!r}: start one with `resonate serve`; nothing was asked of it",
            ExitCode.UNREACHABLE,
        ) from None
    if not answer.is_ok:
        raise refusal(answer)


@asynccontextmanager
async def _connected(config: Config) -> AsyncGenerator[tuple[Client, Transport]]:
    from resonate_sdk.amqp.transport import AmqpTransport

    pid = secrets.token_hex(16)
    transport = AmqpTransport(config.url, config.namespace, GROUP, pid)
    client = Client(transport, str(Address("uni", GROUP, pid)))
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(transport.run(client))
            try:
                yield client, transport
            finally:
                await transport.stop()
                await _end(running)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # ours: who runs the transport fails with it alone


async def _end(running: asyncio.Task[None]) -> None:
    """Wait a moment for an orderly farewell, then cut it short, step by step."""
    await asyncio.wait((running,), timeout=FAREWELL_S)
    for _ in range(FAREWELL_CANCELS_MAX):
        if running.done():
            return
        running.cancel()
        await asyncio.wait((running,), timeout=FAREWELL_S / FAREWELL_CANCELS_MAX)


def _unreachable(config: Config, reason: str) -> CommandError:
    return CommandError(
        f"cannot reach RabbitMQ at {shown_url(config.url)} (namespace {config.namespace!r}): "
        f"{reason}",
        ExitCode.UNREACHABLE,
    )


def _in_words(reason: str) -> str:
    """Say what a reason of the libraries means, or repeat it where that is not known."""
    for pattern, meaning in _REASONS:
        if re.search(pattern, reason):
            return meaning
    return reason.partition(": ")[2] or reason


class _Impatient(ThreadPoolExecutor):
    """Threads that nobody waits for: the name of a host can take a minute to look up."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a function on a thread that the end of the process does not wait for."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the caller's
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, daemon=True).start()
        return future
