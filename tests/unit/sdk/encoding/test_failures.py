"""Exceptions as data: what is written, and what is made of what others have written."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.exceptions import ExceptionAdapter, exception
from resonate_sdk.encoding.failures import decode_failure, encode_failure
from resonate_sdk.errors import (
    ApplicationError,
    CanceledError,
    DecodeError,
    EncodeError,
    FunctionNotFoundError,
    NonRetryable,
    NotFoundError,
    RetryAfter,
    TimedOutError,
    UsageError,
)
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import EMPTY, PromiseRecord, Value
from tests.unit.sdk.execution import failing

CODEC = Codec()


def make_record(state: Any = "rejected", value=EMPTY, id="p"):
    return PromiseRecord(
        id=id,
        state=state,
        param=EMPTY,
        value=value,
        tags={},
        timeout_at_ms=1_500,
        created_at_ms=0,
    )


def raised(error):
    """An exception with a traceback."""
    try:
        raise error
    except Exception as caught:  # noqa: BLE001  # it is returned
        return caught


def written(error):
    """An exception as plain data."""
    return CODEC.decode(encode_failure(CODEC, error))


def read(data):
    """The exception that plain data of others stands for."""
    return decode_failure(CODEC, make_record(value=CODEC.encode(data)))


def round_trip(error):
    return decode_failure(CODEC, make_record(value=encode_failure(CODEC, error)))


# Writing


def test_an_exception_is_written_with_all_that_others_need():
    error = raised(failing.PaymentDeclinedError("A-1", 3))

    data = written(error)

    stack = data.pop("stack")
    assert data == {
        "__type": "error",
        "name": "PaymentDeclinedError",
        "module": "tests.unit.sdk.execution.failing",
        "message": "order A-1: 3 declined",
        "args": ["order A-1: 3 declined"],
        "data": {"order": "A-1", "amount": 3},
    } | {key: data[key] for key in data.keys() & {"retryable", "lang", "cause"}}
    assert stack.startswith("Traceback (most recent call last):")
    assert stack.rstrip().endswith("PaymentDeclinedError: order A-1: 3 declined")


def test_an_error_that_must_not_be_retried_says_so():
    class FinalError(Exception):
        retryable = False

    assert written(FinalError("x"))["retryable"] is False
    assert written(ValueError("x")).get("retryable", True) is True


@pytest.mark.parametrize("length", [1_000, 30_000, 700_000, 770_000, 2_000_000])
def test_an_exception_with_a_long_message_fits(length):
    value = encode_failure(CODEC, raised(ValueError("x" * length)))

    assert value.size_bytes() <= limits.VALUE_BYTES_MAX
    assert str(decode_failure(CODEC, make_record(value=value))).startswith("xxx")


def test_an_exception_with_many_attributes_fits():
    error = ValueError("attributes")
    for n in range(10):
        setattr(error, f"part_{n}", "x" * 200_000)

    assert encode_failure(CODEC, error).size_bytes() <= limits.VALUE_BYTES_MAX


def test_a_chain_of_long_causes_fits():
    error = ValueError("x" * 300_000)
    for _ in range(10):
        outer = ValueError("x" * 300_000)
        outer.__cause__ = error
        error = outer

    assert encode_failure(CODEC, error).size_bytes() <= limits.VALUE_BYTES_MAX


def test_a_text_that_is_no_unicode_is_written_somehow():
    rebuilt = round_trip(raised(ValueError("name \udcff")))

    assert isinstance(rebuilt, ValueError)
    assert str(rebuilt).startswith("name ")


def test_a_deep_traceback_is_cut_at_its_beginning():
    def deep(n):
        if n == 0:
            raise ValueError("at the bottom")
        deep(n - 1)

    with pytest.raises(ValueError, match="at the bottom") as caught:
        deep(400)
    stack = written(caught.value)["stack"]

    assert len(stack) <= 8_000
    assert stack.rstrip().endswith("ValueError: at the bottom")


def test_lines_of_ours_are_left_out_of_a_traceback():
    """They say nothing about a mistake of the program's."""
    codec = Codec()
    codec.register(complex, encode=lambda number: vars(number), decode=complex)

    with pytest.raises(EncodeError) as caught:
        codec.encode(1j)
    stack = written(caught.value)["stack"]

    places = [line for line in stack.splitlines() if line.startswith("  File ")]
    assert len(places) == 1
    assert __file__ in places[0]


