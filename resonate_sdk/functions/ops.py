"""What a durable function may yield or await: calls, invocations and promises.

They do nothing by themselves: the execution that they belong to carries them out.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, Unpack, overload

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.callee import Callee
from resonate_sdk.functions.running import RUNNING
from resonate_sdk.options import (
    NO_OPTIONS,
    CommandOptions,
    Options,
    TypedCommandOptions,
    check_known,
    make_options,
)

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CommandKind = Literal["run", "rpc", "sleep", "promise", "detached", "choice"]
Until = Literal["first", "first_resolved", "first_failed", "all"]


class Command(Struct, frozen=True, kw_only=True):
    """What a context method was called with.

    Attributes:
        id: the id that its place in the function gives it.
        name: of the function, as its promise tells; empty where there is none.
        callee: the function, if it is known here.
        seconds: how long a sleep lasts, or until the deadline of a promise.
        until: until when it lasts, seconds since the epoch.
        data: what a promise is created with.
        is_for_caller: what the function does counts as done by its caller.
        file: where the call was written.
        line: likewise.
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
    is_for_caller: bool = False
    file: str = ""
    line: int = 0

    @property
    def what(self) -> str:
        """A word for messages."""
        return f"{self.kind} {self.name or self.id}"


OfVersion = Callable[[Command, int], tuple[Command, Options]]
"""Finds a version of the function that a command calls, and the options of its registration."""


class Op(Generic[T_co]):
    """Anything that may be yielded or awaited in a durable function."""

    id: str

    def __iter__(self) -> "Generator[Op[Any], Any, T_co]":
        """Make `result = yield from op` typed; it means the same as `yield op`."""
        return (yield self)

    def __await__(self) -> "Generator[Any, Any, T_co]":
        """Make `result = await op` mean the same as `yield op`."""
        running = RUNNING.get()
        if running is None:
            raise UsageError(f"{self!r} can be awaited in a durable function only")
        if running.awaiter is None:
            return (yield self)
        return (yield from running.awaiter.wait(self))


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
    def is_run_here(self) -> bool:
        """Whether this execution is to settle it, so that nobody else can wait for it."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether it is settled."""
        ...

    def result(self) -> Any:
        """Its value; raises its rejection, or `Blocked` while it is pending."""
        ...


class Promise(Op[T]):
    """A durable promise; yielded or awaited, it gives the value or raises the rejection."""

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
        try:
            return self._seen.result()
        except Blocked as blocked:
            running = RUNNING.get()
            if running is not None:  # it ends here, also if it catches everything
                running.context.block(blocked.promise_id)
            raise

    def done(self) -> bool:
        """Whether it is settled, as far as this execution has heard."""
        return self._seen.is_settled

    @property
    def is_run_here(self) -> bool:
        """Whether its own execution runs it, so that it cannot be passed on to a remote call."""
        return self._view is not None and self._view.is_run_here

    def cancel(self) -> "Op[None]":
        """Cancel it, when this is yielded or awaited: whoever waits gets `CanceledError`.

        A function that runs elsewhere for it notices at its next step. What is settled stays.
        """
        return Cancel((self,))

    @property
    def _seen(self) -> View:
        if self._view is None:
            raise UsageError(f"promise {self.id!r} was made from an id: write `yield promise`")
        return self._view

    def __repr__(self) -> str:
        """Show the id."""
        return f"Promise({self.id!r})"


