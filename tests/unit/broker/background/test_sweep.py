from collections.abc import Generator
from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.background.sweep import LOOKS_PER_RUN, look, sweep
from resonate_broker.kernel.submissions import Commit, Failed, ReadDue, Spawn
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.messages import Invoke, Notify, Resume
from resonate_store.state import Callback, Due, Listener, Timer
from tests.unit.broker.background.looks import (
    HEARD_ALL,
    Dispatching,
    look_at,
    promise_of,
    task_of,
)
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    make_promise,
    make_state,
    make_targeted,
    make_task,
)

ADDRESS = "amqp://uni@c/1"
DUE = make_promise(timeout_at_ms=NOW, timer_at_ms=NOW)


def make_due(count: int, next_at_ms: int | None = None) -> Due:
    timers = tuple(Timer(NOW, f"p{number}") for number in range(count))
    return Due(now_ms=NOW, timers=timers, next_at_ms=next_at_ms)


def start() -> Generator[Any, Any, Any]:
    body = sweep(Dispatching().dispatch, HEARD_ALL)
    assert body.send(None) == ReadDue(LOOKS_PER_RUN)
    return body


def end(body: Generator[Any, Any, Any], completion: object) -> object:
    with pytest.raises(StopIteration) as stop:
        body.send(completion)
    return stop.value.value


def test_a_sweep_looks_at_every_promise_that_is_due():
    body = start()

    spawn = body.send(make_due(3))

    assert isinstance(spawn, Spawn)
    ids = [make().send(None).ids for make in spawn.bodies]
    assert ids == [("p0",), ("p1",), ("p2",)]


@pytest.mark.parametrize("next_at_ms", [None, NOW + 70])
def test_a_sweep_that_saw_all_wants_to_run_when_the_next_timer_is_due(next_at_ms: int | None):
    body = start()
    body.send(make_due(3, next_at_ms))

    assert end(body, None) == next_at_ms


def test_a_sweep_that_may_not_have_seen_all_wants_to_run_again_at_once():
    body = start()
    body.send(make_due(LOOKS_PER_RUN, NOW + 70))

    assert end(body, None) == NOW


def test_a_sweep_that_cannot_read_waits_for_its_interval():
    assert end(start(), Failed("no connection")) is None


def test_a_promise_whose_deadline_has_come_gets_the_verdict_with_all_that_follows():
    awaiter = make_targeted("w", "suspended", version=2)

    state = look_at(
        DUE, awaiter, callbacks=[Callback("p", "w")], listeners=[Listener("p", ADDRESS)]
    )

    promise = promise_of(state, "p")
    assert (promise.state, promise.settled_at_ms) == ("rejected_timedout", NOW)
    assert (task_of(state, "w").state, task_of(state, "w").resumes) == ("pending", ("p",))
    assert [type(outgoing.message) for outgoing in state.outgoing()] == [Notify, Resume]


def test_a_sleep_resolves_at_its_deadline():
    state = look_at(replace(DUE, tags={tags.TIMER: "true"}))

    assert promise_of(state, "p").state == "resolved"


def test_the_task_of_a_promise_whose_deadline_has_come_is_fulfilled_and_not_dispatched():
    task = make_task("acquired", expires_at_ms=NOW - 1)

    state = look_at(make_promise("t", task=task, timeout_at_ms=NOW, timer_at_ms=NOW))

    assert task_of(state).state == "fulfilled"
    assert state.outgoing() == ()


def test_a_promise_that_timed_out_without_obligations_is_not_looked_at_again():
    state = look_at(DUE)

    assert promise_of(state, "p").timer_at_ms is None
    assert state.changes().timers_disarmed == (Timer(NOW, "p"),)
    assert state.changes().timers_armed == ()


def test_a_look_a_millisecond_early_settles_nothing_and_moves_the_timer():
    promise = make_promise(timeout_at_ms=NOW + 1, timer_at_ms=NOW)

    state = look_at(promise)

    assert promise_of(state, "p") == replace(promise, timer_at_ms=NOW + 1)


def test_the_timer_of_a_promise_that_does_not_exist_is_removed():
    body = look(Timer(NOW, "gone"), Dispatching().dispatch, HEARD_ALL)
    body.send(None)
    state = make_state(named=["gone"], settling=["gone"])

    assert isinstance(body.send(state), Commit)

    assert state.changes().timers_disarmed == (Timer(NOW, "gone"),)


def test_a_timer_that_was_left_behind_is_removed_and_nothing_else_happens():
    promise = make_promise(timeout_at_ms=NOW, timer_at_ms=NOW + 5)

    state = look_at(promise)

    assert promise_of(state, "p") == promise
    assert state.changes().timers_disarmed == (Timer(NOW, "p"),)
    assert state.changes().timers_armed == ()


