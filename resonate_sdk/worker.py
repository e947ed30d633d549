"""Runs executions: from a hint, or a call in this process, to the end of a pass."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from resonate_sdk.call_envelope import decode_call
from resonate_sdk.errors import DecodeError, FunctionNotFoundError, ResonateError
from resonate_sdk.execution.effects import Done, Failed, Suspended
from resonate_sdk.execution.execution import Environment, Execution
from resonate_sdk.failures import encode_failure
from resonate_sdk.heartbeat import Leases
from resonate_sdk.holder import Granted, Holder, LeaseLostError
from resonate_sdk.pass_driver import PassDriver, StoppingError
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.tasks import Tasks
from resonate_sdk.transport import Slot, Transport

logger = logging.getLogger(__name__)

POISON_ATTEMPTS_MAX = 10
POISON_DELAY_S_MAX = 30.0


class Worker:
    """The executions of one process. Everything but user code runs on one event loop."""

    def __init__(
        self,
        transport: Transport,
        environment: Environment,
        leases: Leases,
        *,
        pid: str,
        lease_ms: int,
        threads: int,
        on_settled: Callable[[PromiseRecord], None],
        on_suspended: Callable[[str], None],
    ) -> None:
        """Prepare to run executions.

        Args:
            transport: the way to the server.
            environment: what the functions run in.
            leases: keeps what is acquired.
            pid: the name of this process.
            lease_ms: how long a lease lasts without a heartbeat.
            threads: how many functions may run at a time.
            on_settled: told of each promise that a pass has settled.
            on_suspended: told of each promise whose pass ended without that.
        """
        self._transport = transport
        self._environment = environment
        self._leases = leases
        self._pid = pid
        self._lease_ms = lease_ms
        self._on_settled = on_settled
        self._on_suspended = on_suspended
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resonate-worker")
        self._tasks: Tasks | None = None
        self._drivers = set[PassDriver]()
        self._poison = Counter[str]()
        self._is_stopping = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def start(self, tasks: Tasks) -> None:
        """Let somebody own the tasks of the worker."""
        self._tasks = tasks

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """Acquire a task, run it, and leave the slot."""
        self._own_tasks.spawn(self._run_hint(hint, slot))

    def run_granted(self, granted: Granted) -> None:
        """Run a task that this process has just created."""
        self._own_tasks.spawn(self._run_granted(granted))

    async def adopt(self, id: str) -> bool:
        """Run a task that this process has acquired without knowing it; False if it has not.

        Raises:
            ResonateError: no answer came.
        """
        if self._leases.holds(id):
            return False
        granted = await Holder(self._transport, id, id, self._pid).adopt()
        if granted is None:
            return False
        self.run_granted(granted)
        return True

    async def stop(self, timeout_s: float) -> None:
        """Let every pass come to its next checkpoint, and give its task back."""
        self._is_stopping = True
        for driver in self._drivers:
            driver.stop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        except TimeoutError:
            count = len(self._drivers)
            logger.warning("functions are still running at the stop executions=%d", count)
            for driver in self._drivers:
                driver.abandon(StoppingError("the worker stops"))
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def _own_tasks(self) -> Tasks:
        assert self._tasks is not None, "the worker is started before it gets work"
        return self._tasks

    async def _run_hint(self, hint: Hint, slot: Slot) -> None:
        try:
            granted = await self._acquire(hint, slot)
            if granted is not None:
                await self._run_granted(granted)
        finally:
            slot.free()

    async def _acquire(self, hint: Hint, slot: Slot) -> Granted | None:
        """Acquire the task of a hint; None if it is not for us."""
        ref, promise = hint.data.task, hint.data.promise
        origin = ref.id if promise is None else promise.tags.get(tags.ORIGIN, ref.id)
        holder = Holder(self._transport, ref.id, origin, self._pid)
        try:
            granted = await holder.acquire(ref.version, self._lease_ms)
            if granted is None and not self._leases.holds(ref.id):
                granted = await holder.adopt()
        except ResonateError as error:
            logger.info("task was not acquired task_id=%s reason=%s", ref.id, error)
            return None
        finally:
            slot.answered()
        return granted

    async def _run_granted(self, granted: Granted) -> None:
        """Run the passes of an acquired task until it is not ours any more."""
        task = granted.task
        holder = Holder.of(self._transport, granted, self._pid)
        driver = PassDriver(holder, self._own_tasks, self._threads)
        self._drivers.add(driver)
        self._is_idle.clear()
        self._leases.add(
            task.id,
            task.version,
            lambda: driver.abandon(LeaseLostError("the server says that it has run out")),
        )
        if self._is_stopping:
            driver.stop()
        try:
            await self._run_passes(granted, holder, driver)
        except LeaseLostError as error:
            logger.info(
                "lease was lost task_id=%s version=%d reason=%s", task.id, task.version, error
            )
            self._on_suspended(task.id)
        except (StoppingError, ResonateError) as error:
            logger.info("task is given back task_id=%s reason=%s", task.id, error)
            await self._release(holder)
            self._on_suspended(task.id)
        finally:
            self._leases.remove(task.id, task.version)
            self._drivers.discard(driver)
            if not self._drivers:
                self._is_idle.set()

    async def _run_passes(self, granted: Granted, holder: Holder, driver: PassDriver) -> None:
        known = {record.id: record for record in granted.preload}
        while True:
            prepared = await self._prepare(granted, known, driver)
            if isinstance(prepared, Done):
                self._on_settled(await holder.fulfill(prepared))
                return
            match await driver.drive(prepared):
                case Done() as done:
                    self._on_settled(await holder.fulfill(done))
                    return
                case Suspended(awaited=awaited):
                    news = await holder.suspend(awaited)
                    if news is None:
                        self._on_suspended(holder.id)
                        return
                    known = prepared.records() | {record.id: record for record in news}
                case Failed(cause=cause):
                    raise ResonateError(f"{type(cause).__name__}: {cause}") from cause

    async def _prepare(
        self, granted: Granted, known: dict[str, PromiseRecord], driver: PassDriver
    ) -> Execution | Done:
        """Find the function and its arguments; what cannot ever run is rejected."""
        codec = self._environment.codec
        try:
            call = decode_call(codec, granted.root.param)
            registered = self._environment.registry.by_name(call.func, call.version)
            args, kwargs = registered.callee.coerce(call.args, call.kwargs)
        except DecodeError as error:
            logger.warning("arguments do not fit task_id=%s reason=%s", granted.task.id, error)
            return Done("rejected", encode_failure(codec, error))
        except FunctionNotFoundError as error:
            return await self._unknown_function(granted.task.id, error, driver)
        self._poison.pop(granted.task.id, None)
        return Execution(
            self._environment,
            granted.root,
            known.values(),
            registered.callee,
            args,
            kwargs,
            registered.options,
            registered.version,
        )

    async def _unknown_function(
        self, id: str, error: FunctionNotFoundError, driver: PassDriver
    ) -> Done:
        """Another worker of the group may know the function: give the task back, ever later."""
        self._poison[id] += 1
        attempts = self._poison[id]
        logger.warning("cannot run task_id=%s attempt=%d reason=%s", id, attempts, error)
        if attempts >= POISON_ATTEMPTS_MAX:
            del self._poison[id]
            return Done("rejected", encode_failure(self._environment.codec, error))
        # The lease is kept meanwhile: a task that is given back is dispatched again at once.
        await driver.pause(min(2.0 ** (attempts - 1), POISON_DELAY_S_MAX))
        raise error

    async def _release(self, holder: Holder) -> None:
        try:
            await holder.release()
        except ResonateError as error:
            logger.info("task was not given back task_id=%s reason=%s", holder.id, error)
