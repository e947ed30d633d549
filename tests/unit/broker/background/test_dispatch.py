from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.background.dispatch import PASSED_MS, PROBE_WAIT_MS, TOP_UP_GATHER_MS
from resonate_broker.background.windows import (
    GREETING_FRESH_MS,
    PROBE_FRESH_MS,
)
from resonate_broker.kernel.submissions import Probed
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.messages import Invoke, Resume
from resonate_sdk.protocol.records import TaskRef, TaskState, Value
from resonate_store.state import Promise
from tests.unit.broker.background.looks import Dispatching, look_at, promise_of, task_of
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    make_news,
    make_outgoing,
    make_promise,
    make_state,
    make_targeted,
    make_task,
)

RESUMED: dict[str, Any] = {"version": 2, "is_resumed": True, "last_pid": "w9", "resumes": ("a",)}


def dispatch(*changed: Promise, dispatching: Dispatching | None = None) -> WorkingState:
    """What follows from these promises having changed just now."""
    dispatching = dispatching or Dispatching()
    state = make_state(named=[promise.id for promise in changed])
    for promise in changed:
        state.put(promise)
        dispatching.dispatch.decided(state)
    dispatching.dispatch.committed(state.outgoing())
    return state


def make_sent(**task: Any) -> Promise:
    """A task whose hint was sent 2 s ago and is due again, with its timer."""
    sent: dict[str, Any] = {"hint_at_ms": NOW - 2_000, "attempts": 1, "retry_at_ms": NOW}
    return make_promise("t", task=make_task(**(sent | task)), timer_at_ms=NOW)


def ids_sent(state: WorkingState) -> list[str]:
    """The tasks that hints are sent for, in order."""
    return [
        outgoing.message.data.task.id
        for outgoing in state.outgoing()
        if isinstance(outgoing.message, Invoke | Resume)
    ]


def make_probed(ready: int = 0, consumers: int = 1, at_ms: int = NOW) -> Dispatching:
    """A dispatch that has just counted the queue of the group."""
    dispatching = Dispatching()
    window = dispatching.windows.of("g")
    window.begin_probe()
    window.end_probe(Probed(ready=ready, consumers=consumers, unconfirmed=0), at_ms)
    return dispatching


def test_a_task_that_becomes_pending_gets_its_hint_in_the_same_batch():
    state = dispatch(make_targeted("t"))

    (hint,) = state.outgoing()
    assert (hint.group, hint.pid, hint.is_exclusive) == ("g", None, False)
    assert isinstance(hint.message, Invoke)
    assert hint.message.data.task == TaskRef(id="t", version=0)
    assert hint.message.head.version == limits.VERSION
    assert (hint.message.head.attempt, hint.message.head.sent_at_ms) == (0, NOW)


def test_a_hint_carries_its_promise():
    promise = make_promise("t", task=make_task(), param=Value(data="x"))

    (hint,) = dispatch(promise).outgoing()

    assert isinstance(hint.message, Invoke)
    assert hint.message.data.promise is not None
    assert hint.message.data.promise.param == Value(data="x")


@pytest.mark.parametrize(("size", "is_left_out"), [(0, False), (1, True)])
def test_a_promise_with_a_large_value_is_left_out_of_its_hint(size: int, is_left_out: bool):
    param = Value(data="x" * (limits.VALUE_BYTES_IN_HINT_MAX + size))

    (hint,) = dispatch(make_promise("t", task=make_task(), param=param)).outgoing()

    assert (hint.message.data.promise is None) is is_left_out


def test_a_task_with_a_hint_is_looked_at_again_after_2_s():
    state = dispatch(make_targeted())

    task = task_of(state)
    assert (task.hint_at_ms, task.attempts, task.queued_at_ms) == (NOW, 1, None)
    assert (task.retry_at_ms, promise_of(state, "t").timer_at_ms) == (NOW + 2_000, NOW + 2_000)


