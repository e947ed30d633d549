"""What a durable function may yield: calls, invocations and promises.

They do nothing by themselves: the execution that they are yielded to carries them out.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Generic, Literal, Self, TypeVar

from msgspec import Struct

from resonate_sdk.callee import Callee
from resonate_sdk.options import Options, Seconds, make_options
from resonate_sdk.retry import RetryPolicy

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CommandKind = Literal["run", "rpc", "sleep", "promise", "detached"]


class Command(Struct, frozen=True, kw_only=True):
    """What a context method was called with.

    Attributes:
        id: the id that its place in the function gives it.
        name: of the function, as its promise tells; empty where there is none.
        callee: the function, if it is known here.
        seconds: how long a sleep lasts.
        until: until when it lasts, seconds since the epoch.
        data: what a promise is created with.
    """

    kind: CommandKind
    id: str
    name: str = ""
    version: int = 1
    callee: Callee | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    seconds: float | None = None
    until: float | None = None
    data: Any = None


class Op(Generic[T_co]):
    """Anything that may be yielded or awaited in a durable function."""

    id: str

    def __iter__(self) -> "Generator[Op[Any], Any, T_co]":
        """Make `result = yield from op` typed; it means the same as `yield op`."""
        return (yield self)

    def __await__(self) -> "Generator[Any, Any, T_co]":
        """Make `result = await op` mean the same as `yield op`."""
        return (yield self)


class Promise(Op[T]):
    """A durable promise; yielded, it gives the value or raises the rejection."""

    def __init__(self, id: str) -> None:
        """Refer to a promise that exists."""
        self.id = id

    def __repr__(self) -> str:
        """Show the id."""
        return f"Promise({self.id!r})"


class _Pending(Op[T]):
    """A command that has not been carried out; `options` completes it."""

    def __init__(self, command: Command, options: Options) -> None:
        self.command = command
        self.given = options

    @property
    def id(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only here
        """The id its promise will have."""
        return self.given.id or self.command.id

    def options(
        self,
        *,
        id: str | None = None,
        timeout: Seconds | None = None,
        tags: Mapping[str, str] | None = None,
        target: str | None = None,
        send_to: str | None = None,
        version: int | None = None,
        retry_policy: RetryPolicy | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] | None = None,
        type: Any = None,
        idempotency_key: str | None = None,
    ) -> Self:
        """Complete the command before it is yielded.

        Args:
            id: of its promise, verbatim, instead of the one its place gives it.
            timeout: seconds until its deadline; never later than the caller's own.
            tags: further tags of its promise.
            target: group or address that runs it.
            send_to: the same as `target`.
            version: of the function; 0 for the latest known here.
            retry_policy: when a failed attempt is repeated.
            non_retryable_exceptions: exceptions after which none is.
            type: what the result is decoded into.
            idempotency_key: informative; the id makes a call idempotent.
        """
        given = make_options(
            id=id,
            timeout=timeout,
            tags=tags,
            target=target,
            send_to=send_to,
            version=version,
            retry_policy=retry_policy,
            non_retryable_exceptions=non_retryable_exceptions,
            type=type,
            idempotency_key=idempotency_key,
        )
        self.given = self.given.merged(given)
        return self

    def __repr__(self) -> str:
        """Show what it would do."""
        return f"<{self.command.kind} {self.command.name or self.id}>"


class Call(_Pending[T]):
    """Carry out a command and wait: gives the value, or raises the rejection."""


class Invocation(_Pending[Promise[T]]):
    """Carry out a command: gives its promise, to be yielded when the value is needed."""


Workflow = Generator[Op[Any], Any, T]  # how to annotate a generator function's result
Yieldable = Op
