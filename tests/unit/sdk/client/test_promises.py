"""Promises from outside of any execution: all methods, against a dictionary."""

import inspect
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from resonate_sdk import (
    AlreadySettledError,
    ApplicationError,
    CanceledError,
    InvalidError,
    NotFoundError,
    UsageError,
)
from resonate_sdk.client.promises import Promises
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.protocol import responses, tags as tag
from resonate_sdk.protocol.records import EMPTY
from resonate_sdk.protocol.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSearch,
    PromiseSettle,
)
from resonate_sdk.protocol.responses import Answer, PromisePage
from tests.unit.sdk.execution import failing
from tests.unit.sdk.wire import make_record, promise, refusal

YEAR_MS = 365 * 86_400_000


NOW_MS = 10**13


class Server:
    """Promises by id.

    Attributes:
        requests: what was asked, in order.
        answer: overrules what would be answered.
    """

    def __init__(self):
        self.records = {}
        self.requests = []
        self.answer = None

    def __call__(self, request):
        self.requests.append(request)
        if self.answer is not None:
            return self.answer
        match request:
            case PromiseCreate(id=id, timeout_at_ms=timeout, param=param, tags=tags):
                record = make_record(id, param=param, tags=tags, timeout_at_ms=timeout)
                return promise(self.records.setdefault(id, record))
            case PromiseGet(id=id):
                return self._existing(id)
            case PromiseSettle(id=id, state=state, value=value):
                record = self.records.get(id)
                if record is not None and record.state == "pending":
                    self.records[id] = replace(record, state=state, value=value, settled_at_ms=5)
                return self._existing(id)
            case PromiseSearch():
                return self._page(request)
            case _:
                raise AssertionError(request)

    def _existing(self, id):
        record = self.records.get(id)
        return refusal(404, f"no promise {id!r}") if record is None else promise(record)

    def _page(self, request):
        found = [
            record
            for id, record in sorted(self.records.items())
            if id > (request.cursor or "")
            and request.tags.items() <= record.tags.items()
            and request.state in (None, record.state)
        ]
        page, rest = found[: request.limit], found[request.limit :]
        cursor = page[-1].id if rest else None
        return Answer(responses.OK, PromisePage(promises=tuple(page), cursor=cursor))


@pytest.fixture
def server():
    """A dictionary of promises."""
    return Server()


@pytest.fixture
def promises(server):
    """The sub-client in front of it."""
    return Promises(server, Codec(), lambda: NOW_MS)


# create


def test_a_promise_is_created_pending_and_open_to_everybody(server, promises):
    record = promises.create("p", 10**13)

    assert (record.id, record.state, record.timeout_at) == ("p", "pending", 10**13)
    assert (record.pending, record.completed, record.value) == (True, False, None)
    (request,) = server.requests
    assert request.tags == {tag.SCOPE: "global", tag.EXTERNAL: "true"}
    assert request.param == EMPTY


def test_creation_is_idempotent(promises):
    promises.create("p", 10**13, param=1)

    assert promises.create("p", 10**14, param=2).timeout_at == 10**13
    assert promises.create("p", 10**14, param=2).param == 1


@pytest.mark.parametrize(
    "state", ["resolved", "rejected", "rejected_canceled", "rejected_timedout"]
)
def test_strictly_what_is_settled_is_not_created_again(server, promises, state):
    assert promises.create("p", strict=True).pending
    assert promises.create("p", strict=True).pending
    server.records["p"] = make_record("p", state)

    assert promises.create("p").state == state
    with pytest.raises(AlreadySettledError, match=f"'p' is {state} already"):
        promises.create("p", strict=True)


def test_the_parameter_is_encoded_and_decoded(server, promises):
    assert promises.create("p", param={"a": (1,)}).param == {"a": [1]}
    assert promises.get("p").param == {"a": [1]}


def test_the_parameter_may_be_given_as_json_text(promises):
    assert promises.create("p", data=json.dumps({"a": 1})).param == {"a": 1}


def test_headers_and_tags_are_stored(server, promises):
    record = promises.create("p", param=1, headers={"h": "1"}, tags={"team": "a"}, ikey="k")

    assert server.requests[0].param.headers["h"] == "1"
    assert record.tags["team"] == "a"
    assert record.tags[tag.IDEMPOTENCY_KEY] == "k"
    assert record.param == 1


@pytest.mark.parametrize(
    ("keywords", "after_ms"),
    [
        ({}, YEAR_MS),
        ({"expires_in": 5}, 5_000),
        ({"expires_in": timedelta(minutes=1)}, 60_000),
        ({"expires_in": 0}, 0),
    ],
)
def test_a_relative_deadline_counts_from_now(promises, keywords, after_ms):

    assert promises.create("p", **keywords).timeout_at == NOW_MS + after_ms


