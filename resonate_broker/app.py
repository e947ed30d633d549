"""The server: puts kernel, API and AIO together, and runs them on one event loop."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from resonate_broker.aio.aio import EventLoopAIO
from resonate_broker.aio.calls import CallSubsystem
from resonate_broker.aio.events import EventOutlet
from resonate_broker.aio.messages import MessageSubsystem
from resonate_broker.aio.store import StoreSubsystem
from resonate_broker.aio.triggers import TriggerSubsystem
from resonate_broker.api.heartbeats import HeartbeatWatch
from resonate_broker.api.history import HistoryRecorder
from resonate_broker.api.plain import PlainDoor
from resonate_broker.api.submission import SubmissionApi
from resonate_broker.api.triggers import TriggerConsumers
from resonate_broker.background import GROUPS, INBOX, TOP_UP, register_background
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.groups import GroupWatch, Limited
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.retention import Retention
from resonate_broker.background.tap import Tap
from resonate_broker.background.tick import tick
from resonate_broker.background.top_up import TopUp
from resonate_broker.background.windows import Windows
from resonate_broker.config import Config
from resonate_broker.driver import Driver
from resonate_broker.integration import register_integration
from resonate_broker.integration.tokens import Tokens
from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.system import Limits, System
from resonate_broker.link import HEARTBEAT_S, Link
from resonate_broker.observation.backlog import BacklogLook
from resonate_broker.observation.subject import Subject
from resonate_broker.operations import register_operations
from resonate_sdk.amqp.logs import silence_libraries
from resonate_sdk.amqp.outlets import Outlets
from resonate_sdk.amqp.session import SessionLostError
from resonate_sdk.collector import look_seldom
from resonate_sdk.protocol.topology import Names, Topology, events_topology
from resonate_store.postgres import PostgresStore
from resonate_store.store import StoreError

if TYPE_CHECKING:  # an extra, loaded only where it is wanted
    from resonate_broker.observation.tracing import RequestSpans

logger = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot start; the message says why, and what to do."""


class SettingError(StartError):
    """What a setting asks for cannot be had."""


