"""Options of calls: given as a prefix view or as a suffix, merged, never changed in place."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypedDict

import msgspec
from msgspec import Struct, structs

from resonate_sdk import targets
from resonate_sdk.encoding.encoder import Encoder
from resonate_sdk.errors import UsageError
from resonate_sdk.protocol import limits, tags as tag
from resonate_sdk.protocol.requests.checks import priority_fault
from resonate_sdk.retry import RetryPolicy

Seconds = float | int | timedelta

_USER_RESERVED_TAGS = frozenset({tag.PRIORITY, tag.KEY})


class Options(Struct, frozen=True, kw_only=True):
    """What a call may be given beside its arguments; None means not given.

    Attributes:
        id: the id of the promise, instead of the one that is made up.
        timeout_s: seconds until the deadline.
        target: address of the group that runs it, in its stored form.
        tags: further tags of the promise.
        version: of the function; 0 for the latest.
        retry_policy: when a failed attempt is repeated.
        non_retryable: exceptions after which no attempt is repeated.
        non_retryable_names: the same, of who called this from elsewhere, by their full names.
        durable: False: nothing is recorded of it.
        type: what the result is decoded into.
        idempotency_key: informative; the id is what makes a call idempotent.
        encoder: writes the call and reads the result, of calls from outside of executions.
        execute_here: whether the process that makes a remote call is asked first to run it.
    """

    id: str | None = None
    timeout_s: float | None = None
    target: str | None = None
    tags: Mapping[str, str] | None = None
    version: int | None = None
    retry_policy: RetryPolicy | None = None
    non_retryable: tuple[type[Exception], ...] | None = None
    non_retryable_names: tuple[str, ...] | None = None
    durable: bool | None = None
    type: Any = None
    idempotency_key: str | None = None
    encoder: Encoder | None = None
    execute_here: bool | None = None

    def merged(self, other: "Options") -> "Options":
        """These options with those of `other` on top; tags of both."""
        if other is NO_OPTIONS:
            return self
        given = {name: value for name, value in structs.asdict(other).items() if value is not None}
        if self.tags and other.tags:
            given["tags"] = {**self.tags, **other.tags}
        return structs.replace(self, **given)


NO_OPTIONS = Options()


class ContextOptions(TypedDict, total=False):
    """What `ctx.options` takes; see `Call.options`."""

    timeout: Seconds | None
    target: str | None
    send_to: str | None
    tags: Mapping[str, str] | None
    version: int | None
    retry_policy: RetryPolicy | None
    non_retryable_exceptions: tuple[type[Exception], ...] | None
    idempotency_key: str | None


class ClientOptions(ContextOptions, total=False):
    """What `resonate.options` and `function.options` take."""

    encoder: Encoder | None


class CommandOptions(ContextOptions, total=False):
    """What `ctx.run(...).options` and its like take, beside `type`."""

    id: str | None
    durable: bool | None
    execute_here: bool | None


class TypedCommandOptions(CommandOptions, total=False):
    """What `ctx.run(...).options` and its like take."""

    type: Any


def check_known(method: str, given: Mapping[str, object], known: type[ContextOptions]) -> None:
    """Refuse options that are none.

    Raises:
        UsageError: one is not known.
    """
    for name in given:
        if name not in known.__optional_keys__:
            options = ", ".join(sorted(known.__optional_keys__))
            raise UsageError(f"{method} knows no {name}=, it takes {options}")


def make_options(
    *,
    id: str | None = None,
    timeout: Seconds | None = None,
    target: str | None = None,
    send_to: str | None = None,
    tags: Mapping[str, str] | None = None,
    version: int | None = None,
    retry_policy: RetryPolicy | None = None,
    non_retryable_exceptions: tuple[type[Exception], ...] | None = None,
    durable: bool | None = None,
    type: Any = None,
    idempotency_key: str | None = None,
    encoder: Encoder | None = None,
    execute_here: bool | None = None,
) -> Options:
    """Check what a user gave as options.

    Raises:
        UsageError: two options contradict each other, one is of the wrong type, or a tag is
            reserved.
        ValueError: a value is out of range.
    """
    if target is not None and send_to is not None:
        raise UsageError("target and send_to mean the same: give one of them")
    address = target if target is not None else send_to
    if version is not None and version < 0:
        raise ValueError(f"a version is 0 (the latest) or more, found {version}")
    if retry_policy is not None and not _is_policy(retry_policy):
        raise UsageError(f"retry_policy= takes a policy like Constant(1), found {retry_policy!r}")
    if encoder is not None and not (hasattr(encoder, "encode") and hasattr(encoder, "decode")):
        raise UsageError(f"encoder= takes an object with encode and decode, found {encoder!r}")
    _expect_text("id", id)
    _expect_text("target", address)
    _expect_text("idempotency_key", idempotency_key)
    copied = None if tags is None else _copy_tags(tags)
    reserved = [
        key
        for key in copied or {}
        if key.startswith(tag.RESERVED_PREFIX) and key not in _USER_RESERVED_TAGS
    ]
    if reserved:
        raise UsageError(f"tags beginning with 'resonate:' are reserved: {reserved[0]!r}")
    if copied and tag.PRIORITY in copied:
        fault = priority_fault(copied[tag.PRIORITY])
        if fault is not None:
            raise UsageError(f"tags= has {tag.PRIORITY!r}: {fault}")
    return Options(
        id=id,
        timeout_s=None if timeout is None else seconds(timeout),
        target=None if address is None else targets.resolve(address),
        tags=copied,
        version=version,
        retry_policy=retry_policy,
        non_retryable=(
            None if non_retryable_exceptions is None else _classes(non_retryable_exceptions)
        ),
        durable=durable,
        type=type,
        idempotency_key=idempotency_key,
        encoder=encoder,
        execute_here=execute_here,
    )


def seconds(duration: Seconds) -> float:
    """A duration in seconds.

    Raises:
        UsageError: it is no duration.
        ValueError: it is negative.
    """
    if not isinstance(duration, float | int | timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]  # the user's
        raise UsageError(f"a duration is a number of seconds or a timedelta, found {duration!r}")
    value = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not value >= 0:
        raise ValueError(f"a duration is 0 seconds or more, found {value}")
    return value


def deadline_ms(now_ms: int, timeout_s: float) -> int:
    """The instant after so many seconds, epoch ms; an infinite while ends with time itself."""
    return now_ms + round(min(timeout_s * 1000, limits.INSTANT_MS_MAX - now_ms))


def class_name(cls: type) -> str:
    """The name of a class in other processes."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_policy(found: object) -> bool:
    return callable(getattr(found, "next", None)) and not isinstance(found, type)


def _classes(found: object) -> tuple[type[Exception], ...]:
    classes: Any = (found,) if isinstance(found, type) else found
    try:
        known = tuple(cls for cls in classes if issubclass(cls, Exception))
        if len(known) == len(classes):
            return known
    except TypeError:
        pass
    raise UsageError(f"non_retryable_exceptions= takes classes of exceptions, found {found!r}")


def _expect_text(option: str, found: object) -> None:
    if found is not None and not isinstance(found, str):
        raise UsageError(f"{option}= takes a str, found {found!r}")


def _copy_tags(tags: object) -> dict[str, str]:
    """A copy that the caller cannot change any more."""
    try:
        return msgspec.convert(tags, dict[str, str])
    except msgspec.ValidationError as error:
        raise UsageError(f"tags= takes a mapping of str to str: {error}") from error
