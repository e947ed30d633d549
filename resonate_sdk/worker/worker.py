"""Runs executions: from a hint, or a call in this process, to the end of a pass."""

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial

from resonate_sdk.encoding.failures import encode_failure
from resonate_sdk.errors import (
    DecodeError,
    FunctionNotFoundError,
    NondeterminismError,
    ResonateError,
)
from resonate_sdk.execution.effects import Done, Failed, Setback, Suspended
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.execution import Execution
from resonate_sdk.functions.call_envelope import CallEnvelope, decode_call
from resonate_sdk.functions.registry import Registered
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord, TaskRef
from resonate_sdk.protocol.responses import Redirected
from resonate_sdk.transport import (
    Arrival,
    ImmediateTransport,
    ReportingTransport,
    Slot,
    Transport,
)
from resonate_sdk.worker.coroutine_loop import CoroutineLoop
from resonate_sdk.worker.early_pass import Departure, EarlyPass, MustWaitError
from resonate_sdk.worker.giving_back import GivingBack
from resonate_sdk.worker.heartbeat import Leases
from resonate_sdk.worker.holder import Granted, Holder, LeaseLostError, ignore
from resonate_sdk.worker.kept_passes import KeptPass, KeptPasses
from resonate_sdk.worker.overlap import StartedTasks, may_overlap
from resonate_sdk.worker.pace import Pace
from resonate_sdk.worker.pass_driver import PassDriver, StoppingError
from resonate_sdk.worker.reports import Reports
from resonate_sdk.worker.settings import WorkerSettings
from resonate_sdk.worker.tasks import Tasks
from resonate_sdk.worker.threads import Threads

logger = logging.getLogger(__name__)

GIVE_BACK_S = 1.0  # for the tasks whose functions have not ended at a stop
HINTS_MAX = 256  # with more than this under way, slots are kept to the end


