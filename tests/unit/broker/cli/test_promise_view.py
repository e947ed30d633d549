from typing import Any

import pytest

from resonate_broker.cli.promise_view import (
    call_of,
    created_remark,
    decoded,
    failure_text,
    promise_document,
    promise_lines,
)
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import PromiseCreate
from tests.unit.broker.cli.builders import BORN, DEADLINE, make_call, make_record, stored


@pytest.fixture(autouse=True)
def terminal(monkeypatch) -> None:
    """One that shows ASCII only, in a place where the clocks show UTC."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("TZ", "UTC")


def lines_of(record, now_ms=BORN + 5_000, remark=""):
    return [line.plain for line in promise_lines(record, now_ms, remark)]


@pytest.mark.parametrize("value", [None, 1, "text", [1, {"a": None}], "__INF__", 10**30, "ü"])
def test_a_value_is_decoded(value):
    assert decoded(stored(value)) == value


@pytest.mark.parametrize("data", ["not base64!", "////", "bm8ganNvbg==", "AA=="])
def test_a_value_of_another_form_is_shown_as_it_is_stored(data):
    assert decoded(Value(data=data)) == {"undecoded": data}


@pytest.mark.parametrize("data", [None, ""])
def test_no_value_is_null(data):
    assert decoded(Value(data=data)) is None


def test_a_call_may_lack_everything_but_the_function():
    call = call_of(make_call("a", "foo", param=stored({"func": "bar"})))

    assert call is not None
    assert (call.func, call.args, call.kwargs, call.version) == ("bar", [], {}, 1)


@pytest.mark.parametrize(
    "param", [stored({"func": 7}), stored([1]), stored(None), Value(), Value(data="?")]
)
def test_a_target_with_another_parameter_is_no_call_that_could_be_shown(param):
    assert call_of(make_call("a", "foo", param=param)) is None


def test_what_looks_like_a_call_is_data_without_a_target():
    assert call_of(make_record(param=stored({"func": "bar"}))) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"__type": "error", "name": "ValueError", "message": "no stock"}, "ValueError: no stock"),
        ({"__type": "error", "message": "no stock\nsecond line"}, "no stock"),
        ({"__type": "aggregate_error", "message": "two", "errors": []}, "two"),
        ({"message": "no envelope"}, '{"message":"no envelope"}'),
        ("declined", '"declined"'),
        (None, None),
        ("x" * 200, '"' + "x" * 98 + "…"),
    ],
)
def test_a_failure_is_told_on_one_line(value, text):
    assert failure_text(make_record(state="rejected", value=stored(value))) == text


def test_a_document_has_values_decoded_and_units_in_its_names():
    record = make_record(
        "a",
        "resolved",
        param=stored({"order": 17}),
        value=Value(headers={"k": "v"}, data=stored([1]).data),
        tags={"team": "sales"},
    )

    assert promise_document(record) == {
        "id": "a",
        "state": "resolved",
        "param": {"order": 17},
        "value": [1],
        "value_headers": {"k": "v"},
        "tags": {"team": "sales"},
        "timeout_at_ms": DEADLINE,
        "created_at_ms": BORN,
        "settled_at_ms": BORN + 1_200,
    }


def test_a_pending_promise_shows_its_deadline():
    record = make_record(param=stored({"order": 17}), tags={"team": "sales", tag.EXTERNAL: "true"})

    assert lines_of(record, remark="created") == [
        "a  pending (created)",
        '  param     {"order":17}',
        "  tags      team=sales",
        "  created   2023-11-14 22:13:20  (5s ago)",
        "  deadline  2023-11-15 22:13:20  (in 23h59m)",
    ]


def test_a_call_shows_its_arguments_and_its_group():
    param = stored({"func": "foo", "args": [1, "x"], "kwargs": {"k": None}, "version": 2})
    record = make_call("a", "foo", "resolved", param=param, value=stored("done"))

    assert lines_of(record) == [
        "a  resolved",
        '  call      foo(1, "x", k=null)  version 2',
        "  target    group workers",
        '  value     "done"',
        "  created   2023-11-14 22:13:20  (5s ago)",
        "  settled   2023-11-14 22:13:21  (after 1.2s)",
    ]


def test_a_rejected_promise_shows_why():
    record = make_record(state="rejected", value=stored({"__type": "error", "message": "no"}))

    assert "  error     no" in lines_of(record)


@pytest.mark.parametrize(
    ("state", "words"), [("rejected_canceled", "canceled"), ("rejected_timedout", "timed out")]
)
def test_a_state_is_called_what_people_call_it(state, words):
    assert lines_of(make_record(state=state))[0] == f"a  {words}"


def test_an_instant_that_no_calendar_has_is_shown_in_milliseconds():
    lines = lines_of(make_record(timeout_at_ms=2**63 - 1))

    assert lines[-1].startswith(f"  deadline  {2**63 - 1} ms after 1970")


def test_ids_and_values_cannot_control_the_terminal():
    lines = lines_of(make_record("a\x1b[31m", tags={"k": "\x1b]0;title\x07"}))

    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({}, "created"),
        ({"timeout_at_ms": DEADLINE + 1}, "exists already"),
        ({"param": stored(2)}, "exists already, created with other data"),
    ],
)
def test_the_deadline_tells_whether_a_promise_was_made_just_now(changes, remark):
    request = PromiseCreate(id="a", timeout_at_ms=DEADLINE, param=stored(1))
    fields: dict[str, Any] = {"param": stored(1), **changes}

    assert created_remark(request, make_record(**fields)) == remark
