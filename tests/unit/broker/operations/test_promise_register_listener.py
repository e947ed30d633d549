from resonate_broker.operations.promise_register_listener import promise_register_listener
from resonate_sdk.protocol.requests import PromiseRegisterListener
from resonate_store.state import Listener
from tests.unit.broker.builders import DEADLINE, VALUE, decide, make_internal, make_promise

ADDRESS = "amqp://uni@c/1"
REGISTER = PromiseRegisterListener(awaited="p", address=ADDRESS)


def test_a_listener_is_registered_while_the_promise_is_pending():
    decision = decide(promise_register_listener, REGISTER, make_promise())

    assert (decision.status, decision.data.promise.state) == (200, "pending")
    assert decision.changes.listeners_added == (Listener("p", ADDRESS),)


def test_a_promise_that_does_not_exist_is_answered_404():
    decision = decide(promise_register_listener, REGISTER)

    assert (decision.status, decision.is_write) == (404, False)


def test_an_internal_promise_is_answered_422():
    decision = decide(promise_register_listener, REGISTER, make_internal("p"))

    assert (decision.status, decision.is_write) == (422, False)


def test_on_a_settled_promise_nothing_is_recorded_and_the_answer_is_the_news():
    stored = make_promise(state="resolved", value=VALUE)

    decision = decide(promise_register_listener, REGISTER, stored)

    assert (decision.status, decision.is_write) == (200, False)
    assert (decision.data.promise.state, decision.data.promise.value) == ("resolved", VALUE)
    assert decision.state.outgoing() == ()


def test_on_a_promise_at_its_deadline_nothing_is_recorded_and_the_verdict_is_stored():
    decision = decide(promise_register_listener, REGISTER, make_promise(), now_ms=DEADLINE)

    assert decision.data.promise.state == "rejected_timedout"
    assert decision.changes.listeners_added == ()
    assert decision.promise().state == "rejected_timedout"
