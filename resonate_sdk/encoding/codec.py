"""How Python values and exceptions become stored values, and come back.

`data` is base64 of JSON. Types come back from annotations: without one, plain JSON types do.
Nothing is ever unpickled, imported or constructed because stored data says so.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeGuard, TypeVar

import msgspec

from resonate_sdk.encoding.adapters import Adapter, Adapters, FormlessError
from resonate_sdk.encoding.coercion import UnknownTypeError, coerce_parts
from resonate_sdk.encoding.culprits import find_culprit
from resonate_sdk.encoding.exceptions import Exceptions
from resonate_sdk.errors import DecodeError, EncodeError
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import EMPTY, Value

T = TypeVar("T")

INFINITY = "__INF__"
NEGATIVE_INFINITY = "__NEG_INF__"
CODEC_HEADER = "resonate:codec"
ENCRYPTION_HEADER = "resonate:enc"
CODEC_NAME = "json.v1"
_INFINITIES = (INFINITY.encode(), NEGATIVE_INFINITY.encode())
_INSIDE = re.compile(r" - at `\$([^`]*)` - at `$")
_PASSED_AS_IS = (Any, None, type(None), object)


class Encryptor(Protocol):
    """Hides values from the server and from who reads its database.

    Ids, tags and states are not encrypted: never put secrets there.

    Attributes:
        name: of the method, stored with each value, so that readers know what it needs.
    """

    @property
    def name(self) -> str:
        """What the method is called in the headers of values."""
        ...

    def encrypt(self, plain: bytes, headers: dict[str, str]) -> bytes:
        """Encrypt a value.

        Args:
            plain: its JSON text.
            headers: stored with it, readable; add what `decrypt` needs, such as the id of a key.
        """
        ...

    def decrypt(self, cipher: bytes, headers: Mapping[str, str]) -> bytes:
        """Decrypt a value; raise any exception if that cannot be done with this key."""
        ...


class Codec:
    """JSON with the types of annotations.

    Attributes:
        exceptions: the classes of exceptions that it rebuilds.

    Example:
        >>> codec = Codec()
        >>> codec.decode(codec.encode({"a", "b"}), set[str]) == {"a", "b"}
        True
    """

    def __init__(
        self, encryptor: Encryptor | None = None, *, rebuilds_imported: bool = True
    ) -> None:
        """Make a codec.

        Args:
            encryptor: encrypts what is written. What is not encrypted, for instance because it was
                written before or by `resonate promises resolve`, can be read all the same.
            rebuilds_imported: whether an exception comes back in its class when that is found in a
                module that is imported already; else only builtin, registered and marked classes
                come back.
        """
        self._encryptor = encryptor
        self._adapters = Adapters()
        self.exceptions = Exceptions(rebuilds_imported=rebuilds_imported)

    def register(
        self, cls: type[T], *, encode: Callable[[T], Any], decode: Callable[[Any], T]
    ) -> None:
        """Teach the codec a class.

        Args:
            cls: a class of yours; its subclasses are written in the same way.
            encode: makes something of a value that can be stored, for instance a dictionary.
            decode: makes the value of what was stored, where an annotation says `cls`.

        Raises:
            UsageError: the class has a stored form already.

        Example:
            >>> codec = Codec()
            >>> codec.register(complex, encode=str, decode=complex)
            >>> codec.decode(codec.encode([1 + 2j]), list[complex])
            [(1+2j)]
        """
        self._adapters.add(cls, Adapter(encode, decode))

    def encode(self, value: object) -> Value:
        """Encode a value; None becomes the empty value.

        Raises:
            EncodeError: it holds something that JSON cannot express, or is too large.
        """
        return EMPTY if value is None else self._stored(self._to_json(value), _describe(value))

    def encode_json(self, text: str) -> Value:
        """Encode a value that is JSON text already.

        Raises:
            EncodeError: it is not JSON, or is too large.
        """
        try:
            msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise EncodeError(f"data= is JSON text: {error}") from error
        return self._stored(text.encode(), "the text")

    def decode(self, value: Value, type: Any = Any) -> Any:
        """Decode a value, into `type` if that says more than JSON does.

        Raises:
            DecodeError: the data is not base64 of JSON, or not of that type.
        """
        text = self.text(value)
        if text is None:
            return None
        try:
            if text == b"null":
                return None
            if any(infinity in text for infinity in _INFINITIES):
                return self._convert_infinities(msgspec.json.decode(text), type)
            if type in _PASSED_AS_IS:
                return msgspec.json.decode(text)
            return self._decode_typed(text, type)
        except DecodeError:
            raise
        except msgspec.ValidationError as error:
            raise _misfit("the stored data does not fit: ", error) from _reason(error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"the stored data is not JSON: {error}") from error
        except Exception as error:  # a class of the user's runs code of its own when it is made
            raise DecodeError(f"the stored data does not become {type!r}: {error}") from error

    def text(self, value: Value) -> bytes | None:
        """The JSON text of a value, decrypted; None if it is empty.

        Raises:
            DecodeError: the data is not base64, or cannot be decrypted.
        """
        if not value.data:
            return None
        if value.headers:
            _check_headers(value.headers)
        try:
            text = base64.b64decode(value.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DecodeError(f"the stored data is not base64: {error}") from error
        if value.headers and ENCRYPTION_HEADER in value.headers:
            return self._decrypted(text, value.headers)
        return text

    def convert(self, value: Any, type: Any) -> Any:
        """Bring plain JSON types into an annotated type.

        Raises:
            DecodeError: the value is not of that type; the message names the path in it.
        """
        return self._convert(value, type, "$")

    def _convert(self, value: Any, type: Any, path: str) -> Any:
        if type in _PASSED_AS_IS:
            return value
        try:
            return msgspec.convert(value, type, str_keys=True, dec_hook=self._typed)
        except msgspec.ValidationError as error:
            raise _misfit("", error, path) from _reason(error)
        except TypeError:
            return self._convert_parts(value, type, path)
        except Exception as error:  # a class of the user's runs code of its own when it is made
            raise DecodeError(f"the value does not become {type!r}: {error}") from error

    def _typed(self, type: Any, value: Any) -> Any:
        try:
            return self._adapters.typed(type, value, self.convert)
        except DecodeError as error:
            raise ValueError(str(error)) from error  # to which msgspec adds the place

    def _convert_parts(self, value: Any, type: Any, path: str = "$") -> Any:
        try:
            return coerce_parts(value, type, path, self._convert, self._read_again)
        except UnknownTypeError:
            return value

    def _convert_infinities(self, value: Any, type: Any) -> Any:
        try:
            return self.convert(_restore_infinities(value), type)
        except DecodeError:
            return self.convert(value, type)  # it is a text that looks like one

    def _decode_typed(self, text: bytes, type: Any) -> Any:
        try:
            return msgspec.json.decode(text, type=type, dec_hook=self._typed)
        except TypeError:  # msgspec refuses the annotation
            return self._convert_parts(msgspec.json.decode(text), type)

    @property
    def is_secret(self) -> bool:
        """Whether who sees what is stored must not understand it."""
        return self._encryptor is not None

    def _stored(self, text: bytes, what: str) -> Value:
        headers = dict[str, str]()
        if self._encryptor is not None:
            headers[ENCRYPTION_HEADER] = self._encryptor.name
            text = self._encryptor.encrypt(text, headers)
        data = base64.b64encode(text)
        if len(data) > limits.VALUE_BYTES_MAX:
            raise EncodeError(
                f"{what} has {len(data)} bytes when it is stored, the limit is "
                f"{limits.VALUE_BYTES_MAX}: keep it elsewhere and pass a reference"
            )
        return Value(data=data.decode(), headers=headers or None)

    def _decrypted(self, cipher: bytes, headers: Mapping[str, str]) -> bytes:
        name = headers[ENCRYPTION_HEADER]
        if self._encryptor is None or self._encryptor.name != name:
            raise DecodeError(
                f"the stored data is encrypted by {name!r}: give that encryptor to the client"
            )
        try:
            return self._encryptor.decrypt(cipher, headers)
        except Exception as error:
            raise DecodeError(
                f"the stored data cannot be decrypted by {name!r}: {error}"
            ) from error

    def _to_json(self, value: object) -> bytes:
        try:
            return self._written(value)
        except Exception as error:  # noqa: BLE001  # a class of the user's runs code of its own
            culprit = find_culprit(value, self._written)
            cause = ""
            if culprit.path != "$":
                cause = f" because of {_describe(culprit.value)} at {culprit.path}"
            raise EncodeError(
                f"{_describe(value)} cannot be stored as JSON{cause}: {culprit.reason}",
                path=culprit.path,
            ) from (None if isinstance(error, FormlessError) else error)

    def _written(self, value: object) -> bytes:
        text = msgspec.json.encode(value, enc_hook=self._adapters.plain)
        if b"null" in text:  # msgspec writes NaN and infinities as null
            text = msgspec.json.encode(_replace_infinities(self._plain(value)))
        return text

    def _read_again(self, value: object) -> Any:
        return msgspec.json.decode(self._written(value))

    def _plain(self, value: object) -> Any:
        return msgspec.to_builtins(value, enc_hook=self._adapters.plain, str_keys=True)


def _misfit(what: str, error: msgspec.ValidationError, path: str = "$") -> DecodeError:
    """What msgspec says, with the whole path to the place."""
    message = str(error)
    found = re.search(r"`(\$[^`]*)`$", message)
    if found is None:
        return DecodeError(f"{what}{message} - at `{path}`", path=path)
    place, sentence = path + found[1][1:], message[: found.start(1)]
    inside = _INSIDE.search(sentence)
    if inside is not None:  # a part of what we have made, told by us with its place in that
        place, sentence = place + inside[1], sentence[: inside.start()] + " - at `"
    return DecodeError(f"{what}{sentence}{place}`", path=place)


def _reason(error: BaseException) -> BaseException | None:
    """What a class of the user's has raised; what msgspec says is in our sentence already."""
    cause = error.__cause__
    if cause is not None and isinstance(cause.__cause__, DecodeError):  # of a part
        return cause.__cause__.__cause__
    return cause


def _check_headers(headers: Mapping[str, str]) -> None:
    codec = headers.get(CODEC_HEADER, CODEC_NAME)
    if codec != CODEC_NAME:
        raise DecodeError(f"the stored data is written in {codec!r}, only {CODEC_NAME!r} is known")


def _replace_infinities(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise FormlessError("NaN has no JSON form")
        return INFINITY if value > 0 else NEGATIVE_INFINITY
    if is_object(value):
        return {key: _replace_infinities(item) for key, item in value.items()}
    if is_array(value):
        return [_replace_infinities(item) for item in value]
    return value


def _restore_infinities(value: Any) -> Any:
    if value == INFINITY:
        return math.inf
    if value == NEGATIVE_INFINITY:
        return -math.inf
    if is_object(value):
        return {key: _restore_infinities(item) for key, item in value.items()}
    if is_array(value):
        return [_restore_infinities(item) for item in value]
    return value


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether JSON calls it an object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether JSON calls it an array."""
    return isinstance(value, list | tuple)


def _describe(value: object) -> str:
    return f"a value of type {type(value).__qualname__}"
