"""R6 for those who know no protocol: sent, sent again until it is delivered, then left alone."""

import pytest
from msgspec.structs import replace

from resonate_broker.background.dispatch import CALL_AGAIN_MS, Dispatch
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.submissions import Load, Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.messages import Invoke
from resonate_sdk.protocol.records import Value
from resonate_store.state import Promise
from tests.unit.broker.builders import DEADLINE, NOW, make_promise, make_state, make_task

QUOTE = "amqp-exchange://orders/price.quote"
REFUSAL = Value(data="MTc=")


def make_call(**task) -> Promise:
    return make_promise("t", task=make_task(group="", **task), tags={tags.TARGET: QUOTE})


def dispatched(promise: Promise, now_ms: int = NOW) -> tuple[Promise, tuple[Outgoing, ...]]:
    state = make_state(promise, now_ms=now_ms)
    dispatch = Dispatch(Windows(), lambda at_ms: None)
    return dispatch.retry(state, promise), state.outgoing()


def found(state: WorkingState) -> Promise:
    promise = state.promise("t")
    assert promise is not None
    return promise


def concluded(promise: Promise, call: Outgoing, now_ms: int = NOW + 1) -> WorkingState:
    """The state after the broker has said something about a call."""
    body = forget_listeners((call,))
    assert next(body) == Load(ids=("t",), settling=("t",))
    state = make_state(promise, settling=("t",), now_ms=now_ms)
    body.send(state)
    return state


def test_a_due_call_is_sent_with_its_promise_and_looked_at_again():
    promise, (call,) = dispatched(make_call())

    assert call.is_call
    assert isinstance(call.message, Invoke)
    assert call.message.data.promise is not None
    assert call.message.data.promise.id == "t"
    assert promise.task is not None
    assert (promise.task.state, promise.task.version) == ("pending", 0)
    assert promise.task.retry_at_ms == NOW + CALL_AGAIN_MS[0]


@pytest.mark.parametrize(("attempts", "again_ms"), [(1, 20_000), (3, 60_000), (99, 60_000)])
def test_what_was_not_delivered_is_sent_again_later_and_later(attempts: int, again_ms: int):
    waiting = make_call(attempts=attempts, hint_at_ms=NOW - 10_000, retry_at_ms=NOW)

    promise, sent = dispatched(waiting)

    assert len(sent) == 1
    assert promise.task is not None
    assert promise.task.retry_at_ms == NOW + again_ms


def test_a_delivered_call_is_left_alone_until_its_deadline():
    promise, (call,) = dispatched(make_call())

    waiting = found(concluded(promise, call))

    assert waiting.task is not None
    assert (waiting.task.state, waiting.task.retry_at_ms) == ("pending", DEADLINE)
    _, sent = dispatched(waiting, now_ms=NOW + 3_600_00)
    assert sent == ()


def test_a_call_that_can_never_be_made_is_rejected_with_the_reason():
    promise, (call,) = dispatched(make_call())

    state = concluded(promise, replace(call, refusal=REFUSAL))

    assert (found(state).state, found(state).value) == ("rejected", REFUSAL)


@pytest.mark.parametrize("refusal", [None, REFUSAL])
def test_the_fate_of_an_earlier_attempt_changes_nothing(refusal: Value | None):
    _, (call,) = dispatched(make_call())
    later = make_call(attempts=2, hint_at_ms=NOW + 5, retry_at_ms=NOW + 20_005)

    state = concluded(later, replace(call, refusal=refusal))

    assert state.promise("t") == later


def test_the_fate_of_a_call_whose_promise_is_settled_changes_nothing():
    _, (call,) = dispatched(make_call())
    settled = make_promise("t", state="resolved", task=make_task("fulfilled", group=""))

    state = concluded(settled, replace(call, refusal=REFUSAL))

    assert state.promise("t") == settled


def test_a_deadline_that_has_passed_wins():
    promise, (call,) = dispatched(make_call())

    state = concluded(promise, call, now_ms=DEADLINE)

    assert found(state).state == "rejected_timedout"
