"""Carries out what a pass asks for: on the server, in threads, and by waiting."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from resonate_sdk.errors import ResonateError
from resonate_sdk.execution.bodies import Raised, Returned, call_function
from resonate_sdk.execution.effects import (
    CallFunction,
    ChildChanged,
    CloseCoroutine,
    CoroutineMoved,
    CreateChild,
    Done,
    Effect,
    Event,
    FunctionCalled,
    Outcome,
    Progress,
    RunCoroutine,
    SendOutcome,
    Setback,
    SettleChild,
    StartTimer,
    TimerFired,
    Woken,
)
from resonate_sdk.execution.execution import Execution
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import CreateAction, PromiseSettle, Request, SettleAction
from resonate_sdk.protocol.responses import Answer
from resonate_sdk.worker.coroutine_loop import CoroutineLoop
from resonate_sdk.worker.coroutines import CoroutineRunner
from resonate_sdk.worker.holder import Holder, LeaseLostError
from resonate_sdk.worker.tasks import Tasks
from resonate_sdk.worker.threads import Threads

CLOSE_TIMEOUT_S = 1.0  # then a coroutine that does not let itself be cancelled is left alone
UNSENT_S = 0.01  # a function that takes longer than this is seen on the server while it runs
TURNS_AT_ONCE_MAX = 100  # then other executions may have the thread
AtOnce = Callable[[Sequence[Request]], Sequence[Answer]]
Records = dict[str, PromiseRecord]


class StoppingError(Exception):
    """The worker stops: give the task back."""


class Anew(Struct, frozen=True):
    """Begin the pass again, knowing more.

    Attributes:
        records: promises that have changed.
    """

    records: Records


class PassDriver:
    """Runs the passes of one task, one after the other.

    A pass that is suspended sleeps, if that is wanted: its bodies stay as they are.
    """

    def __init__(
        self,
        holder: Holder,
        tasks: Tasks,
        threads: Threads,
        coroutines: CoroutineLoop,
        at_once: AtOnce | None,
        *,
        replays_always: bool = False,
        on_setback: Callable[[Setback, float], None],
        keeps: bool = False,
    ) -> None:
        """Drive passes.

        Args:
            holder: writes on the server.
            tasks: own what goes on beside the pass.
            threads: run user code.
            coroutines: run coroutines of the user's.
            at_once: has requests carried out without waiting, if the server is that near.
            replays_always: whether to begin a pass anew after everything that it has written.
            on_setback: told of what has failed, and in how many seconds it is tried again.
            keeps: whether a suspended pass sleeps; else it is closed.
        """
        self._on_setback = on_setback
        self._replays_always = replays_always
        self._keeps = keeps and not replays_always
        self._asleep: Execution | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}  # of the pass, by number
        self._at_once = at_once
        self._holder = holder
        self._tasks = tasks
        self._threads = threads
        self._coroutines = coroutines
        self._runners: dict[int, CoroutineRunner] = {}
        self._execution: Execution | None = None
        self._loop = asyncio.get_running_loop()
        self._events: list[Event] = []
        self._failure: Exception | None = None
        self._has_news = asyncio.Event()
        self._is_stopping = False
        self._under_way = 0  # effects whose result would be lost
        self._writes = 0  # of those, what was sent from the loop
        self._in_threads = 0
        self._unsent: frozenset[str] = frozenset()  # that were so when they were looked at last
        self._looking: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Begin nothing new; what is under way ends, and its result is kept."""
        self._is_stopping = True
        if self._execution is not None:
            self._execution.family.put_nothing_off()
        self._has_news.set()

    def abandon(self, reason: Exception) -> None:
        """End at once; the first reason counts."""
        self._failure = self._failure or reason
        if self._execution is not None:
            self._execution.give_up()
        self._has_news.set()

    async def drive(self, prepare: Callable[[], Execution | Done]) -> Outcome:
        """Run a pass to its outcome.

        Args:
            prepare: makes the pass, on a thread, since that may run code of the user's.

        Raises:
            StoppingError: the worker stops, and the pass has come to a checkpoint.
            ResonateError: something that it asked for was refused, or the lease was lost.
        """
        with self._ended_with_the_process():
            return await self._drive_passes(prepare)

    async def go_on(self, news: Sequence[PromiseRecord]) -> Outcome | None:
        """Go on with the pass that sleeps; None if none does, or it has to begin anew.

        Args:
            news: promises that may have changed since.

        Raises:
            StoppingError: as `drive`.
            ResonateError: likewise.
        """
        execution = self._asleep
        if execution is None:
            return None
        if not self._may_wake_with(execution, news):
            await self.close()
            return None
        self.check_or_stop()
        self._asleep = None
        self._push(Woken(tuple(news)))
        with self._ended_with_the_process():
            outcome = await self._drive_on(execution, Progress((), None, is_ready=True))
        assert not isinstance(outcome, Anew), "what always begins anew does not sleep"
        return outcome

    def records(self) -> Records:
        """Every promise that the latest pass has met."""
        return {} if self._execution is None else self._execution.family.records()

    @property
    def is_asleep(self) -> bool:
        """Whether a pass sleeps."""
        return self._asleep is not None

    @property
    def promises(self) -> int:
        """How many promises the latest pass has met."""
        return 0 if self._execution is None else len(self._execution.family)

    @property
    def runs_children(self) -> bool:
        """Whether functions are under way in the latest pass that others could settle."""
        return self._execution is not None and self._execution.runs_children

    async def close(self) -> None:
        """Close the pass that sleeps, if one does: nothing that its bodies still do counts."""
        execution, self._asleep = self._asleep, None
        if execution is not None:
            await self._close(execution)

    def take_apart(self) -> None:
        """Let go of a pass that has ended, unless a thread is still at it."""
        execution = self._execution
        if execution is not None and not self._in_threads:
            self._execution = None
            execution.take_apart()

    @contextmanager
    def _ended_with_the_process(self) -> Generator[None]:
        try:
            yield
        except asyncio.CancelledError:  # what has not begun never will
            if self._execution is not None:
                self._execution.drop_coroutines()
            raise

    async def _drive_passes(self, prepare: Callable[[], Execution | Done]) -> Outcome:
        known: Records = {}
        while True:
            self.check_or_stop()
            self._under_way = 0
            self._events.clear()
            self.take_apart()
            started = await self._in_thread(self._start, prepare, known)
            if isinstance(started, Done):
                return started
            outcome = await self._drive_on(*started)
            if not isinstance(outcome, Anew):
                return outcome
            known = self.records() | outcome.records

    async def _drive_on(self, execution: Execution, progress: Progress) -> "Outcome | Anew":
        """Run a pass to its outcome, and close it unless it sleeps then."""
        try:
            outcome = await self._drive(execution, progress)
        except Exception:
            await self._close(execution)
            raise
        finally:
            self._stop_timers()
        if self._keeps and execution.may_sleep:
            self._asleep = execution
        elif not isinstance(outcome, Done) or self._runners:
            await self._close(execution)  # what is done has closed its generators itself
        return outcome

    def _may_wake_with(self, execution: Execution, news: Sequence[PromiseRecord]) -> bool:
        """Whether a pass that sleeps can go on as if it had begun anew.

        Not if its coroutines, or tasks that they have started, have moved by themselves.
        """
        is_as_it_was = not self._events and self._failure is None
        loops_run = all(runner.loop.is_running() for runner in self._runners.values())
        return is_as_it_was and loops_run and execution.may_wake_with(news)

    async def _close(self, execution: Execution) -> None:
        """Close the bodies of a pass."""
        await self._in_thread(execution.close)
        runners, self._runners = self._runners, {}
        closing = {asyncio.wrap_future(self._coroutines.close(r)) for r in runners.values()}
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT_S)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the worker stops meanwhile; for after a pass that has failed.

        Raises:
            LeaseLostError: the task was lost meanwhile.
        """
        self._failure = None  # what failed is known; what else was under way does not matter
        await self.rest(seconds)

    async def rest(self, seconds: float) -> None:
        """Wait between two passes, unless the worker stops meanwhile.

        Raises:
            LeaseLostError: the task was lost meanwhile.
        """
        self._check_lease()
        try:
            async with asyncio.timeout(seconds):
                while not self._is_stopping:
                    self._has_news.clear()
                    await self._has_news.wait()
                    self._check_lease()
        except TimeoutError:
            pass

    def _start(
        self, prepare: Callable[[], Execution | Done], known: Records
    ) -> tuple[Execution, Progress] | Done:
        """Make the pass and advance it for the first time, on this thread."""
        execution = prepare()
        if isinstance(execution, Done):
            return execution
        if known:
            execution.family.remember(known.values())
        self._execution = execution
        if self._at_once is None:
            execution.outbox.at_once = self._carry_out_from_thread
        if self._is_stopping or self._replays_always:
            execution.family.put_nothing_off()
        try:
            return execution, self._advance(execution, [])
        except BaseException:
            execution.close()
            raise

    async def _drive(self, execution: Execution, progress: Progress) -> "Outcome | Anew":
        while True:
            self._check()
            if progress.outcome is not None:
                return progress.outcome
            self._carry_out_all(self._wanted(progress.effects))
            events = self._take_events() if progress.is_ready else await self._next_events()
            if self._replays_always and (changed := self._all_written(progress, events)):
                return Anew(changed)
            progress = await self._in_thread(self._advance, execution, events)

    def _all_written(self, progress: Progress, events: list[Event]) -> Records:
        """What was written, if nothing else goes on: a pass that is begun anew loses nothing."""
        records = {e.record.id: e.record for e in events if isinstance(e, ChildChanged)}
        is_all = len(records) == len(events) and not progress.is_ready
        return records if is_all and self._is_at_checkpoint() and not self._timers else {}

    def _advance(self, execution: Execution, events: list[Event]) -> Progress:
        """Advance on this thread, as long as what the pass asks for needs no waiting."""
        progress = execution.advance(events)
        others: list[Effect] = []
        for _ in range(TURNS_AT_ONCE_MAX):
            if self._at_once is None or self._is_stopping or self._failure:
                break
            # What this thread writes must not overtake what the loop has sent.
            actions = [_write_of(effect) for effect in progress.effects]
            writes = [action for action in actions if action is not None]
            if not writes or self._writes:
                break
            others += [e for e, action in zip(progress.effects, actions, strict=True) if not action]
            answers = self._at_once([self._holder.fence_request(action) for action in writes])
            progress = execution.advance(
                [ChildChanged(self._holder.fenced(answer)) for answer in answers]
            )
            if others or self._events:
                break  # neither what is asked for nor what has happened waits for bodies
        return replace(progress, effects=(*others, *progress.effects)) if others else progress

    def _wanted(self, effects: Sequence[Effect]) -> Sequence[Effect]:
        """Without what would be begun at a stop; what has ended is written."""
        if not self._is_stopping:
            return effects
        settled = {effect.id for effect in effects if isinstance(effect, SettleChild)}
        return [
            effect
            for effect in effects
            if isinstance(effect, SettleChild)
            or (isinstance(effect, CreateChild) and effect.request.id in settled)
        ]

    def _carry_out_all(self, effects: Sequence[Effect]) -> None:
        """Carry out what a turn asks for; what it creates and settles at once is one chain."""
        created = {effect.request.id for effect in effects if isinstance(effect, CreateChild)}
        settled = {effect.id: effect for effect in effects if isinstance(effect, SettleChild)}
        both = created & settled.keys()
        for effect in effects:
            match effect:
                case CreateChild(request=request) if request.id in both:
                    self._begin_write(self._fence_both(effect, settled[request.id]))
                case SettleChild(id=id) if id in both:
                    pass  # it travels with the creation
                case _:
                    self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case CreateChild() | SettleChild():
                action = _write_of(effect)
                assert action is not None, "both are writes"
                self._begin_write(self._fence(action))
            case CallFunction():
                self._begin(self._call(effect))
            case StartTimer(number=number, delay_s=delay_s, setback=setback):
                if setback is not None:
                    self._on_setback(setback, delay_s)
                self._timers[number] = self._loop.call_later(delay_s, self._fire, number)
            case RunCoroutine(body=body):
                self._runners[body.number] = self._coroutines.run(effect, self._push_from_thread)
            case SendOutcome(number=number):
                if number in self._runners:  # else it has just ended
                    self._coroutines.send(self._runners[number], effect)
            case CloseCoroutine(number=number):
                if number in self._runners:
                    self._coroutines.close(self._runners.pop(number))

    def _carry_out_from_thread(self, effect: Effect) -> None:
        self._threads.tell(self._carry_out_now, effect)

    def _carry_out_now(self, effect: Effect) -> None:
        if self._failure is None and not self._is_stopping:
            self._carry_out(effect)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._under_way += 1
        self._tasks.spawn(work)

    def _begin_write(self, work: Coroutine[Any, Any, None]) -> None:
        self._writes += 1
        self._begin(work)

    async def _fence(self, action: CreateAction | SettleAction, *, is_told: bool = True) -> None:
        try:
            record = await self._holder.fence(action)
        except ResonateError as error:
            self.abandon(error)
        else:
            if is_told:
                self._push(ChildChanged(record))
        finally:
            self._under_way -= 1
            self._writes -= 1

    async def _fence_both(self, create: CreateChild, settle: SettleChild) -> None:
        creation, settlement = _write_of(create), _write_of(settle)
        assert isinstance(creation, CreateAction), "a child is created"
        assert isinstance(settlement, SettleAction), "and settled"
        try:
            records = await self._holder.fence_both(creation, settlement)
        except ResonateError as error:
            self.abandon(error)
        else:
            for record in records:
                self._push(ChildChanged(record))
        finally:
            self._under_way -= 1
            self._writes -= 1

    async def _call(self, effect: CallFunction) -> None:
        outcome = await self._in_thread(call_function, effect.call)
        self._under_way -= 1
        self._push(FunctionCalled(effect.number, outcome))

    def _push_from_thread(self, event: Event) -> None:
        self._threads.tell(self._push, event)

    def _fire(self, number: int) -> None:
        del self._timers[number]
        self._push(TimerFired(number))

    def _stop_timers(self) -> None:
        """The numbers of timers mean something to their pass alone, which may end before them."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _push(self, event: Event) -> None:
        if isinstance(event, CoroutineMoved) and isinstance(event.now, Returned | Raised):
            self._runners.pop(event.number, None)
        self._events.append(event)
        self._has_news.set()

    async def _next_events(self) -> list[Event]:
        """Wait until something has happened.

        Raises:
            StoppingError: the worker stops, and nothing is under way any more.
        """
        while not self._events:
            if self._is_stopping and self._is_at_checkpoint():
                raise StoppingError("the worker stops")
            await self._news()
        return self._take_events()

    def _is_at_checkpoint(self) -> bool:
        return not self._under_way and not any(r.is_busy for r in self._runners.values())

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    async def _news(self) -> None:
        await self._has_news.wait()
        self._has_news.clear()
        self._check()

    def check_or_stop(self) -> None:
        """See whether anything may still be begun.

        Raises:
            StoppingError: the worker stops.
            Exception: why the pass was abandoned.
        """
        self._check()
        if self._is_stopping:
            raise StoppingError("the worker stops")

    def _check_lease(self) -> None:
        if isinstance(self._failure, LeaseLostError):
            raise self._failure

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        self._in_threads += 1
        if self._looking is None:
            self._looking = self._loop.call_later(UNSENT_S, self._look_at_unsent)
        try:
            return await self._threads.call(call, *args)
        finally:
            self._in_threads -= 1

    def _look_at_unsent(self) -> None:
        """Let promises be seen whose functions take long, although their end would suffice."""
        self._looking = None
        execution = self._execution
        if execution is None or not self._in_threads:
            return
        unsent = frozenset(execution.family.unsent())
        for id in unsent & self._unsent:
            self._writes += 1  # first: from then on the end of its function comes behind this
            request = execution.family.take_unsent(id)
            if request is None:
                self._writes -= 1
            else:
                self._begin(self._fence(CreateAction(data=request), is_told=False))
        self._unsent = unsent
        self._looking = self._loop.call_later(UNSENT_S, self._look_at_unsent)


def _write_of(effect: Effect) -> CreateAction | SettleAction | None:
    match effect:
        case CreateChild(request=request):
            return CreateAction(data=request)
        case SettleChild(id=id, state=state, value=value):
            return SettleAction(data=PromiseSettle(id=id, state=state, value=value))
        case _:
            return None