def test_looking_twice_in_one_batch_is_as_looking_once():
    dispatching = Dispatching()
    once = look_at(DUE, dispatching=dispatching)
    changes = once.changes()
    body = look(Timer(NOW, "p"), dispatching.dispatch, HEARD_ALL)
    body.send(None)

    body.send(once)
    dispatching.dispatch.decided(once)

    assert once.changes() == changes


def test_awaiters_that_were_locked_elsewhere_wake_at_the_next_look():
    settled = make_promise(state="resolved", timer_at_ms=NOW)

    state = look_at(settled, make_targeted("w", "suspended"), callbacks=[Callback("p", "w")])

    assert task_of(state, "w").resumes == ("p",)
    assert state.changes().callbacks_consumed == (Callback("p", "w"),)
    assert promise_of(state, "p").timer_at_ms is None


def test_awaiters_that_are_still_locked_elsewhere_are_looked_at_again_soon():
    settled = make_promise(state="resolved", timer_at_ms=NOW)

    state = look_at(settled, callbacks=[Callback("p", "w")])

    assert state.changes().callbacks_consumed == ()
    assert promise_of(state, "p").timer_at_ms == NOW + rules.DRAIN_RETRY_MS


def test_a_settlement_whose_awaiters_are_locked_elsewhere_leaves_them_to_a_look_soon():
    state = look_at(DUE, callbacks=[Callback("p", "w")])

    assert promise_of(state, "p").state == "rejected_timedout"
    assert promise_of(state, "p").timer_at_ms == NOW + rules.DRAIN_RETRY_MS


def test_the_awaiters_of_an_awaiter_that_is_found_dead_are_looked_at_at_once():
    dead = make_promise("w", task=make_task("suspended"), timeout_at_ms=NOW, timer_at_ms=NOW)

    state = look_at(DUE, dead, callbacks=[Callback("p", "w")])

    assert promise_of(state, "w").state == "rejected_timedout"
    assert promise_of(state, "w").timer_at_ms == NOW


def test_a_listener_that_is_still_owed_is_told_again():
    settled = make_promise(state="resolved", settled_at_ms=NOW - 1, timer_at_ms=NOW)

    state = look_at(settled, listeners=[Listener("p", ADDRESS)])

    (news,) = state.outgoing()
    timer = Timer(NOW + rules.NOTIFY_RETRY_MS, "p")
    assert (news.listener, news.timer) == (Listener("p", ADDRESS), timer)
    assert promise_of(state, "p").timer_at_ms == NOW + rules.NOTIFY_RETRY_MS


def test_a_lease_that_ran_out_gives_the_task_back_and_sends_its_hint():
    task = make_task("acquired", version=3, expires_at_ms=NOW)
    promise = make_promise("t", task=task, timer_at_ms=NOW)

    state = look_at(promise)

    (hint,) = state.outgoing()
    assert (task_of(state).state, task_of(state).version) == ("pending", 3)
    assert isinstance(hint.message, Invoke)
    assert hint.message.data.task.version == 3


def test_a_lease_that_was_prolonged_is_left_alone_and_the_timer_moves_with_it():
    task = make_task("acquired", version=3, expires_at_ms=NOW + 1)
    promise = make_promise("t", task=task, timer_at_ms=NOW)

    state = look_at(promise)

    assert promise_of(state, "t") == replace(promise, timer_at_ms=NOW + 1)


def test_a_task_whose_delay_is_over_is_dispatched():
    promise = make_promise("t", task=make_task(retry_at_ms=NOW), timer_at_ms=NOW)

    state = look_at(promise)

    assert len(state.outgoing()) == 1
    assert task_of(state).hint_at_ms == NOW


def test_a_task_whose_delay_is_not_over_is_not_dispatched():
    promise = make_promise("t", task=make_task(retry_at_ms=NOW + 1), timer_at_ms=NOW)

    state = look_at(promise)

    assert state.outgoing() == ()
    assert promise_of(state, "t").timer_at_ms == NOW + 1


def test_a_sweep_never_suspends_halts_acquires_or_settles_before_the_deadline():
    """Invariant 96: internal steps only give back, wake and time out."""
    for task_state in ("pending", "acquired", "suspended", "halted"):
        promise = make_promise("t", task=make_task(task_state), timer_at_ms=NOW)

        state = look_at(promise, now_ms=DEADLINE - 1)

        allowed = {task_state, "pending"} if task_state == "acquired" else {task_state}
        assert task_of(state).state in allowed
        assert promise_of(state, "t").state == "pending"
