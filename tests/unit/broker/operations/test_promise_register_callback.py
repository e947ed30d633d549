import pytest

from resonate_broker.operations.promise_register_callback import promise_register_callback
from resonate_sdk.protocol.records import TaskState
from resonate_sdk.protocol.requests import PromiseRegisterCallback
from resonate_store.state import Callback
from tests.unit.broker.builders import (
    DEADLINE,
    VALUE,
    decide,
    make_internal,
    make_promise,
    make_targeted,
    make_task,
)

REGISTER = PromiseRegisterCallback(awaited="p", awaiter="t")


def test_a_callback_is_registered_while_both_are_pending():
    decision = decide(promise_register_callback, REGISTER, make_promise(), make_targeted())

    assert (decision.status, decision.data.promise.id) == (200, "p")
    assert decision.changes.callbacks_added == (Callback("p", "t"),)


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended", "halted"])
def test_the_state_of_the_awaiting_task_does_not_matter(state: TaskState):
    decision = decide(
        promise_register_callback, REGISTER, make_promise(), make_targeted("t", state)
    )

    assert decision.changes.callbacks_added == (Callback("p", "t"),)
    assert decision.changes.updated == ()


def test_an_awaited_promise_that_does_not_exist_is_answered_404():
    decision = decide(promise_register_callback, REGISTER, make_targeted())

    assert (decision.status, decision.is_write) == (404, False)
    assert "'p'" in decision.data


def test_an_awaiter_that_does_not_exist_is_answered_422():
    decision = decide(promise_register_callback, REGISTER, make_promise())

    assert (decision.status, decision.is_write) == (422, False)
    assert "'t'" in decision.data


def test_an_awaiter_without_a_target_is_answered_422():
    decision = decide(promise_register_callback, REGISTER, make_promise(), make_promise("t"))

    assert (decision.status, decision.is_write) == (422, False)


def test_an_internal_awaited_promise_is_answered_422():
    decision = decide(promise_register_callback, REGISTER, make_internal("p"), make_targeted())

    assert (decision.status, decision.is_write) == (422, False)


def test_a_missing_awaited_promise_outranks_a_missing_awaiter():
    decision = decide(promise_register_callback, REGISTER)

    assert decision.status == 404


def test_an_awaiter_of_the_wrong_kind_outranks_an_internal_awaited_promise():
    decision = decide(promise_register_callback, REGISTER, make_internal("p"), make_promise("t"))

    assert "'t'" in decision.data


def test_on_a_settled_promise_nothing_is_recorded_and_nobody_wakes():
    awaited = make_promise(state="resolved", value=VALUE)

    decision = decide(promise_register_callback, REGISTER, awaited, make_targeted("t", "suspended"))

    assert (decision.status, decision.is_write) == (200, False)
    assert (decision.data.promise.state, decision.data.promise.value) == ("resolved", VALUE)


def test_for_a_settled_awaiter_nothing_is_recorded():
    awaiter = make_promise("t", state="resolved", task=make_task("fulfilled"))

    decision = decide(promise_register_callback, REGISTER, make_promise(), awaiter)

    assert (decision.status, decision.is_write) == (200, False)


def test_a_settled_internal_promise_is_answered_422_all_the_same():
    decision = decide(
        promise_register_callback, REGISTER, make_internal("p", state="resolved"), make_targeted()
    )

    assert decision.status == 422


def test_on_a_promise_at_its_deadline_nothing_is_recorded_and_the_verdict_is_stored():
    awaiter = make_promise("t", task=make_task(), timeout_at_ms=DEADLINE + 1)

    decision = decide(promise_register_callback, REGISTER, make_promise(), awaiter, now_ms=DEADLINE)

    assert decision.data.promise.state == "rejected_timedout"
    assert decision.changes.callbacks_added == ()
    assert decision.promise().state == "rejected_timedout"


def test_for_an_awaiter_at_its_deadline_nothing_is_recorded():
    awaited = make_promise(timeout_at_ms=DEADLINE + 1)

    decision = decide(
        promise_register_callback, REGISTER, awaited, make_targeted(), now_ms=DEADLINE
    )

    assert decision.data.promise.state == "pending"
    assert decision.changes.callbacks_added == ()
    assert decision.task().state == "fulfilled"


def test_both_promises_are_locked():
    decision = decide(promise_register_callback, REGISTER)

    assert decision.loads[0].ids == ("p", "t")
