"""The server's connection to RabbitMQ: session after session, shared by API and AIO."""

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from resonate_broker.aio.events import EventOutlet
from resonate_broker.api.heartbeats import HeartbeatWatch
from resonate_broker.api.submission import SubmissionApi
from resonate_broker.api.triggers import TriggerConsumers
from resonate_broker.kernel.meters import Meters
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.session import AMQP_ERRORS, Session, SessionLostError, open_session
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.topology import PARTITIONS_MAX, Names, Topology, server_topology

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2  # a frozen server is noticed after two or three of them
RECONNECT_S_MIN = 0.1
RECONNECT_S_MAX = 5.0
STOP_TIMEOUT_S = 5.0


class SessionUser(Protocol):
    """Who publishes, declares or answers through the session of the moment."""

    def use(self, session: Session | None) -> None:
        """Go on with another session; None if there is none."""
        ...


class Link:
    """Consumes the submission queues for as long as the server runs."""

    def __init__(
        self,
        url: str,
        names: Names,
        *,
        partitions: int,
        prefetch: int,
        api: SubmissionApi,
        heartbeats: HeartbeatWatch,
        users: Sequence[SessionUser],
        triggers: TriggerConsumers | None,
        events: EventOutlet | None,
        more: Topology,
        on_connected: Callable[[], None],
        wake: Callable[[], None],
        meters: Meters,
    ) -> None:
        """Connect a server to a broker.

        Args:
            url: of the broker.
            names: of the queues.
            partitions: how many submission queues there are.
            prefetch: how many messages of a queue may be unacknowledged.
            api: takes what arrives.
            heartbeats: looks whether they reach this server.
            users: all who need the session of the moment; the API is one of them.
            triggers: consumes their queues, if this server does.
            events: publishes them, if the tap is on.
            more: what else a server declares.
            on_connected: called when messages can be sent again.
            wake: asks for a tick of the kernel.
            meters: count the sessions.
        """
        self._url = url
        self._names = names
        self._partitions = partitions
        self._prefetch = prefetch
        self._api = api
        self._heartbeats = heartbeats
        self._users = users
        self._triggers = triggers
        self._events = events
        self._more = more
        self._on_connected = on_connected
        self._wake = wake
        self._meters = meters
        self._trouble: str | None = None
        self._consumers: list[Consumer] = []
        self._is_stopped = asyncio.Event()
        self._has_consumed = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until stopped."""
        backoff_s = RECONNECT_S_MIN
        while not self._is_stopped.is_set():
            try:
                async with self._open() as session:
                    await self._take_up(session)
                    backoff_s = RECONNECT_S_MIN
                    await self._use(session)
            except SessionLostError as error:
                self._trouble = str(error)
                self._meters.sessions_failed += 1
                logger.warning("connection to RabbitMQ lost, trying again reason=%s", error)
            finally:
                self._put_down()
            if not self._is_stopped.is_set():
                await asyncio.sleep(random.SystemRandom().uniform(0.5, 1.0) * backoff_s)
                backoff_s = min(2 * backoff_s, RECONNECT_S_MAX)

    async def check(self) -> None:
        """Find out whether the broker can be used, and make what a server needs there.

        Raises:
            SessionLostError: it cannot be reached, or refuses something.
        """
        async with self._open() as session:
            await self._declare(session)

    async def first_consumed(self) -> None:
        """Wait until all queues are consumed for the first time."""
        await self._has_consumed.wait()

    @property
    def trouble(self) -> str | None:
        """Why there is no session, as far as that is known."""
        return self._trouble

    @property
    def is_consuming(self) -> bool:
        """Whether all queues are consumed, and the broker has lately seen that, too."""
        return self._heartbeats.is_consumed

    async def stop_consuming(self) -> None:
        """Take no more requests; those that were not started go back to the broker."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                for consumer in self._consumers:
                    await consumer.stop()
                if self._triggers is not None:
                    await self._triggers.stop()
        except AMQP_ERRORS as error:
            logger.warning("consumers could not be stopped reason=%s", error)
        self._api.forget_waiting()

    def stop(self) -> None:
        """Disconnect when everything has been handed over."""
        self._is_stopped.set()

    def _open(self) -> AbstractAsyncContextManager[Session]:
        name = f"resonate/server/{self._names.namespace}/{socket.gethostname()}"
        return open_session(self._url, name=name, heartbeat_s=HEARTBEAT_S)

    async def _take_up(self, session: Session) -> None:
        await self._declare(session)
        self._let_use(session)
        queues = await self._submit_queues(session)
        for queue in (self._names.heartbeat, self._names.replies, *queues):
            await self._consume(session, queue)
        logger.info("connected to RabbitMQ namespace=%s", self._names.namespace)
        self._trouble = None
        self._meters.sessions += 1
        self._has_consumed.set()
        self._on_connected()

    async def _declare(self, session: Session) -> None:
        await session.declare(server_topology(self._names, self._partitions))
        await session.declare(self._more)

    async def _submit_queues(self, session: Session) -> Sequence[str]:
        """Those of the partitions, and of more partitions than there are now.

        Processes that were told of them go on using them for as long as they are connected.
        """
        queues = [self._names.submit_queue(number) for number in range(PARTITIONS_MAX)]
        count = self._partitions
        while count < PARTITIONS_MAX and await session.count(queues[count]) is not None:
            count += 1
        return queues[:count]

    async def _consume(self, session: Session, queue: str) -> None:
        def arrived(consumer: Consumer, delivery: Delivery) -> None:
            self._api.arrived(consumer, delivery)
            self._wake()

        consumer = await session.consume(queue, arrived, prefetch=self._prefetch)
        self._consumers.append(consumer)

    async def _use(self, session: Session) -> None:
        """Listen for heartbeats until the session is lost or the server stops."""
        async with asyncio.TaskGroup() as tasks:
            ends = [
                tasks.create_task(session.lost()),
                tasks.create_task(self._is_stopped.wait()),
            ]
            beside = [tasks.create_task(self._heartbeats.serve(session))]
            if self._triggers is not None:
                beside.append(tasks.create_task(self._triggers.serve(session)))
            if self._events is not None:
                beside.append(tasks.create_task(self._events.serve(session)))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in (*ends, *beside):
                task.cancel()
        if session.is_lost and not self._is_stopped.is_set():
            raise SessionLostError(await session.lost())

    def _put_down(self) -> None:
        self._heartbeats.end()
        self._consumers.clear()
        self._let_use(None)

    def _let_use(self, session: Session | None) -> None:
        for user in self._users:
            user.use(session)
