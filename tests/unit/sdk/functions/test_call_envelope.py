"""Calls as they are stored."""

import pytest

from resonate_sdk import Codec, EncodeError, Promise
from resonate_sdk.functions.call_envelope import decode_call, encode_call

CODEC = Codec()


def stored(*args, **kwargs):
    return CODEC.decode(encode_call(CODEC, "bar", 2, args, kwargs))


def arrived(*args, **kwargs):
    call = decode_call(CODEC, encode_call(CODEC, "bar", 2, args, kwargs))
    return call.args, call.kwargs


def test_a_call_names_the_function_its_version_and_the_arguments():
    assert stored(1, "a", unit="kg") == {
        "func": "bar",
        "version": 2,
        "args": [1, "a"],
        "kwargs": {"unit": "kg"},
    }


def test_what_is_missing_has_a_meaning():
    call = decode_call(CODEC, CODEC.encode({"func": "bar"}))

    assert (call.args, call.kwargs, call.version) == ([], {}, 1)
    assert decode_call(CODEC, CODEC.encode(None)).func == ""


def test_a_promise_is_passed_on_by_its_id():
    assert stored(Promise("a"), [1, {"deep": Promise("b")}], by_name=(Promise("c"),)) == {
        "func": "bar",
        "version": 2,
        "args": [{"__type": "promise", "id": "a"}, [1, {"deep": {"__type": "promise", "id": "b"}}]],
        "kwargs": {"by_name": [{"__type": "promise", "id": "c"}]},
        "promises": True,
    }


def test_a_promise_arrives_as_one():
    (first, (number, nested)), kwargs = arrived(Promise("a"), (1, Promise("b")), c=Promise("c"))

    assert [type(p) for p in (first, nested, kwargs["c"])] == [Promise] * 3
    assert [first.id, number, nested.id, kwargs["c"].id] == ["a", 1, "b", "c"]


def test_data_that_looks_like_a_promise_stays_data():
    looks_like_one = {"__type": "promise", "id": "a"}

    assert arrived(looks_like_one) == ([looks_like_one], {})
    assert arrived({**looks_like_one, "more": 1}, Promise("b"))[0][0] == {
        **looks_like_one,
        "more": 1,
    }


def test_an_argument_that_cannot_be_stored_is_named_beside_a_promise():
    with pytest.raises(EncodeError, match=r"^argument 2 of bar: .*object"):
        stored(Promise("a"), object())
