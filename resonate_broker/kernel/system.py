"""The kernel: takes requests, runs their coroutines in batches, answers when they are durable.

`tick` does what can be done now and returns; nothing here waits. Everything runs on one thread.
"""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from resonate_broker.kernel.batch import Batch, Dispatcher, Member
from resonate_broker.kernel.clock import StoreClock
from resonate_broker.kernel.coroutine import Body, Coroutine
from resonate_broker.kernel.entries import (
    CQE,
    SQE,
    AioCQE,
    AioSQE,
    Completed,
    RequestSQE,
)
from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.queues import BoundedQueue
from resonate_broker.kernel.recording import Recorder, Run
from resonate_broker.kernel.scheduler import Scheduler
from resonate_broker.kernel.submissions import (
    AioCompletion,
    AioSubmission,
    Begin,
    Commit,
    Failed,
    Load,
    Outgoing,
    Publish,
    Published,
    Spawn,
    Write,
)
from resonate_broker.kernel.transactions import Transactions
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Due, DueSchedules, Loaded, Page

logger = logging.getLogger(__name__)

SWEEP = "sweep"  # the background coroutine that looks at what is due
SCHEDULES = "schedules"  # the one that sees to schedules
IDLE_MS_MAX = 1_000
LOOKS = (Due, DueSchedules)
TELLS_INSTANT = (Loaded, Due, DueSchedules, Page)
TOLD_GATHER_MS = 100


class Limits(Struct, frozen=True, kw_only=True):
    """How much the kernel takes at a time.

    Attributes:
        submissions: requests that wait; further ones are answered 503.
        batch: coroutines that share a transaction.
        completions: completions handled per tick.
        batch_ms: how long a batch is tried again before its requests are answered 503.
    """

    submissions: int = 1_000
    batch: int = 500
    completions: int = 1_000
    batch_ms: int = 10_000


class AIO(Protocol):
    """Carries out what the kernel submits, in its own time."""

    def try_submit(self, sqe: AioSQE) -> bool:
        """Take a submission, or return False when its queue is full."""
        ...

    def flush(self) -> None:
        """Begin with what was submitted during this tick."""
        ...

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        """Take completions that have arrived, oldest first."""
        ...


class Idle(Struct, frozen=True):
    """Nothing can be done before this instant of the ticks' clock, unless something arrives."""

    until_at_ms: int


class _Background:
    __slots__ = ("interval_ms", "is_running", "make", "name", "next_at_ms")

    def __init__(self, name: str, make: Callable[[], Body], interval_ms: int) -> None:
        self.name = name
        self.make = make
        self.interval_ms = interval_ms
        self.next_at_ms = 0
        self.is_running = False


