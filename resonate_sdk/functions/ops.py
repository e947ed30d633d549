"""What a durable function may yield: calls, invocations and promises.

They do nothing by themselves: the execution that they are yielded to carries them out.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.callee import Callee
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
        seconds: how long a sleep lasts, or until the deadline of a promise.
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


class Blocked(BaseException):
    """Raised by `Promise.result()` of a pending promise: the attempt ends and is begun again later.

    Attributes:
        promise_id: what it waits for.
    """

    def __init__(self, promise_id: str) -> None:
        """Wait for a promise."""
        super().__init__(f"promise {promise_id!r} is pending; let this exception pass")
        self.promise_id = promise_id


class View(Protocol):
    """What an execution knows of a promise."""

    @property
    def is_settled(self) -> bool:
        """Whether it is settled."""
        ...

    def result(self) -> Any:
        """Its value; raises its rejection, or `Blocked` while it is pending."""
        ...


class Promise(Op[T]):
    """A durable promise; yielded, it gives the value or raises the rejection."""

    def __init__(self, id: str, view: View | None = None) -> None:
        """Refer to a promise that exists.

        Args:
            id: its name.
            view: of the execution that met it.
        """
        self.id = id
        self._view = view

    def result(self) -> T:
        """The value, without a yield; while it is pending, the function stops here and is replayed.

        Raises:
            UsageError: the promise was made from an id: yield it.
            Exception: what it was rejected with.
        """
        return self._seen.result()

    def done(self) -> bool:
        """Whether it is settled, as far as this execution has heard."""
        return self._seen.is_settled

    @property
    def _seen(self) -> View:
        if self._view is None:
            raise UsageError(f"promise {self.id!r} was made from an id: write `yield promise`")
        return self._view

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
