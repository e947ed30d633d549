"""What a pass asks for, what it is told, and how it ends."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from resonate_sdk.execution.bodies import Raised, Returned
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseCreate


class CreateChild(Struct, frozen=True):
    """Create a promise, as the holder of the task; answered with `ChildChanged`."""

    request: PromiseCreate


class SettleChild(Struct, frozen=True):
    """Settle a promise, as the holder of the task; answered with `ChildChanged`."""

    id: str
    state: Literal["resolved", "rejected"]
    value: Value


class CallFunction(Struct, frozen=True):
    """Call a user's function, which may block; answered with `FunctionCalled`.

    Attributes:
        number: of the call within the pass.
    """

    number: int
    call: Callable[[], Any]


class StartTimer(Struct, frozen=True):
    """Wait before a retry; answered with `TimerFired`."""

    number: int
    delay_s: float


Effect = CreateChild | SettleChild | CallFunction | StartTimer


class ChildChanged(Struct, frozen=True):
    """The server's record of a promise of this pass."""

    record: PromiseRecord


class FunctionCalled(Struct, frozen=True):
    """What calling a function gave."""

    number: int
    outcome: Returned | Raised


class TimerFired(Struct, frozen=True):
    """A delay is over."""

    number: int


Event = ChildChanged | FunctionCalled | TimerFired


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
