"""One life of the connections to the broker, from their opening to the first thing that breaks.

Nothing in it is repaired: whatever fails ends the session, and its owner opens the next one.
"""

# aiormq leaves open what its futures and queues hold.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.channel import Channel as DataChannel
from msgspec import Struct
from pamqp import commands
from yarl import URL

from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.publisher import Publisher
from resonate_sdk.amqp.reasons import in_words
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.amqp.wire import Wire, connect
from resonate_sdk.protocol.topology import Topology

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 10.0

AMQP_ERRORS = (aiormq.exceptions.AMQPError, ConnectionError, OSError, RuntimeError, TimeoutError)


UNWANTED_TYPE = "headers"  # has its bindings by headers, not by routing key
_TYPE_OF_EXCHANGE = re.compile(r"arg 'type'.*current is '([^']+)'")

OnDelivery = Callable[[Consumer, Delivery], None]


class SessionLostError(Exception):
    """The session has ended, or never began; the message says why."""


class RefusedByBrokerError(Exception):
    """The broker refuses something for good; the message says what it said."""


class QueueCount(Struct, frozen=True):
    """A queue at one moment.

    Attributes:
        ready: messages that no consumer has.
        consumers: consumers that take from it, perhaps.
    """

    ready: int
    consumers: int


class Session:
    """Two connections, since a blocked publisher must not keep us from consuming."""

    def __init__(self, consuming: AbstractConnection, publisher: Publisher, wire: Wire) -> None:
        """Made by `open_session`; the wire is that of the consuming connection."""
        self.publisher = publisher
        self._consuming = consuming
        self._wire = wire
        self._control: AbstractChannel | None = None
        self._control_lock = asyncio.Lock()
        self._consumers: list[Consumer] = []
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._limits = set[asyncio.Timeout]()  # of the calls that are under way

    def lose(self, reason: str) -> None:
        """End the session, and the calls to the broker that are under way."""
        if not self._lost.done():
            self._lost.set_result(reason)
            for limit in self._limits:
                _cut_short(limit)

    @property
    def is_lost(self) -> bool:
        """Whether the session has ended."""
        return self._lost.done()

    async def lost(self) -> str:
        """Wait until the session has ended; the reason."""
        return await asyncio.shield(self._lost)

    async def declare(self, topology: Topology) -> None:
        """Declare objects; those that exist with the same arguments stay as they are.

        Raises:
            SessionLostError: one exists with other arguments, or we may not declare it.
        """
        async with self._control_lock, self._calling("declare"):
            channel = await self._control_channel()
            for exchange in topology.exchanges:
                await channel.declare_exchange(
                    exchange.name,
                    exchange.type,
                    durable=True,
                    arguments=dict(exchange.arguments),
                )
            for queue in topology.queues:
                await channel.declare_queue(
                    queue.name,
                    durable=not queue.is_exclusive,
                    exclusive=queue.is_exclusive,
                    arguments=dict(queue.arguments),
                )
            for binding in topology.bindings:
                data = await channel.get_underlay_channel()
                await data.queue_bind(
                    binding.queue, exchange=binding.exchange, routing_key=binding.key
                )

    async def has_exchange(self, name: str) -> bool:
        """Whether an exchange exists."""
        async with self._control_lock, self._calling("look for an exchange"):
            channel = await self._control_channel()
            try:
                await channel.declare_exchange(name, passive=True)
            except aiormq.exceptions.ChannelNotFoundEntity:
                self._control = None  # the refusal has closed the channel
                return False
            return True

    async def exchange_type(self, name: str) -> str | None:
        """The type of an exchange; None if it does not exist, "" if we may not know.

        AMQP has no question for it. Declaring it with another type changes nothing, and is refused
        with the type that it has.
        """
        if not await self.has_exchange(name):
            return None
        async with self._control_lock, self._calling("look at an exchange"):
            channel = await self._control_channel()
            try:
                await channel.declare_exchange(name, UNWANTED_TYPE, durable=True)
            except aiormq.exceptions.ChannelPreconditionFailed as error:
                self._control = None  # the refusal has closed the channel
                found = _TYPE_OF_EXCHANGE.search(str(error))
                return found[1] if found else UNWANTED_TYPE
            except aiormq.exceptions.ChannelAccessRefused:
                self._control = None
                return ""
            return UNWANTED_TYPE

    async def attach(self, topology: Topology) -> None:
        """Declare queues, and bind them to exchanges of others.

        Raises:
            RefusedByBrokerError: an exchange is not there, or we may not use it.
            SessionLostError: the broker does not answer.
        """
        try:
            await self.declare(topology)
        except SessionLostError as error:
            if isinstance(error.__cause__, aiormq.exceptions.ChannelClosed):
                raise RefusedByBrokerError(describe(error.__cause__)) from error
            raise

    async def detach(self, queue: str, exchange: str, routing_key: str) -> None:
        """Undo the binding of a queue; it is harmless if there is none."""
        async with self._control_lock, self._calling(f"unbind {queue}"):
            data = await (await self._control_channel()).get_underlay_channel()
            try:
                await data.queue_unbind(queue, exchange=exchange, routing_key=routing_key)
            except aiormq.exceptions.ChannelNotFoundEntity:
                self._control = None

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue with all that waits in it; it is harmless if there is none."""
        async with self._control_lock, self._calling(f"delete {queue}"):
            data = await (await self._control_channel()).get_underlay_channel()
            # Conditions are refused for quorum queues.
            await data.queue_delete(queue, if_unused=False, if_empty=False)

    async def count(self, queue: str) -> QueueCount | None:
        """Count what waits in a queue; None if it does not exist."""
        async with self._control_lock, self._calling("count a queue"):
            data = await (await self._control_channel()).get_underlay_channel()
            try:
                found = await data.queue_declare(queue, passive=True)
            except aiormq.exceptions.ChannelNotFoundEntity:
                self._control = None
                return None
            return QueueCount(found.message_count or 0, found.consumer_count or 0)

    async def consumer(self, queue: str, on_delivery: OnDelivery) -> Consumer:
        """Prepare to take messages from a queue, on a channel of its own.

        Args:
            queue: which one.
            on_delivery: called with each message, in order; must not block. What it raises ends
                the session, and the message comes again, as often as its queue allows.
        """

        def deliver(consumer: Consumer, delivery: Delivery) -> None:
            try:
                on_delivery(consumer, delivery)
            except Exception as error:
                logger.exception("a message could not be taken queue=%s", queue)
                self.lose(f"a message of {queue} could not be taken: {describe(error)}")

        async with self._calling(f"consume {queue}"):
            channel = await data_channel(self._consuming, confirms=False)
            self.watch(channel, queue)
            consumer = Consumer(channel, self._wire, queue, deliver)
            self._consumers.append(consumer)
            return consumer

    async def consume(
        self, queue: str, on_delivery: OnDelivery, *, prefetch: int | None
    ) -> Consumer:
        """Take messages from a queue, up to `prefetch` unacknowledged; None: without any."""
        consumer = await self.consumer(queue, on_delivery)
        async with self._calling(f"consume {queue}"):
            await consumer.start(prefetch)
        return consumer

    async def stop(self, consumer: Consumer) -> None:
        """Let a consumer take no more; returns when the last message under way has arrived.

        Raises:
            SessionLostError: the broker does not answer.
        """
        async with self._calling(f"stop consuming {consumer.queue}"):
            await consumer.stop()

    def flush(self) -> None:
        """Write the acknowledgements that wait."""
        for consumer in self._consumers:
            consumer.flush()

    @asynccontextmanager
    async def _calling(self, what: str) -> AsyncGenerator[None]:
        """Bound a call to the broker, by the end of the session too; give its failures one name."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S) as limit:
                self._limits.add(limit)
                if self.is_lost:
                    _cut_short(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)
        except AMQP_ERRORS as error:
            reason = self._lost.result() if self._lost.done() else describe(error)
            raise SessionLostError(f"could not {what}: {reason}") from error

    async def _control_channel(self) -> AbstractChannel:
        if self._control is None or self._control.is_closed:
            self._control = await self._consuming.channel(publisher_confirms=False)
        return self._control

    def watch(self, channel: DataChannel, name: str) -> None:
        """A channel that closes, or loses its consumer, ends the session."""
        closing: asyncio.Future[Any] = channel.closing

        def closed(_: object) -> None:
            error = None if closing.cancelled() else closing.exception()
            self.lose(f"the channel of {name} was closed" + (f": {error}" if error else ""))

        closing.add_done_callback(closed)

        def cancelled(_: commands.Basic.Cancel) -> None:
            self.lose(f"the broker cancelled the consumer of {name}")

        channel.on_consumer_cancel_callbacks.add(cancelled)


