"""Exceptions that cross processes: written as data, rebuilt without running foreign code."""

import builtins
import sys
import traceback
from typing import Any

from msgspec import Struct, field

from resonate_sdk.codec import Codec
from resonate_sdk.errors import (
    ApplicationError,
    CanceledError,
    DecodeError,
    EncodeError,
    TimedOutError,
)
from resonate_sdk.protocol.records import PromiseRecord, Value

STACK_CHARS_MAX = 8_000
MESSAGE_CHARS_MAX = 20_000
CAUSES_MAX = 5


class Failure(
    Struct, frozen=True, kw_only=True, tag_field="__type", tag="error", omit_defaults=True
):
    """An exception as it is stored.

    Attributes:
        name: of its class; `module` says where that is defined.
        args: what it was made with, where JSON can express it.
        data: its attributes, where JSON can express them.
        retryable: whether trying again might help.
        stack: the traceback, as text.
    """

    message: str
    name: str | None = None
    module: str | None = None
    args: list[Any] = field(default_factory=list[Any])
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    retryable: bool = True
    cause: "Failure | None" = None
    stack: str = ""
    lang: str = "python"


def encode_failure(codec: Codec, error: BaseException) -> Value:
    """Write an exception as a value; what JSON cannot express of it is left out."""
    return codec.encode(_failure(codec, error, CAUSES_MAX))


def _failure(codec: Codec, error: BaseException, causes: int) -> Failure:
    cls = type(error)
    cause = error.__cause__
    attributes = {key: item for key, item in vars(error).items() if not key.startswith("__")}
    return Failure(
        message=_text(error)[:MESSAGE_CHARS_MAX],
        name=cls.__qualname__,
        module=cls.__module__,
        args=_args(codec, error),
        data={key: item for key, item in attributes.items() if _is_storable(codec, item)},
        retryable=getattr(error, "retryable", True) is not False,
        cause=None if cause is None or causes == 0 else _failure(codec, cause, causes - 1),
        stack="".join(traceback.format_exception(error, chain=False))[-STACK_CHARS_MAX:],
    )


def _args(codec: Codec, error: BaseException) -> list[Any]:
    if all(_is_storable(codec, arg) for arg in error.args):
        return list(error.args)
    return [_text(error)[:MESSAGE_CHARS_MAX]]


def decode_failure(codec: Codec, record: PromiseRecord) -> Exception:
    """Make the exception that a rejected, canceled or timed-out promise stands for."""
    match record.state:
        case "rejected_canceled":
            return CanceledError(record.id)
        case "rejected_timedout":
            return TimedOutError(record.id, record.timeout_at_ms / 1000)
        case _:
            return _rejection(codec, record)


def _rejection(codec: Codec, record: PromiseRecord) -> Exception:
    try:
        plain = codec.decode(record.value)
    except DecodeError as error:
        return error
    if plain is None:
        return ApplicationError("rejected")
    try:
        failure = codec.decode(record.value, Failure)
    except DecodeError:
        return ApplicationError(f"rejected with {plain!r}", data=plain)
    return _rebuild(failure, record.id)


def _rebuild(failure: Failure, promise_id: str) -> Exception:
    cls = _find_class(failure)
    if cls is None:
        error: Exception = ApplicationError(
            failure.message, name=failure.name, data=failure.data or None
        )
    else:
        error = _bare(cls, failure.args)
        vars(error).update(failure.data)
    if failure.stack:
        error.add_note(f"raised by promise {promise_id!r}:\n{failure.stack.rstrip()}")
    if failure.cause is not None:
        error.__cause__ = _rebuild(failure.cause, promise_id)
    return error


def _find_class(failure: Failure) -> type[Exception] | None:
    """Find the class among builtins and modules that are imported already; never import one."""
    if failure.module in (None, "builtins"):
        found = getattr(builtins, failure.name or "", None)
    else:
        found: Any = sys.modules.get(failure.module or "")
        for part in (failure.name or "").split("."):
            found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return None


def _bare(cls: type[Exception], args: list[Any]) -> Exception:
    """Make an exception without running any constructor of its own class."""
    builtin = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    error = builtin.__new__(cls, *args)
    assert isinstance(error, Exception), cls
    error.args = tuple(args)
    return error


def _is_storable(codec: Codec, value: object) -> bool:
    try:
        codec.encode(value)
    except EncodeError:
        return False
    return True


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a broken __str__ of the user's must not hide the error
        return f"<{type(error).__qualname__} without text>"
