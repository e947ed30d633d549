"""The headers of a message, made and read: AMQP 0-9-1 §4.2.5.5, with the types that RabbitMQ knows.

What is read within a table or a list is left as it is. Nothing here needs it, and whoever publishes could
nest it so deeply, or make so much of it, that reading it would cost us the connection.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pamqp import encode

_SIZE = struct.Struct(">I")
_NUMBERS: Mapping[int, struct.Struct] = {
    ord(kind): struct.Struct(form)
    for kind, form in {
        "t": ">?",
        "b": ">b",
        "B": ">B",
        "s": ">h",
        "u": ">H",
        "I": ">i",
        "i": ">I",
        "l": ">q",
        "L": ">q",
        "f": ">f",
        "d": ">d",
    }.items()
}
_FIXED_BYTES: Mapping[int, int] = {ord("D"): 5, ord("T"): 8}  # decimals, instants
_SIZED = frozenset(b"SxAF")  # texts, bytes, lists, tables
_TEXT = ord("S")
_NOTHING = frozenset(b"V\x00")
_LONG = struct.Struct(">q")
_LONG_MAX = 2**63 - 1
_NAME_BYTES_MAX = 128


def write_table(table: Mapping[str, Any]) -> bytes:
    """Make a table; texts and numbers, which are nearly all there is, without detours.

    Raises:
        TypeError: something in it has no form in AMQP.
    """
    parts = [b""]
    for name, value in table.items():
        written = _write_name(name)
        if type(value) is str:
            text = value.encode()
            parts += (written, b"S", _SIZE.pack(len(text)), text)
        elif type(value) is int and -_LONG_MAX <= value <= _LONG_MAX:
            parts += (written, b"l", _LONG.pack(value))
        else:
            parts += (written, encode.encode_table_value(value))
    parts[0] = _SIZE.pack(sum(map(len, parts)))
    return b"".join(parts)


@lru_cache(maxsize=256)
def _write_name(name: str) -> bytes:
    encoded = name.encode()
    if len(encoded) > _NAME_BYTES_MAX:  # as the specification bounds them
        encoded = encoded[:_NAME_BYTES_MAX].decode(errors="ignore").encode()
    return bytes((len(encoded),)) + encoded


def read_table(data: bytes, at: int) -> tuple[Mapping[str, Any], int]:
    """Read a table; return it, and where the next field begins.

    Texts, numbers and nothing come as what they are, everything else as its bytes.

    Raises:
        ValueError: it is none.
        LookupError: likewise.
        struct.error: likewise.
    """
    (size,) = _SIZE.unpack_from(data, at)
    at += _SIZE.size
    end = at + size
    if end > len(data):
        raise ValueError("a table is longer than what it is part of")
    table: dict[str, Any] = {}
    while at < end:
        key_end = at + 1 + data[at]
        key = str(data[at + 1 : key_end], "utf-8")
        table[key], at = _read_value(data, key_end)
    if at != end:
        raise ValueError("a table ends in the middle of a value")
    return table, end


def _read_value(data: bytes, at: int) -> tuple[Any, int]:
    kind = data[at]
    at += 1
    if (number := _NUMBERS.get(kind)) is not None:
        return number.unpack_from(data, at)[0], at + number.size
    if kind in _NOTHING:
        return None, at
    if kind in _SIZED:
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
    else:
        size = _FIXED_BYTES[kind]
    end = at + size
    if end > len(data):
        raise ValueError("a value is longer than what it is part of")
    value = data[at:end]
    return (_text(value) if kind == _TEXT else value), end


def _text(text: bytes) -> str | bytes:
    try:
        return str(text, "utf-8")
    except UnicodeDecodeError:
        return text
