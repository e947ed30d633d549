"""The call envelope: what the promise of a remote call says about the call."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field, structs

from resonate_sdk.encoding.codec import Codec, is_array, is_object
from resonate_sdk.errors import EncodeError
from resonate_sdk.functions.ops import Promise
from resonate_sdk.options import NO_OPTIONS, Options, class_name
from resonate_sdk.protocol.records import Value
from resonate_sdk.retry import Storable

logger = logging.getLogger(__name__)

_TYPE = "__type"
_PROMISE = "promise"


class CallEnvelope(Struct, frozen=True, kw_only=True):
    """A call of a registered function.

    Attributes:
        has_promises: whether promises are among the arguments, as `{"__type": "promise", "id": …}`.
        retry: the policy that the caller wants, as `{"type": "constant", "delay": 5}`. Who runs the
            call goes by it if it knows the form, else by what it would do anyway.
        non_retryable: names of exception classes after which the caller wants no further attempt.
    """

    func: str
    args: list[Any] = field(default_factory=list[Any])
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    version: int = 1
    has_promises: bool | UnsetType = field(name="promises", default=UNSET)
    retry: Any = UNSET
    non_retryable: Any = field(name="nonRetryable", default=UNSET)

    def given_over(self, registered: Options) -> Options:
        """What the function is run with: the caller's wishes go before its registration's."""
        try:
            if self.retry is not UNSET:
                policy = msgspec.convert(self.retry, Storable)
                registered = structs.replace(registered, retry_policy=policy)
            if self.non_retryable is not UNSET:
                names = msgspec.convert(self.non_retryable, tuple[str, ...])
                registered = structs.replace(
                    registered, non_retryable=None, non_retryable_names=names
                )
        except msgspec.ValidationError as error:
            logger.warning("retries are not as the caller wants them: %s", error)
        return registered


def encode_call(
    codec: Codec,
    func: str,
    version: int,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    given: Options = NO_OPTIONS,
) -> Value:
    """Write a call. Promises that somebody else settles are passed on by their ids.

    Raises:
        EncodeError: an argument, or the retry policy, cannot be stored as JSON.
    """
    call = CallEnvelope(
        func=func, args=list(args), kwargs=dict(kwargs), version=version, **retries(func, given)
    )
    try:
        return codec.encode(call)
    except EncodeError:
        passed = _Passed(func)
        args = [passed.on(f"argument {n}", arg) for n, arg in enumerate(args, start=1)]
        kwargs = {name: passed.on(f"argument {name!r}", arg) for name, arg in kwargs.items()}
        if passed.count:
            call = structs.replace(call, args=args, kwargs=kwargs, has_promises=True)
        return _encode_or_blame(codec, call)


def decode_call(codec: Codec, param: Value) -> CallEnvelope:
    """Read a call.

    Raises:
        DecodeError: the data is not a call.
    """
    envelope: CallEnvelope | None = codec.decode(param, CallEnvelope)
    if envelope is None:
        return CallEnvelope(func="")
    if envelope.has_promises is not True:
        return envelope
    return structs.replace(
        envelope,
        args=_replaced(envelope.args, _promise_of),
        kwargs=_replaced(envelope.kwargs, _promise_of),
    )


def retries(func: str, given: Options) -> dict[str, Any]:
    """What a call says about retries to who runs it.

    Raises:
        EncodeError: the policy is a class of the user's, which nobody else knows.
    """
    wanted = dict[str, Any]()
    if given.retry_policy is not None:
        if not isinstance(given.retry_policy, Storable):
            raise EncodeError(
                f"the retry policy of {func}: who runs it knows no {given.retry_policy!r}: write "
                "Never, Constant, Linear or Exponential, or give it to register(...) there",
                function=func,
            )
        wanted["retry"] = given.retry_policy
    if given.non_retryable is not None:
        wanted["non_retryable"] = [class_name(cls) for cls in given.non_retryable]
    return wanted


def retries_as_json(func: str, given: Options) -> dict[str, Any]:
    """The same for who writes the envelope, as plain JSON types.

    Raises:
        EncodeError: likewise.
    """
    names = {"non_retryable": "nonRetryable"}
    wanted = retries(func, given)
    return {names.get(key, key): msgspec.to_builtins(value) for key, value in wanted.items()}


def _encode_or_blame(codec: Codec, call: CallEnvelope) -> Value:
    """Encode a call; what cannot be is said of the argument that it is."""
    try:
        return codec.encode(call)
    except EncodeError:
        for name, value in (*enumerate(call.args, start=1), *call.kwargs.items()):
            try:
                codec.encode(value)
            except EncodeError as error:
                raise error.of(f"argument {name!r}", call.func) from None
        raise  # each by itself can be stored: together they are too large


class _Passed:
    """Counts the promises among the arguments of a call, and writes each."""

    def __init__(self, func: str) -> None:
        self._func = func
        self._what = ""
        self.count = 0

    def on(self, what: str, argument: Any) -> Any:
        self._what = what
        return _replaced(argument, self._reference)

    def _reference(self, found: Any) -> Any:
        if not isinstance(found, Promise):
            return None
        if found.is_run_here:
            raise EncodeError(
                f"{self._what} of {self._func}: nobody else can wait for {found!r}, which this "
                "execution runs itself: begin it with ctx.begin_rpc, or pass on its value",
                function=self._func,
            )
        self.count += 1
        return {_TYPE: _PROMISE, "id": found.id}


def _promise_of(found: Any) -> Any:
    match found:
        case {"__type": "promise", "id": str(id)} if len(found) == 2:
            return Promise[Any](id)
        case _:
            return None


def _replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    """A value with some of its parts replaced, in lists and dictionaries at any depth."""
    replaced = replace(value)
    if replaced is not None:
        return replaced
    if is_array(value):
        return [_replaced(item, replace) for item in value]
    if is_object(value):
        return {key: _replaced(item, replace) for key, item in value.items()}
    return value
