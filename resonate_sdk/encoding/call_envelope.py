"""The call envelope: what the promise of a remote call says about the call."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import EncodeError
from resonate_sdk.protocol.records import Value


class CallEnvelope(Struct, frozen=True, kw_only=True):
    """A call of a registered function."""

    func: str
    args: list[Any] = field(default_factory=list[Any])
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    version: int = 1


def encode_call(
    codec: Codec, func: str, version: int, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Value:
    """Write a call.

    Raises:
        EncodeError: an argument cannot be stored as JSON.
    """
    call = CallEnvelope(func=func, args=list(args), kwargs=dict(kwargs), version=version)
    try:
        return codec.encode(call)
    except EncodeError:
        for name, value in (*enumerate(args, start=1), *kwargs.items()):
            try:
                codec.encode(value)
            except EncodeError as error:
                raise error.of(f"argument {name!r}", func) from None
        raise  # each by itself can be stored: together they are too large


def decode_call(codec: Codec, param: Value) -> CallEnvelope:
    """Read a call.

    Raises:
        DecodeError: the data is not a call.
    """
    envelope = codec.decode(param, CallEnvelope)
    return envelope if envelope is not None else CallEnvelope(func="")
