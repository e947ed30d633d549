"""Runs executions: from a hint, or a call in this process, to the end of a pass."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct

from resonate_sdk.ask import ask, refusal
from resonate_sdk.call_envelope import decode_call
from resonate_sdk.errors import DecodeError, FunctionNotFoundError, ResonateError
from resonate_sdk.execution.effects import (
    CallFunction,
    ChildChanged,
    CreateChild,
    Done,
    Effect,
    Event,
    Failed,
    FunctionCalled,
    Outcome,
    SettleChild,
    StartTimer,
    Suspended,
    TimerFired,
)
from resonate_sdk.execution.execution import Environment, Execution, call_function
from resonate_sdk.failures import encode_failure
from resonate_sdk.heartbeat import Leases
from resonate_sdk.protocol import responses, tags
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord, TaskRef
from resonate_sdk.protocol.requests import (
    CallbackAction,
    CreateAction,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseSettle,
    Request,
    SettleAction,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import (
    Answer,
    Fenced,
    PromiseData,
    Redirected,
    TaskData,
    TaskGranted,
)
from resonate_sdk.registry import Registered
from resonate_sdk.tasks import Tasks
from resonate_sdk.transport import Slot, Transport

logger = logging.getLogger(__name__)

POISON_ATTEMPTS_MAX = 10
POISON_DELAY_S_MAX = 30.0


class LeaseLostError(Exception):
    """The task is not ours any more: say nothing, another holder goes on."""


class StoppingError(Exception):
    """The worker stops: give the task back."""


class _Inbox:
    """What has happened to a pass since it last ran."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._failure: Exception | None = None
        self._has_news = asyncio.Event()

    def push(self, event: Event) -> None:
        self._events.append(event)
        self._has_news.set()

    def fail(self, error: Exception) -> None:
        """End the pass; the first failure counts."""
        self._failure = self._failure or error
        self._has_news.set()

    async def take(self) -> list[Event]:
        await self._has_news.wait()
        self._has_news.clear()
        self.check()
        events, self._events = self._events, []
        return events

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure


class Granted(Struct, frozen=True, kw_only=True):
    """A task that this process has acquired."""

    task: TaskRef
    root: PromiseRecord
    preload: tuple[PromiseRecord, ...]

    @property
    def origin(self) -> str:
        """Root of the tree it belongs to."""
        return self.root.tags.get(tags.ORIGIN, self.root.id)


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
        self._inboxes = set[_Inbox]()
        self._poison = Counter[str]()
        self._is_stopping = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def start(self, tasks: Tasks) -> None:
        """Let somebody own the tasks of the worker."""
        self._tasks = tasks

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """Acquire a task, run it, and leave the slot."""
        self._spawn(self._run_hint(hint, slot))

    def run_granted(self, granted: Granted) -> None:
        """Run a task that this process has just created."""
        self._spawn(self._run_granted(granted))

    async def stop(self, timeout_s: float) -> None:
        """Let every pass come to its next checkpoint, and give its task back."""
        self._is_stopping = True
        for inbox in self._inboxes:
            inbox.fail(StoppingError())
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        except TimeoutError:
            logger.warning("functions were still running at the stop passes=%d", len(self._inboxes))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        assert self._tasks is not None, "the worker is started before it gets work"
        self._tasks.spawn(coroutine)

    async def _run_hint(self, hint: Hint, slot: Slot) -> None:
        try:
            granted = await self._acquire(hint, slot)
            if granted is not None:
                await self._run_granted(granted)
        finally:
            slot.free()

    async def _acquire(self, hint: Hint, slot: Slot) -> Granted | None:
        """Acquire the task of a hint; None if somebody else has it, or nobody needs it."""
        ref = hint.data.task
        request = TaskAcquire(
            id=ref.id, version=ref.version, pid=self._pid, lease_ms=self._lease_ms
        )
        promise = hint.data.promise
        origin = ref.id if promise is None else promise.tags.get(tags.ORIGIN, ref.id)
        try:
            answer = await ask(self._transport, request, origin=origin)
            if answer.status == responses.CONFLICT and not self._leases.holds(ref.id):
                return await self._already_acquired(ref, origin)
        except ResonateError as error:
            logger.info("task was not acquired task_id=%s reason=%s", ref.id, error)
            return None
        finally:
            slot.answered()
        if not isinstance(answer.data, TaskGranted):
            logger.debug("hint was stale task_id=%s reason=%s", ref.id, answer.data)
            return None
        return granted(answer.data)

    async def _already_acquired(self, ref: TaskRef, origin: str) -> Granted | None:
        """A refusal may mean that an earlier try, whose answer was lost, had worked."""
        answer = await ask(self._transport, TaskGet(id=ref.id), origin=origin)
        if not isinstance(answer.data, TaskData):
            return None
        task = answer.data.task
        if not (_is_held_by(task, self._pid) and task.version == ref.version + 1):
            return None
        root = await ask(self._transport, PromiseGet(id=ref.id), origin=origin)
        if not isinstance(root.data, PromiseData):
            return None
        held = TaskRef(id=task.id, version=task.version)
        return Granted(task=held, root=root.data.promise, preload=())

    async def _run_granted(self, granted: Granted) -> None:
        """Run the passes of an acquired task until it is not ours any more."""
        inbox = _Inbox()
        self._inboxes.add(inbox)
        self._is_idle.clear()
        task = granted.task
        self._leases.add(task.id, task.version, lambda: inbox.fail(LeaseLostError()))
        try:
            if self._is_stopping:
                raise StoppingError
            await self._run_passes(granted, inbox)
        except LeaseLostError:
            logger.info("lease was lost task_id=%s version=%d", task.id, task.version)
            self._on_suspended(task.id)
        except (StoppingError, ResonateError) as error:
            reason = str(error) or "the worker stops"
            logger.info("task is given back task_id=%s reason=%s", task.id, reason)
            await self._release(granted)
            self._on_suspended(task.id)
        finally:
            self._leases.remove(task.id, task.version)
            self._inboxes.discard(inbox)
            if not self._inboxes:
                self._is_idle.set()

    async def _run_passes(self, granted: Granted, inbox: _Inbox) -> None:
        known = {record.id: record for record in granted.preload}
        while True:
            prepared = await self._prepare(granted, known, inbox)
            if isinstance(prepared, Done):
                await self._fulfill(granted, prepared)
                return
            try:
                outcome = await self._drive(prepared, granted, inbox)
            except (ResonateError, LeaseLostError, StoppingError):
                await self._in_thread(prepared.close)
                raise
            if not isinstance(outcome, Done):  # what is done has closed its bodies itself
                await self._in_thread(prepared.close)
            match outcome:
                case Done():
                    await self._fulfill(granted, outcome)
                    return
                case Suspended(awaited=awaited):
                    news = await self._suspend(granted, awaited)
                    if news is None:
                        self._on_suspended(granted.task.id)
                        return
                    known = prepared.records() | {record.id: record for record in news}
                case Failed(cause=cause):
                    raise ResonateError(f"{type(cause).__name__}: {cause}") from cause

    async def _prepare(
        self, granted: Granted, known: dict[str, PromiseRecord], inbox: _Inbox
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
            return await self._unknown_function(granted, error, inbox)
        self._poison.pop(granted.task.id, None)
        return self._execution(granted, known, registered, args, kwargs)

    def _execution(
        self,
        granted: Granted,
        known: dict[str, PromiseRecord],
        registered: Registered,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Execution:
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
        self, granted: Granted, error: FunctionNotFoundError, inbox: _Inbox
    ) -> Done:
        """Another worker of the group may know the function: give the task back, ever later."""
        id = granted.task.id
        self._poison[id] += 1
        attempts = self._poison[id]
        logger.warning("cannot run task_id=%s attempt=%d reason=%s", id, attempts, error)
        if attempts >= POISON_ATTEMPTS_MAX:
            del self._poison[id]
            return Done("rejected", encode_failure(self._environment.codec, error))
        # The lease is kept meanwhile: a task that is given back is dispatched again at once.
        delay_s = min(2.0 ** (attempts - 1), POISON_DELAY_S_MAX)
        try:
            async with asyncio.timeout(delay_s):
                await inbox.take()
        except TimeoutError:
            pass
        raise error

    async def _drive(self, execution: Execution, granted: Granted, inbox: _Inbox) -> Outcome:
        """Carry out what a pass asks for, until it has an outcome."""
        events: list[Event] = []
        while True:
            progress = await self._in_thread(execution.advance, events)
            inbox.check()
            if progress.outcome is not None:
                return progress.outcome
            for effect in progress.effects:
                self._carry_out(effect, granted, inbox)
            events = await inbox.take()

    def _carry_out(self, effect: Effect, granted: Granted, inbox: _Inbox) -> None:
        match effect:
            case CreateChild(request=request):
                self._spawn(self._fence(CreateAction(data=request), granted, inbox))
            case SettleChild(id=id, state=state, value=value):
                settle = PromiseSettle(id=id, state=state, value=value)
                self._spawn(self._fence(SettleAction(data=settle), granted, inbox))
            case CallFunction():
                self._spawn(self._call(effect, inbox))
            case StartTimer(number=number, delay_s=delay_s):
                loop = asyncio.get_running_loop()
                loop.call_later(delay_s, inbox.push, TimerFired(number))

    async def _call(self, effect: CallFunction, inbox: _Inbox) -> None:
        outcome = await self._in_thread(call_function, effect.call)
        inbox.push(FunctionCalled(effect.number, outcome))

    async def _fence(
        self, action: CreateAction | SettleAction, granted: Granted, inbox: _Inbox
    ) -> None:
        """Write something of a pass, on condition that the task is still ours."""
        task = granted.task
        request = TaskFence(id=task.id, version=task.version, action=action, preload=False)
        try:
            answer = await self._ask(granted, request)
        except (ResonateError, LeaseLostError) as error:
            inbox.fail(error)
            return
        assert isinstance(answer.data, Fenced), "a fence that held says what became of its action"
        inner = answer.data.action
        if isinstance(inner.data, PromiseData):
            inbox.push(ChildChanged(inner.data.promise))
        else:
            inbox.fail(refusal(Answer(inner.head.status, inner.data)))

    async def _ask(self, granted: Granted, request: Request) -> Answer:
        """Ask something as the holder of a task.

        Raises:
            LeaseLostError: we are not.
            StoreError: the server refuses for another reason.
            TransportError: no answer came.
        """
        answer = await ask(self._transport, request, origin=granted.origin, timeout_s=None)
        if answer.status in (responses.OK, responses.REDIRECT):
            return answer
        if answer.status in (responses.CONFLICT, responses.NOT_FOUND):
            raise LeaseLostError
        raise refusal(answer)

    async def _fulfill(self, granted: Granted, done: Done) -> None:
        task = granted.task
        settle = PromiseSettle(id=task.id, state=done.state, value=done.value)
        request = TaskFulfill(id=task.id, version=task.version, action=SettleAction(data=settle))
        answer = await self._ask(granted, request)
        assert isinstance(answer.data, PromiseData), "a fulfilled task shows its promise"
        self._on_settled(answer.data.promise)

    async def _suspend(
        self, granted: Granted, awaited: tuple[str, ...]
    ) -> tuple[PromiseRecord, ...] | None:
        """Put the task to sleep; if something has settled meanwhile, that is returned instead."""
        task = granted.task
        actions = tuple(
            CallbackAction(data=PromiseRegisterCallback(awaited=id, awaiter=task.id))
            for id in awaited
        )
        request = TaskSuspend(id=task.id, version=task.version, actions=actions, preload=False)
        answer = await self._ask(granted, request)
        return answer.data.preload if isinstance(answer.data, Redirected) else None

    async def _release(self, granted: Granted) -> None:
        request = TaskRelease(id=granted.task.id, version=granted.task.version)
        try:
            await self._ask(granted, request)
        except (ResonateError, LeaseLostError) as error:
            logger.info("task was not given back task_id=%s reason=%s", granted.task.id, error)

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)


def granted(data: TaskGranted) -> Granted:
    """What an answer grants."""
    ref = TaskRef(id=data.task.id, version=data.task.version)
    return Granted(task=ref, root=data.promise, preload=data.preload)


def _is_held_by(task: TaskRecord, pid: str) -> bool:
    return task.state == "acquired" and task.pid == pid