@asynccontextmanager
async def open_session(url: str, *, name: str, heartbeat_s: int) -> AsyncGenerator[Session]:
    """Open a session; the block should end when it is lost.

    Args:
        url: of the broker.
        name: shown to operators.
        heartbeat_s: how often either side must be heard.

    Raises:
        SessionLostError: it could not be opened.
    """
    connections: list[AbstractConnection] = []
    wires: list[Wire] = []
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            for purpose in ("publish", "consume"):
                connection, wire = await connect(
                    _with_heartbeat(url, heartbeat_s), name=f"{name}/{purpose}"
                )
                connections.append(connection)
                wires.append(wire)
            publishing, consuming = connections
            channel = await data_channel(publishing, confirms=True)
            publisher = publisher_on(channel, wires[0])
    except AMQP_ERRORS as error:
        await _close(connections)
        raise SessionLostError(f"cannot connect to {shown(url)}: {describe(error)}") from error
    session = Session(consuming, publisher, wires[1])
    session.watch(channel, "publishing")
    lost: SessionLostError | None = None
    async with asyncio.TaskGroup() as tasks:
        forever = [tasks.create_task(_watch_connection(c, session)) for c in connections]
        try:
            yield session
            await _flush(session, wires)
        except SessionLostError as error:
            lost = error  # raised behind the group, which would put it into a group
        finally:
            for task in forever:
                task.cancel()
            publisher.fail(SessionLostError("the connection to the broker was lost"))
            await _close(connections)
    if lost is not None:
        raise lost


