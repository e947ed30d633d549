"""How a command talks to a server: hello first, an end to every wait, trouble in words.

The client libraries are loaded when they are needed: help and completion must not wait for them.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.logs import log_nothing
from resonate_broker.cli.loops import run_impatiently
from resonate_broker.cli.reasons import CONNECTING, rabbitmq_failure
from resonate_broker.cli.settings import shown_url
from resonate_broker.config import Config
from resonate_sdk.ask import ask, refusal
from resonate_sdk.errors import OverloadedError, TransportError
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.addresses import Address
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord, TaskState
from resonate_sdk.protocol.requests import (
    Hello,
    PromiseGet,
    PromiseRegisterListener,
    PromiseSearch,
    Request,
    TaskSearch,
)
from resonate_sdk.protocol.responses import Answer, PromiseData, PromisePage, TaskPage
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
PAGES_MAX = 500  # of a search; a page may be empty although others follow

T = TypeVar("T")


class NobodyAnswersError(CommandError):
    """RabbitMQ can be reached, but no server takes requests there."""


class Client:
    """A conversation with the server of a namespace."""

    def __init__(self, transport: Transport, pid: str) -> None:
        """Talk through a transport that runs, under the name of a process."""
        self._transport = transport
        self._pid = pid
        self._address = str(Address("uni", GROUP, pid))
        self._awaited: dict[str, asyncio.Future[PromiseRecord]] = {}

    async def hello(self, timeout_s: float) -> None:
        """Find out whether a server is there. Before, the transport sends nothing else.

        Raises:
            StoreError: it takes no requests just now.
            TransportError: none answered in time.
        """
        hello = Hello(pid=self._pid, sdk=SDK_NAME)
        answer = await self._transport.request(hello, timeout_s=timeout_s)
        if not answer.is_ok:
            raise refusal(answer)

    async def ask(self, request: Request, *, origin: str | None = None) -> Answer:
        """Send a request and wait for the answer, which may be a refusal.

        Raises:
            TransportError: none came in time.
        """
        return await ask(self._transport, request, origin=origin, timeout_s=ANSWER_S)

    async def ask_for(self, data: type[T], request: Request, *, origin: str | None = None) -> T:
        """Send a request, and return what it is answered with if all is well.

        Args:
            data: what that is.
            request: what is asked for.
            origin: as of `ask`.

        Raises:
            StoreError: it was refused.
            TransportError: no answer came in time.
        """
        answer = await self.ask(request, origin=origin)
        if not isinstance(answer.data, data):
            raise refusal(answer)
        return answer.data

    async def promise(self, request: Request, *, origin: str | None = None) -> PromiseRecord:
        """Send a request that is answered with a promise.

        Raises:
            StoreError: it was refused.
            TransportError: no answer came in time.
        """
        return (await self.ask_for(PromiseData, request, origin=origin)).promise

    async def search(
        self, tags: Mapping[str, str], origin: str
    ) -> tuple[Sequence[PromiseRecord], bool]:
        """Find promises with these tags; the bool tells whether these are all.

        Raises:
            StoreError: it was refused.
            TransportError: no answer came in time.
        """
        found: list[PromiseRecord] = []
        cursor = None
        for _ in range(PAGES_MAX):
            request = PromiseSearch(tags=tags, cursor=cursor)
            page = await self.ask_for(PromisePage, request, origin=origin)
            found += page.promises
            cursor = page.cursor
            if cursor is None:
                return found, True
        return found, False

    async def tasks(self, state: TaskState, count_max: int) -> tuple[list[TaskRecord], bool]:
        """Find tasks in a state, with details; the bool tells whether these are all.

        Raises:
            StoreError: it was refused.
            TransportError: no answer came in time.
        """
        found: list[TaskRecord] = []
        cursor = None
        for _ in range(PAGES_MAX):
            limit = min(limits.SEARCH_PAGE_MAX, count_max - len(found))
            request = TaskSearch(state=state, details=True, limit=limit, cursor=cursor)
            page = await self.ask_for(TaskPage, request)
            found += page.tasks
            cursor = page.cursor
            if cursor is None or len(found) >= count_max:
                break
        return found, cursor is None

    async def settled(self, id: str) -> PromiseRecord:
        """Wait until a promise is settled, also through a restart of the server or the broker.

        Raises:
            StoreError: it was refused.
            TransportError, OverloadedError: there was no contact for a minute.
        """
        loop = asyncio.get_running_loop()
        heard_at_s = loop.time()
        while True:
            news = self._awaited.setdefault(id, loop.create_future())
            try:
                record = await self._look(id)
                heard_at_s = loop.time()
            except (TransportError, OverloadedError):
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

    def on_broken(self, error: Exception) -> None:
        """A server that is reached through RabbitMQ can be started again."""


def talk(
    config: Config,
    conversation: Callable[[Client], Awaitable[T]],
    *,
    patience_s: float = WELCOME_S,
) -> T:
    """Have a conversation with the server, on an event loop of its own.

    Args:
        config: says where it is.
        conversation: what is said once a server has answered.
        patience_s: from the start to the first word of a server.

    Raises:
        CommandError: RabbitMQ cannot be reached, or no server answers there; nothing but the
            hello was sent.
    """
    log_nothing()
    return run_impatiently(_talk(config, conversation, patience_s))


async def _talk(
    config: Config, conversation: Callable[[Client], Awaitable[T]], patience_s: float
) -> T:
    until_s = asyncio.get_running_loop().time() + patience_s
    has_exchange = await _reach(config, until_s)
    async with _connected(config) as client:
        try:
            await client.hello(max(0.0, until_s - asyncio.get_running_loop().time()))
        except TransportError:
            raise _nobody(config, has_exchange=has_exchange) from None
        return await conversation(client)


async def _reach(config: Config, until_s: float) -> bool:
    """See whether the broker lets us in, and whether a server has ever run there.

    The transport would go on trying whatever the reason is. A wrong password needs no 5 s.
    """
    from resonate_sdk.amqp.session import SessionLostError, open_session

    name = f"{GROUP}/{config.namespace}"
    try:
        # The outer limit cuts short what the inner one has begun: closing the connections.
        async with (
            asyncio.timeout_at(until_s + FAREWELL_S),
            asyncio.timeout_at(until_s),
            open_session(config.url, name=name, heartbeat_s=HEARTBEAT_S) as session,
        ):
            return await session.has_exchange(Names(config.namespace).submit)
    except TimeoutError:
        reason = f"{CONNECTING}it: no answer in time"
        raise rabbitmq_failure(config, reason) from None
    except SessionLostError as error:
        raise rabbitmq_failure(config, str(error)) from None


def _nobody(config: Config, *, has_exchange: bool) -> NobodyAnswersError:
    found = "no server answers" if has_exchange else "no server has ever run"
    return NobodyAnswersError(
        f"RabbitMQ at {shown_url(config.url)} is there, but {found} in namespace "
        f"{config.namespace!r}: start one with `resonate serve` (no request was sent)",
        ExitCode.UNREACHABLE,
    )


@asynccontextmanager
async def _connected(config: Config) -> AsyncGenerator[Client]:
    from resonate_sdk.amqp.transport import AmqpTransport

    pid = secrets.token_hex(16)
    transport = AmqpTransport(config.url, config.namespace, GROUP, pid)
    client = Client(transport, pid)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(transport.run(client))
            try:
                yield client
            finally:
                await transport.stop()
                await _end(running)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    """The error itself, out of the groups around it; the others say nothing more."""
    grouped: Sequence[BaseException] = getattr(error, "exceptions", ())
    return _first(grouped[0]) if grouped else error


async def _end(running: asyncio.Task[None]) -> None:
    """Wait a moment for an orderly farewell, then cut it short, step by step."""
    await asyncio.wait((running,), timeout=FAREWELL_S)
    for _ in range(FAREWELL_CANCELS_MAX):
        if running.done():
            return
        running.cancel()
        await asyncio.wait((running,), timeout=FAREWELL_S / FAREWELL_CANCELS_MAX)
