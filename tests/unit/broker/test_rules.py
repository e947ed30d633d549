from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker import rules
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import TaskState
from resonate_store.state import Callback, Listener, Promise, Timer
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    TARGET,
    VALUE,
    make_internal,
    make_promise,
    make_state,
    make_targeted,
    make_task,
)

ADDRESS = "amqp://uni@c/1"


@pytest.mark.parametrize(
    ("tag", "is_external"),
    [
        ({tags.EXTERNAL: "true"}, True),
        ({tags.EXTERNAL: "false"}, False),
        ({tags.TARGET: TARGET}, True),
        ({tags.TIMER: "true"}, True),
        ({tags.TIMER: "false"}, False),
        ({}, False),
    ],
)
def test_external_is_what_says_so_has_a_target_or_is_a_timer(
    tag: dict[str, str], is_external: bool
):
    assert rules.is_external(replace(make_promise(), tags=tag)) is is_external


def test_projecting_a_live_or_a_settled_promise_changes_nothing():
    live, settled = make_promise(), make_promise(state="resolved")

    assert rules.project(live, DEADLINE - 1) is live
    assert rules.project(settled, DEADLINE + 1) is settled


def test_projecting_a_due_promise_settles_it_at_its_deadline_and_keeps_its_value():
    due = make_promise(task=make_task("suspended", version=2, resumes=("a",)))

    projected = rules.project(due, DEADLINE + 99)

    assert (projected.state, projected.settled_at_ms) == ("rejected_timedout", DEADLINE)
    assert projected.value == due.value
    assert projected.task is not None
    assert (projected.task.state, projected.task.version) == ("fulfilled", 2)


def test_observing_a_due_promise_stores_the_verdict_with_all_that_follows():
    state = make_state(
        make_promise("a", timeout_at_ms=NOW),
        make_targeted("w", "suspended"),
        settling=["a"],
        callbacks=[Callback("a", "w")],
        listeners=[Listener("a", ADDRESS)],
    )

    observed = rules.observe(state, "a")

    assert observed is not None
    assert observed.state == "rejected_timedout"
    assert state.promise("a") == observed
    assert task(state.promise("w")).state == "pending"
    assert len(state.outgoing()) == 1


def test_observing_what_does_not_exist_finds_nothing():
    assert rules.observe(make_state(named=["a"]), "a") is None


def task(promise: Promise | None):
    assert promise is not None
    assert promise.task is not None
    return promise.task


def settle_awaited(*awaiters: Promise, **loaded: Any):
    """Settle `a`, awaited by all the others."""
    state = make_state(
        make_promise("a"),
        *awaiters,
        settling=["a"],
        callbacks=[Callback("a", awaiter.id) for awaiter in awaiters],
        **loaded,
    )
    promise = state.promise("a")
    assert promise is not None
    rules.settle(state, promise, "resolved", VALUE)
    return state


def test_a_suspended_awaiter_is_pending_with_what_woke_it_and_nothing_of_its_last_wait():
    awaiter = make_targeted(
        "w", "suspended", version=4, attempts=3, is_hint_sticky=True, last_pid="w9", lease_losses=1
    )

    state = settle_awaited(awaiter)

    woken = task(state.promise("w"))
    assert (woken.state, woken.version, woken.resumes) == ("pending", 4, ("a",))
    assert (woken.retry_at_ms, woken.is_resumed, woken.last_pid) == (NOW, True, "w9")
    assert (woken.attempts, woken.hint_at_ms, woken.queued_at_ms) == (0, None, None)


@pytest.mark.parametrize("awaiter_state", ["pending", "acquired", "halted"])
def test_an_awaiter_that_does_not_sleep_only_takes_note(awaiter_state: TaskState):
    awaiter = make_targeted("w", awaiter_state, version=4, resumes=("x",))

    state = settle_awaited(awaiter)

    assert task(state.promise("w")) == replace(task(awaiter), resumes=("x", "a"))


def test_a_fulfilled_awaiter_is_left_alone_and_its_callback_goes():
    awaiter = make_promise("w", state="resolved", task=make_task("fulfilled"))

    state = settle_awaited(awaiter)

    assert state.promise("w") == awaiter
    assert state.changes().callbacks_consumed == (Callback("a", "w"),)


@pytest.mark.parametrize("awaiter_state", ["pending", "acquired", "suspended", "halted"])
def test_the_deadline_of_an_awaiter_wins_over_its_wake(awaiter_state: TaskState):
    awaiter = make_promise("w", task=make_task(awaiter_state), timeout_at_ms=NOW)

    state = settle_awaited(awaiter)

    dead = state.promise("w")
    assert dead is not None
    assert (dead.state, dead.settled_at_ms) == ("rejected_timedout", NOW)
    assert task(dead).state == "fulfilled"
    assert state.changes().callbacks_consumed == (Callback("a", "w"),)


