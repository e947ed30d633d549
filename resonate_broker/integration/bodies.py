"""Bodies as their publishers meant them: unpacked, and their characters as UTF-8."""

import codecs
import re
import zlib
from collections.abc import Mapping
from typing import Any

from resonate_broker.integration.plain import NotPlainError
from resonate_sdk.protocol import limits

COMPRESSION_HEADER = "compression"  # of kombu, and so of Celery
_ZLIB = frozenset({"gzip", "x-gzip", "deflate", "zlib", "application/x-gzip"})
_NOTHING = frozenset({"", "identity", "binary", "7bit", "8bit", "none"})
_ANY_HEAD = 32 + zlib.MAX_WBITS  # what kombu calls gzip is zlib
_AS_IT_IS = frozenset({"utf-8", "utf-8-sig", "ascii"})  # by the names of Python's codecs
_CHARSETS = _AS_IT_IS | {
    "iso8859-1", "iso8859-15", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32",
}  # fmt: skip
_IN_TYPE = re.compile(r"""(?:text/|[^;]*json).*;\s*charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)
_BETWEEN = re.compile("[,:]")  # clients of Spring write gzip:UTF-8
_SHOWN_CHARS = 100


def read(
    body: bytes, content_type: str | None, content_encoding: str | None, headers: Mapping[str, Any]
) -> bytes:
    """The body without compression and in UTF-8, as far as its message says that it has others.

    Raises:
        NotPlainError: it is packed in a way that is not known, is not what it claims to be, or is
            too large when unpacked.
    """
    compression = headers.get(COMPRESSION_HEADER)
    if isinstance(compression, str) and compression.lower() not in _NOTHING:
        body = _unpacked(body, compression, f"header {COMPRESSION_HEADER}")
    charset = "utf-8"
    for part in reversed(_BETWEEN.split(content_encoding or "")):  # the last was put on last
        coding = part.strip()
        if (found := _charset(coding)) is not None:
            charset = found
        elif coding.lower() not in _NOTHING:
            body = _unpacked(body, coding, "property content_encoding")
    if named := _IN_TYPE.match(content_type or ""):
        charset = _charset(named[1])
        if charset is None:
            raise NotPlainError(
                f"the character set {named[1][:_SHOWN_CHARS]!r} is not supported: use utf-8"
            )
    return _in_utf8(body, charset)


def _unpacked(body: bytes, coding: str, where: str) -> bytes:
    if coding.lower() not in _ZLIB:
        raise NotPlainError(
            f"the {where} is {coding[:_SHOWN_CHARS]!r}, which is not supported: compress by gzip "
            "or deflate, or not at all"
        )
    unpacker = zlib.decompressobj(_ANY_HEAD)
    try:
        found = unpacker.decompress(body, limits.MESSAGE_BYTES_MAX + 1)
    except zlib.error as error:
        raise NotPlainError(f"the {where} is {coding!r}, but the body is not: {error}") from error
    if len(found) > limits.MESSAGE_BYTES_MAX:
        raise NotPlainError(
            f"the body has more than {limits.MESSAGE_BYTES_MAX} bytes when it is unpacked, that "
            "is the limit"
        )
    if not unpacker.eof:
        raise NotPlainError(f"the {where} is {coding!r}, but the body has no end")
    return found


def _charset(name: str) -> str | None:
    """The codec of a character set; None if that is none of those that messages are written in."""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    return found if found in _CHARSETS else None


def _in_utf8(body: bytes, charset: str) -> bytes:
    if charset not in _AS_IT_IS:
        try:
            body = body.decode(charset).encode()
        except UnicodeError as error:
            raise NotPlainError(
                f"the body is not in the character set {charset!r} of its message: {error}"
            ) from error
    return body.removeprefix(codecs.BOM_UTF8)
