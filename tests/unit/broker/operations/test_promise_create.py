import pytest

from resonate_broker.operations.promise_create import promise_create
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_store.state import Listener, Promise
from tests.unit.broker.builders import (
    BIRTH,
    DEADLINE,
    NOW,
    TARGET,
    VALUE,
    decide,
    make_create,
    make_internal,
    make_promise,
    make_task,
)

TIMER = {tags.TIMER: "true"}
ADDRESS = "amqp://uni@c/1"
INT64_MAX = 2**63 - 1


def test_a_new_promise_is_pending_and_born_now():
    decision = decide(promise_create, make_create(param=VALUE, tags={"colour": "red"}))

    promise = decision.promise()
    assert decision.status == 200
    assert (promise.state, promise.created_at_ms, promise.settled_at_ms) == ("pending", NOW, None)
    assert (promise.timeout_at_ms, promise.param) == (DEADLINE, VALUE)
    assert promise.tags == {tags.EXTERNAL: "true", "colour": "red"}
    assert promise.task is None
    assert decision.changes.created == (promise,)


def test_the_answer_shows_the_new_promise():
    decision = decide(promise_create, make_create(param=VALUE))

    record = decision.data.promise
    assert (record.id, record.state, record.created_at_ms) == ("p", "pending", NOW)
    assert (record.timeout_at_ms, record.param) == (DEADLINE, VALUE)


def test_an_existing_promise_is_answered_as_it_is_whatever_the_request_says():
    stored = make_promise(param=VALUE, tags={"colour": "red"})
    request = make_create(target="amqp://any@other", timeout_at_ms=5_000_000)

    decision = decide(promise_create, request, stored)

    record = decision.data.promise
    assert (decision.status, decision.is_write) == (200, False)
    assert (record.param, record.tags, record.timeout_at_ms) == (VALUE, stored.tags, DEADLINE)


def test_an_existing_settled_promise_is_answered_as_it_is():
    stored = make_promise(state="rejected_canceled", value=VALUE)

    decision = decide(promise_create, make_create(), stored)

    assert (decision.data.promise.state, decision.is_write) == ("rejected_canceled", False)


def test_an_existing_promise_is_shown_after_its_deadline():
    decision = decide(promise_create, make_create(), make_promise(), now_ms=DEADLINE)

    assert decision.data.promise.state == "rejected_timedout"
    assert decision.promise().state == "rejected_timedout"


def test_a_target_makes_a_pending_task_that_is_due_at_once():
    decision = decide(promise_create, make_create("t", target=TARGET))

    task = decision.task()
    assert (task.state, task.version, task.group, task.retry_at_ms) == ("pending", 0, "g", NOW)
    assert (task.pid, task.lease_ms, task.expires_at_ms, task.resumes) == (None, None, None, ())


@pytest.mark.parametrize(
    ("delay", "retry_at_ms"),
    [(NOW + 500, NOW + 500), (NOW, NOW), (NOW - 1, NOW), (0, NOW), (DEADLINE - 1, DEADLINE - 1)],
)
def test_a_delay_puts_the_first_dispatch_off(delay: int, retry_at_ms: int):
    request = make_create("t", target=TARGET, tags={tags.DELAY: str(delay)})

    decision = decide(promise_create, request)

    assert decision.task().retry_at_ms == retry_at_ms


@pytest.mark.parametrize("timeout_at_ms", [NOW, NOW - 1, 0])
@pytest.mark.parametrize(("tag", "verdict"), [({}, "rejected_timedout"), (TIMER, "resolved")])
def test_a_promise_born_past_its_deadline_is_born_settled_at_the_deadline(
    timeout_at_ms: int, tag: dict[str, str], verdict: str
):
    request = make_create(timeout_at_ms=timeout_at_ms, tags=tag)

    decision = decide(promise_create, request)

    promise = decision.promise()
    assert decision.data.promise.state == promise.state == verdict
    assert (promise.created_at_ms, promise.settled_at_ms) == (timeout_at_ms, timeout_at_ms)
    assert decision.status == 200


def test_a_promise_born_a_millisecond_before_its_deadline_is_pending():
    decision = decide(promise_create, make_create(timeout_at_ms=NOW + 1))

    assert decision.promise().state == "pending"


def test_the_task_of_a_promise_born_past_its_deadline_is_born_fulfilled():
    decision = decide(promise_create, make_create("t", target=TARGET, timeout_at_ms=NOW))

    task = decision.task()
    assert (task.state, task.version, task.retry_at_ms) == ("fulfilled", 0, None)
    assert decision.state.outgoing() == ()


