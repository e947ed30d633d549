"""The inside of a client: one event loop on a thread of its own, and what lives on it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from resonate_sdk.ask import ANSWER_TIMEOUT_S, ask, refusal
from resonate_sdk.client.host import START_TIMEOUT_S, Host, result_of
from resonate_sdk.client.probing import probes_of
from resonate_sdk.client.result import HostFuture, Result
from resonate_sdk.client.roots import other_call
from resonate_sdk.client.watches import Watches
from resonate_sdk.errors import ResonateError, ShutdownError
from resonate_sdk.execution.environment import Environment
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    Request,
    TaskCreate,
)
from resonate_sdk.protocol.responses import Answer, PromiseData, TaskGranted
from resonate_sdk.transport import Slot, Transport
from resonate_sdk.worker.heartbeat import Leases
from resonate_sdk.worker.holder import Granted
from resonate_sdk.worker.settings import WorkerSettings
from resonate_sdk.worker.tasks import Tasks
from resonate_sdk.worker.worker import Worker

logger = logging.getLogger(__name__)

T = TypeVar("T")

AUTOSTART_S = 0.25  # hints are taken so long after the latest registration


class Runtime:
    """What a client does beside the threads of its program."""

    def __init__(
        self,
        transport: Transport,
        environment: Environment,
        host: Host,
        settings: WorkerSettings,
        *,
        pid: str,
        address: str,
        listen: tuple[str, int] | None = None,
        labels: Mapping[str, str],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        serves: bool = False,
    ) -> None:
        """Prepare everything; nothing runs before it is needed.

        Args:
            transport: the way to the server.
            environment: what durable functions run in.
            host: runs the loop.
            settings: what the program says of how executions are run.
            pid: the name of this process.
            address: where news for this process go.
            listen: host and port for Prometheus and probes, once hints are taken.
            labels: what tells this process from others there.
            answer_timeout_s: how long a request of the program waits for its answer.
            serves: whether hints are taken soon after the start, unasked.
        """
        self._transport = transport
        self.host = host
        self.pid = pid
        self.address = address
        self._serves = serves
        self._settings = settings
        self._answer_timeout_s = answer_timeout_s
        self._watches = Watches(transport, environment.codec, address)
        self._leases = Leases(transport, pid, settings.lease_ms)
        self._probes = probes_of(
            listen, labels, environment.hooks, transport, lambda: self._leases.count
        )
        self._forever: list[asyncio.Task[None]] = []
        self._coroutines = host.coroutines()
        self._worker = Worker(
            transport,
            environment,
            self._leases,
            settings,
            pid=pid,
            threads=host.threads(settings.threads),
            coroutines=self._coroutines,
            replays_always=host.replays_always,
            on_settled=self._watches.settle,
            on_suspended=self._keep_watching,
        )
        self._creating = set[str]()
        self._lock = threading.Lock()
        self._is_started = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: Tasks | None = None
        self._stop_requested: asyncio.Event | None = None
        self._is_stopped = False
        self._subscribing: asyncio.TimerHandle | None = None
        self._is_subscribed = False
        self._is_stopping = False

    def start(self) -> None:
        """Start the loop, if it does not run."""
        self._coroutines.adopt_running_loop()
        with self._lock:
            if self._is_stopped:
                raise ShutdownError("this client was stopped: make a new one")
            if not self._is_started:
                self.host.run(self._main)
                self._is_started = True
                if self._serves:
                    self.loop.call_soon_threadsafe(self._subscribe_later, AUTOSTART_S)

    def subscribe(self, delay_s: float = 0.0) -> None:
        """Take hints after a delay; a later call replaces an earlier one that is still waiting."""
        self.start()
        self.loop.call_soon_threadsafe(self._subscribe_later, delay_s)

    def stop(self, timeout_s: float) -> None:
        """Stop taking hints, give tasks back, fail what still waits, and end the loop."""
        with self._lock:
            self._is_stopped = True
            is_started, self._is_started = self._is_started, False
        if not is_started:
            return
        shutting_down = self._run_on_loop(self._shut_down(timeout_s))
        result_of(self.host, shutting_down, timeout_s + START_TIMEOUT_S)
        self.host.join(timeout_s + START_TIMEOUT_S)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of a runtime that was started."""
        assert self._loop is not None, "the runtime was started"
        return self._loop

    def call(self, request: Request) -> Answer:
        """Send a request from any thread, and wait for the answer.

        Raises:
            TimeoutError: it did not come in time.
        """
        self.start()
        timeout_s = self._answer_timeout_s
        asking = self._run_on_loop(ask(self._transport, request, timeout_s=timeout_s))
        answer = result_of(self.host, asking, timeout_s + ANSWER_TIMEOUT_S)  # it may be repeated
        if isinstance(request, PromiseSettle) and isinstance(answer.data, PromiseData):
            self.loop.call_soon_threadsafe(self._settled, answer.data.promise)
        return answer

    def promised(self, decode: Callable[[Value], Any]) -> tuple[Result, HostFuture]:
        """What a handle waits for: the result of a promise, and that it exists.

        Args:
            decode: makes the value of what is stored.
        """
        return Result(self.host, decode), HostFuture(self.host)

    @property
    def is_stopped(self) -> bool:
        """Whether it was."""
        return self._is_stopped

    @property
    def serves(self) -> bool:
        """Whether hints are taken, or will be."""
        return self._serves or self._is_subscribed or self._subscribing is not None

    @property
    def is_busy(self) -> bool:
        """Whether an execution is under way here."""
        return bool(self._creating) or self._leases.are_held

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for a promise."""
        return bool(self._watches)

    def watch(self, id: str, result: Result) -> None:
        """Complete a result when a promise that exists settles."""
        self.start()
        self.loop.call_soon_threadsafe(self._watch, id, result)

    def create(
        self,
        request: PromiseCreate,
        *,
        here: bool,
        result: Result,
        created: "Future[None]",
    ) -> None:
        """Create a promise and wait for it.

        Args:
            request: the promise, with a target.
            here: whether it is run in this process, if nobody runs it.
            result: gets its value.
            created: is completed when it exists.
        """
        self.start()
        self.loop.call_soon_threadsafe(self._create, request, here, result, created)

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """A task may be acquired, and there is room for it."""
        self._worker.on_hint(hint, slot)

    def on_notify(self, promise: PromiseRecord) -> None:
        """A promise that this process listens to has settled."""
        self._watches.settle(promise)

    def on_reconnect(self) -> None:
        """News may have been lost."""
        self._spawn(self._watches.look_at_all())

    def on_broken(self, error: Exception) -> None:
        """Nothing that is waited for will come."""
        self._watches.fail_all(error)

    async def _main(self, started: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stop_requested = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            self._tasks = Tasks(group)
            self._worker.start(Tasks(group))
            self._spawn(self._transport.run(self))
            self._forever = [
                self._spawn(self._leases.keep_beating()),
                self._spawn(self._watches.keep_looking()),
            ]
            started.set_result(None)
            await self._stop_requested.wait()
            for task in self._forever:
                task.cancel()

    async def _shut_down(self, timeout_s: float) -> None:
        self._is_stopping = True
        if self._subscribing is not None:
            self._subscribing.cancel()
        if self._probes is not None:
            self._probes.stops()
        if self._is_subscribed:
            await self._transport.unsubscribe()
        await self._worker.stop(timeout_s)
        self._coroutines.stop()
        self._watches.fail_all(ShutdownError("the client was stopped, the execution goes on"))
        await self._transport.stop()
        assert self._stop_requested is not None, "the loop runs"
        self._stop_requested.set()

    def _subscribe_later(self, delay_s: float) -> None:
        if self._is_subscribed or self._is_stopping:  # a start may come while it stops
            return
        if self._subscribing is not None:
            self._subscribing.cancel()
        self._subscribing = self.loop.call_later(delay_s, self._subscribe)

    def _subscribe(self) -> None:
        self._is_subscribed = True
        self._spawn(self._transport.subscribe(self._settings.slots))
        if self._probes is not None:
            self._forever.append(self._spawn(self._probes.serve()))

    def _watch(self, id: str, result: Result) -> None:
        self._watches.add(id, result)
        self._spawn(self._watches.look(id))

    def _create(
        self,
        request: PromiseCreate,
        here: bool,
        result: Result,
        created: "Future[None]",
    ) -> None:
        is_running = here and self._is_here(request.id)
        self._watches.add(request.id, result)
        if is_running:
            self._spawn(self._attach(request, result, created))
        elif here:
            self._creating.add(request.id)
            self._spawn(self._create_here(request, result, created))
        else:
            self._spawn(self._create_there(request, result, created))

    async def _attach(
        self, request: PromiseCreate, result: Result, created: "Future[None]"
    ) -> None:
        """Somebody runs the execution already, or it sleeps."""
        try:
            answer = await ask(self._transport, PromiseGet(id=request.id))
        except ResonateError as error:
            self._could_not_create(request.id, created, error)
            return
        if isinstance(answer.data, PromiseData):
            self._compare(request, answer.data.promise, result, created)
        _set(created)
        await self._watches.look(request.id)

    def _is_here(self, id: str) -> bool:
        """Whether this process runs an execution, or is about to."""
        return id in self._creating or self._leases.holds(id)

    async def _create_here(
        self, request: PromiseCreate, result: Result, created: "Future[None]"
    ) -> None:
        try:
            await self._create_or_adopt(request, result, created)
        finally:
            self._creating.discard(request.id)

    async def _create_or_adopt(
        self, request: PromiseCreate, result: Result, created: "Future[None]"
    ) -> None:
        task = TaskCreate(
            pid=self.pid, lease_ms=self._settings.lease_ms, action=CreateAction(data=request)
        )
        try:
            answer = await ask(self._transport, task, timeout_s=self._answer_timeout_s)
            if answer.status not in (responses.OK, responses.CONFLICT):
                raise refusal(answer)
            if answer.status == responses.CONFLICT and await self._worker.adopt(request.id):
                _set(created)
                return
        except ResonateError as error:
            self._could_not_create(request.id, created, error)
            return
        if not isinstance(answer.data, TaskGranted):
            await self._attach(request, result, created)
            return
        self._compare(request, answer.data.promise, result, created)
        _set(created)
        if answer.data.task.state == "acquired":
            self._worker.run_granted(Granted.by(answer.data))
        else:
            self._watches.settle(answer.data.promise)

    async def _create_there(
        self, request: PromiseCreate, result: Result, created: "Future[None]"
    ) -> None:
        try:
            answer = await ask(self._transport, request, timeout_s=self._answer_timeout_s)
            if not isinstance(answer.data, PromiseData):
                raise refusal(answer)
        except ResonateError as error:
            self._could_not_create(request.id, created, error)
            return
        self._compare(request, answer.data.promise, result, created)
        _set(created)
        self._watches.settle(answer.data.promise)

    def _compare(
        self, request: PromiseCreate, record: PromiseRecord, result: Result, created: "Future[None]"
    ) -> None:
        """An id that exists is not run again; but it must be meant."""
        error = other_call(request, record)
        if error is not None:
            created.set_exception(error)
            self._watches.fail_one(request.id, result, error)

    def _could_not_create(self, id: str, created: "Future[None]", error: Exception) -> None:
        if not created.done():
            created.set_exception(error)
        self._watches.fail(id, error)

    def _settled(self, record: PromiseRecord) -> None:
        """The program has settled a promise: who waits for it or runs it here hears so at once."""
        self._watches.settle(record)
        self._leases.settled(record.id)

    def _keep_watching(self, id: str) -> None:
        """A pass has ended without a result: the result will come as news."""
        if self._watches.is_watched(id):
            self._spawn(self._watches.look(id))

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        assert self._tasks is not None, "the loop runs"
        return self._tasks.spawn(coroutine)

    def _run_on_loop(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)


def _set(created: "Future[None]") -> None:
    if not created.done():
        created.set_result(None)
