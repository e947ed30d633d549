import pytest

from resonate_broker.operations.promise_settle import promise_settle
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import SettledState, SettleState, TaskState
from resonate_sdk.protocol.requests import PromiseSettle
from resonate_store.state import Callback, Listener
from tests.unit.broker.builders import (
    BIRTH,
    DEADLINE,
    NOW,
    VALUE,
    decide,
    make_promise,
    make_targeted,
    make_task,
)

ADDRESS = "amqp://uni@c/1"
RESOLVE = PromiseSettle(id="p", state="resolved", value=VALUE)


def test_a_promise_that_does_not_exist_is_answered_404_without_a_write():
    decision = decide(promise_settle, RESOLVE)

    assert (decision.status, decision.is_write) == (404, False)


@pytest.mark.parametrize("state", ["resolved", "rejected", "rejected_canceled"])
def test_a_pending_promise_is_settled_now_with_state_and_value(state: SettleState):
    request = PromiseSettle(id="p", state=state, value=VALUE)

    decision = decide(promise_settle, request, make_promise())

    promise, record = decision.promise(), decision.data.promise
    assert decision.status == 200
    assert (promise.state, promise.value, promise.settled_at_ms) == (state, VALUE, NOW)
    assert (record.state, record.value, record.settled_at_ms) == (state, VALUE, NOW)


@pytest.mark.parametrize(
    "before", ["resolved", "rejected", "rejected_canceled", "rejected_timedout"]
)
@pytest.mark.parametrize("state", ["resolved", "rejected", "rejected_canceled"])
def test_a_settled_promise_absorbs_every_settlement_without_a_write(
    state: SettleState, before: SettledState
):
    stored = make_promise(state=before, settled_at_ms=BIRTH + 5)
    request = PromiseSettle(id="p", state=state, value=VALUE)

    decision = decide(promise_settle, request, stored)

    record = decision.data.promise
    assert (decision.status, decision.is_write) == (200, False)
    assert (record.state, record.value, record.settled_at_ms) == (before, stored.value, BIRTH + 5)


def test_a_settlement_a_millisecond_before_the_deadline_counts():
    decision = decide(promise_settle, RESOLVE, make_promise(), now_ms=DEADLINE - 1)

    assert decision.data.promise.state == "resolved"
    assert decision.data.promise.settled_at_ms == DEADLINE - 1


@pytest.mark.parametrize("now_ms", [DEADLINE, DEADLINE + 1])
@pytest.mark.parametrize(
    ("tag", "verdict"), [({}, "rejected_timedout"), ({tags.TIMER: "true"}, "resolved")]
)
def test_a_settlement_at_the_deadline_or_later_gets_the_verdict_of_the_deadline(
    now_ms: int, tag: dict[str, str], verdict: str
):
    request = PromiseSettle(id="p", state="rejected", value=VALUE)
    stored = make_promise(tags=tag)

    decision = decide(promise_settle, request, stored, now_ms=now_ms)

    record = decision.data.promise
    assert decision.status == 200
    assert (record.state, record.settled_at_ms, record.value) == (verdict, DEADLINE, stored.value)
    assert decision.promise().state == verdict


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended", "halted"])
def test_the_task_of_the_promise_is_fulfilled_with_it_and_cleared(state: TaskState):
    stored = make_promise(task=make_task(state, version=5, resumes=()))

    decision = decide(promise_settle, RESOLVE, stored)

    task = decision.task("p")
    assert (task.state, task.version, task.resumes) == ("fulfilled", 5, ())
    assert (task.pid, task.lease_ms, task.expires_at_ms, task.retry_at_ms) == (None,) * 4
    assert len(decision.changes.updated) == 1


def test_awaiters_wake_and_listeners_are_told_in_the_same_step():
    awaiter = make_targeted("w", "suspended", version=2)

    decision = decide(
        promise_settle,
        RESOLVE,
        make_promise(),
        awaiter,
        callbacks=[Callback("p", "w")],
        listeners=[Listener("p", ADDRESS)],
    )

    task = decision.task("w")
    (news,) = decision.state.outgoing()
    assert (task.state, task.version, task.resumes) == ("pending", 2, ("p",))
    assert task.retry_at_ms == NOW
    assert news.listener == Listener("p", ADDRESS)
    assert decision.changes.callbacks_consumed == (Callback("p", "w"),)


def test_a_listener_is_kept_until_it_has_been_told():
    decision = decide(promise_settle, RESOLVE, make_promise(), listeners=[Listener("p", ADDRESS)])

    assert decision.changes.listeners_told == ()


def test_the_awaiters_of_a_promise_that_timed_out_wake_when_a_late_settlement_finds_it():
    awaiter = make_targeted("w", "suspended", version=2)

    decision = decide(
        promise_settle,
        RESOLVE,
        make_promise(),
        make_promise("w", task=awaiter.task, timeout_at_ms=DEADLINE + 1),
        callbacks=[Callback("p", "w")],
        now_ms=DEADLINE,
    )

    assert decision.task("w").state == "pending"


def test_an_absorbed_settlement_wakes_nobody_again():
    stored = make_promise(state="resolved")

    decision = decide(
        promise_settle, RESOLVE, stored, listeners=[Listener("p", ADDRESS)], now_ms=NOW
    )

    assert decision.state.outgoing() == ()


def test_settling_twice_is_as_settling_once():
    first = decide(promise_settle, RESOLVE, make_promise())

    second = decide(promise_settle, RESOLVE, first.promise(), now_ms=NOW + 5)

    assert second.answer == first.answer
    assert not second.is_write


def test_the_promise_is_loaded_with_its_awaiters_and_listeners():
    decision = decide(promise_settle, RESOLVE, make_promise())

    assert (decision.loads[0].ids, decision.loads[0].settling) == (("p",), ("p",))
