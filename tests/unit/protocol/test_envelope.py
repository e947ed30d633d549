import json
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import Body, Decoded, Malformed, decode_body
from resonate_sdk.protocol.requests import KINDS, PromiseGet
from tests.unit.protocol.wire import VALID, decode, envelope

GET = envelope("promise.get", {"id": "p"})
DEEP = b"[" * 5_000 + b"]" * 5_000


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def the_malformed(body: bytes) -> Malformed:
    (item,) = decode_body(body).items
    assert isinstance(item, Malformed), item
    return item


@pytest.mark.parametrize("kind", VALID)
def test_valid_data_of_every_kind_is_read(kind: str):
    item = decode(kind, VALID[kind])

    assert isinstance(item, Decoded), item
    assert (item.kind, type(item.request)) == (kind, KINDS[kind])


def test_there_is_an_example_of_every_kind():
    assert set(VALID) == set(KINDS)


def test_one_object_is_answered_by_one_object_and_an_array_by_an_array():
    alone, array = decode_body(encode(GET)), decode_body(encode([GET]))

    assert (alone.is_array, array.is_array) == (False, True)
    assert alone.items == array.items


def test_the_requests_of_an_array_keep_their_order():
    body = encode([envelope("promise.get", {"id": str(n)}, corrId=str(n)) for n in range(500)])

    decoded = decode_body(body)

    heads = [item.head for item in decoded.items if isinstance(item, Decoded)]
    assert [head.correlation_id for head in heads] == [str(n) for n in range(500)]


def test_correlation_id_version_and_chain_are_read_from_the_head():
    item = decode("promise.get", {"id": "p"}, corrId="c-7", chain="x")

    assert isinstance(item, Decoded)
    assert (item.head.correlation_id, item.head.chain) == ("c-7", "x")
    assert item.head.version == limits.VERSION


def test_keys_that_nobody_knows_are_ignored():
    item = decode("promise.get", {"id": "p", "zz": [1, {"a": None}]}, **{"resonate:origin": "o"})

    assert isinstance(item, Decoded)
    assert item.request == PromiseGet(id="p")


def test_space_around_and_inside_an_envelope_does_not_matter():
    body = b'\n [ {"kind" : "promise.get", "head": {"corrId":"c", "version": "2026-04-01"},\t'
    body += b'"data" :\n {"id":"p"} } ] \n'

    (item,) = decode_body(body).items

    assert isinstance(item, Decoded)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"nonsense",
        b"{",
        b'{"kind":',
        b"{'kind': 'promise.get'}",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"kind":"promise.get"}',
        b"NaN",
        encode(GET) + b"x",
    ],
)
def test_what_is_not_json_is_answered_without_a_name(body: bytes):
    item = the_malformed(body)

    assert (item.kind, item.correlation_id) == ("unknown", "0")
    assert "not JSON" in item.reason


@pytest.mark.parametrize("body", [b"[", b"[1,", b"[{}", b"[{},]", encode([GET]) + b"]"])
def test_an_array_that_is_not_json_is_one_malformed_request(body: bytes):
    assert not decode_body(body).is_array
    assert "not JSON" in the_malformed(body).reason


def test_an_empty_array_is_malformed():
    assert "empty array" in the_malformed(b"[]").reason


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "text", [], [GET]])
def test_an_item_that_is_no_object_is_malformed(value: object):
    (item,) = decode_body(encode([value])).items

    assert isinstance(item, Malformed)
    assert (item.kind, item.correlation_id) == ("unknown", "0")


@pytest.mark.parametrize("key", ["kind", "head", "data"])
def test_an_envelope_needs_kind_head_and_data(key: str):
    body = {name: value for name, value in GET.items() if name != key}

    item = the_malformed(encode(body))

    assert f"{key} is missing" in item.reason
    assert item.correlation_id == ("0" if key == "head" else "c")
    assert item.kind == ("unknown" if key == "kind" else "promise.get")


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({"kind": 5}, "kind: "),
        ({"kind": None}, "kind: "),
        ({"head": []}, "head: "),
        ({"head": "x"}, "head: "),
        ({"head": None}, "head: "),
        ({"head": {"corrId": 5, "version": limits.VERSION}}, "corrId"),
        ({"head": {"corrId": "c", "version": 5}}, "version"),
        ({"head": {"corrId": "c", "version": limits.VERSION, "chain": 5}}, "chain"),
    ],
)
def test_an_envelope_of_the_wrong_shape_is_told_where(patch: dict[str, Any], named: str):
    assert named in the_malformed(encode(GET | patch)).reason


@pytest.mark.parametrize("data", [None, 5, "x", [], True])
def test_data_must_be_an_object(data: object):
    item = the_malformed(encode(GET | {"data": data}))

    assert (item.kind, item.correlation_id) == ("promise.get", "c")
    assert "data is not an object" in item.reason


def test_an_empty_kind_is_malformed():
    item = the_malformed(encode(GET | {"kind": ""}))

    assert (item.kind, item.correlation_id) == ("unknown", "c")
    assert "kind is empty" in item.reason


@pytest.mark.parametrize("version", ["", "2025-01-01", "2026-04-01 ", "latest"])
def test_a_version_that_is_not_served_is_refused_and_told_which_is(version: str):
    item = the_malformed(encode(envelope("promise.get", {"id": "p"}, version=version)))

    assert item.correlation_id == "c"
    assert repr(version) in item.reason
    assert limits.VERSION in item.reason


def test_a_head_without_a_version_is_refused():
    assert "version" in the_malformed(encode(GET | {"head": {"corrId": "c"}})).reason


