"""What a pass asks for, what it is told, and how it ends."""

from collections.abc import Callable
from contextvars import Context as Variables
from typing import Any, Literal

from msgspec import Struct

from resonate_sdk.execution.bodies import CoroutineBody, Raised, Returned
from resonate_sdk.functions.context import Context
from resonate_sdk.functions.ops import Op, Pending
from resonate_sdk.functions.scope import Scope
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseCreate


class CreateChild(Struct, frozen=True, gc=False):
    """Create a promise, as the holder of the task; answered with `ChildChanged`."""

    request: PromiseCreate


class SettleChild(Struct, frozen=True, gc=False):
    """Settle a promise, as the holder of the task; answered with `ChildChanged`."""

    id: str
    state: Literal["resolved", "rejected", "rejected_canceled"]
    value: Value


class CallFunction(Struct, frozen=True):
    """Call a user's function, which may block; answered with `FunctionCalled`.

    Attributes:
        number: of the call within the pass.
    """

    number: int
    call: Callable[[], Any]


class Setback(Struct, frozen=True):
    """A function has failed, and will be tried again.

    Attributes:
        id: of its promise.
        error: what it has raised.
        attempts: how often it has failed in a row.
    """

    id: str
    error: Exception
    attempts: int


class StartTimer(Struct, frozen=True):
    """Wait; answered with `TimerFired`.

    Attributes:
        setback: what it is to be waited for, if it is that.
    """

    number: int
    delay_s: float
    setback: Setback | None = None


class RunCoroutine(Struct, frozen=True):
    """Run a coroutine on an event loop; answered with `CoroutineMoved`, again and again.

    Attributes:
        context: of its function.
        scope: the inside of that.
        variables: the context variables that it sees.
    """

    body: CoroutineBody
    context: Context
    scope: Scope
    variables: Variables


class SendOutcome(Struct, frozen=True):
    """What a coroutine waits for has ended; answered with `CoroutineMoved`.

    Attributes:
        number: of the coroutine.
        ticket: of what it waits for.
    """

    number: int
    ticket: int
    outcome: Returned | Raised


class CloseCoroutine(Struct, frozen=True):
    """Give a coroutine up; not answered."""

    number: int


Effect = (
    CreateChild
    | SettleChild
    | CallFunction
    | StartTimer
    | RunCoroutine
    | SendOutcome
    | CloseCoroutine
)


class ChildChanged(Struct, frozen=True, gc=False):
    """The server's record of a promise of this pass."""

    record: PromiseRecord


class FunctionCalled(Struct, frozen=True):
    """What calling a function gave."""

    number: int
    outcome: Returned | Raised


class TimerFired(Struct, frozen=True):
    """A delay is over."""

    number: int


class Begun(Struct, frozen=True):
    """A coroutine has made a call, which begins by itself."""

    op: Pending[Any]


class Awaited(Struct, frozen=True):
    """A coroutine waits for something."""

    ticket: int
    op: Op[Any]


class CoroutineMoved(Struct, frozen=True):
    """A coroutine has run, and waits or has ended.

    Attributes:
        number: of the coroutine.
        moves: what it has begun, and what it waits for.
        received: how many outcomes have reached it.
        now: whether it waits for calls of ours alone, or has ended.
    """

    number: int
    moves: tuple[Begun | Awaited, ...]
    received: int
    now: Literal["parked", "foreign"] | Returned | Raised


class Woken(Struct, frozen=True):
    """The task was suspended, and is held again by a version that follows directly.

    Attributes:
        records: promises that may have changed meanwhile.
    """

    records: tuple[PromiseRecord, ...]


Event = ChildChanged | FunctionCalled | TimerFired | CoroutineMoved | Woken


class Done(Struct, frozen=True):
    """The function has ended, and everything it started, too: settle its promise."""

    state: Literal["resolved", "rejected"]
    value: Value


class Suspended(Struct, frozen=True):
    """Nothing can go on here until one of these promises settles.

    Attributes:
        is_more_begun: whether others are pending, whose results will be needed later.
    """

    awaited: tuple[str, ...]
    is_more_begun: bool = False


class Failed(Struct, frozen=True):
    """The pass cannot go on, for a reason that is not the function's result."""

    cause: BaseException


Outcome = Done | Suspended | Failed


class Progress(Struct, frozen=True):
    """How far a pass has come.

    Attributes:
        effects: what it asks for now.
        outcome: how it ended, if it has.
        is_ready: bodies can go on at once: functions that were begun must not wait for them.
    """

    effects: tuple[Effect, ...]
    outcome: Outcome | None
    is_ready: bool = False