@pytest.mark.parametrize("error", [UsageError("a mistake"), ValueError("a value")])
def test_what_was_raised_nowhere_has_no_traceback(error: Exception):
    data = written(error)

    assert "stack" not in data
    assert not hasattr(read(data), "__notes__")


def test_a_bug_of_ours_keeps_its_lines():
    """Nothing of the program's was under way: they are all there is."""
    error = raised(AssertionError("ours"))
    module = compile("raise error", decode_failure.__code__.co_filename, "exec")
    with pytest.raises(AssertionError) as caught:
        exec(module, {"error": error.with_traceback(None)})
    assert caught.value.__traceback__ is not None

    stack = written(caught.value.with_traceback(caught.value.__traceback__.tb_next))["stack"]

    assert "failures.py" in stack


def test_broken_texts_and_attributes_do_not_hide_the_error():
    class BrokenError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    error = BrokenError(object())
    vars(error)["thing"] = object()

    data = written(error)

    assert data["name"].endswith("BrokenError")
    assert "thing" not in data.get("data", {})


# Reading what we have written


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        failing.PaymentDeclinedError("A-1", 3),
        failing.HardDeclineError("A-1", 3),
        failing.MixedError("x"),
        UsageError("write something else"),
        FunctionNotFoundError("no such"),
        NotFoundError("no promise", code=404),
        DecodeError("bad", function="f", path="$.a"),
        TimedOutError("p", 1.5),
        CanceledError("p"),
        ApplicationError("m", name="Theirs", data={"a": 1}),
        NonRetryable("final"),
        RetryAfter(5),
        OSError(2, "No such file", "/a"),
        OSError(18, "Invalid cross-device link", "/a", None, "/b"),
        failing.FrozenError("A-1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_class_text_and_attributes_survive(error):
    rebuilt = round_trip(raised(error))

    assert type(rebuilt) is type(error)
    assert {k: v for k, v in vars(rebuilt).items() if k != "__notes__"} == vars(error)
    assert str(rebuilt) == str(error)


def test_a_text_that_is_made_by_a_constructor_survives():
    rebuilt = round_trip(raised(UnicodeDecodeError("utf-8", b"ab", 0, 1, "invalid start byte")))

    assert "invalid start byte" in str(rebuilt)


def test_a_class_that_lets_nothing_be_set_comes_back_with_its_cause_and_traceback():
    try:
        raise failing.FrozenError("A-1") from ValueError("why")
    except failing.FrozenError as caught:
        rebuilt = round_trip(caught)

    assert isinstance(rebuilt, failing.FrozenError)
    assert rebuilt.account == "A-1"
    assert isinstance(rebuilt.__cause__, ValueError)
    assert "Traceback" in rebuilt.__notes__[0]


def test_the_cause_survives_but_not_for_ever():
    error = ValueError("0")
    for n in range(1, 20):
        outer = ValueError(str(n))
        outer.__cause__ = error
        error = outer

    depth, rebuilt = 0, round_trip(error)
    while rebuilt.__cause__ is not None:
        depth, rebuilt = depth + 1, rebuilt.__cause__

    assert 1 <= depth < 19


def test_groups_survive():
    group = ExceptionGroup("outer", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])

    rebuilt = round_trip(raised(group))

    assert isinstance(rebuilt, ExceptionGroup)
    assert rebuilt.message == "outer"
    first, inner = rebuilt.exceptions
    assert isinstance(first, ValueError)
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], KeyError)


def test_a_group_is_written_as_other_languages_write_theirs():
    data = written(ExceptionGroup("outer", [ValueError("a")]))

    assert data["__type"] == "aggregate_error"
    assert [error["message"] for error in data["errors"]] == ["a"]


def test_the_traceback_of_the_other_side_is_a_note():
    rebuilt = decode_failure(
        CODEC, make_record(id="order-1.2", value=encode_failure(CODEC, raised(ValueError("x"))))
    )

    (note,) = rebuilt.__notes__
    assert note.startswith("raised by promise 'order-1.2':\nTraceback")


# Reading what others have written


def test_a_message_alone_is_enough():
    error = read({"__type": "error", "message": "boom"})

    assert isinstance(error, ApplicationError)
    assert str(error) == "boom"


