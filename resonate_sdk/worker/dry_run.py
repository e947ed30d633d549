"""A pass without a server: whoever asks says what becomes of each promise."""

from collections.abc import Callable
from queue import Empty, SimpleQueue

from resonate_sdk.errors import UsageError
from resonate_sdk.execution.effects import (
    CallFunction,
    ChildChanged,
    CloseCoroutine,
    CreateChild,
    Effect,
    Event,
    FunctionCalled,
    Outcome,
    RunCoroutine,
    SendOutcome,
    SettleChild,
    StartTimer,
    TimerFired,
)
from resonate_sdk.execution.execution import Execution, call_function
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.worker.coroutine_loop import CoroutineLoop
from resonate_sdk.worker.coroutines import CoroutineRunner

FOREIGN_S_MAX = 60.0  # how long a coroutine may wait for something that is not ours


class DryRun:
    """Carries out what a pass asks for, on the calling thread; delays last no time."""

    def __init__(
        self,
        create: Callable[[PromiseCreate], PromiseRecord],
        settle: Callable[[SettleChild], PromiseRecord],
    ) -> None:
        """Answer in place of a server.

        Args:
            create: says what becomes of a promise that is made.
            settle: says what becomes of one that is settled.
        """
        self._create = create
        self._settle = settle
        self._loop = CoroutineLoop()
        self._runners: dict[int, CoroutineRunner] = {}
        self._moves = SimpleQueue[Event]()

    def run(self, execution: Execution) -> Outcome:
        """Run a pass to its outcome."""
        try:
            return self._run(execution)
        finally:
            execution.close()
            for runner in self._runners.values():
                self._loop.close(runner).result(FOREIGN_S_MAX)
            self._loop.stop()

    def _run(self, execution: Execution) -> Outcome:
        events: list[Event] = []
        while True:
            progress = execution.advance(events)
            if progress.outcome is not None:
                return progress.outcome
            answers = [self._carry_out(effect) for effect in progress.effects]
            events = [answer for answer in answers if answer is not None]
            if not events and not progress.is_ready:
                events = [self._next_move()]

    def _carry_out(self, effect: Effect) -> Event | None:
        match effect:
            case CreateChild(request=request):
                return ChildChanged(self._create(request))
            case SettleChild():
                return ChildChanged(self._settle(effect))
            case CallFunction(number=number, call=call):
                return FunctionCalled(number, call_function(call))
            case StartTimer(number=number):
                return TimerFired(number)
            case RunCoroutine(body=body):
                self._runners[body.number] = self._loop.run(effect, self._moves.put)
            case SendOutcome(number=number):
                self._loop.send(self._runners[number], effect)
            case CloseCoroutine(number=number):
                self._loop.close(self._runners.pop(number))
        return None

    def _next_move(self) -> Event:
        try:
            return self._moves.get(timeout=FOREIGN_S_MAX)
        except Empty:
            raise UsageError(
                f"a coroutine has waited {FOREIGN_S_MAX} s for something that is no call of its "
                "context"
            ) from None