@pytest.mark.parametrize("state", ["acquired", "suspended", "halted"])
def test_a_task_that_is_not_pending_gets_no_hint(state: TaskState):
    assert dispatch(make_targeted("t", state)).outgoing() == ()


def test_a_settled_promise_gets_no_hint():
    promise = make_promise("t", state="resolved", task=make_task("fulfilled"))

    assert dispatch(promise).outgoing() == ()


def test_a_delayed_task_waits_for_its_instant():
    state = dispatch(make_targeted("t", retry_at_ms=NOW + 1))

    assert state.outgoing() == ()
    assert task_of(state).queued_at_ms is None
    assert promise_of(state, "t").timer_at_ms == NOW + 1


def test_a_change_that_is_no_entry_to_pending_sends_nothing():
    dispatching = Dispatching()
    state = dispatch(make_targeted(), dispatching=dispatching)
    sent = promise_of(state, "t")
    assert sent.task is not None
    state.put(replace(sent, task=replace(sent.task, resumes=("a",))))

    dispatching.dispatch.decided(state)

    assert len(state.outgoing()) == 1


def test_a_woken_task_is_resumed_where_it_ran_last():
    state = dispatch(make_targeted(**RESUMED))

    (hint,) = state.outgoing()
    assert isinstance(hint.message, Resume)
    assert (hint.group, hint.pid, hint.is_exclusive) == ("g", "w9", False)
    assert task_of(state).is_hint_sticky


def test_a_task_that_was_given_back_is_invoked_wherever_there_is_room():
    state = dispatch(make_targeted(version=2, last_pid="w9", resumes=("a",)))

    (hint,) = state.outgoing()
    assert isinstance(hint.message, Invoke)
    assert (hint.pid, task_of(state).is_hint_sticky) == (None, False)


def test_a_target_that_prefers_a_process_gets_its_first_hint_there():
    promise = make_promise("t", task=make_task(), tags={tags.TARGET: "amqp://any@g/w3"})

    (hint,) = dispatch(promise).outgoing()

    assert (hint.pid, hint.is_exclusive) == ("w3", False)


def test_a_target_that_is_one_process_gets_every_hint_there():
    promise = make_promise("t", task=make_task(**RESUMED), tags={tags.TARGET: "amqp://uni@g/w3"})

    (hint,) = dispatch(promise).outgoing()

    assert (hint.group, hint.pid, hint.is_exclusive) == ("g", "w3", True)


def test_a_group_gets_no_more_hints_than_its_window_holds():
    dispatching = Dispatching(size=2)

    state = dispatch(*(make_targeted(id) for id in "abcd"), dispatching=dispatching)

    assert ids_sent(state) == ["a", "b"]
    assert [task_of(state, id).queued_at_ms for id in "abcd"] == [None, None, NOW, NOW]


def test_a_queued_task_has_no_hint_and_no_timer_but_its_deadline():
    state = dispatch(make_targeted("a"), make_targeted("t"), dispatching=Dispatching(size=1))

    assert (task_of(state).hint_at_ms, task_of(state).attempts) == (None, 0)
    assert promise_of(state, "t").timer_at_ms == DEADLINE


def test_the_first_task_that_is_queued_asks_for_a_top_up_soon():
    dispatching = Dispatching(size=1)

    dispatch(*(make_targeted(id) for id in "abc"), dispatching=dispatching)

    assert dispatching.wakes == [NOW + TOP_UP_GATHER_MS]
    assert dispatching.windows.take_wanted(9) == ("g",)


def test_hints_of_earlier_batches_take_room():
    dispatching = Dispatching(size=2)
    dispatch(make_targeted("a"), dispatching=dispatching)

    state = dispatch(make_targeted("b"), make_targeted("c"), dispatching=dispatching)

    assert ids_sent(state) == ["b"]


