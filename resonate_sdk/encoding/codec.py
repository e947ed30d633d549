"""How Python values and exceptions become stored values, and come back.

`data` is base64 of JSON. Types come back from annotations: without one, plain JSON types do.
Nothing is ever unpickled, imported or constructed because stored data says so.
"""

import base64
import binascii
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeGuard

import msgspec

from resonate_sdk.errors import DecodeError, EncodeError
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import EMPTY, Value

INFINITY = "__INF__"
NEGATIVE_INFINITY = "__NEG_INF__"
CODEC_HEADER = "resonate:codec"
ENCRYPTION_HEADER = "resonate:enc"
CODEC_NAME = "json.v1"
_INFINITIES = (INFINITY.encode(), NEGATIVE_INFINITY.encode())
_PASSED_AS_IS = (Any, None, type(None), object)


class Codec:
    """JSON with the types of annotations."""

    def encode(self, value: object) -> Value:
        """Encode a value; None becomes the empty value.

        Raises:
            EncodeError: it holds something that JSON cannot express, or is too large.
        """
        return EMPTY if value is None else _stored(_to_json(value), _describe(value))

    def encode_json(self, text: str) -> Value:
        """Encode a value that is JSON text already.

        Raises:
            EncodeError: it is not JSON, or is too large.
        """
        try:
            msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise EncodeError(f"data= is JSON text: {error}") from error
        return _stored(text.encode(), "the text")

    def decode(self, value: Value, type: Any = Any) -> Any:
        """Decode a value, into `type` if that says more than JSON does.

        Raises:
            DecodeError: the data is not base64 of JSON, or not of that type.
        """
        if not value.data:
            return None
        if value.headers:
            _check_headers(value.headers)
        try:
            text = base64.b64decode(value.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DecodeError(f"the stored data is not base64: {error}") from error
        try:
            if text == b"null":
                return None
            if any(infinity in text for infinity in _INFINITIES):
                return convert(_restore_infinities(msgspec.json.decode(text)), type)
            if type in _PASSED_AS_IS:
                return msgspec.json.decode(text)
            return _decode_typed(text, type)
        except DecodeError:
            raise
        except msgspec.ValidationError as error:
            raise DecodeError(f"the stored data does not fit: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"the stored data is not JSON: {error}") from error
        except Exception as error:  # a class of the user's runs code of its own when it is made
            raise DecodeError(f"the stored data does not become {type!r}: {error}") from error


def convert(value: Any, type: Any) -> Any:
    """Bring plain JSON types into an annotated type.

    Raises:
        DecodeError: the value is not of that type; the message names the path in it.
    """
    if type in _PASSED_AS_IS:
        return value
    try:
        return msgspec.convert(value, type, str_keys=True, dec_hook=_decode_other)
    except msgspec.ValidationError as error:
        raise DecodeError(str(error)) from error
    except TypeError:
        # msgspec does not know the annotated type: the plain value is all there is.
        return value
    except Exception as error:  # a class of the user's runs code of its own when it is made
        raise DecodeError(f"the value does not become {type!r}: {error}") from error


def _decode_typed(text: bytes, type: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=type, dec_hook=_decode_other)
    except TypeError:
        # msgspec does not know the annotated type: the plain value is all there is.
        return msgspec.json.decode(text)


def _decode_other(type: Any, value: Any) -> Any:
    if issubclass(type, PurePath) and isinstance(value, str):
        return type(value)
    validate = getattr(type, "model_validate", None)
    return value if validate is None else validate(value)  # pydantic, which need not be installed


def _check_headers(headers: Mapping[str, str]) -> None:
    codec = headers.get(CODEC_HEADER, CODEC_NAME)
    if codec != CODEC_NAME:
        raise DecodeError(f"the stored data is written in {codec!r}, only {CODEC_NAME!r} is known")
    if ENCRYPTION_HEADER in headers:
        raise DecodeError(f"the stored data is encrypted by {headers[ENCRYPTION_HEADER]!r}")


def _stored(text: bytes, what: str) -> Value:
    data = base64.b64encode(text)
    if len(data) > limits.VALUE_BYTES_MAX:
        raise EncodeError(
            f"{what} has {len(data)} bytes when it is stored, the limit is "
            f"{limits.VALUE_BYTES_MAX}: keep it elsewhere and pass a reference"
        )
    return Value(data=data.decode())


def _to_json(value: object) -> bytes:
    try:
        text = msgspec.json.encode(value, enc_hook=_encode_other)
        if b"null" in text:  # msgspec writes NaN and infinities as null
            plain = msgspec.to_builtins(value, enc_hook=_encode_other, str_keys=True)
            text = msgspec.json.encode(_replace_infinities(plain))
    except Exception as error:  # a class of the user's runs code of its own when it is written
        raise EncodeError(f"{_describe(value)} cannot be stored as JSON: {error}") from error
    return text


def _encode_other(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):  # pydantic, which need not be installed
        return dump(mode="json")
    raise TypeError(
        f"{_describe(value)} is none of the types that can be stored; "
        "use plain types, dataclasses, msgspec, attrs or pydantic models"
    )


def _replace_infinities(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise ValueError("NaN has no JSON form")
        return INFINITY if value > 0 else NEGATIVE_INFINITY
    if _is_object(value):
        return {key: _replace_infinities(item) for key, item in value.items()}
    if _is_array(value):
        return [_replace_infinities(item) for item in value]
    return value


def _restore_infinities(value: Any) -> Any:
    if value == INFINITY:
        return math.inf
    if value == NEGATIVE_INFINITY:
        return -math.inf
    if _is_object(value):
        return {key: _restore_infinities(item) for key, item in value.items()}
    if _is_array(value):
        return [_restore_infinities(item) for item in value]
    return value


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_array(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def _describe(value: object) -> str:
    return f"a value of type {type(value).__qualname__}"
