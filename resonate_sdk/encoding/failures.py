"""Exceptions that cross processes: written as data, rebuilt without running foreign code."""

import base64
import builtins
import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import (
    ApplicationError,
    CanceledError,
    DecodeError,
    EncodeError,
    ResonateError,
    TimedOutError,
)
from resonate_sdk.protocol.records import PromiseRecord, Value

logger = logging.getLogger(__name__)

STACK_CHARS_MAX = 8_000
MESSAGE_CHARS_MAX = 20_000
CAUSES_MAX = 5
ERRORS_MAX = 100
_GROUP: type[Exception] = ExceptionGroup
_PACKAGE = str(Path(__file__).parents[1] / "_").removesuffix("_")
_EXAMPLES = f"{_PACKAGE}examples"


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
    cause: "Failure | FailureGroup | None" = None
    stack: str = ""
    lang: str = "python"


class FailureGroup(Failure, frozen=True, kw_only=True, tag="aggregate_error", omit_defaults=True):
    """A group of exceptions as it is stored."""

    errors: "list[Failure | FailureGroup]"


def encode_failure(codec: Codec, error: BaseException) -> Value:
    """Write an exception as a value; what JSON cannot express of it, or has no room, is left out."""
    for causes, is_brief in ((CAUSES_MAX, False), (CAUSES_MAX, True)):
        try:
            return codec.encode(_failure(codec, error, causes, is_brief=is_brief))
        except EncodeError:
            continue
    return codec.encode(_one_failure(codec, error, 0, is_brief=True))


def _failure(codec: Codec, error: BaseException, causes: int, *, is_brief: bool) -> Failure:
    one = _one_failure(codec, error, causes, is_brief=is_brief)
    if not _is_group(type(error)):
        return one
    inner: tuple[Exception, ...] = error.args[1]
    return FailureGroup(
        message=_clean(error.args[0])[:MESSAGE_CHARS_MAX],
        name=one.name,
        module=one.module,
        data=one.data,
        retryable=one.retryable,
        cause=one.cause,
        stack=one.stack,
        errors=[_failure(codec, e, causes, is_brief=is_brief) for e in inner[:ERRORS_MAX]],
    )


def _one_failure(codec: Codec, error: BaseException, causes: int, *, is_brief: bool) -> Failure:
    cls, text, cause = type(error), _text(error)[:MESSAGE_CHARS_MAX], error.__cause__
    args, data = [text], dict[str, Any]()
    if not is_brief:
        args = [*_args(error)] if _is_storable(codec, _args(error)) else [text]
        data = {
            key: item
            for key, item in _data(codec, error).items()
            if not key.startswith("__") and _is_storable(codec, item)
        }
    return Failure(
        message=text,
        name=cls.__qualname__,
        module=cls.__module__,
        args=args,
        data=data,
        retryable=getattr(error, "retryable", True) is not False,
        cause=(
            None
            if cause is None or causes == 0
            else _failure(codec, cause, causes - 1, is_brief=is_brief)
        ),
        stack=_clean(_stack(error))[-STACK_CHARS_MAX:],
    )


def _stack(error: BaseException) -> str:
    """The traceback as text, without lines of ours: they say nothing about a mistake of others."""
    told = traceback.TracebackException.from_exception(error)
    theirs = [frame for frame in told.stack if not _is_ours(frame.filename)]
    if not theirs and (error.__traceback__ is None or isinstance(error, ResonateError)):
        return ""
    if theirs:
        told.stack = traceback.StackSummary.from_list(theirs)
    return "".join(told.format(chain=False))


def _is_ours(filename: str) -> bool:
    return filename.startswith(_PACKAGE) and not filename.startswith(_EXAMPLES)


def _args(error: BaseException) -> tuple[Any, ...]:
    """What an exception was made with."""
    if isinstance(error, OSError) and error.filename is not None and len(error.args) == 2:
        named = (*error.args, error.filename)  # which are kept apart from the arguments
        return named if error.filename2 is None else (*named, None, error.filename2)
    return error.args


def _data(codec: Codec, error: BaseException) -> Mapping[str, Any]:
    adapter = codec.exceptions.of(type(error))
    if adapter is None or adapter.encode is None:
        return vars(error)
    try:
        data = dict(adapter.encode(error))
        if all(isinstance(key, str) for key in data):  # pyright: ignore[reportUnnecessaryIsInstance]  # users do
            return data
        reason: object = "a key of its data is no string"
    except Exception as broken:  # noqa: BLE001  # it is code of the user's
        reason = broken
    logger.warning(
        "registered exception was not encoded, its attributes are stored class=%s reason=%r",
        type(error).__qualname__,
        reason,
    )
    return vars(error)