def test_a_deadline_may_be_an_instant(promises):
    instant = datetime(2030, 1, 1, tzinfo=UTC)

    assert promises.create("p", timeout=instant).timeout_at == 1_893_456_000_000


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"timeout": 10**13, "expires_in": 5}, UsageError, "timeout= and expires_in="),
        ({"timeout": datetime(2030, 1, 1)}, UsageError, "time zone"),  # noqa: DTZ001
        ({"expires_in": -1}, ValueError, "0 seconds or more"),
        ({"param": 1, "data": "1"}, UsageError, "give one of them"),
        ({"data": "hello"}, ValueError, "data= is JSON text"),
        ({"tags": {"resonate:target": "g"}}, UsageError, "reserved"),
    ],
    ids=["two deadlines", "naive instant", "negative", "two parameters", "no JSON", "reserved tag"],
)
def test_senseless_arguments_are_refused_before_anything_is_sent(
    server, promises, keywords, error, message
):
    with pytest.raises((error, TypeError), match=message):
        promises.create("p", **keywords)
    assert server.requests == []


@pytest.mark.parametrize("timeout", [30_000, 10**10 - 1, 0])
def test_a_deadline_that_looks_like_a_duration_is_warned_of(promises, caplog, timeout):
    with caplog.at_level(logging.WARNING):
        promises.create("p", timeout)

    (warning,) = caplog.records
    text = warning.getMessage()
    assert "p" in text
    assert str(timeout) in text
    assert "epoch ms" in text
    assert "expires_in=" in text


@pytest.mark.parametrize("keywords", [{"timeout": 10**13}, {"expires_in": 0.5}, {}])
def test_other_deadlines_are_not_warned_of(promises, caplog, keywords):
    with caplog.at_level(logging.WARNING):
        promises.create("p", **keywords)

    assert caplog.records == []


# get


def test_a_promise_that_does_not_exist_is_not_found(promises):
    with pytest.raises(NotFoundError, match="no promise 'p'") as caught:
        promises.get("p")
    assert caught.value.code == 404
    assert isinstance(caught.value, LookupError)


def test_a_record_tells_all_that_is_known(server, promises):
    promises.create("p", 10**13, tags={"a": "b"})
    promises.resolve("p", {"x": 1})

    record = promises.get("p", type=dict[str, float])

    assert (record.state, record.value, record.settled_at) == ("resolved", {"x": 1}, 5)
    assert type(record.result()["x"]) is float
    assert repr(record) == "<PromiseRecord 'p' resolved>"


def test_a_record_whose_parameter_is_no_json_can_be_looked_at(server, promises):
    """Others may have created it, with data of their own."""
    from resonate_sdk.protocol.records import Value

    server.records["p"] = make_record("p", param=Value(data="not base64"))

    assert promises.get("p").state == "pending"
    assert [record.id for record in promises.search()] == ["p"]


def test_a_pending_record_has_no_result(promises):
    with pytest.raises(UsageError, match="'p' is pending"):
        promises.create("p").result()


# resolve, reject, cancel


def test_a_promise_is_resolved_with_a_value(promises):
    promises.create("p")

    record = promises.resolve("p", {"ok": (True,)})

    assert (record.resolved, record.completed, record.pending) == (True, True, False)
    assert record.value == record.result() == {"ok": [True]}


@pytest.mark.parametrize(("data", "value"), [("1", 1), ('{"a": [null]}', {"a": [None]})])
def test_a_value_may_be_given_as_json_text(promises, data, value):
    promises.create("p")

    assert promises.resolve("p", data=data).value == value


def test_a_value_and_json_text_contradict_each_other(promises):
    promises.create("p")

    with pytest.raises(UsageError, match="give one of them"):
        promises.resolve("p", 1, data="1")


def test_a_promise_is_rejected_with_an_exception(promises):
    promises.create("p")

    record = promises.reject("p", failing.PaymentDeclinedError("A-1", 3))

    assert record.rejected
    with pytest.raises(failing.PaymentDeclinedError) as caught:
        record.result()
    assert caught.value.order == "A-1"


def test_a_promise_is_rejected_with_data(promises):
    promises.create("p")

    record = promises.reject("p", {"reason": "no"})

    assert record.value == {"reason": "no"}
    with pytest.raises(ApplicationError) as caught:
        record.result()
    assert caught.value.data == {"reason": "no"}


def test_a_promise_is_rejected_with_nothing(promises):
    promises.create("p")

    with pytest.raises(ApplicationError, match="rejected"):
        promises.reject("p").result()


def test_headers_of_a_value_are_stored(server, promises):
    promises.create("p")
    promises.create("q")
    promises.resolve("p", 1, headers={"h": "1"})
    promises.reject("q", ValueError("x"), headers={"h": "1"})

    assert server.records["p"].value.headers["h"] == "1"
    assert server.records["q"].value.headers["h"] == "1"