def test_hints_of_a_batch_that_came_to_nothing_take_no_room():
    dispatching = Dispatching(size=1)
    aborted = make_state(named=["a"])
    aborted.put(make_targeted("a"))
    dispatching.dispatch.decided(aborted)

    state = dispatch(make_targeted("b"), dispatching=dispatching)

    assert len(state.outgoing()) == 1


def test_a_task_goes_behind_those_that_are_queued_even_if_there_is_room():
    dispatching = Dispatching()
    dispatching.windows.of("g").has_queued = True

    state = dispatch(make_targeted(), dispatching=dispatching)

    assert state.outgoing() == ()
    assert task_of(state).queued_at_ms == NOW


def test_groups_do_not_take_room_from_each_other():
    dispatching = Dispatching(size=1)
    other = make_promise("o", task=make_task(group="h"), tags={tags.TARGET: "amqp://any@h"})

    state = dispatch(make_targeted("a"), make_targeted("b"), other, dispatching=dispatching)

    assert [hint.group for hint in state.outgoing()] == ["g", "h"]


def test_hints_for_one_process_need_no_room_and_take_none():
    dispatching = Dispatching(size=1)
    uni = [make_promise(id, task=make_task(), tags={tags.TARGET: "amqp://uni@g/w3"}) for id in "xy"]

    first = dispatch(*uni, dispatching=dispatching)
    second = dispatch(make_targeted(), dispatching=dispatching)

    assert (len(first.outgoing()), len(second.outgoing())) == (2, 1)


def test_hints_for_one_process_take_no_room_within_their_batch():
    dispatching = Dispatching(size=1)
    uni = make_promise("x", task=make_task(), tags={tags.TARGET: "amqp://uni@g/w3"})

    state = dispatch(uni, make_targeted(), dispatching=dispatching)

    assert len(state.outgoing()) == 2


def test_news_take_no_room():
    dispatching = Dispatching(size=1)
    news = make_news(make_promise(state="resolved"), "amqp://any@g")

    dispatching.dispatch.committed([news])

    assert dispatching.windows.of("g").room(1) == 1


def test_an_acquisition_tells_how_far_the_queue_has_come():
    dispatching = Dispatching()
    state = make_state(make_sent())
    sent = promise_of(state, "t")
    assert sent.task is not None
    state.put(replace(sent, task=make_task("acquired")))

    dispatching.dispatch.decided(state)

    assert dispatching.windows.of("g").passed_at_ms == NOW - 2_000


@pytest.mark.parametrize(
    ("target", "task"),
    [("amqp://any@g", {"is_hint_sticky": True}), ("amqp://uni@g/w3", {})],
    ids=["sticky", "uni"],
)
def test_an_acquisition_by_way_of_the_queue_of_a_process_says_nothing_of_that_of_the_group(
    target: str, task: dict[str, Any]
):
    dispatching = Dispatching()
    sent = replace(make_sent(**task), tags={tags.TARGET: target})
    state = make_state(sent)
    state.put(replace(sent, task=make_task("acquired")))

    dispatching.dispatch.decided(state)

    assert dispatching.windows.of("g").passed_at_ms == 0


def test_an_acquisition_makes_room_for_tasks_that_are_queued():
    dispatching = Dispatching()
    dispatching.windows.of("g").has_queued = True
    state = make_state(make_sent())
    state.put(replace(promise_of(state, "t"), task=make_task("acquired")))

    dispatching.dispatch.decided(state)

    assert dispatching.wakes == [NOW + TOP_UP_GATHER_MS]
    assert dispatching.windows.take_wanted(9) == ("g",)


def test_a_hint_that_is_not_due_again_is_not_sent_again():
    promise = make_sent(retry_at_ms=NOW + 1)

    state = look_at(promise, dispatching=make_probed())

    assert state.outgoing() == ()


