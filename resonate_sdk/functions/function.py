"""What `register` gives back: the function, callable as before and with durable ways to call it."""

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, Unpack

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.registry import Registered, Registry
from resonate_sdk.options import NO_OPTIONS, ClientOptions, Options, check_known, make_options

if TYPE_CHECKING:  # so that the core, which knows functions, knows no event loop
    from resonate_sdk.client.handle import Handle
    from resonate_sdk.client.schedules import Schedule

P = ParamSpec("P")
T = TypeVar("T")


class Caller(Protocol):
    """Starts registered functions; the client is one."""

    def start_here(
        self, id: str, registered: Registered, args: Any, kwargs: Any, given: Options
    ) -> "Handle[Any]":
        """Run it in this process."""
        ...

    def get(self, id: str, *, type: Any = ...) -> "Handle[Any]":
        """Wait for what exists."""
        ...

    def schedule_registered(
        self,
        id: str,
        cron: str,
        registered: Registered,
        args: Any,
        kwargs: Any,
        given: Options,
    ) -> "Schedule":
        """Call it at the instants of a calendar."""
        ...

    def check_may_block(self, id: str) -> None:
        """Refuse a blocking call where it must not block."""
        ...

    def start_at_target(
        self, id: str, registered: Registered, args: Any, kwargs: Any, given: Options
    ) -> "Handle[Any]":
        """Run it in any process of the target's group."""
        ...


class Function(Generic[P, T]):
    """A registered function.

    Attributes:
        name: the name it is registered under.
        version: the version it is registered under.
        func: the function itself.
        given: options that its calls begin with, beside those of its registration.

    Example:
        >>> resonate = Resonate.local()
        >>> @resonate.register
        ... def greet(ctx, name: str) -> str:
        ...     return f"Hello {name}"
        >>> greet.run("greeting-1", "Ada")
        'Hello Ada'
        >>> greet.run("greeting-1", "nobody")  # an id is an execution: this one is done
        'Hello Ada'
        >>> greet.options(timeout=60).begin_run("greeting-2", "Bob").result()
        'Hello Bob'
        >>> resonate.stop()
    """

    def __init__(self, caller: Caller, registered: Registered, given: Options = NO_OPTIONS) -> None:
        """Made by `register`."""
        self.name = registered.name
        self.version = registered.version
        self.func: Callable[..., Any] = registered.callee.func
        self._caller = caller
        self._registered = registered
        self.given = given
        update_wrapper(self, self.func)

    @property
    def registered_options(self) -> Options:
        """What its calls begin with, as far as its registration says so."""
        return self._registered.options

    def __call__(self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function itself; nothing is durable about it."""
        return self.func(ctx, *args, **kwargs)

    def run(self, id: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it here as the execution `id`, and wait for the result.

        An id that exists is not run again: its result is given.
        """
        self._caller.check_may_block(id)
        return self.begin_run(id, *args, **kwargs).result()

    def begin_run(self, id: str, /, *args: P.args, **kwargs: P.kwargs) -> "Handle[T]":
        """Run it here as the execution `id`; the handle waits for the result."""
        return self._caller.start_here(id, self._registered, args, kwargs, self.given)

    def rpc(self, id: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it at its target as the execution `id`, and wait for the result."""
        self._caller.check_may_block(id)
        return self.begin_rpc(id, *args, **kwargs).result()

    def begin_rpc(self, id: str, /, *args: P.args, **kwargs: P.kwargs) -> "Handle[T]":
        """Run it at its target as the execution `id`; the handle waits for the result."""
        return self._caller.start_at_target(id, self._registered, args, kwargs, self.given)

    def get(self, id: str, /) -> "Handle[T]":
        """Wait for an execution that exists; its result has the type of this function's."""
        return self._caller.get(id, type=self._registered.callee.result_type)

    def schedule(self, id: str, cron: str, /, *args: P.args, **kwargs: P.kwargs) -> "Schedule":
        """Call it at the instants of a calendar; see `Resonate.schedule`."""
        return self._caller.schedule_registered(
            id, cron, self._registered, args, kwargs, self.given
        )

    def options(self, **given: Unpack[ClientOptions]) -> "Function[P, T]":
        """A copy whose calls begin with these options.

        Args:
            given: as of `Resonate.options`; its version is the one it is registered under.
        """
        check_known(f"{self.name}.options", given, ClientOptions)
        return Function(self._caller, self._registered, self.given.merged(make_options(**given)))

    def __eq__(self, other: object) -> bool:
        """Whether both stand for the same function object."""
        return isinstance(other, Function) and self.func == other.func

    def __hash__(self) -> int:
        """As the function object."""
        return hash(self.func)


def raw(func: Any, method: str) -> Callable[..., Any]:
    """The function as it was written.

    Args:
        func: wrapped or not.
        method: what it was given to, for the message.

    Raises:
        UsageError: it is no function.
    """
    found: Any = func.func if isinstance(func, Function) else func
    if not callable(found):
        raise UsageError(
            f"{func!r} is not a function: write {method}(f, x), not {method}(f(ctx, x))"
        )
    return found


def given_to(func: Any) -> Options:
    """The options that a function was given behind its name."""
    return func.given if isinstance(func, Function) else NO_OPTIONS


def registered_as(registry: Registry, func: Any, method: str) -> Registered | None:
    """Find what a function is registered as, whether wrapped or as it was written.

    Raises:
        UsageError: it is no function.
    """
    return registry.by_func(raw(func, method))