def test_headers_of_the_program_do_not_hide_how_a_value_is_written(server):
    class Reversed:
        name = "reversed"

        def encrypt(self, plain, headers):
            return plain[::-1]

        def decrypt(self, cipher, headers):
            return cipher[::-1]

    promises = Promises(server, Codec(Reversed()), lambda: NOW_MS)

    promises.create("p", param=12, headers={"resonate:enc": "none", "h": "1"})

    assert server.records["p"].param.headers == {"resonate:enc": "reversed", "h": "1"}
    assert promises.get("p").param == 12


def test_a_promise_is_canceled(promises):
    promises.create("p")

    record = promises.cancel("p")

    assert record.canceled
    with pytest.raises(CanceledError, match="'p' was canceled"):
        record.result()


SETTLE = pytest.mark.parametrize(
    ("method", "state"),
    [("resolve", "resolved"), ("reject", "rejected"), ("cancel", "rejected_canceled")],
)


@SETTLE
@pytest.mark.parametrize(
    "before", ["resolved", "rejected", "rejected_canceled", "rejected_timedout"]
)
def test_a_settled_promise_stays_as_it_is(server, promises, method, state, before):
    server.records["p"] = make_record("p", before)

    assert getattr(promises, method)("p").state == before


@SETTLE
@pytest.mark.parametrize(
    "before", ["resolved", "rejected", "rejected_canceled", "rejected_timedout"]
)
def test_strictly_only_the_same_state_will_do(server, promises, method, state, before):
    server.records["p"] = make_record("p", before)

    if before == state:
        assert getattr(promises, method)("p", strict=True).state == state
    else:
        with pytest.raises(AlreadySettledError, match=f"'p' is {before}, not {state}"):
            getattr(promises, method)("p", strict=True)


@SETTLE
def test_strictly_a_pending_promise_is_settled(promises, method, state):
    promises.create("p")

    assert getattr(promises, method)("p", strict=True).state == state


@SETTLE
def test_what_does_not_exist_cannot_be_settled(promises, method, state):
    with pytest.raises(NotFoundError):
        getattr(promises, method)("p")


def test_a_refusal_of_the_server_is_raised_with_its_reason(server, promises):
    server.answer = refusal(400, "id has 2000 bytes, the limit is 1024")

    with pytest.raises(InvalidError, match="the limit is 1024") as caught:
        promises.create("p")
    assert caught.value.code == 400


def test_records_tell_their_states_apart(server, promises):
    for state in ("pending", "resolved", "rejected", "rejected_canceled", "rejected_timedout"):
        server.records[state] = make_record(state, state)
    names = ("pending", "resolved", "rejected", "canceled", "timedout")

    for record in promises.search():
        true = [name for name in names if getattr(record, name)]
        assert true == [record.state.removeprefix("rejected_")]
        assert record.completed is (record.state != "pending")


# search


def test_a_search_pages_by_itself(server, promises):
    for n in range(25):
        promises.create(f"p{n:02}", tags={"team": "a" if n % 2 else "b"})
    server.requests.clear()

    found = [record.id for record in promises.search(tags={"team": "b"}, limit=5)]

    assert found == [f"p{n:02}" for n in range(0, 25, 2)]
    assert len(server.requests) == 3


def test_a_search_may_ask_for_a_state(promises):
    promises.create("p")
    promises.create("q")
    promises.resolve("q")

    assert [record.id for record in promises.search(state="resolved")] == ["q"]


def test_a_search_asks_for_nothing_before_it_is_read(server, promises):
    promises.search()

    assert server.requests == []


def test_an_empty_page_may_be_followed_by_others(server, promises):
    pages = [
        Answer(responses.OK, PromisePage(promises=(), cursor="a")),
        Answer(responses.OK, PromisePage(promises=(make_record("b"),), cursor=None)),
    ]
    promises = Promises(lambda request: pages.pop(0), Codec(), lambda: NOW_MS)

    assert [record.id for record in promises.search()] == ["b"]


def test_a_search_that_is_refused_says_so(server, promises):
    server.answer = refusal(400, "limit")

    with pytest.raises(InvalidError):
        list(promises.search(limit=10**6))


# The public contract


@pytest.mark.parametrize(
    ("method", "keywords"),
    [
        ("create", "timeout expires_in param data headers tags ikey strict"),
        ("get", "type"),
        ("resolve", "value data headers ikey strict"),
        ("reject", "error data headers ikey strict"),
        ("cancel", "value strict"),
        ("search", "id state tags limit"),
    ],
)
def test_the_keywords_of_the_specification_are_there(method, keywords):
    parameters = inspect.signature(getattr(Promises, method)).parameters

    assert set(keywords.split()) <= parameters.keys()