@pytest.mark.parametrize(
    "data",
    [
        {"__type": "error"},
        {"__type": "error", "name": "X"},
        {"__type": "error", "message": 5},
        {"__type": "something else", "message": "m"},
        {"message": 5},
        "text",
        5,
        [1, 2],
        {"a": 1},
        False,
    ],
    ids=repr,
)
def test_anything_else_is_an_application_error_that_shows_it(data):
    error = read(data)

    assert isinstance(error, ApplicationError)
    assert error.data == data
    assert repr(data) in str(error)


def test_unknown_keys_are_ignored():
    data = {"__type": "error", "message": "m", "name": "ValueError", "__py_pickle": "gASV", "x": 1}

    assert type(read(data)) is ValueError


def test_data_sets_no_attribute_of_pythons_own():
    data = {"__notes__": "none", "__cause__": "none", "color": "red"}
    error = read(
        {"__type": "error", "message": "m", "name": "ValueError", "data": data, "stack": "line 1"}
    )

    assert vars(error)["color"] == "red"
    assert len(error.__notes__) == 1
    assert "line 1" in error.__notes__[0]
    assert error.__cause__ is None


@pytest.mark.parametrize("module", [None, "builtins"])
def test_a_builtin_class_is_found_by_its_name(module):
    error = read({"__type": "error", "message": "m", "name": "KeyError", "module": module})

    assert type(error) is KeyError
    assert "m" in str(error)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (None, "SystemExit"),
        (None, "KeyboardInterrupt"),
        (None, "BaseException"),
        (None, "eval"),
        (None, "int"),
        (None, None),
        (None, ""),
        ("os", "system"),
        ("no.such.module", "Error"),
        ("json.decoder", "JSONDecoder"),
        ("json", "decoder.JSONDecoder"),
        ("tests.unit.sdk.execution.failing", "Outer"),
        ("tests.unit.sdk.execution.failing", "Outer.Missing"),
        ("tests.unit.sdk.execution.failing", "__class__"),
        ("tests.unit.sdk.execution.failing", "ConnectedError.__init__"),
    ],
)
def test_what_is_no_exception_class_is_never_made(module, name):
    error = read({"__type": "error", "message": "m", "name": name, "module": module})

    assert type(error) is ApplicationError
    assert str(error) == "m"


def test_nothing_is_imported_because_data_says_so():
    name = "xml.sax.saxutils"
    before = set(sys.modules)
    assert name not in before

    error = read({"__type": "error", "message": "m", "name": "XMLGenerator", "module": name})

    assert type(error) is ApplicationError
    assert set(sys.modules) == before


def test_no_code_of_a_module_runs_because_data_says_so(monkeypatch):
    """A module's own `__getattr__` imports, for instance those of packages that load lazily."""
    asked = []
    module = ModuleType("lazy_package")
    vars(module)["__getattr__"] = asked.append
    monkeypatch.setitem(sys.modules, "lazy_package", module)

    read({"__type": "error", "message": "m", "name": "heavy.Error", "module": "lazy_package"})

    assert asked == []


def test_no_constructor_runs_because_data_says_so():
    failing.ExpensiveError.constructed = 0
    data = {"__type": "error", "message": "m", "name": "ExpensiveError"}

    error = read({**data, "module": failing.ExpensiveError.__module__, "args": ["m"]})

    assert type(error) is failing.ExpensiveError
    assert failing.ExpensiveError.constructed == 0


@pytest.mark.parametrize(
    "data",
    [
        {"name": "ExceptionGroup", "args": ["only a message"]},
        {"name": "ExceptionGroup", "args": ["m", ["not", "exceptions"]]},
        {"name": "UnicodeDecodeError", "args": [1, 2]},
        {"name": "OSError", "args": [[], {}]},
        {
            "name": "KeyError",
            "data": {"args": 5, "__cause__": 5, "__class__": "x", "with_traceback": 1},
        },
        {"name": "ValueError", "args": [None, [[]], {"a": 1}]},
    ],
    ids=repr,
)
def test_arguments_that_do_not_suit_the_class_give_an_exception_nevertheless(data):
    error = read({"__type": "error", "message": "m", **data})

    assert isinstance(error, Exception)


def test_a_group_of_another_language_is_read():
    inner = {"__type": "error", "message": "a", "name": "TypeError"}

    error = read({"__type": "aggregate_error", "message": "both", "errors": [inner]})

    assert isinstance(error, ExceptionGroup)
    assert [type(one) for one in error.exceptions] == [TypeError]


# Other ways to be rejected


