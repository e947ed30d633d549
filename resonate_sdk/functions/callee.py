"""What is known of a function before it runs: its arguments and its types."""

import inspect
import typing
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Mapping,
    Sequence,
)
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, Literal

from msgspec import Struct

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import DecodeError, UsageError

Kind = Literal["plain", "generator", "coroutine", "instant"]


class Callee(Struct, frozen=True, kw_only=True):
    """A function seen from outside.

    Attributes:
        func: the function itself, called with the context first.
        name: what it is called in messages.
        signature: of the arguments behind the context; None if Python cannot tell.
        types: annotated types by parameter.
        result_type: annotated type of the result, unwrapped from generators and coroutines.
        positional: how few and how many positional arguments suit it; None if others may be needed.
        kind: calling a generator or coroutine function runs nothing yet; an instant function is
            our own, and returns at once; all others are plain.
    """

    func: Callable[..., Any]
    name: str
    signature: inspect.Signature | None
    types: Mapping[str, Any]
    result_type: Any
    positional: range | None
    kind: Kind

    def check_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Find out before the call whether the arguments fit.

        Raises:
            UsageError: one is missing, unexpected or given twice.
        """
        if self.signature is None:
            return
        if self.positional is not None and not kwargs and len(args) in self.positional:
            return  # most calls: binding them would cost more than all the rest of a replayed call
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            advice = _advice_on_methods(self.func, self.name)
            raise UsageError(f"{self.name}(ctx, ...): {error}{advice}") from None

    def coerce(
        self, codec: Codec, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Bring arguments that came as JSON into their annotated types.

        Raises:
            DecodeError: they do not fit the function; the message names the parameter.
        """
        if self.signature is None:
            return tuple(args), dict(kwargs)
        if self.positional is not None and not kwargs and len(args) in self.positional:
            given = zip(self.signature.parameters, args, strict=False)
            return tuple(self._coerce(codec, n, v, self.types.get(n, Any)) for n, v in given), {}
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise DecodeError(f"{self.name}(ctx, ...): {error}", function=self.name) from None
        for name, value in bound.arguments.items():
            kind = self.signature.parameters[name].kind
            type = self.types.get(name, Any)
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(
                    self._coerce(codec, name, item, type) for item in value
                )
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {
                    key: self._coerce(codec, key, item, type) for key, item in value.items()
                }
            else:
                bound.arguments[name] = self._coerce(codec, name, value, type)
        return bound.args, bound.kwargs

    def _coerce(self, codec: Codec, name: str, value: Any, type: Any) -> Any:
        try:
            return codec.convert(value, type)
        except DecodeError as error:
            raise DecodeError(
                f"argument {name!r} of {self.name}: {error}",
                function=self.name,
                path=name + error.path.removeprefix("$"),
            ) from error


def describe(func: Callable[..., Any]) -> Callee:
    """Describe a function; annotations that cannot be evaluated count as none.

    Raises:
        UsageError: it has no positional parameter for the context.
    """
    return _describe_once(func) if is_hashable(func) else _describe(func)


def is_hashable(func: object) -> bool:
    """Whether a callable can be looked up; instances of dataclasses, for one, have no hash."""
    return isinstance(func, Hashable)


def _describe(func: Callable[..., Any]) -> Callee:
    plain = _plain(func)
    types = _type_hints(plain)
    signature = _signature_behind_context(func)
    return Callee(
        func=func,
        name=getattr(plain, "__name__", type(plain).__name__),
        signature=signature,
        types=types,
        result_type=_unwrap(types.get("return", Any)),
        positional=_positional(signature),
        kind=_kind(plain),
    )


_describe_once = lru_cache(maxsize=4096)(_describe)


def _kind(func: Callable[..., Any]) -> Kind:
    call = func if inspect.isroutine(func) else type(func).__call__
    if inspect.isgeneratorfunction(call):
        return "generator"
    return "coroutine" if inspect.iscoroutinefunction(call) else "plain"


def instant(name: str, func: Callable[[], Any], result_type: Any = Any) -> Callee:
    """Describe a function of our own that returns at once, or gives a generator of ours."""

    def ignore_context(_: Any) -> Any:
        return func()

    return Callee(
        func=ignore_context,
        name=name,
        signature=None,
        types={},
        result_type=result_type,
        positional=None,
        kind="instant",
    )


def _positional(signature: inspect.Signature | None) -> range | None:
    parameters = () if signature is None else signature.parameters.values()
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(p.kind not in plain and p.default is p.empty for p in parameters):
        return None
    takes = [p for p in parameters if p.kind in plain]
    return range(sum(p.default is p.empty for p in takes), len(takes) + 1)


def _plain(func: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a person wrote, below partials and decorators."""
    while isinstance(func, partial):
        func = func.func
    return inspect.unwrap(func)


def _type_hints(func: Callable[..., Any]) -> Mapping[str, Any]:
    target = func if inspect.isroutine(func) else type(func).__call__
    annotations = getattr(target, "__annotations__", {})
    try:
        return typing.get_type_hints(target)
    except Exception:  # noqa: BLE001  # annotations are code of the user's
        return {
            name: type
            for name, annotation in annotations.items()
            for type in _evaluated(annotation, getattr(target, "__globals__", {}))
        }


def _evaluated(annotation: Any, names: dict[str, Any]) -> Sequence[Any]:
    """The type that an annotation stands for, or nothing."""
    alone = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return [typing.get_type_hints(alone, names)["it"]]
    except Exception:  # noqa: BLE001  # annotations are code of the user's
        return []


def _advice_on_methods(func: Callable[..., Any], name: str) -> str:
    """What to write if a method was registered in its class, where it belongs to no object."""
    first = next(iter(inspect.signature(func).parameters), "")
    if first not in ("self", "cls"):
        return ""
    return f": {first!r} is taken for the context, register the method of an object: thing.{name}"


def _signature_behind_context(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        signature = inspect.signature(func)
    except (ValueError, TypeError):
        return None
    parameters = list(signature.parameters.values())
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if not parameters or parameters[0].kind not in positional:
        name = getattr(func, "__name__", repr(func))
        raise UsageError(f"{name} needs a first parameter for the context: def {name}(ctx, ...)")
    if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]
    return signature.replace(parameters=parameters)


def _unwrap(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (Generator, Coroutine) and len(arguments) == 3:
        return arguments[2]
    if origin is AsyncGenerator or annotation in (Generator, Coroutine):
        return Any
    return annotation