def decode_failure(codec: Codec, record: PromiseRecord) -> Exception:
    """Make the exception that a rejected, canceled or timed-out promise stands for."""
    match record.state:
        case "rejected_canceled":
            return CanceledError(record.id)
        case "rejected_timedout":
            return TimedOutError(record.id, record.timeout_at_ms / 1000)
        case _:
            return _rejection(codec, record)


def decode_value(
    decode: Callable[[Value], Any], record: PromiseRecord, function: str | None = None
) -> Any:
    """Read what a promise was resolved with.

    Args:
        decode: reads it.
        record: the promise, for messages.
        function: whose result it is, for messages.

    Raises:
        DecodeError: the value is not what the program expects.
    """
    try:
        return decode(record.value)
    except DecodeError as error:
        what = f"promise {record.id!r}"
        raise error.of(f"the result of {function}, {what}" if function else what, function) from (
            error.__cause__
        )


def _rejection(codec: Codec, record: PromiseRecord) -> Exception:
    try:
        plain = codec.decode(record.value)
    except DecodeError as error:
        return error.of(f"promise {record.id!r}")
    if plain is None:
        return ApplicationError("rejected")
    try:
        failure: Failure = codec.decode(record.value, Failure | FailureGroup)
    except DecodeError:
        return ApplicationError(f"rejected with {plain!r}", data=plain)
    return _rebuild(codec, failure, record.id)


def _rebuild(codec: Codec, failure: Failure, promise_id: str) -> Exception:
    adapter = codec.exceptions.find(failure.module, failure.name)
    error = None
    if adapter is not None and adapter.decode is not None:
        error = _decoded(adapter.decode, failure)
    elif adapter is not None or isinstance(failure, FailureGroup):
        error = _made(codec, None if adapter is None else adapter.cls, failure, promise_id)
    if error is None:
        error = ApplicationError(
            failure.message,
            name=failure.name,
            data=failure.data or None,
            remote_traceback=failure.stack,
        )
    if failure.stack:
        _note(error, f"raised by promise {promise_id!r}:\n{failure.stack.rstrip()}")
    if failure.cause is not None:
        cause = _rebuild(codec, failure.cause, promise_id)
        BaseException.__setattr__(error, "__cause__", cause)  # as of notes
    return error


def _note(error: Exception, note: str) -> None:
    """Add a note without running code of the exception's class, which may let nothing be set."""
    vars(error).setdefault("__notes__", list[str]()).append(note)


def _decoded(decode: Callable[[dict[str, Any]], Exception], failure: Failure) -> Exception | None:
    try:
        return decode(failure.data)
    except Exception:  # a broken adapter of the user's must not hide the error
        logger.exception("registered exception was not decoded name=%s", failure.name)
        return None


def _made(
    codec: Codec, cls: type[Exception] | None, failure: Failure, promise_id: str
) -> Exception | None:
    args = failure.args or ([failure.message] if failure.message else [])
    if isinstance(failure, FailureGroup):
        cls = cls if cls is not None and _is_group(cls) else _GROUP
        inner = [_rebuild(codec, inner, promise_id) for inner in failure.errors]
        args = [failure.message, inner]
    error = None if cls is None else _bare(cls, args)
    if error is not None:
        vars(error).update({k: v for k, v in failure.data.items() if not k.startswith("__")})
    return error


def _is_group(cls: type[BaseException]) -> bool:
    return issubclass(cls, _GROUP)


def _bare(cls: type[Exception], args: list[Any]) -> Exception | None:
    """Make an exception without running code of its own class; None if the arguments forbid it."""
    builtin = next(base for base in cls.__mro__ if base.__module__ == builtins.__name__)
    try:
        if issubclass(cls, UnicodeDecodeError):  # the bytes that it is about were stored as text
            args = [args[0], base64.b64decode(args[1]), *args[2:]]
        error = builtin.__new__(cls, *args)
        builtin.__init__(error, *args)
    except (TypeError, ValueError, IndexError):
        return None
    assert isinstance(error, Exception), cls
    return error


def _is_storable(codec: Codec, value: object) -> bool:
    try:
        codec.encode(value)
    except EncodeError:
        return False
    return True


def _text(error: BaseException) -> str:
    try:
        return _clean(str(error))
    except Exception:  # noqa: BLE001  # a broken __str__ of the user's must not hide the error
        return f"<{type(error).__qualname__} without text>"


def _clean(text: str) -> str:
    """The text without what UTF-8 cannot express."""
    return text.encode(errors="replace").decode()