def test_an_empty_rejection_says_so():
    error = decode_failure(CODEC, make_record())

    assert (type(error), str(error)) == (ApplicationError, "rejected")


def test_a_cancellation_names_the_promise():
    error = decode_failure(CODEC, make_record("rejected_canceled", id="a.1"))

    assert isinstance(error, CanceledError)
    assert (error.promise_id, "a.1" in str(error)) == ("a.1", True)


def test_a_deadline_names_the_promise_and_the_instant():
    error = decode_failure(CODEC, make_record("rejected_timedout", id="a.1"))

    assert isinstance(error, TimedOutError)
    assert (error.promise_id, error.timeout) == ("a.1", 1.5)


@pytest.mark.parametrize("value", [Value(data="!"), Value(data="ew==")])
def test_a_rejection_that_cannot_be_read_is_a_decode_error(value):
    assert isinstance(decode_failure(CODEC, make_record(value=value)), DecodeError)


def test_a_rejection_nested_beyond_reason_is_a_decode_error():
    deep = "[" * 100_000 + "]" * 100_000
    value = Value(data=msgspec.json.encode(deep.encode()).decode().strip('"'))

    assert isinstance(decode_failure(CODEC, make_record(value=value)), DecodeError)


# What the program says about its classes


class LockedError(Exception):
    """Cannot be made of its arguments alone."""

    def __init__(self, *, holder):
        super().__init__(f"held by {holder}")
        self.holder = holder


def test_a_registered_exception_is_stored_and_made_as_the_program_says():
    codec = Codec()
    codec.exceptions.add(
        ExceptionAdapter(
            LockedError,
            lambda error: {"who": error.holder.pid},
            lambda data: LockedError(holder=data["who"]),
        )
    )
    error = LockedError(holder=SimpleNamespace(pid=7))

    value = encode_failure(codec, error)

    assert codec.decode(value)["data"] == {"who": 7}
    back = decode_failure(codec, make_record(value=value))
    assert isinstance(back, LockedError)
    assert back.holder == 7


def test_a_registered_class_is_found_where_no_module_has_it():
    class LocalError(Exception):
        pass

    codec = Codec()
    codec.exceptions.add(ExceptionAdapter(LocalError))

    back = decode_failure(codec, make_record(value=encode_failure(codec, LocalError("x"))))

    assert type(back) is LocalError
    assert back.args == ("x",)


def test_a_broken_decoder_does_not_hide_the_error(caplog):
    codec = Codec()
    codec.exceptions.add(ExceptionAdapter(LockedError, None, lambda data: data["nothing"]))

    back = decode_failure(codec, make_record(value=encode_failure(codec, LockedError(holder=1))))

    assert isinstance(back, ApplicationError)
    assert str(back) == "held by 1"
    assert "registered exception was not decoded" in caplog.text


def no_mapping(error: LockedError) -> Any:
    return error.holder


def breaks(error: LockedError) -> Any:
    raise RuntimeError("broken encoder")


def odd_keys(error: LockedError) -> Any:
    return {7: 1, "who": error.holder}


@pytest.mark.parametrize("encode", [no_mapping, breaks, odd_keys])
def test_a_broken_encoder_does_not_hide_the_error(encode: Any, caplog: pytest.LogCaptureFixture):
    codec = Codec()
    codec.exceptions.add(ExceptionAdapter(LockedError, encode))

    back = decode_failure(codec, make_record(value=encode_failure(codec, LockedError(holder=1))))

    assert isinstance(back, LockedError)
    assert str(back) == "held by 1"
    assert "registered exception was not encoded, its attributes are stored" in caplog.text


@exception
class MarkedError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LockedError(holder=1), ApplicationError),
        (MarkedError("x"), MarkedError),
        (KeyError("x"), KeyError),
        (UsageError("x"), UsageError),
    ],
    ids=lambda found: getattr(found, "__name__", None),
)
def test_classes_of_the_program_can_be_left_alone(error, expected):
    codec = Codec(rebuilds_imported=False)

    back = decode_failure(codec, make_record(value=encode_failure(codec, error)))

    assert type(back) is expected


def test_an_unknown_class_keeps_its_traceback():
    value = encode_failure(CODEC, raised(ValueError("x")))
    data = {**CODEC.decode(value), "name": "Foreign", "module": "nowhere"}

    back = read(data)

    assert isinstance(back, ApplicationError)
    assert "raised" in back.remote_traceback
