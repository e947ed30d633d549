"""Values of single calls in a form of the program's own."""

from collections.abc import Callable
from typing import Any, Protocol

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import DecodeError, EncodeError
from resonate_sdk.protocol.records import Value


class Encoder(Protocol):
    """Makes JSON text of the call, and a value of the JSON text of its result.

    Who runs the function reads what was written with the codec of its own client.
    """

    def encode(self, value: Any) -> str | None:
        """Write a call, a dictionary of `func`, `args`, `kwargs` and `version`."""
        ...

    def decode(self, text: str | None) -> Any:
        """Read a result; None if it is empty."""
        ...


def encode_by(encoder: Encoder, codec: Codec, call: dict[str, Any]) -> Value:
    """Write a call; the codec encrypts it.

    Raises:
        EncodeError: the encoder failed, or made something else than JSON text.
    """
    try:
        text: Any = encoder.encode(call)
    except Exception as error:  # the encoder is code of the user's
        raise EncodeError(f"encoder= could not write the call: {error}") from error
    if not isinstance(text, str):
        raise EncodeError(f"encoder= makes JSON text of a call, found {text!r}")
    return codec.encode_json(text)


def decoding_by(encoder: Encoder, codec: Codec) -> Callable[[Value], Any]:
    """What reads results.

    Raises:
        DecodeError: when it is called: the encoder failed.
    """

    def decode(value: Value) -> Any:
        text = codec.text(value)
        try:
            return encoder.decode(None if text is None else text.decode())
        except Exception as error:  # the encoder is code of the user's
            raise DecodeError(f"encoder= could not read the result: {error}") from error

    return decode
