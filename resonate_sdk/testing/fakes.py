"""Functions that stand in for others."""

from collections.abc import Callable
from typing import Any

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registry

_NOTHING = object()


class Fake:
    """Stands in for a function, or for a name that is registered elsewhere.

    Attributes:
        name: what it is called by.
        calls: the arguments of its calls, in order.
    """

    def __init__(self, name: str, original: Callable[..., Any] | None, version: int) -> None:
        """Made by `fake`."""
        self.name = name
        self.calls: list[tuple[Any, ...]] = []
        self._original = original
        self._version = version
        self._behave: Callable[..., Any] = _returns(None)

    def __call__(self, ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Note the call, and do what was asked for."""
        self.calls.append((*args, *kwargs.values()))
        return self._behave(ctx, *args, **kwargs)

    def install(self, registry: Registry) -> None:
        """Take the place of the original in a registry."""
        registry.stand_in(self, self.name, self._version, self._original)

    def behaving(self, behave: Callable[..., Any]) -> "Fake":
        """The same, doing this."""
        self._behave = behave
        return self


def fake(
    func: Callable[..., Any] | str,
    *,
    returns: Any = _NOTHING,
    raises: BaseException | type[BaseException] | None = None,
    call: Callable[..., Any] | None = None,
    version: int = 1,
) -> Fake:
    """Make something that stands in for a function: `env.register(fake(charge, returns=3))`.

    Args:
        func: a function, or the name of one that is registered elsewhere.
        returns: what it returns.
        raises: what it raises instead.
        call: what it does instead, called like the function, with the context first.
        version: under which the function is registered.

    Raises:
        UsageError: not exactly one of `returns`, `raises` and `call` is given.

    Example:
        >>> from resonate_sdk.testing import inline
        >>> def charge(ctx, cents):
        ...     raise AssertionError("no real money in tests")
        >>> def order(ctx):
        ...     return (yield ctx.run(charge, 500))
        >>> inline(order, register=[fake(charge, returns="a receipt")])
        'a receipt'
    """
    if (returns is not _NOTHING) + (raises is not None) + (call is not None) != 1:
        raise UsageError("a fake needs exactly one of returns=, raises= and call=")
    original: Any = func
    if isinstance(original, Function):
        made = Fake(original.name, original.func, original.version)
    elif isinstance(func, str):
        made = Fake(func, None, version)
    else:
        made = Fake(getattr(func, "__name__", ""), func, version)
    if call is not None:
        return made.behaving(call)
    return made.behaving(_returns(returns) if raises is None else _raises(raises))


def _returns(value: Any) -> Callable[..., Any]:
    def behave(*_: Any, **__: Any) -> Any:
        return value

    return behave


def _raises(error: BaseException | type[BaseException]) -> Callable[..., Any]:
    def behave(*_: Any, **__: Any) -> Any:
        raise error

    return behave