def test_priority_and_concurrency_key_are_noted_with_the_task():
    wishes = {tags.PRIORITY: "7", tags.KEY: "customer-1"}

    decision = decide(promise_create, make_create("t", target=TARGET, tags=wishes))

    assert (decision.task().priority, decision.task().concurrency_key) == (7, "customer-1")


@pytest.mark.parametrize(
    "priority",
    ["", "high", "-1", "1.5", "5\n", "\u0663", "\u00b2", "10", "3000000000", "9" * 1000],
)
@pytest.mark.parametrize("target", [TARGET, None])
def test_a_priority_that_is_no_digit_is_refused(priority: str, target: str | None):
    """C6: every accepted value must be storable."""
    request = make_create("t", target=target, tags={tags.PRIORITY: priority})

    decision = decide(promise_create, request)

    assert decision.status == 400
    assert decision.data == (
        "tags: resonate:priority: a priority is a number from 0 to 9, 9 goes first, "
        f"found {priority[:40]!r}"
    )


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        ({tags.DELAY: str(NOW + 1)}, "resonate:delay"),
        ({tags.TARGET: TARGET, **TIMER}, "timer"),
        ({tags.TARGET: ""}, "resonate:target"),
        ({tags.TARGET: "http://example.org"}, "resonate:target"),
        ({tags.TARGET: "amqp://uni@g"}, "resonate:target"),
        ({tags.TARGET: TARGET, tags.DELAY: ""}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "-1"}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "1.5"}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: " 5"}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "+5"}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "1_000"}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "\u0665"}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: str(INT64_MAX + 1)}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "9" * 1000}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: str(DEADLINE)}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: str(DEADLINE + 1)}, "resonate:delay"),
    ],
)
def test_tags_that_do_not_go_together_are_400_before_anything_is_read(
    tag: dict[str, str], names: str
):
    decision = decide(promise_create, make_create(tags=tag), make_promise())

    assert decision.status == 400
    assert names in decision.data
    assert decision.loads == ()


def test_a_timer_tag_that_is_not_true_goes_with_a_target():
    decision = decide(promise_create, make_create("t", target=TARGET, tags={tags.TIMER: "no"}))

    assert (decision.status, decision.task().state) == (200, "pending")


def test_creating_twice_is_as_creating_once():
    first = decide(promise_create, make_create("t", target=TARGET))

    second = decide(promise_create, make_create("t", target=TARGET), first.promise("t"))

    assert second.answer == first.answer
    assert not second.is_write


def test_an_existing_task_is_not_touched():
    stored = make_promise("t", task=make_task("acquired", version=3), created_at_ms=BIRTH)

    decision = decide(promise_create, make_create("t", target=TARGET), stored)

    assert (decision.status, decision.is_write) == (200, False)


# Listeners


def test_who_creates_may_name_a_listener():
    decision = decide(promise_create, make_create(listener=ADDRESS))

    assert decision.status == 200
    assert decision.changes.listeners_added == (Listener("p", ADDRESS),)


def test_the_listener_of_an_existing_promise_is_told_too():
    decision = decide(promise_create, make_create(listener=ADDRESS), make_promise())

    assert decision.changes.listeners_added == (Listener("p", ADDRESS),)


@pytest.mark.parametrize(
    ("stored", "now_ms"), [((make_promise(state="resolved"),), NOW), ((), DEADLINE)]
)
def test_of_a_settled_promise_the_answer_is_the_news(stored: tuple[Promise, ...], now_ms: int):
    decision = decide(promise_create, make_create(listener=ADDRESS), *stored, now_ms=now_ms)

    assert (decision.status, decision.data.promise.state == "pending") == (200, False)
    assert decision.is_write == (not stored)
    assert not decision.is_write or decision.changes.listeners_added == ()


@pytest.mark.parametrize("stored", [(make_internal("p"),), ()], ids=["existing", "new"])
def test_nobody_listens_to_an_internal_promise(stored: tuple[Promise, ...]):
    internal = PromiseCreate(id="p", timeout_at_ms=DEADLINE, listener=ADDRESS)

    decision = decide(promise_create, internal, *stored)

    assert (decision.status, decision.is_write) == (200, not stored)
    assert not decision.is_write or decision.changes.listeners_added == ()