def test_an_awaiter_that_another_server_holds_keeps_its_callback():
    state = make_state(make_promise("a"), settling=["a"], callbacks=[Callback("a", "w")])
    promise = state.promise("a")
    assert promise is not None

    rules.settle(state, promise, "resolved", VALUE)

    assert state.callbacks("a") == ("w",)
    assert state.changes().callbacks_consumed == ()


def test_the_awaiters_of_a_dead_awaiter_are_left_for_the_drain():
    """Depth one: what awaits the dead awaiter was not loaded, and is looked at by the sweep."""
    state = settle_awaited(make_promise("w", task=make_task("suspended"), timeout_at_ms=NOW))
    dead = state.promise("w")
    assert dead is not None

    rules.set_timer(state, dead)

    assert Timer(NOW, "w") in state.changes().timers_armed


def test_the_awaiters_of_a_dead_awaiter_wake_at_once_when_they_are_known():
    state = make_state(
        make_promise("a"),
        make_promise("w", task=make_task("suspended"), timeout_at_ms=NOW),
        make_targeted("v", "suspended"),
        settling=["a", "w"],
        callbacks=[Callback("a", "w"), Callback("w", "v")],
        listeners=[Listener("w", ADDRESS)],
    )
    promise = state.promise("a")
    assert promise is not None

    rules.settle(state, promise, "resolved", VALUE)

    assert task(state.promise("v")).resumes == ("w",)
    assert [news.listener for news in state.outgoing()] == [Listener("w", ADDRESS)]


def test_every_listener_is_told_the_settled_record():
    state = make_state(
        make_promise("a"),
        settling=["a"],
        listeners=[Listener("a", ADDRESS), Listener("a", "amqp://any@d/2")],
    )
    promise = state.promise("a")
    assert promise is not None

    settled = rules.settle(state, promise, "rejected", VALUE)

    of_any, of_one = state.outgoing()
    assert (of_any.group, of_any.pid, of_any.is_exclusive) == ("d", "2", False)
    assert (of_one.group, of_one.pid, of_one.is_exclusive) == ("c", "1", True)
    for news in (of_any, of_one):
        assert news.message.head.sent_at_ms == NOW
        assert news.message.data.promise == rules.record(settled)
    assert state.listeners("a") == ("amqp://any@d/2", ADDRESS)


def test_settling_what_is_due_is_a_bug():
    state = make_state(make_promise("a", timeout_at_ms=NOW))
    promise = state.promise("a")
    assert promise is not None

    with pytest.raises(AssertionError):
        rules.settle(state, promise, "resolved", VALUE)


@pytest.mark.parametrize(
    ("promise", "look_at_ms"),
    [
        (make_promise(), DEADLINE),
        (make_promise(tags={tags.TIMER: "true"}), DEADLINE),
        (make_internal(), None),
        (make_targeted("t", "pending", retry_at_ms=NOW + 7), NOW + 7),
        (make_targeted("t", "pending", retry_at_ms=DEADLINE + 7), DEADLINE),
        (make_targeted("t", "pending", retry_at_ms=NOW, queued_at_ms=NOW), DEADLINE),
        (make_targeted("t", "acquired", expires_at_ms=NOW + 8), NOW + 8),
        (make_targeted("t", "acquired", expires_at_ms=DEADLINE + 8), DEADLINE),
        (make_targeted("t", "suspended"), DEADLINE),
        (make_targeted("t", "halted"), DEADLINE),
        (make_internal(state="resolved"), None),
    ],
)
def test_the_timer_stands_at_the_first_instant_at_which_something_is_due(
    promise: Promise, look_at_ms: int | None
):
    state = make_state(promise)

    promise = rules.set_timer(state, promise)

    assert promise.timer_at_ms == look_at_ms
    armed = () if look_at_ms is None else (Timer(look_at_ms, promise.id),)
    assert state.changes().timers_armed == armed
    assert state.promise(promise.id) == promise


@pytest.mark.parametrize("timer_at_ms", [NOW + 1, NOW + 500, DEADLINE])
def test_a_timer_that_stands_early_enough_is_left_alone(timer_at_ms: int):
    promise = make_promise(timer_at_ms=timer_at_ms)
    state = make_state(promise)

    rules.set_timer(state, promise)

    assert not state.changes()


@pytest.mark.parametrize("timer_at_ms", [NOW, NOW - 1])
def test_a_timer_that_has_fired_is_moved(timer_at_ms: int):
    promise = make_promise(timer_at_ms=timer_at_ms)
    state = make_state(promise)

    rules.set_timer(state, promise)

    assert state.changes().timers_disarmed == (Timer(timer_at_ms, "p"),)
    assert state.changes().timers_armed == (Timer(DEADLINE, "p"),)


