"""Carries out what a pass asks for: on the server, in threads, and by waiting."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any

from resonate_sdk.errors import ResonateError
from resonate_sdk.execution.effects import (
    CallFunction,
    ChildChanged,
    CreateChild,
    Done,
    Effect,
    Event,
    FunctionCalled,
    Outcome,
    SettleChild,
    StartTimer,
    TimerFired,
)
from resonate_sdk.execution.execution import Execution, call_function
from resonate_sdk.holder import Holder
from resonate_sdk.protocol.requests import CreateAction, PromiseSettle, SettleAction
from resonate_sdk.tasks import Tasks


class StoppingError(Exception):
    """The worker stops: give the task back."""


class PassDriver:
    """Runs the passes of one task, one after the other."""

    def __init__(self, holder: Holder, tasks: Tasks, threads: Executor) -> None:
        """Drive passes.

        Args:
            holder: writes on the server.
            tasks: own what goes on beside the pass.
            threads: run user code.
        """
        self._holder = holder
        self._tasks = tasks
        self._threads = threads
        self._events: list[Event] = []
        self._failure: Exception | None = None
        self._has_news = asyncio.Event()
        self._is_stopping = False
        self._under_way = 0  # effects whose result would be lost

    def stop(self) -> None:
        """Begin nothing new; what is under way ends, and its result is kept."""
        self._is_stopping = True
        self._has_news.set()

    def abandon(self, reason: Exception) -> None:
        """End at once; the first reason counts."""
        self._failure = self._failure or reason
        self._has_news.set()

    async def drive(self, execution: Execution) -> Outcome:
        """Run a pass to its outcome.

        Raises:
            StoppingError: the worker stops, and the pass has come to a checkpoint.
            ResonateError: something that it asked for was refused, or the lease was lost.
        """
        try:
            outcome = await self._drive(execution)
        except (ResonateError, StoppingError):
            await self._in_thread(execution.close)
            raise
        if not isinstance(outcome, Done):  # what is done has closed its bodies itself
            await self._in_thread(execution.close)
        return outcome

    async def pause(self, seconds: float) -> None:
        """Wait, unless the task is lost or the worker stops meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._news()
        except TimeoutError:
            pass

    async def _drive(self, execution: Execution) -> Outcome:
        self._under_way = 0
        self._events.clear()
        events: list[Event] = []
        while True:
            progress = await self._in_thread(execution.advance, events)
            self._check()
            if progress.outcome is not None:
                return progress.outcome
            for effect in progress.effects:
                self._carry_out(effect)
            events = await self._next_events()

    def _carry_out(self, effect: Effect) -> None:
        if self._is_stopping and not isinstance(effect, SettleChild):
            return
        match effect:
            case CreateChild(request=request):
                self._begin(self._fence(CreateAction(data=request)))
            case SettleChild(id=id, state=state, value=value):
                settle = PromiseSettle(id=id, state=state, value=value)
                self._begin(self._fence(SettleAction(data=settle)))
            case CallFunction():
                self._begin(self._call(effect))
            case StartTimer(number=number, delay_s=delay_s):
                loop = asyncio.get_running_loop()
                loop.call_later(delay_s, self._push, TimerFired(number))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._under_way += 1
        self._tasks.spawn(work)

    async def _fence(self, action: CreateAction | SettleAction) -> None:
        try:
            record = await self._holder.fence(action)
        except ResonateError as error:
            self.abandon(error)
        else:
            self._push(ChildChanged(record))
        finally:
            self._under_way -= 1

    async def _call(self, effect: CallFunction) -> None:
        outcome = await self._in_thread(call_function, effect.call)
        self._under_way -= 1
        self._push(FunctionCalled(effect.number, outcome))

    def _push(self, event: Event) -> None:
        self._events.append(event)
        self._has_news.set()

    async def _next_events(self) -> list[Event]:
        """Wait until something has happened.

        Raises:
            StoppingError: the worker stops, and nothing is under way any more.
        """
        while not self._events:
            if self._is_stopping and self._under_way == 0:
                raise StoppingError("the worker stops")
            await self._news()
        events, self._events = self._events, []
        return events

    async def _news(self) -> None:
        await self._has_news.wait()
        self._has_news.clear()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
