import pytest

from resonate_broker.operations.task_fulfill import task_fulfill
from resonate_sdk.protocol.records import SettleState, TaskState
from resonate_sdk.protocol.requests import PromiseSettle, SettleAction, TaskFulfill
from resonate_store.state import Callback, Listener
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    VALUE,
    decide,
    make_promise,
    make_targeted,
    make_task,
)

ADDRESS = "amqp://uni@c/1"


def make_request(version: int = 3, state: SettleState = "resolved") -> TaskFulfill:
    action = SettleAction(data=PromiseSettle(id="t", state=state, value=VALUE))
    return TaskFulfill(id="t", version=version, action=action)


HELD = make_targeted("t", "acquired", version=3)


def test_a_task_that_does_not_exist_is_answered_404():
    assert decide(task_fulfill, make_request()).status == 404
    assert decide(task_fulfill, make_request(), make_promise("t")).status == 404


@pytest.mark.parametrize("state", ["resolved", "rejected", "rejected_canceled"])
def test_the_holder_settles_promise_and_task_in_one_write(state: SettleState):
    decision = decide(task_fulfill, make_request(state=state), HELD)

    promise, task = decision.promise("t"), decision.task()
    assert decision.status == 200
    assert (promise.state, promise.value, promise.settled_at_ms) == (state, VALUE, NOW)
    assert (task.state, task.version, task.last_pid) == ("fulfilled", 3, "w1")
    assert (task.pid, task.lease_ms, task.expires_at_ms, task.resumes) == (None, None, None, ())
    assert len(decision.changes.updated) == 1
    assert (decision.data.promise.state, decision.data.promise.value) == (state, VALUE)


@pytest.mark.parametrize("version", [0, 2, 4])
def test_another_version_is_refused_without_a_write(version: int):
    decision = decide(task_fulfill, make_request(version), HELD)

    assert (decision.status, decision.is_write) == (409, False)


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_is_not_acquired_is_refused_without_a_write(state: TaskState):
    decision = decide(task_fulfill, make_request(), make_targeted("t", state, version=3))

    assert (decision.status, decision.is_write) == (409, False)


def test_a_promise_that_somebody_else_settled_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    decision = decide(task_fulfill, make_request(), stored)

    assert (decision.status, decision.is_write) == (409, False)


def test_at_the_deadline_of_its_promise_the_holder_is_refused_and_the_verdict_is_stored():
    decision = decide(task_fulfill, make_request(), HELD, now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.promise("t").state == "rejected_timedout"
    assert decision.promise("t").value == HELD.value


def test_a_millisecond_before_the_deadline_the_holder_settles():
    decision = decide(task_fulfill, make_request(), HELD, now_ms=DEADLINE - 1)

    assert decision.data.promise.state == "resolved"


def test_a_lease_that_ran_out_unnoticed_is_still_held():
    held = make_targeted("t", "acquired", version=3, expires_at_ms=NOW - 1)

    assert decide(task_fulfill, make_request(), held).status == 200


def test_awaiters_wake_and_listeners_are_told_in_the_same_step():
    decision = decide(
        task_fulfill,
        make_request(),
        HELD,
        make_targeted("w", "suspended", version=2),
        callbacks=[Callback("t", "w")],
        listeners=[Listener("t", ADDRESS)],
    )

    (news,) = decision.state.outgoing()
    assert (decision.task("w").state, decision.task("w").resumes) == ("pending", ("t",))
    assert news.message.data.promise == decision.data.promise


def test_fulfilling_twice_is_refused():
    fulfilled = decide(task_fulfill, make_request(), HELD).promise("t")

    assert decide(task_fulfill, make_request(), fulfilled).status == 409