class Server:
    """One server of a namespace. Any number may run beside each other."""

    def __init__(self, config: Config, store: PostgresStore, secret: str) -> None:
        """Put a server together; nothing is connected yet.

        Args:
            config: its settings.
            store: of its rows.
            secret: that the servers of the namespace share.
        """
        names = Names(config.namespace)
        self._config = config
        self._store = store
        meters = Meters()
        self._messages = MessageSubsystem(names, meters)
        tokens = Tokens(secret)
        name = f"resonate/calls/{config.namespace}/{socket.gethostname()}"
        self._outlets = Outlets(config.url, name=name, heartbeat_s=HEARTBEAT_S)
        calls = CallSubsystem(names, self._outlets, tokens)
        triggers = TriggerSubsystem(names, store.triggers, config.integration.trigger_exchanges)
        rows = StoreSubsystem(store, meters)
        self._aio = EventLoopAIO(rows, self._messages, calls, triggers)
        windows = Windows(config.kernel.dispatch_window, lambda: self._messages.is_open)
        limited = Limited()
        dispatch = Dispatch(windows, self._wake_top_up, limited)
        guard = LeaseGuard()
        events, more, dispatcher = None, Topology(), dispatch
        if config.events.enabled:
            events = EventOutlet(names, store.events, meters)
            more = events_topology(names, log_days=config.events.log_days)
            dispatcher = Tap(dispatch, events.wake)
        kernel_limits = Limits(submissions=config.kernel.submissions, batch=config.kernel.batch)
        self._recorder = _recorder(config)
        self._spans = _spans(config)
        self._system = System(
            self._aio,
            dispatcher,
            forget_listeners,
            kernel_limits,
            recorder=self._recorder,
            meters=meters,
            is_strict=config.strict,
        )
        self._top_up = TopUp(windows, dispatch, self._store_now_ms)
        register_operations(
            self._system,
            partitions=config.partitions,
            on_group=self._greet,
            tick=partial(tick, dispatch),
            is_limited=limited.has,
            on_limits=self._limits_changed,
        )
        register_integration(self._system)
        # What nobody asks for is in no history: a promise of a schedule would come from nowhere, and
        # one that retention removes would go nowhere.
        is_recorded = self._recorder is not None
        if is_recorded:
            triggers.switch_off("this server records a history, in which events have no place")
        age_s = config.retention.age_s
        retention = None
        if age_s is not None and not is_recorded:
            retention = Retention(round(age_s * 1_000), self._store_now_ms)
        register_background(
            self._system,
            dispatch,
            guard,
            self._top_up,
            groups=GroupWatch(limited, self._connected),
            fires_schedules=not is_recorded,
            drains_inbox=not is_recorded,
            retention=retention,
        )
        self._driver = Driver(self._system)
        plain = PlainDoor(names, config.integration.reply_to, tokens)
        self._api = SubmissionApi(
            self._system,
            names,
            self._driver.wake,
            admins=config.debug.admins if config.debug.enabled else (),
            is_recorded=is_recorded,
            is_strict=config.strict,
            plain=plain,
            on_answered=None if self._spans is None else self._spans.answered,
        )
        self._link = Link(
            config.url,
            names,
            partitions=config.partitions,
            prefetch=config.kernel.prefetch,
            api=self._api,
            heartbeats=HeartbeatWatch(
                names,
                guard,
                store_now_ms=self._known_now_ms,
                has_beats=lambda: self._api.has_beats,
            ),
            users=(self._api, self._messages, triggers),
            triggers=None if is_recorded else TriggerConsumers(names, triggers, self._api),
            events=events,
            more=more,
            on_connected=self._connected,
            wake=self._driver.wake,
            meters=meters,
        )
        self._subject = Subject(
            namespace=config.namespace,
            system=self._system,
            driver=self._driver,
            api=self._api,
            link=self._link,
            rows=rows,
            messages=self._messages,
            windows=windows,
            guard=guard,
            backlog=BacklogLook(store.backlog),
        )

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Serve until `stop` is set, then finish what was begun.

        Args:
            stop: ends the server.
            on_ready: called when the server can take requests for the first time.

        Raises:
            StartError: RabbitMQ cannot be reached or refuses what a server needs, or the port for
            probes is taken.
        """
        try:
            await self._run(stop, on_ready)
        finally:
            if self._recorder is not None:
                self._recorder.close()
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close)

    async def _run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        silence_libraries()
        await self._check(stop)
        if stop.is_set():
            return
        async with self._observed(), asyncio.TaskGroup() as effects:
            self._aio.start(effects, self._driver.wake)
            self._driver.start(self._api)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._link.run())
                listening = tasks.create_task(self._store.listen(self._inbox_noticed))
                tending = tasks.create_task(self._store.tend())
                kernel = tasks.create_task(self._driver.ended())
                stopping = tasks.create_task(stop.wait())
                consuming = tasks.create_task(self._link.first_consumed())
                ends = (kernel, stopping)
                await asyncio.wait((consuming, *ends), return_when=asyncio.FIRST_COMPLETED)
                if consuming.done():
                    on_ready()
                consuming.cancel()
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                await self._drain()
                kernel.cancel()  # it ends by itself, unless something never came to an end
                listening.cancel()
                tending.cancel()
                self._link.stop()

    @asynccontextmanager
    async def _observed(self) -> AsyncGenerator[None]:
        """Answer Prometheus and probes, if that is wanted."""
        address = self._config.http.address
        if address is None:
            yield
            return
        from resonate_broker.observation.server import ProbedServer
        from resonate_sdk.probes.port import ListenError, listen

        try:
            async with listen(*address, ProbedServer(self._subject)) as port:
                logger.info("probes are answered host=%s port=%d", address[0], port)
                yield
        except ListenError as error:
            raise SettingError(
                f"setting 'http.listen': {error}, choose another port or end who uses it"
            ) from error

    async def _check(self, stop: asyncio.Event) -> None:
        """Find out whether the broker can be used, unless we are told to stop meanwhile."""

        async def problem() -> SessionLostError | None:
            try:
                await self._link.check()
            except SessionLostError as error:
                return error
            return None

        async with asyncio.TaskGroup() as tasks:
            checking = tasks.create_task(problem())
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait((checking, stopping), return_when=asyncio.FIRST_COMPLETED)
            checking.cancel()
            stopping.cancel()
        if not checking.cancelled() and (error := checking.result()) is not None:
            raise StartError(str(error)) from error

    async def _drain(self) -> None:
        """Take nothing more, and finish: answers and acknowledgements go out."""
        await self._link.stop_consuming()
        self._system.shutdown()
        self._driver.wake()
        try:
            async with asyncio.timeout(self._config.shutdown.drain_s):
                await self._driver.ended()
        except TimeoutError:
            logger.warning("not everything was finished in time: the broker delivers it again")
            self._aio.cancel()
        await self._outlets.close()

    def _greet(self, group: str) -> None:
        self._top_up.greet(group)
        self._top_up_now()

    def _connected(self) -> None:
        self._top_up.look_at_all()
        self._top_up_now()

    def _top_up_now(self) -> None:
        self._system.wake(TOP_UP)
        self._driver.wake()

    def _inbox_noticed(self) -> None:
        self._system.wake(INBOX)
        self._driver.wake()

    def _limits_changed(self, group: str) -> None:
        self._system.wake(GROUPS)
        self._top_up.look_at(group)
        self._top_up_now()

    def _wake_top_up(self, at_ms: int) -> None:
        self._system.wake(TOP_UP, at_ms)

    def _store_now_ms(self) -> int:
        return self._system.store_now_ms

    def _known_now_ms(self) -> int | None:
        return self._system.known_now_ms


def _spans(config: Config) -> "RequestSpans | None":
    if not config.tracing.enabled:
        return None
    try:
        from resonate_broker.observation import tracing
    except ImportError as error:
        raise SettingError(
            "setting 'tracing.enabled' needs OpenTelemetry: pip install 'resonate-amqp[otel]' "
            f"({error})"
        ) from error
    return tracing.RequestSpans(tracing.provider())


def _recorder(config: Config) -> HistoryRecorder | None:
    if not config.record_history:
        return None
    try:
        return HistoryRecorder(Path(config.record_history))
    except OSError as error:
        raise SettingError(
            f"setting 'record_history': cannot append to {config.record_history}: {error.strerror}"
        ) from error


async def serve(config: Config, on_ready: Callable[[], None]) -> None:
    """Run a server until SIGINT or SIGTERM, in a process that does nothing else.

    Args:
        config: its settings.
        on_ready: called when it can take requests.

    Raises:
        StartError: the database or RabbitMQ cannot be reached, or the tables are not there.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        store = await PostgresStore.open(config.database_url, config.namespace)
        secret = await store.secret()
    except StoreError as error:
        raise StartError(str(error)) from error
    look_seldom()
    try:
        await Server(config, store, secret).run(stop, on_ready)
    finally:
        await store.close()
