"""Calls as they are stored."""

import pytest

from resonate_sdk import (
    Codec,
    Constant,
    EncodeError,
    Exponential,
    Linear,
    Never,
    NotFoundError,
    Promise,
)
from resonate_sdk.functions.call_envelope import decode_call, encode_call
from resonate_sdk.options import Options

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


# Retries


@pytest.mark.parametrize(
    ("policy", "stored"),
    [
        (Never(), {"type": "never"}),
        (Constant(2, 3), {"type": "constant", "delay": 2, "maxRetries": 3}),
        (Linear(2), {"type": "linear", "delay": 2, "maxRetries": None}),
        (Exponential(max_delay=float("inf")), {"type": "exponential", "maxDelay": float("inf")}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_policy_of_a_call_counts_before_that_of_the_registration(policy, stored):
    param = encode_call(CODEC, "bar", 1, (Promise("a"),), {}, Options(retry_policy=policy))

    written = CODEC.decode(param)["retry"]
    assert written | stored == written
    given = decode_call(CODEC, param).given_over(Options(retry_policy=Constant(9), timeout_s=1))
    assert given == Options(retry_policy=policy, timeout_s=1)


def test_exceptions_after_which_a_call_is_not_repeated_are_told_by_their_names():
    given = Options(non_retryable=(ValueError, NotFoundError))

    call = decode_call(CODEC, encode_call(CODEC, "bar", 1, (), {}, given))

    names = ("builtins.ValueError", "resonate_sdk.errors.NotFoundError")
    assert call.given_over(Options(non_retryable=(KeyError,))) == Options(non_retryable_names=names)


@pytest.mark.parametrize(
    "foreign",
    [
        {"retry": {"type": "exponential", "delay": "soon"}},
        {"retry": {"type": "fibonacci"}},
        {"retry": 3},
        {"nonRetryable": "ValueError"},
    ],
)
def test_retries_in_a_form_that_is_not_known_are_those_of_the_registration(foreign, caplog):
    registered = Options(retry_policy=Constant(9), non_retryable=(KeyError,))

    call = decode_call(CODEC, CODEC.encode({"func": "bar", **foreign}))

    assert call.given_over(registered) == registered
    assert "retries are not as the caller wants them" in caplog.text


def test_a_policy_that_others_cannot_know_is_refused():
    class Fibonacci:
        def next(self, attempt):
            return None

    with pytest.raises(EncodeError, match=r"the retry policy of bar: .* give it to register"):
        encode_call(CODEC, "bar", 1, (), {}, Options(retry_policy=Fibonacci()))