def _with_heartbeat(url: str, heartbeat_s: int) -> URL:
    target = URL(url)
    return target if "heartbeat" in target.query else target.update_query(heartbeat=heartbeat_s)


async def data_channel(connection: AbstractConnection, *, confirms: bool) -> DataChannel:
    """Open a channel whose messages are ours."""
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    data = await channel.get_underlay_channel()
    assert isinstance(data, DataChannel), "aio-pika is made of aiormq"
    return data


def publisher_on(channel: DataChannel, wire: Wire) -> Publisher:
    """Publish on a channel whose connection has this wire."""
    tune = channel.connection.connection_tune
    return Publisher(wire, channel=channel.number, frame_bytes_max=tune.frame_max)


async def _watch_connection(connection: AbstractConnection, session: Session) -> None:
    await connection.closed()
    session.lose("the connection to the broker was closed")


async def _flush(session: Session, wires: Sequence[Wire]) -> None:
    """Hand over what was written, unless the session is lost anyway."""
    try:
        session.flush()
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            for wire in wires:
                if not session.is_lost:
                    await wire.flush()
    except TimeoutError:
        logger.warning("the broker did not take everything before the connection was closed")


async def _close(connections: Sequence[AbstractConnection]) -> None:
    for connection in connections:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.close()
        except AMQP_ERRORS as error:
            logger.debug("closing a connection failed reason=%s", describe(error))


def _cut_short(limit: asyncio.Timeout) -> None:
    limit.reschedule(asyncio.get_running_loop().time())


def shown(url: str) -> str:
    """A URL without its password."""
    target = URL(url)
    return str(target.with_password("***") if target.password else target)


def describe(error: BaseException) -> str:
    """What an error of the libraries says, for people."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return in_words(str(error)) or type(error).__name__