def test_a_timer_that_stands_too_late_is_moved():
    promise = make_targeted("t", "acquired", expires_at_ms=NOW + 8)
    promise = replace(promise, timer_at_ms=DEADLINE)
    state = make_state(promise)

    rules.set_timer(state, promise)

    assert state.changes().timers_disarmed == (Timer(DEADLINE, "t"),)
    assert state.changes().timers_armed == (Timer(NOW + 8, "t"),)


def test_the_timer_of_a_settled_promise_without_obligations_is_removed():
    promise = make_promise(state="resolved", timer_at_ms=DEADLINE)
    state = make_state(promise, settling=["p"])

    promise = rules.set_timer(state, promise)

    assert promise.timer_at_ms is None
    assert state.changes().timers_disarmed == (Timer(DEADLINE, "p"),)
    assert state.changes().timers_armed == ()


@pytest.mark.parametrize(
    ("loaded", "look_at_ms"),
    [
        ({}, NOW),
        ({"settling": ["p"], "callbacks": [Callback("p", "w")]}, NOW + rules.DRAIN_RETRY_MS),
        ({"settling": ["p"], "listeners": [Listener("p", ADDRESS)]}, NOW + rules.NOTIFY_RETRY_MS),
    ],
    ids=["unknown", "callbacks", "listeners"],
)
def test_a_settled_promise_is_looked_at_while_somebody_may_wait_for_it(
    loaded: dict[str, Any], look_at_ms: int
):
    promise = make_promise(state="resolved", settled_at_ms=NOW, timer_at_ms=DEADLINE)
    state = make_state(promise, **loaded)

    promise = rules.set_timer(state, promise)

    assert promise.timer_at_ms == look_at_ms


@pytest.mark.parametrize(
    ("owed_ms", "wait_ms"),
    [(0, 5_000), (5_000, 5_000), (5_001, 5_001), (59_999, 59_999), (3_600_000, 60_000)],
)
def test_listeners_are_told_again_later_and_later(owed_ms: int, wait_ms: int):
    promise = make_promise(state="resolved", settled_at_ms=NOW - owed_ms)
    state = make_state(promise, settling=["p"], listeners=[Listener("p", ADDRESS)])

    promise = rules.set_timer(state, promise)

    assert promise.timer_at_ms == NOW + wait_ms


def test_a_promise_that_is_held_is_not_looked_at_before():
    promise = make_targeted("t", "acquired", expires_at_ms=NOW - 1)
    state = make_state(promise)
    state.hold("t", NOW + 500)

    promise = rules.set_timer(state, promise)

    assert promise.timer_at_ms == NOW + 500


def test_the_deadline_of_a_promise_that_is_held_is_not_missed():
    promise = make_promise(
        "t", task=make_task("acquired", expires_at_ms=NOW - 1), timeout_at_ms=NOW + 300
    )
    state = make_state(promise)
    state.hold("t", NOW + 500)

    promise = rules.set_timer(state, promise)

    assert promise.timer_at_ms == NOW + 300


def test_only_an_acquired_task_at_this_version_is_held():
    held = make_targeted("t", "acquired", version=3)

    assert rules.check_held(held, "t", 3) is None


@pytest.mark.parametrize(
    ("promise", "version", "status"),
    [
        (None, 3, 404),
        (make_promise("t"), 3, 404),
        (make_targeted("t", "acquired", version=3), 2, 409),
        (make_targeted("t", "pending", version=3), 3, 409),
        (make_targeted("t", "suspended", version=3), 3, 409),
        (make_targeted("t", "halted", version=3), 3, 409),
    ],
)
def test_who_does_not_hold_the_task_is_refused_with_what_was_found(
    promise: Promise | None, version: int, status: int
):
    refusal = rules.check_held(promise, "t", version)

    assert refusal is not None
    assert refusal.status == status
    assert "'t'" in str(refusal.data)
    if status == 409:
        assert "version 3" in str(refusal.data)
        assert f"version {version}" in str(refusal.data)


def test_fulfilling_keeps_what_a_task_was_and_clears_what_it_did():
    acquired = make_task(
        "acquired",
        version=7,
        group="h",
        priority=3,
        concurrency_key="k",
        last_pid="w9",
        resumes=("a",),
        attempts=4,
        lease_losses=2,
        is_hint_sticky=True,
        is_resumed=True,
        hint_at_ms=NOW,
        queued_at_ms=NOW,
    )

    fulfilled = rules.fulfilled(acquired)

    assert fulfilled == make_task(
        "fulfilled", version=7, group="h", priority=3, concurrency_key="k", last_pid="w9"
    )