class System:
    """The kernel's event loop and what it keeps between ticks."""

    def __init__(
        self,
        aio: AIO,
        dispatcher: Dispatcher,
        on_told: Callable[[tuple[Outgoing, ...]], Body],
        limits: Limits | None = None,
        *,
        recorder: Recorder | None = None,
        meters: Meters | None = None,
        is_strict: bool = False,
    ) -> None:
        """Make a kernel without requests.

        Args:
            aio: carries out its effects.
            dispatcher: sees what the batches change and send.
            on_told: makes the coroutine that forgets listeners which have been told.
            limits: how much it takes at a time.
            recorder: is told what is decided, if somebody wants to know.
            meters: count what happens; without, it has some of its own.
            is_strict: whether preloads are those of the protocol, without what a replay needs
                besides.
        """
        self.limits = limits or Limits()
        self._recorder = recorder
        self.clock = StoreClock()
        self.meters = meters or Meters()
        self._aio = aio
        self._dispatcher = dispatcher
        self._on_told = on_told
        self._constructors: dict[str, Callable[[Any], Body]] = {}
        self._background: dict[str, _Background] = {}
        self._urgent = BoundedQueue[RequestSQE](self.limits.submissions)
        self._submissions = BoundedQueue[RequestSQE](self.limits.submissions)
        self._requests: dict[Coroutine, RequestSQE] = {}
        self._scheduler = Scheduler(self._submit)
        self._transactions = Transactions(
            self._effect,
            self.clock,
            dispatcher,
            self.meters,
            size_max=self.limits.batch,
            retry_ms_max=self.limits.batch_ms,
            recorder=recorder,
            is_strict=is_strict,
            on_committed=self._committed,
        )
        self._completed: list[CQE[Completed]] = []
        self._told: list[Outgoing] = []
        self._told_at_ms = 0
        self._open_effects = 0
        self._postponed: AioSQE | None = None  # a step of the transaction that found no room
        self._is_shutting_down = False
        self.is_still = False  # for debugging: nothing happens that nobody asked for

    def add_on_request(self, kind: str, constructor: Callable[[Any], Body]) -> None:
        """Run `constructor(request)` for each request of a kind."""
        assert kind not in self._constructors, f"{kind} has its operation already"
        self._constructors[kind] = constructor

    def add_background(self, name: str, make: Callable[[], Body], interval_ms: int) -> None:
        """Run a coroutine every `interval_ms`, and sooner when `wake` says so.

        It never runs twice at a time. What it returns, if not None, is the instant of the
        store's clock at which it wants to run again.
        """
        self._background[name] = _Background(name, make, interval_ms)

    def run_once(self, make: Callable[[], Body]) -> None:
        """Run an internal coroutine, once."""
        self._scheduler.add(Coroutine(make, _log_crash))

    def wake(self, name: str, store_at_ms: int | None = None) -> None:
        """Let a background coroutine, if there is one, run at an instant of the store's clock."""
        at_ms = self.clock.tick_ms if store_at_ms is None else self.clock.to_tick(store_at_ms)
        background = self._background.get(name)
        if background is not None:
            background.next_at_ms = min(background.next_at_ms, at_ms)

    def submit(self, sqe: RequestSQE, *, urgent: bool = False) -> bool:
        """Queue a request; False when the queue is full or the kernel shuts down.

        Args:
            sqe: its callback gets the answer when that is durable.
            urgent: goes before all that is not, for what must not wait behind work.
        """
        if self._is_shutting_down:
            return False
        return (self._urgent if urgent else self._submissions).try_push(sqe)

    @property
    def store_now_ms(self) -> int:
        """What the clock of the store shows at this tick, as far as the kernel knows."""
        return self.clock.store_ms

    @property
    def known_now_ms(self) -> int | None:
        """The same; None before anything has been heard of the store."""
        return self.store_now_ms if self.clock.is_known else None

    @property
    def room(self) -> int:
        """How many requests `submit` would still take."""
        return 0 if self._is_shutting_down else self._submissions.room

    def shutdown(self) -> None:
        """Take nothing more; finish what is there."""
        self._is_shutting_down = True

    @property
    def is_shutting_down(self) -> bool:
        """Whether it takes nothing more."""
        return self._is_shutting_down

    @property
    def is_done(self) -> bool:
        """Whether the kernel shuts down and has finished."""
        return self._is_shutting_down and self.is_idle

    @property
    def depths(self) -> Mapping[str, int]:
        """How much waits in the kernel, and for whom."""
        return {
            "urgent": len(self._urgent),
            "submissions": len(self._submissions),
            "batch": self._transactions.gathered,
            "effects": self._open_effects,
        }

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not (
            self._has_waiting
            or self._transactions.is_open
            or self._scheduler
            or self._completed
            or self._told
            or self._open_effects
        )

    def loop(self) -> Generator[Idle, int, None]:
        """Tick until shut down: yields when to go on at the latest, is sent the instant."""
        while True:
            self.tick((yield Idle(self.next_tick_at_ms())))
            if self.is_done:
                return

    def next_tick_at_ms(self) -> int:
        """When to tick again if nothing arrives before."""
        if self._scheduler or (not self._transactions.is_open and self._has_waiting):
            return self.clock.tick_ms
        instants: list[int] = []
        if not (self._is_shutting_down or self.is_still):
            instants += [b.next_at_ms for b in self._background.values() if not b.is_running]
        if self._told and not self._transactions.is_open:
            instants.append(self._told_at_ms + TOLD_GATHER_MS)
        return max(self.clock.tick_ms, min(instants, default=self.clock.tick_ms + IDLE_MS_MAX))

    @property
    def _has_waiting(self) -> bool:
        return bool(self._urgent or self._submissions or self._transactions.has_next)

    def tick(self, now_ms: int) -> None:
        """Do all that can be done at this instant, which never runs backwards."""
        self.clock.tick(now_ms)
        self._submit_postponed()
        for cqe in self._aio.completions(self.limits.completions):
            cqe.complete()
        self._start_background()
        self._start_requests()
        self._scheduler.run()
        self._begin_batch()
        for cqe in self._completed:
            cqe.complete()
        self._completed.clear()
        self._aio.flush()

    def _start_background(self) -> None:
        if self._is_shutting_down or self.is_still:
            return
        for background in self._background.values():
            if background.next_at_ms <= self.clock.tick_ms and not background.is_running:
                background.is_running = True
                background.next_at_ms = self.clock.tick_ms + background.interval_ms
                on_end = partial(self._background_ended, background)
                self._scheduler.add(Coroutine(background.make, on_end))

    def _background_ended(
        self, background: _Background, coroutine: Coroutine, error: Exception | None
    ) -> None:
        background.is_running = False
        if error is not None:
            logger.error("background step crashed name=%s", background.name, exc_info=error)
        elif coroutine.result is not None:
            self.wake(background.name, coroutine.result)

    def _start_requests(self) -> None:
        if self._urgent:
            for sqe in self._urgent.pop_up_to(self._transactions.room(is_urgent=True)):
                self._start_request(sqe, is_urgent=True)
        if self._submissions:
            for sqe in self._submissions.pop_up_to(self._transactions.room(is_urgent=False)):
                self._start_request(sqe, is_urgent=False)

    def _start_request(self, sqe: RequestSQE, *, is_urgent: bool) -> None:
        request = sqe.submission.request
        make = partial(self._constructors[request.kind], request)
        on_end = partial(self._request_ended, sqe)
        now_ms = sqe.submission.now_ms
        coroutine = Coroutine(make, on_end, is_urgent=is_urgent, now_ms=now_ms)
        self._requests[coroutine] = sqe
        self._scheduler.add(coroutine)

    def _request_ended(
        self, sqe: RequestSQE, coroutine: Coroutine, error: Exception | None
    ) -> None:
        del self._requests[coroutine]
        if error is None:
            now_ms = self.clock.last_ms if coroutine.now_ms is None else coroutine.now_ms
            completed = Completed(coroutine.result, now_ms)
        else:
            kind = sqe.submission.request.kind
            logger.error("operation crashed kind=%s", kind, exc_info=error)
            crash = f"{type(error).__name__}: {error}"
            answer = Answer(responses.INTERNAL, f"Internal error: {kind} crashed: {crash}")
            completed = Completed(answer, self.clock.last_ms, crash)
        submitted = sqe.submission
        self.meters.requests[submitted.request.kind, completed.answer.status] += 1
        link = submitted.link
        if link is not None and not completed.answer.is_ok:
            link.fail()
        caller = submitted.caller
        if (
            self._recorder is not None
            and caller is not None
            and completed.answer.status == responses.MALFORMED
        ):
            self._recorder.refuse(
                Run(submitted.request, caller, completed.answer, completed.now_ms)
            )
        self._completed.append(CQE(completed, sqe.callback))

    def _submit(self, coroutine: Coroutine, submission: Any) -> None:
        match submission:
            case Load():
                sqe = self._requests.get(coroutine)
                submitted = None if sqe is None else sqe.submission
                self._transactions.gather(Member(coroutine, submission, submitted))
            case Spawn(bodies=makes):
                self._spawn(coroutine, makes)
            case Commit():
                raise AssertionError("a commit needs a load before it")
            case _:
                self._effect(submission, partial(self._scheduler.add, coroutine))

    def _spawn(self, parent: Coroutine, makes: Sequence[Callable[[], Body]]) -> None:
        children = set[Coroutine]()

        def ended(child: Coroutine, error: Exception | None) -> None:
            children.remove(child)
            if error is not None:
                logger.error("internal step crashed", exc_info=error)
            if not children:
                self._scheduler.add(parent)

        for make in makes:
            child = Coroutine(make, ended, now_ms=parent.now_ms)
            children.add(child)
            self._scheduler.add(child)
        if not makes:
            self._scheduler.add(parent)

    def _effect(self, submission: AioSubmission, callback: Callable[[AioCompletion], None]) -> None:
        def complete(completion: AioCompletion) -> None:
            self._open_effects -= 1
            if isinstance(completion, TELLS_INSTANT):
                self.clock.observe(completion.now_ms)
            if isinstance(completion, LOOKS):
                self.meters.looked(completion)
            callback(completion)

        self._open_effects += 1
        sqe = SQE(submission, complete)
        if self._aio.try_submit(sqe):
            return
        if isinstance(submission, Begin | Write):
            self._postponed = sqe
        else:
            complete(Failed("the queue of the AIO is full"))

    def _submit_postponed(self) -> None:
        """A transaction has no other way than on: its step waits until the AIO has room."""
        if self._postponed is not None and self._aio.try_submit(self._postponed):
            self._postponed = None

    def _begin_batch(self) -> None:
        if not self._transactions.is_open:
            self._gather_told()
            self._transactions.begin()

    def _gather_told(self) -> None:
        """Forgetting listeners joins a batch that is formed anyway, or waits a moment for one."""
        is_late = self.clock.tick_ms >= self._told_at_ms + TOLD_GATHER_MS
        if self._told and (self._transactions.gathered or is_late or self._is_shutting_down):
            told, self._told = tuple(self._told), []
            self.run_once(partial(self._on_told, told))
            self._scheduler.run()

    def _committed(self, batch: Batch) -> None:
        for timer in batch.state.armed:
            self.wake(SWEEP, timer.due_at_ms)
        for at_ms in batch.state.next_runs_at_ms:
            self.wake(SCHEDULES, at_ms)
        outgoing = () if self.is_still else batch.state.outgoing()
        self._dispatcher.committed(outgoing)
        self.meters.committed(len(batch.members), batch.state.tally, outgoing)
        if outgoing:
            self._effect(Publish(outgoing), self._published)
        for member in batch.members:
            if member.coroutine.is_done:
                member.coroutine.on_end(member.coroutine, None)
            else:
                self._scheduler.add(member.coroutine, member.answer)
        self._scheduler.run()

    def _published(self, completion: AioCompletion) -> None:
        if isinstance(completion, Published) and completion.told:
            if not self._told:
                self._told_at_ms = self.clock.tick_ms
            self._told.extend(completion.told)


def _log_crash(coroutine: Coroutine, error: Exception | None) -> None:
    if error is not None:
        logger.error("internal step crashed", exc_info=error)