class Pending(Op[T]):
    """A command that may not have been carried out; `options` completes it."""

    def __init__(
        self, command: Command, options: Options, of_version: OfVersion | None = None
    ) -> None:
        """Made by a context.

        Args:
            command: what to carry out.
            options: that it was given so far.
            of_version: finds another version of the function, if it was called by its name.
        """
        self.command: Command = command
        self.given: Options = options
        self.is_begun = False
        self._of_version = of_version
        self._completed = NO_OPTIONS

    @property
    def id(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only here
        """The id its promise will have."""
        return self.given.id or self.command.id

    def _complete(self, given: Mapping[str, Any]) -> None:
        """Add options.

        Raises:
            UsageError: it has begun, or options contradict each other.
            FunctionNotFoundError: the function has no such version here.
        """
        if self.is_begun:
            raise UsageError(
                f"{self!r} has begun: write .options(...) on the line that makes the call"
            )
        check_known(f"{self!r}.options", given, TypedCommandOptions)
        if given.get("durable") is False and self.command.kind != "run":
            raise UsageError(f"durable=False is for ctx.run and ctx.begin_run, found {self!r}")
        options = make_options(**given)
        merged = self.given.merged(options)
        if merged.execute_here:
            self._check_here(merged)
        self._completed = self._completed.merged(options)
        if options.version is not None and self._of_version is not None:
            self.command, registered = self._of_version(self.command, options.version)
            merged = registered.merged(self._completed)
        self.given = merged

    def _check_here(self, merged: Options) -> None:
        if self.command.kind != "rpc":
            raise UsageError(f"execute_here=True is for ctx.rpc and ctx.begin_rpc, found {self!r}")
        if merged.target is not None:
            raise UsageError(
                f"execute_here=True means the group of this process, found target="
                f"{merged.target!r} as well: give {self!r} one of them"
            )

    def __repr__(self) -> str:
        """Show what it would do."""
        return f"<{self.command.what}>"


class Call(Pending[T]):
    """Carry out a command and wait: gives the value, or raises the rejection."""

    @overload
    def options(self, *, type: type[S], **given: Unpack[CommandOptions]) -> "Call[S]": ...
    @overload
    def options(self, *, type: Any = ..., **given: Unpack[CommandOptions]) -> Self: ...
    def options(self, **given: Any) -> Any:
        """Complete the command before it is yielded, or on the line that makes it.

        Args:
            given: id: of its promise, verbatim, instead of the one its place gives it;
                timeout: seconds until its deadline, never later than the caller's own;
                tags: further tags of its promise;
                target, or send_to: group or address that runs it;
                version: of the function, 0 for the latest known here;
                retry_policy: when a failed attempt is repeated;
                non_retryable_exceptions: exceptions after which none is;
                durable: False: nothing is recorded, and it is run again at every replay; for `run`;
                type: what the result is decoded into;
                execute_here: True: this process is asked first to run it, then the others of its
                group; for `rpc`;
                idempotency_key: informative, the id makes a call idempotent.

        Raises:
            UsageError: it has begun, or options contradict each other.

        Example:
            >>> def order(ctx, item):
            ...     price = yield ctx.rpc("price", item).options(target="shop", type=float)
            ...     return f"{item} for {price:.2f}"
            >>> from resonate_sdk.testing import inline
            >>> inline(order, "tea", answers={"price": 3})
            'tea for 3.00'
        """
        self._complete(given)
        return self


class Invocation(Pending[Promise[T]]):
    """Carry out a command: gives its promise, to be yielded when the value is needed."""

    @overload
    def options(self, *, type: type[S], **given: Unpack[CommandOptions]) -> "Invocation[S]": ...
    @overload
    def options(self, *, type: Any = ..., **given: Unpack[CommandOptions]) -> Self: ...
    def options(self, **given: Any) -> Any:
        """Complete the command; args and errors are those of `Call.options`."""
        self._complete(given)
        return self


class Begin(Op[Sequence[Promise[Any]]]):
    """Begin several calls at once: gives their promises."""

    id = ""

    def __init__(self, ops: Sequence[Op[Any]]) -> None:
        """Begin calls; promises among them stay what they are."""
        self.ops = ops


class FirstOf(Op[int | None]):
    """Wait for several promises: gives the place of the one that ended the wait, or None."""

    id = ""

    def __init__(self, promises: Sequence[Promise[Any]], until: Until) -> None:
        """Wait until one is as it should be, or all are settled."""
        self.promises = promises
        self.until: Until = until


class Cancel(Op[None]):
    """Cancel promises."""

    def __init__(self, promises: Sequence[Promise[Any]]) -> None:
        """Cancel those that are pending."""
        self.id = promises[0].id if promises else ""
        self.promises = promises


class Detach(Op[None]):
    """Do not wait for promises at the end of the function."""

    id = ""

    def __init__(self, promises: Sequence[Promise[Any]]) -> None:
        """Let them go."""
        self.promises = promises


Workflow = Generator[Op[Any], Any, T]  # how to annotate a generator function's result
Yieldable = Op
