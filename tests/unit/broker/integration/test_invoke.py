from typing import Any

import pytest

from resonate_broker.integration.invocation import Invoke, read
from resonate_broker.integration.invoke import invoke
from resonate_sdk.protocol import addresses
from resonate_sdk.protocol.addresses import ReplyAddress
from resonate_sdk.protocol.records import Value
from resonate_store.state import Listener
from tests.unit.broker.builders import NOW, decide, make_promise, make_task

ONE = ReplyAddress("amq.gen-one", "c1")
OTHER = ReplyAddress("amq.gen-one", "c2")
HOUR_MS = 3_600_000


def request(
    func: str = "f", target: str = "g", reply_to: ReplyAddress | None = ONE, **more
) -> Invoke:
    headers = {"resonate-func": func, "resonate-target": target, "resonate-timeout": "1h"}
    return read(b'["x"]', "p", headers | {f"resonate-{k}": v for k, v in more.items()}, reply_to)


def existing(**overrides):
    """The promise of the same call, published before."""
    fields: dict[str, Any] = {
        "task": make_task(),
        "param": request().call,
        "tags": request().tags(NOW - 1),
    }
    return make_promise(**(fields | overrides))


def test_promise_and_listener_are_one_step():
    decision = decide(invoke, request())

    promise = decision.promise()
    assert decision.status == 200
    assert (promise.state, promise.timeout_at_ms) == ("pending", NOW + HOUR_MS)
    assert promise.task is not None
    assert promise.task.group == "g"
    assert decision.changes.listeners_added == (Listener("p", str(ONE)),)


def test_a_delay_moves_the_deadline_along():
    promise = decide(invoke, request(delay="2h")).promise()

    assert promise.timeout_at_ms == NOW + 3 * HOUR_MS
    assert promise.task is not None
    assert promise.task.retry_at_ms == NOW + 2 * HOUR_MS


def test_nobody_listens_when_nobody_waits():
    decision = decide(invoke, request(reply_to=None))

    assert decision.changes.listeners_added == ()


def test_published_again_it_has_one_more_listener_and_stays_as_it_is():
    stored = existing()

    decision = decide(invoke, request(reply_to=OTHER), stored)

    assert decision.status == 200
    assert decision.changes.created == decision.changes.updated == ()
    assert decision.changes.listeners_added == (Listener("p", str(OTHER)),)


def test_of_a_settled_promise_the_answer_is_the_result_and_nobody_listens():
    stored = existing(state="resolved", value=Value(data="MTc="), task=make_task("fulfilled"))

    decision = decide(invoke, request(), stored)

    assert (decision.status, decision.is_write) == (200, False)
    assert decision.data.promise.value == Value(data="MTc=")


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (make_promise(), "is no invocation"),
        (existing(tags=request(target="h").tags(NOW)), "has the target|exists with the target"),
        (existing(tags=request(func="other").tags(NOW)), "calls 'other', not 'f'"),
    ],
    ids=["no task", "other target", "other function"],
)
def test_an_id_that_means_another_call_is_refused_without_a_write(stored, reason: str):
    decision = decide(invoke, request(), stored)

    assert (decision.status, decision.is_write) == (409, False)
    assert any(part in str(decision.data) for part in reason.split("|"))


def test_a_promise_that_does_not_name_its_function_is_taken_as_the_same():
    stored = make_promise(task=make_task())

    assert decide(invoke, request(), stored).status == 200


@pytest.mark.parametrize("queue", ["q", "a/b", "amq.rabbitmq.reply-to.g1=.x+/=", "é %2F", "q?x#y"])
@pytest.mark.parametrize("correlation_id", ["c", "", "a/b", "é\n%"])
def test_the_address_of_who_waits_comes_back_from_its_row(queue: str, correlation_id: str):
    address = ReplyAddress(queue, correlation_id)

    assert addresses.parse_listener(str(address)) == address


def test_no_request_may_name_the_address_of_who_waits():
    with pytest.raises(addresses.AddressError):
        addresses.parse(str(ONE))


def test_the_longest_address_fits_the_index_beside_the_longest_id():
    address = ReplyAddress("é" * 127, "é" * 127)

    assert len(str(address)) + 1024 < 2_600