def test_an_unknown_kind_is_refused_by_its_name():
    item = the_malformed(encode(envelope("promise.nonsense", {"id": "p"})))

    assert (item.kind, item.reason) == ("promise.nonsense", "Unknown operation: promise.nonsense")


def test_data_is_checked_before_the_version_the_version_before_the_kind_the_kind_before_fields():
    bad_data = envelope("nonsense", [], version="old")
    bad_version = envelope("nonsense", {}, version="old")
    bad_kind = envelope("nonsense", {})

    reasons = [the_malformed(encode(body)).reason for body in (bad_data, bad_version, bad_kind)]

    assert "object" in reasons[0]
    assert "version" in reasons[1]
    assert "Unknown operation" in reasons[2]


def test_a_head_without_a_correlation_id_is_answered_under_0():
    body = GET | {"head": {"version": limits.VERSION}}

    (item,) = decode_body(encode(body)).items

    assert isinstance(item, Decoded)
    assert item.head.correlation_id == "0"


BAD_ITEMS = {
    "no object": b"5",
    "null": b"null",
    "empty": b"{}",
    "unknown kind": encode(envelope("nonsense", {})),
    "bad field": encode(envelope("promise.get", {"id": ""})),
    "bad version": encode(envelope("promise.get", {"id": "p"}, version="x")),
    "huge integer": encode(envelope("promise.create", {"id": "p", "timeoutAt": 10**400})),
    "bad utf-8": encode(GET).replace(b'"p"', b'"\xff"'),
    "utf-8 surrogate": encode(GET).replace(b'"p"', b'"\xed\xa0\x80"'),
    "lone surrogate": encode(GET).replace(b'"p"', b'"\\ud800"'),
    "reversed surrogates": encode(GET).replace(b'"p"', b'"\\udc00\\ud800"'),
    "lone surrogate where nobody looks": encode(GET).replace(b'"p"', b'"p","x":"\\udfff"'),
    "nul": encode(envelope("promise.get", {"id": "\x00"})),
}


@pytest.mark.parametrize("bad", BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_one_bad_item_spoils_no_other(bad: bytes):
    body = b"[" + b",".join([encode(GET), bad, encode(GET)]) + b"]"

    decoded = decode_body(body)

    assert decoded.is_array
    assert [type(item) for item in decoded.items] == [Decoded, Malformed, Decoded]


DEEP_BODIES = {
    "where nobody looks": encode(GET).replace(b'"p"', b'"p","x":' + DEEP),
    "for a field": encode(GET).replace(b'"p"', DEEP),
    "for a value": encode(envelope("promise.create", {"X": 0})).replace(
        b'"X": 0', b'"id":"p","timeoutAt":5,"param":' + DEEP
    ),
    "in an array": b"[" + encode(GET).replace(b'"p"', b'"p","x":' + DEEP) + b"]",
    "for an envelope": DEEP,
}


@pytest.mark.parametrize("body", DEEP_BODIES.values(), ids=DEEP_BODIES.keys())
def test_a_body_that_is_nested_deeply_is_answered_and_not_raised(body: bytes):
    assert len(decode_body(body).items) == 1


@pytest.mark.parametrize("key", ["a", "a b"])
def test_half_a_character_as_deep_as_can_be_read_is_answered_and_not_raised(key: str):
    level = b'{"%s":' % key.encode()
    for depth in (*range(700, 1_000), 3_000, 9_000):
        body = level * depth + b'"\\ud800"' + b"}" * depth

        assert [type(item) for item in decode_body(body).items] == [Malformed]


@pytest.mark.parametrize("bad", BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_a_bad_body_is_answered_and_not_raised(bad: bytes):
    decoded = decode_body(bad)

    assert isinstance(decoded, Body)
    assert len(decoded.items) == 1


def test_a_string_with_a_lone_surrogate_is_never_read():
    for where in (b'"id":"\\ud800"', b'"id":"p","timeoutAt":5,"tags":{"a":"\\udfff"}'):
        body = encode(envelope("promise.create", {"X": 0})).replace(b'"X": 0', where)

        assert isinstance(decode_body(body).items[0], Malformed)


def test_a_message_at_the_limit_of_bytes_is_read():
    padding = limits.MESSAGE_BYTES_MAX - len(encode(GET))

    assert isinstance(decode_body(encode(GET) + b" " * padding).items[0], Decoded)


def test_a_message_above_the_limit_of_bytes_is_refused_with_size_and_limit():
    item = the_malformed(b" " * limits.MESSAGE_BYTES_MAX + b"x")

    assert str(limits.MESSAGE_BYTES_MAX) in item.reason
    assert str(limits.MESSAGE_BYTES_MAX + 1) in item.reason


def test_a_message_above_the_limit_of_envelopes_is_refused_with_count_and_limit():
    item = the_malformed(encode([GET] * (limits.ENVELOPES_PER_MESSAGE_MAX + 1)))

    assert "501" in item.reason
    assert "500" in item.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["kind", "head", "data", "id", "corrId", "version", "x"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(derandomize=True, max_examples=300)
@given(json_values)
def test_any_json_is_read_or_refused(value: object):
    decoded = decode_body(json.dumps(value).encode())

    expected = len(value) if decoded.is_array and isinstance(value, list) else 1
    assert len(decoded.items) == expected


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=60))
@example(b"[]")
def test_any_bytes_are_read_or_refused(body: bytes):
    assert decode_body(body).items


@settings(derandomize=True, max_examples=200)
@given(st.sampled_from(sorted(VALID)), st.text(max_size=4), json_values)
def test_any_data_of_any_kind_is_read_or_refused(kind: str, key: str, value: object):
    for field in (key, *VALID[kind]):
        item = decode(kind, VALID[kind] | {field: value})

        assert isinstance(item, Decoded | Malformed)