def test_a_hint_that_is_no_more_in_the_queue_is_sent_again_to_anyone():
    state = look_at(make_sent(**RESUMED), dispatching=make_probed(ready=0))

    (hint,) = state.outgoing()
    assert (hint.pid, hint.message.head.attempt) == (None, 1)
    assert isinstance(hint.message, Resume)
    assert (task_of(state).hint_at_ms, task_of(state).attempts) == (NOW, 2)


def test_a_hint_is_sent_again_to_anyone_although_its_target_prefers_a_process():
    promise = replace(make_sent(), tags={tags.TARGET: "amqp://any@g/w3"})

    state = look_at(promise, dispatching=make_probed(ready=0))

    (hint,) = state.outgoing()
    assert (hint.pid, task_of(state).is_hint_sticky) == (None, False)


def test_a_hint_is_sent_again_after_2_5_10_20_40_and_60_seconds():
    delays: list[int] = []
    promise, now_ms = make_targeted(), NOW
    state = dispatch(promise)
    for _ in range(7):
        promise = promise_of(state, "t")
        assert promise.timer_at_ms is not None
        delays.append(promise.timer_at_ms - now_ms)
        now_ms = promise.timer_at_ms
        probed = make_probed(ready=0, at_ms=now_ms)
        state = look_at(promise, timer_at_ms=now_ms, dispatching=probed, now_ms=now_ms)

    assert delays == [2_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000]


def test_a_hint_that_may_still_be_in_the_queue_is_not_sent_again():
    state = look_at(make_sent(), dispatching=make_probed(ready=5))

    assert state.outgoing() == ()
    assert task_of(state).hint_at_ms == NOW - 2_000


def test_a_hint_that_may_still_be_in_the_queue_is_asked_about_after_2_5_and_10_seconds():
    delays: list[int] = []
    now_ms = NOW
    state = dispatch(make_targeted())
    for _ in range(3):
        promise = promise_of(state, "t")
        assert promise.timer_at_ms is not None
        delays.append(promise.timer_at_ms - now_ms)
        now_ms = promise.timer_at_ms
        probed = make_probed(ready=5, at_ms=now_ms)
        state = look_at(promise, timer_at_ms=now_ms, dispatching=probed, now_ms=now_ms)

    assert delays == [2_000, 5_000, 10_000]


def test_a_hint_that_was_only_asked_about_does_not_count_as_sent():
    dispatching = make_probed(ready=5)
    state = look_at(make_sent(), dispatching=dispatching)
    kept = replace(promise_of(state, "t"), timer_at_ms=NOW)
    assert kept.task is not None
    due = replace(kept, task=replace(kept.task, retry_at_ms=NOW))

    state = look_at(due, dispatching=make_probed(ready=0))

    (hint,) = state.outgoing()
    assert hint.message.head.attempt == 1


def test_a_sticky_hint_is_sent_again_to_anyone_although_the_queue_is_not_empty():
    promise = make_sent(**RESUMED, is_hint_sticky=True)

    state = look_at(promise, dispatching=make_probed(ready=5))

    (hint,) = state.outgoing()
    assert (hint.pid, task_of(state).is_hint_sticky) == (None, False)


@pytest.mark.parametrize(("later_ms", "is_sent"), [(PASSED_MS, True), (PASSED_MS - 1, False)])
def test_a_hint_that_was_overtaken_is_sent_again(later_ms: int, is_sent: bool):
    promise = make_sent(hint_at_ms=NOW - 20_000)
    dispatching = make_probed(ready=5)
    dispatching.windows.of("g").passed_at_ms = NOW - 20_000 + later_ms

    state = look_at(promise, dispatching=dispatching)

    assert bool(state.outgoing()) is is_sent


def test_a_hint_is_not_sent_again_before_the_queue_was_looked_at():
    dispatching = Dispatching()

    state = look_at(make_sent(), dispatching=dispatching)

    assert state.outgoing() == ()
    assert dispatching.wakes == [NOW]
    assert dispatching.windows.take_wanted(9) == ("g",)
    assert promise_of(state, "t").timer_at_ms == NOW + PROBE_WAIT_MS


