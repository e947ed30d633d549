import pytest

from resonate_broker.operations.promise_get import promise_get
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.requests import PromiseGet
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    VALUE,
    decide,
    make_promise,
    make_task,
)

GET = PromiseGet(id="p")


def test_a_promise_that_does_not_exist_is_answered_404_without_a_write():
    decision = decide(promise_get, GET)

    assert (decision.status, decision.is_write) == (404, False)
    assert "'p'" in decision.data


def test_a_pending_promise_is_shown_without_a_write():
    decision = decide(promise_get, GET, make_promise(param=VALUE))

    record = decision.data.promise
    assert (decision.status, decision.is_write) == (200, False)
    assert (record.state, record.param, record.settled_at_ms) == ("pending", VALUE, None)


def test_a_settled_promise_is_shown_as_it_was_settled():
    stored = make_promise(state="rejected", value=VALUE, settled_at_ms=NOW - 7)

    decision = decide(promise_get, GET, stored, now_ms=DEADLINE + 1)

    record = decision.data.promise
    assert (record.state, record.value, record.settled_at_ms) == ("rejected", VALUE, NOW - 7)
    assert not decision.is_write


def test_a_promise_is_pending_until_the_last_millisecond_before_its_deadline():
    decision = decide(promise_get, GET, make_promise(), now_ms=DEADLINE - 1)

    assert decision.data.promise.state == "pending"
    assert not decision.is_write


@pytest.mark.parametrize("now_ms", [DEADLINE, DEADLINE + 1, DEADLINE + 90_000])
@pytest.mark.parametrize(
    ("tag", "verdict"), [({}, "rejected_timedout"), ({tags.TIMER: "true"}, "resolved")]
)
def test_from_its_deadline_on_the_verdict_is_shown_and_stored(
    now_ms: int, tag: dict[str, str], verdict: str
):
    decision = decide(promise_get, GET, make_promise(tags=tag), now_ms=now_ms)

    record = decision.data.promise
    assert (record.state, record.settled_at_ms) == (verdict, DEADLINE)
    assert (decision.promise().state, decision.promise().settled_at_ms) == (verdict, DEADLINE)
    assert decision.is_write


def test_a_timer_tag_that_is_not_true_is_no_timer():
    decision = decide(promise_get, GET, make_promise(tags={tags.TIMER: "yes"}), now_ms=DEADLINE)

    assert decision.data.promise.state == "rejected_timedout"


def test_the_task_of_a_promise_that_timed_out_is_fulfilled_with_it():
    stored = make_promise(task=make_task("acquired", version=4, resumes=("x",)))

    decision = decide(promise_get, GET, stored, now_ms=DEADLINE)

    task = decision.task("p")
    assert (task.state, task.version, task.resumes) == ("fulfilled", 4, ())
    assert (task.pid, task.lease_ms, task.expires_at_ms) == (None, None, None)


def test_only_the_named_promise_is_locked():
    decision = decide(promise_get, GET)

    assert (decision.loads[0].ids, decision.loads[0].settling) == (("p",), ())
