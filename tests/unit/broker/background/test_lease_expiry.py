from typing import Any

import pytest

from resonate_broker.background.lease_expiry import (
    HEARD_MS_MIN,
    LeaseGuard,
    expire_lease,
    void_lease,
)
from resonate_broker.kernel.submissions import Commit, Load
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TaskState
from resonate_store.state import Task
from tests.unit.broker.background.looks import HEARD_ALL, look_at, promise_of, task_of
from tests.unit.broker.builders import NOW, make_promise, make_state, make_targeted, make_task


def expire(guard: LeaseGuard = HEARD_ALL, now_ms: int = NOW, **task: Any) -> Task:
    """The task of `t` after its lease was looked at."""
    promise = make_targeted("t", "acquired", **({"version": 3, "expires_at_ms": NOW} | task))
    state = make_state(promise, now_ms=now_ms)
    expired = expire_lease(state, promise, guard)
    assert expired == state.promise("t")
    return task_of(state)


def test_a_server_that_does_not_know_the_clock_of_the_store_has_not_heard_anything():
    guard = LeaseGuard()

    guard.hears(None)
    assert not guard.may_expire(1, NOW)

    guard.hears(NOW)
    guard.hears(NOW + HEARD_MS_MIN)  # it has been heard since the first time
    assert not guard.may_expire(1, NOW + HEARD_MS_MIN - 1)
    assert guard.may_expire(1, NOW + HEARD_MS_MIN)


@pytest.mark.parametrize("late_ms", [0, 1, 60_000])
def test_a_lease_runs_out_at_its_end_and_the_task_is_pending_at_the_same_version(late_ms: int):
    task = expire(now_ms=NOW + late_ms, resumes=("a",), is_resumed=True, attempts=3)

    assert (task.state, task.version, task.retry_at_ms) == ("pending", 3, NOW + late_ms)
    assert (task.pid, task.lease_ms, task.expires_at_ms) == (None, None, None)
    assert (task.resumes, task.last_pid) == (("a",), "w1")
    assert (task.is_resumed, task.attempts, task.hint_at_ms) == (False, 0, None)


def test_a_lease_holds_until_the_last_millisecond_before_its_end():
    task = expire(now_ms=NOW - 1)

    assert (task.state, task.lease_losses) == ("acquired", 0)


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_nobody_holds_has_no_lease_to_lose(state: TaskState):
    promise = make_targeted("t", state)
    working_state = make_state(promise)

    assert expire_lease(working_state, promise, HEARD_ALL) is promise
    assert not working_state.changes()


def test_a_promise_without_a_task_has_no_lease_to_lose():
    promise = make_promise()

    assert expire_lease(make_state(promise), promise, HEARD_ALL) is promise


@pytest.mark.parametrize(
    ("losses", "delay_ms"),
    [
        (0, 0),
        (1, 0),
        (2, 10_000),
        (3, 20_000),
        (4, 40_000),
        (5, 80_000),
        (6, 160_000),
        (7, 320_000),
        (8, 600_000),
        (9, 600_000),
        (1_000, 600_000),
    ],
)
def test_from_the_third_loss_in_a_row_on_the_next_dispatch_is_delayed(losses: int, delay_ms: int):
    task = expire(lease_losses=losses)

    assert (task.lease_losses, task.retry_at_ms) == (losses + 1, NOW + delay_ms)


def test_the_longest_delay_is_ten_minutes():
    assert limits.POISON_DELAY_MS[-1] == 600_000


def test_a_delayed_task_is_not_dispatched_with_the_loss_of_its_lease():
    task = make_task("acquired", version=3, expires_at_ms=NOW, lease_losses=2)

    state = look_at(make_promise("t", task=task, timer_at_ms=NOW))

    assert state.outgoing() == ()
    assert promise_of(state, "t").timer_at_ms == NOW + 10_000


def test_no_lease_runs_out_while_heartbeats_cannot_be_heard():
    assert expire(guard=LeaseGuard(None), now_ms=NOW + 3_600_000).state == "acquired"


@pytest.mark.parametrize(
    ("lease_ms", "wait_ms"),
    [(1_000, HEARD_MS_MIN), (15_000, HEARD_MS_MIN), (15_003, 5_001), (60_000, 20_000)],
)
def test_a_lease_runs_out_only_after_listening_for_5_s_or_a_third_of_it(
    lease_ms: int, wait_ms: int
):
    heard_since_ms = NOW - wait_ms

    just_heard = expire(guard=LeaseGuard(heard_since_ms + 1), lease_ms=lease_ms)
    long_heard = expire(guard=LeaseGuard(heard_since_ms), lease_ms=lease_ms)

    assert (just_heard.state, just_heard.lease_losses) == ("acquired", 0)
    assert long_heard.state == "pending"


def test_a_lease_that_may_not_run_out_yet_is_looked_at_again_while_listening():
    task = make_task("acquired", lease_ms=60_000, expires_at_ms=NOW)
    promise = make_promise("t", task=task, timer_at_ms=NOW)

    state = look_at(promise, guard=LeaseGuard(NOW - 1))

    timer_at_ms = promise_of(state, "t").timer_at_ms
    assert timer_at_ms is not None
    assert NOW < timer_at_ms <= NOW + 20_000


def test_the_deadline_of_a_promise_is_kept_while_its_lease_may_not_run_out():
    """A day's lease is listened for in steps of 48 minutes; the deadline does not wait for them."""
    task = make_task("acquired", lease_ms=limits.LEASE_MS_MAX, expires_at_ms=NOW)
    promise = make_promise("t", task=task, timer_at_ms=NOW, timeout_at_ms=NOW + 300_000)

    state = look_at(promise, guard=LeaseGuard(NOW - 1))

    timer_at_ms = promise_of(state, "t").timer_at_ms
    assert timer_at_ms is not None
    assert timer_at_ms <= NOW + 300_000


def void(state: TaskState, **overrides: Any):
    promise = make_promise("t", task=make_task(state, version=3), **overrides)
    body = void_lease("t")
    assert body.send(None) == Load(ids=("t",))
    working_state = make_state(promise)
    assert isinstance(body.send(working_state), Commit)
    return working_state


def test_the_lease_of_a_dead_holder_is_void_whatever_is_left_of_it():
    task = task_of(void("acquired"))

    assert (task.state, task.version, task.retry_at_ms) == ("pending", 3, NOW)
    assert (task.pid, task.lease_losses) == (None, 0)


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_nobody_held_is_left_alone(state: TaskState):
    assert not void(state).changes()


def test_the_task_of_a_dead_holder_whose_deadline_has_passed_is_not_given_back():
    assert task_of(void("acquired", timeout_at_ms=NOW)).state == "fulfilled"