def test_a_look_at_the_queue_is_good_for_a_second():
    fresh = make_probed(at_ms=NOW - PROBE_FRESH_MS)
    stale = make_probed(at_ms=NOW - PROBE_FRESH_MS - 1)

    assert look_at(make_sent(), dispatching=fresh).outgoing() != ()
    assert look_at(make_sent(), dispatching=stale).outgoing() == ()


def test_a_task_of_a_group_without_workers_is_queued_again():
    dispatching = make_probed(ready=5, consumers=0)

    state = look_at(make_sent(), dispatching=dispatching)

    assert state.outgoing() == ()
    assert (task_of(state).queued_at_ms, task_of(state).hint_at_ms) == (NOW, None)
    assert promise_of(state, "t").timer_at_ms == DEADLINE
    assert dispatching.windows.of("g").has_queued


@pytest.mark.parametrize(
    ("age_ms", "is_there"), [(GREETING_FRESH_MS, True), (GREETING_FRESH_MS + 1, False)]
)
def test_a_worker_that_said_hello_counts_as_there_for_a_while(age_ms: int, is_there: bool):
    dispatching = make_probed(ready=0, consumers=0)
    dispatching.windows.of("g").greeted_at_ms = NOW - age_ms

    state = look_at(make_sent(), dispatching=dispatching)

    assert bool(state.outgoing()) is is_there


def test_a_hint_for_one_process_is_sent_again_without_a_look_at_any_queue():
    promise = replace(make_sent(), tags={tags.TARGET: "amqp://uni@g/w3"})

    state = look_at(promise, dispatching=Dispatching())

    (hint,) = state.outgoing()
    assert (hint.pid, hint.is_exclusive, hint.message.head.attempt) == ("w3", True, 1)


def test_every_entry_to_pending_starts_the_count_of_attempts_anew():
    state = dispatch(make_targeted("t", version=4, last_pid="w1", attempts=0))

    (hint,) = state.outgoing()
    assert hint.message.head.attempt == 0


def test_a_queued_task_is_sent_when_its_turn_has_come():
    dispatching = Dispatching()
    dispatching.windows.of("g").has_queued = True
    queued = make_promise("t", task=make_task(queued_at_ms=NOW - 500))
    state = make_state(queued)

    dispatching.dispatch.top_up(state, queued)

    assert len(state.outgoing()) == 1
    assert (task_of(state).queued_at_ms, task_of(state).hint_at_ms) == (None, NOW)


def test_a_queued_task_that_changes_keeps_its_turn():
    queued = make_promise("t", task=make_task(queued_at_ms=NOW - 500), timer_at_ms=DEADLINE)
    dispatching = Dispatching()
    state = make_state(queued)
    assert queued.task is not None
    state.put(replace(queued, task=replace(queued.task, resumes=("a",))))

    dispatching.dispatch.decided(state)

    assert state.outgoing() == ()
    assert task_of(state).queued_at_ms == NOW - 500


def test_a_queued_task_stays_queued_while_there_is_no_room():
    dispatching = Dispatching(size=1)
    dispatching.dispatch.committed([make_outgoing()])
    queued = make_promise("t", task=make_task(queued_at_ms=NOW - 500))
    state = make_state(queued)

    dispatching.dispatch.top_up(state, queued)

    assert state.outgoing() == ()
    assert promise_of(state, "t") == queued
    assert dispatching.windows.of("g").has_queued


@pytest.mark.parametrize(
    "promise",
    [
        make_targeted("t", "acquired"),
        make_targeted("t", "pending", hint_at_ms=NOW - 1, attempts=1),
        make_promise("t", state="resolved", task=make_task("fulfilled")),
        make_promise("t"),
    ],
)
def test_a_task_that_is_queued_no_more_is_not_sent(promise: Promise):
    state = make_state(promise)

    Dispatching().dispatch.top_up(state, promise)

    assert not state.changes()
