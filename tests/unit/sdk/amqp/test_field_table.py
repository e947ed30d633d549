"""Headers are compared with those of pamqp, which knows all of AMQP."""

import datetime
import decimal
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pamqp import decode, encode
from pamqp.common import FieldValue

from resonate_sdk.amqp.field_table import read_table, write_table
from resonate_sdk.amqp.frames import UNREADABLE

DEEP = 5_000
MANY = 40_000

keys = st.text(max_size=30)
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32, allow_nan=False)
    | st.text(max_size=30)
)


def table(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = b"\x01aF" + table(content)
    return table(content)


@given(headers=st.dictionaries(keys, plain, max_size=5), before=st.binary(max_size=3))
def test_what_a_library_writes_is_read(headers: Mapping[str, Any], before: bytes):
    written = encode.field_table(dict(headers))

    found, end = read_table(before + written + b"rest", len(before))

    assert found == headers
    assert end == len(before) + len(written)


@given(headers=st.dictionaries(keys, plain, max_size=5))
def test_what_is_written_a_library_reads(headers: Mapping[str, Any]):
    written = write_table(headers)

    assert decode.field_table(written) == (len(written), headers)


def test_a_name_that_is_too_long_is_cut_between_two_characters():
    assert read_table(write_table({"a" + 100 * "é": "x"}), 0)[0] == {"a" + 63 * "é": "x"}


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_a_number_has_64_bits(value: int):
    assert decode.field_table(write_table({"n": value}))[1] == {"n": value}


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError):
        write_table({"n": 2**63})


@pytest.mark.parametrize(
    "value",
    [
        [{"count": 1, "queue": "q"}, 2],
        {"inside": {"deeper": 1}},
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        decimal.Decimal("1.5"),
        bytearray(b"abc"),
    ],
    ids=["list", "table", "instant", "decimal", "bytes"],
)
def test_what_is_neither_text_nor_number_is_passed_over(value: FieldValue):
    found, _ = read_table(encode.field_table({"odd": value, "next": 7}), 0)

    assert isinstance(found["odd"], bytes)
    assert found["next"] == 7


def test_text_that_is_no_utf8_is_bytes():
    found, _ = read_table(table(b"\x01aS" + table(b"\xff")), 0)

    assert found == {"a": b"\xff"}


def test_however_deep_a_table_is_it_is_not_looked_into():
    found, _ = read_table(nested(DEEP), 0)

    assert list(found) == ["a"]


def test_a_table_of_very_many_entries_is_read_once():
    found, _ = read_table(table(b"\x00V" * MANY), 0)

    assert found == {"": None}


@given(data=st.binary(max_size=40))
def test_whatever_the_bytes_are_they_are_read_or_refused(data: bytes):
    try:
        _, end = read_table(data, 0)
    except UNREADABLE:
        return
    assert end <= len(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\0", table(b"\x05a"), table(b"\x01a"), table(b"\x01a?"), b"\0\0\0\x09\x01aV"],
    ids=["nothing", "half a size", "half a key", "no value", "an unknown type", "too short"],
)
def test_what_is_no_table_is_refused(data: bytes):
    with pytest.raises(UNREADABLE):
        read_table(data, 0)