class Worker:
    """The executions of one process. Everything but user code runs on one event loop."""

    def __init__(
        self,
        transport: Transport,
        environment: Environment,
        leases: Leases,
        settings: WorkerSettings,
        *,
        pid: str,
        threads: Threads,
        coroutines: CoroutineLoop,
        replays_always: bool = False,
        on_settled: Callable[[PromiseRecord], None],
        on_suspended: Callable[[str], None],
    ) -> None:
        """Prepare to run executions.

        Args:
            transport: the way to the server.
            environment: what the functions run in.
            leases: keeps what is acquired.
            settings: what the program says of it.
            pid: the name of this process.
            threads: run code of the user's.
            coroutines: run coroutines.
            replays_always: whether to begin each pass anew after everything that it has written.
            on_settled: told of each promise that a pass has settled.
            on_suspended: told of each promise whose pass ended without that.
        """
        self._transport = transport
        self._environment = environment
        self._leases = leases
        self._pid = pid
        self._settings = settings
        self._on_settled = on_settled
        self._on_suspended = on_suspended
        self._threads = threads
        self._coroutines = coroutines
        self._replays_always = replays_always
        self._keeps = settings.cache_size > 0
        self._kept = KeptPasses(settings.cache_size, on_dropped=self._close_kept)
        self._reporting = transport if isinstance(transport, ReportingTransport) else None
        self._at_once = (
            transport.answer_at_once if isinstance(transport, ImmediateTransport) else None
        )
        self._overlap = settings.overlap and self._at_once is None
        self._tasks: Tasks | None = None
        self._drivers = set[PassDriver]()
        self._started = StartedTasks()
        self._departure: Departure | None = None
        self._giving_back = GivingBack(
            environment,
            threads,
            self._reports,
            poison_attempts=settings.poison_attempts,
            on_suspended=on_suspended,
        )
        self._hints = 0
        self._under_way = 0  # hints and executions that the stop waits for
        self._is_stopping = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def start(self, tasks: Tasks) -> None:
        """Let somebody own the tasks of the worker."""
        self._tasks = tasks

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """Acquire a task, run it, and leave the slot."""
        self._own_tasks.spawn(self._run_hint(hint, _Place(slot)))

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
        self._kept.clear()
        if not await self._is_idle_within(timeout_s):
            count = len(self._drivers)
            logger.warning("functions are still running at the stop executions=%d", count)
            for driver in self._drivers:
                driver.abandon(StoppingError("the worker stops"))
            await self._is_idle_within(GIVE_BACK_S)
        self._threads.shutdown()
        self._own_tasks.cancel_all()

    async def _is_idle_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

    @property
    def _own_tasks(self) -> Tasks:
        assert self._tasks is not None, "the worker is started before it gets work"
        return self._tasks

    async def _run_hint(self, hint: Hint, slot: "_Place") -> None:
        self._hints += 1
        self._begins()
        try:
            ref, promise = hint.data.task, hint.data.promise
            origin = ref.id if promise is None else promise.tags.get(tags.ORIGIN, ref.id)
            holder = Holder(self._transport, ref.id, origin, self._pid)
            if self._started.add(ref) and self._may_overlap(hint, slot):
                await self._run_early(hint, slot, holder)
            else:
                granted = await self._acquire(ref, slot, holder)
                if granted is not None:
                    await self._run_granted(granted, partial(self._leave, slot))
        finally:
            self._ends()
            self._hints -= 1
            slot.free()

    def _may_overlap(self, hint: Hint, slot: "_Place") -> bool:
        return self._overlap and not self._is_stopping and may_overlap(hint, slot.arrival)

    async def _run_early(self, hint: Hint, slot: "_Place", holder: Holder) -> None:
        """Begin the first pass of a fresh execution, and acquire its task meanwhile."""
        ref, promise = hint.data.task, hint.data.promise
        assert promise is not None, "a pass can begin only with its promise"
        assumed = Granted(
            task=TaskRef(id=ref.id, version=ref.version + 1),
            root=promise,
            preload=(),
            is_complete=True,
        )
        driver = self._driver(holder)
        if self._departure is None or self._departure.has_left.is_set():
            self._departure = Departure()
        early = EarlyPass(assumed, holder, driver, self._departure)
        self._drivers.add(driver)
        self._own_tasks.spawn(early.run(partial(self._prepare, assumed, {}, is_early=True)))
        try:
            granted = await self._acquire(ref, slot, holder, early)
            if granted is not None:
                await self._run_granted(granted, partial(self._leave, slot), early)
        finally:
            await early.end()
            if not early.is_taken:
                await driver.close()
                driver.take_apart()
                self._drivers.discard(driver)

    def _driver(self, holder: Holder) -> PassDriver:
        reports = self._reports(holder)

        def set_back(setback: Setback, delay_s: float) -> None:
            reports.tell(setback.error, setback.attempts, delay_s, setback.id)

        return PassDriver(
            holder,
            self._own_tasks,
            self._threads,
            self._coroutines,
            self._at_once,
            replays_always=self._replays_always,
            on_setback=set_back,
            keeps=self._keeps,
        )

    def _reports(self, holder: Holder) -> Reports:
        return Reports(self._reporting, holder, self._environment.codec)

    async def _acquire(
        self, ref: TaskRef, slot: "_Place", holder: Holder, early: EarlyPass | None = None
    ) -> Granted | None:
        """Acquire the task of a hint; None if it is not for us."""
        try:
            done = None if early is None else await early.hold_back()
            if done is not None:
                self._leave(slot)
            preload = not self._kept.knows_enough(ref.id, ref.version)
            granted = await holder.acquire(
                ref.version, self._settings.lease_ms, done, preload=preload
            )
            if granted is None and early is not None:
                early.give_up()
            if granted is None and not self._leases.holds(ref.id):
                granted = await holder.adopt(ref.version + 1)
        except ResonateError as error:
            logger.info("task was not acquired task_id=%s reason=%s", ref.id, error)
            return None
        finally:
            slot.answered()
        return granted

    def _leave(self, slot: "_Place") -> None:
        """Let others come: of this one nothing is left to run, and only its result is on its way."""
        if self._hints <= HINTS_MAX:
            slot.answered()
            slot.free()

    async def _run_granted(
        self,
        granted: Granted,
        on_done: Callable[[], None] = ignore,
        early: EarlyPass | None = None,
    ) -> None:
        """Run the passes of an acquired task until it is not ours any more.

        Args:
            granted: the task.
            on_done: called when its function has ended, and its result is going to be told.
            early: its first pass, if that has begun.
        """
        task = granted.task
        if self._leases.holds_at(task.id, task.version):
            return  # the same grant, told twice
        if granted.root.state != "pending":
            self._kept.drop(task.id)
            self._on_settled(granted.root)  # and the server has ended its task
            return
        if early is not None and self._is_stopping and not early.has_fulfilled:
            early.give_up()  # the rest of it would be begun only now
        kept = self._kept.take(task.id, task.version)
        if kept is not None:
            holder, driver = kept.holder, kept.driver
            holder.grant(task.version)
        elif early is not None and early.take(granted):
            holder, driver = early.holder, early.driver
        else:
            holder = Holder.of(self._transport, granted, self._pid)
            driver = self._driver(holder)
        self._drivers.add(driver)
        self._leases.add(
            task.id,
            task.version,
            lambda: driver.abandon(LeaseLostError("the server says that it has run out")),
        )
        if self._is_stopping:
            driver.stop()
        self._begins()
        try:
            passes = partial(self._run_passes, granted, holder, driver, on_done, early)
            await self._giving_back.run(holder, driver, passes)
            self._keep(holder, driver)
        finally:
            self._ends()
            self._leases.remove(task.id, task.version)
            self._drivers.discard(driver)

    async def _run_passes(
        self,
        granted: Granted,
        holder: Holder,
        driver: PassDriver,
        on_done: Callable[[], None],
        early: EarlyPass | None,
    ) -> None:
        news = (*granted.preload, *await holder.rest(granted, driver.check_or_stop))
        known = {record.id: record for record in news}
        outcome = None if early is None else await early.outcome()
        pace, loop = Pace(), asyncio.get_running_loop()
        told_until_ms = max((record.settled_at_ms or 0 for record in granted.preload), default=0)
        while True:
            began_at_s = loop.time()
            outcome = outcome or await driver.go_on(news)
            if outcome is None:
                outcome = await driver.drive(partial(self._prepare, granted, known))
            match outcome:
                case Done() as done:
                    on_done()
                    self._on_settled(await holder.fulfill(done))
                    return
                case Suspended(awaited=awaited, is_more_begun=is_more_begun):
                    rest_s = pace.rest_s() if is_more_begun else 0.0
                    if rest_s:
                        await driver.rest(rest_s)
                    redirected = await holder.suspend(
                        awaited, settled_since_ms=told_until_ms if is_more_begun else None
                    )
                    if redirected is None:
                        self._on_suspended(holder.id)
                        return
                    pace.redirected(loop.time() - began_at_s - rest_s)
                    if is_more_begun:
                        told_until_ms = _told_until_ms(told_until_ms, redirected, awaited)
                    news = redirected.preload
                    known = driver.records() | {record.id: record for record in news}
                    outcome = None
                case Failed(cause=NondeterminismError() as cause):
                    if self._environment.on_nondeterminism == "halt":
                        raise cause
                    rejection = encode_failure(self._environment.codec, cause)
                    self._on_settled(await holder.fulfill(Done("rejected", rejection)))
                    return
                case Failed(cause=cause):
                    raise ResonateError(f"{type(cause).__name__}: {cause}") from cause

    def _keep(self, holder: Holder, driver: PassDriver) -> None:
        """Let a pass that was suspended sleep in memory until its task is ours again."""
        if driver.is_asleep:
            kept = KeptPass(
                holder=holder,
                driver=driver,
                promises=driver.promises,
                runs_children=driver.runs_children,
            )
            self._kept.add(kept)
        else:
            driver.take_apart()
        if self._is_stopping:
            self._kept.clear()

    def _close_kept(self, kept: KeptPass) -> None:
        self._begins()
        self._own_tasks.spawn(self._close(kept.driver))

    async def _close(self, driver: PassDriver) -> None:
        try:
            await driver.close()
            driver.take_apart()
        finally:
            self._ends()

    def _prepare(
        self, granted: Granted, known: dict[str, PromiseRecord], *, is_early: bool = False
    ) -> Execution | Done:
        """Find the function and its arguments; what cannot ever run is rejected.

        Raises:
            FunctionNotFoundError: another worker of the group may know the function.
            MustWaitError: the function does not run before its task is acquired.
        """
        codec = self._environment.codec
        try:
            call = decode_call(codec, granted.root.param)
            registered = self._registered(call)
            if is_early and not registered.overlap:
                raise MustWaitError(f"{registered.name} was registered with overlap=False")
            args, kwargs = registered.callee.coerce(codec, call.args, call.kwargs)
        except DecodeError as error:
            logger.warning("arguments do not fit task_id=%s reason=%s", granted.task.id, error)
            return Done("rejected", encode_failure(codec, error))
        return Execution(
            self._environment,
            granted.root,
            known.values(),
            registered.callee,
            args,
            kwargs,
            call.given_over(registered.options),
            registered.version,
            is_preload_complete=granted.is_complete,
        )

    def _registered(self, call: CallEnvelope) -> Registered:
        try:
            return self._environment.registry.by_name(call.func, call.version)
        except FunctionNotFoundError as error:
            if "target" not in call.kwargs:
                raise
            raise FunctionNotFoundError(
                f"{error}; it was called with an argument `target`: where a call goes is said by "
                ".options(target=...) behind it"
            ) from None

    def _begins(self) -> None:
        """Let a stop wait for something."""
        self._under_way += 1
        self._is_idle.clear()

    def _ends(self) -> None:
        """It is over."""
        self._under_way -= 1
        if not self._under_way:
            self._is_idle.set()


def _told_until_ms(before_ms: int, news: Redirected, awaited: Collection[str]) -> int:
    """Until when we know what has settled of the branch, by the clock of the server.

    To be told everything again after each batch of results would make a join cost as many times
    the number of its children as there are batches. What is awaited is told out of turn, if not
    everything has room in the answer.
    """
    records = [r for r in news.preload if not (news.preload_cut and r.id in awaited)]
    return max(before_ms, max((r.settled_at_ms or 0 for r in records), default=0))


class _Place:
    """A slot that may be left before its hint is done with; each is said once."""

    __slots__ = ("_is_answered", "_is_left", "_slot")

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._is_answered = False
        self._is_left = False

    @property
    def arrival(self) -> Arrival:
        return self._slot.arrival

    def answered(self) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._slot.answered()

    def free(self) -> None:
        if not self._is_left:
            self._is_left = True
            self._slot.free()
