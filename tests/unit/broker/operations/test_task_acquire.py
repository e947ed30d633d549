from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.kernel.submissions import Commit
from resonate_broker.operations.task_acquire import task_acquire
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import TaskState, Value
from resonate_sdk.protocol.requests import TaskAcquire
from resonate_store.state import Group, Promise
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    TARGET,
    Decision,
    decide,
    make_promise,
    make_state,
    make_targeted,
    make_task,
)

BRANCH = {tags.BRANCH: "t"}
LEASE = 9_000


def make_request(version: int = 0, **overrides: Any) -> TaskAcquire:
    fields = {"id": "t", "version": version, "pid": "w1", "lease_ms": LEASE}
    return TaskAcquire(**(fields | overrides))  # pyright: ignore[reportArgumentType]  # by name


def make_root(**task: Any) -> Promise:
    """A pending task with a branch."""
    return replace(make_targeted("t", **task), tags={tags.TARGET: TARGET, **BRANCH})


def test_a_task_that_does_not_exist_is_answered_404():
    decision = decide(task_acquire, make_request())

    assert (decision.status, decision.is_write) == (404, False)


def test_a_promise_without_a_target_is_answered_404():
    decision = decide(task_acquire, make_request(), make_promise("t"))

    assert (decision.status, decision.is_write) == (404, False)


def test_a_pending_task_is_acquired_one_version_further():
    stored = make_targeted("t", version=4, resumes=("a", "b"), queued_at_ms=NOW - 1)

    decision = decide(task_acquire, make_request(4), stored)

    task = decision.task()
    assert decision.status == 200
    assert (task.state, task.version, task.pid, task.last_pid) == ("acquired", 5, "w1", "w1")
    assert (task.lease_ms, task.expires_at_ms) == (LEASE, NOW + LEASE)
    assert (task.retry_at_ms, task.queued_at_ms, task.hint_at_ms) == (None, None, None)
    assert task.resumes == ()


def test_the_answer_shows_the_task_as_it_is_held():
    decision = decide(task_acquire, make_request(4), make_targeted("t", version=4, resumes=("a",)))

    task = decision.data.task
    assert (task.state, task.version, task.resumes) == ("acquired", 5, 0)
    assert (task.pid, task.lease_ms) == ("w1", LEASE)
    assert decision.data.promise.id == "t"


@pytest.mark.parametrize("version", [0, 3, 5])
def test_a_stale_or_guessed_version_is_refused_without_a_write(version: int):
    decision = decide(task_acquire, make_request(version), make_targeted("t", version=4))

    assert (decision.status, decision.is_write) == (409, False)
    assert "version 4" in decision.data


@pytest.mark.parametrize("state", ["acquired", "suspended", "halted"])
def test_a_task_that_is_not_pending_is_refused_without_a_write(state: TaskState):
    decision = decide(task_acquire, make_request(1), make_targeted("t", state, version=1))

    assert (decision.status, decision.is_write) == (409, False)
    assert state in decision.data


def test_a_second_acquire_is_refused_also_for_the_holder():
    held = decide(task_acquire, make_request(0), make_targeted()).promise("t")

    again = decide(task_acquire, make_request(0), held)
    next_version = decide(task_acquire, make_request(1), held)

    assert (again.status, next_version.status) == (409, 409)


def test_the_task_of_a_settled_promise_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=0))

    decision = decide(task_acquire, make_request(0), stored)

    assert (decision.status, decision.is_write) == (409, False)


def test_at_the_deadline_of_its_promise_a_task_is_refused_and_the_verdict_is_stored():
    decision = decide(task_acquire, make_request(0), make_targeted(), now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.promise("t").state == "rejected_timedout"


def test_a_millisecond_before_the_deadline_a_task_is_acquired():
    decision = decide(task_acquire, make_request(0), make_targeted(), now_ms=DEADLINE - 1)

    assert decision.status == 200


def test_existence_outranks_the_version():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=7))

    assert decide(task_acquire, make_request(0), stored).status == 409
    assert decide(task_acquire, make_request(0), make_promise("t")).status == 404


def test_the_preload_is_the_branch_without_the_root_by_ascending_id():
    children = [make_promise(id, tags=BRANCH) for id in ("t.2", "t.10", "t.1")]

    decision = decide(task_acquire, make_request(), make_root(), related=children)

    assert [promise.id for promise in decision.data.preload] == ["t.1", "t.10", "t.2"]
    assert decision.data.preload_cut is False


def test_a_task_without_a_branch_has_no_preload():
    children = [make_promise("t.1", tags=BRANCH)]

    decision = decide(task_acquire, make_request(), make_targeted(), related=children)

    assert decision.data.preload == ()


def test_the_preload_holds_the_remote_children_as_well():
    remote = make_promise("t.1", tags={tags.BRANCH: "t.1", tags.PARENT: "t"})

    decision = decide(task_acquire, make_request(), make_root(), related=[remote])

    assert [promise.id for promise in decision.data.preload] == ["t.1"]


def test_a_preloaded_promise_at_its_deadline_is_shown_with_the_verdict():
    child = make_promise("t.1", tags=BRANCH, timeout_at_ms=NOW)

    decision = decide(task_acquire, make_request(), make_root(), related=[child])

    (record,) = decision.data.preload
    assert (record.state, record.settled_at_ms) == ("rejected_timedout", NOW)


def test_the_verdict_that_a_preload_shows_is_stored_in_the_same_transaction():
    """C4: whoever serves the verdict of a deadline stores it."""
    child = make_promise("t.1", tags=BRANCH, timeout_at_ms=NOW)

    decision = decide(task_acquire, make_request(), make_root(), related=[child])

    assert "t.1" in decision.loads[-1].ids
    assert decision.promise("t.1").state == "rejected_timedout"


def test_promises_that_come_due_while_the_batch_starts_over_are_stored_too():
    first = make_promise("t.1", tags=BRANCH, timeout_at_ms=NOW)
    second = make_promise("t.2", tags=BRANCH, timeout_at_ms=NOW + 1)

    decision = decide(
        task_acquire,
        make_request(),
        make_root(),
        related=[first, second],
        now_ms=[NOW, NOW + 1, NOW + 2],
    )

    assert [record.state for record in decision.data.preload] == ["rejected_timedout"] * 2
    assert decision.status == 200


def test_without_a_wish_for_it_nothing_is_preloaded():
    decision = decide(task_acquire, make_request(preload=False), make_root())

    assert decision.loads[0].preload == ()
    assert decision.data.preload == ()


def test_without_a_wish_for_it_what_others_of_the_batch_preload_is_not_shown():
    body = task_acquire(make_request(preload=False))
    body.send(None)

    commit = body.send(
        make_state(make_root(), preload=["t"], related=[make_promise("t.1", tags=BRANCH)])
    )

    assert commit.answer.data.preload == ()


def test_a_preload_above_the_limit_is_cut_and_says_so():
    large = Value(data="x" * limits.VALUE_BYTES_MAX)
    children = [make_promise(f"t.{n}", tags=BRANCH, param=large) for n in range(5)]

    decision = decide(task_acquire, make_request(), make_root(), related=children)

    assert [promise.id for promise in decision.data.preload] == ["t.0", "t.1", "t.2"]
    assert decision.data.preload_cut is True


def test_characters_that_json_writes_long_count_as_long_as_they_are_sent():
    """Brokers refuse messages of more than 16 MiB, and with them the session that sends one."""
    large = Value(data="\x01" * limits.VALUE_BYTES_MAX)
    children = [make_promise(f"t.{n}", tags=BRANCH, param=large) for n in range(3)]

    decision = decide(task_acquire, make_request(), make_root(), related=children)

    assert [promise.id for promise in decision.data.preload] == ["t.0"], "one always fits"
    assert decision.data.preload_cut is True


def test_the_tags_of_preloaded_promises_count_towards_the_limit():
    wide = {f"user:{n}": "x" * limits.TAG_VALUE_BYTES_MAX for n in range(60)}
    children = [make_promise(f"t.{n:03}", tags=BRANCH | wide) for n in range(100)]

    decision = decide(task_acquire, make_request(), make_root(), related=children)

    assert decision.data.preload_cut is True


# Limits of its group


def acquire_limited(stored: Promise, *groups: Group) -> Decision:
    operation = partial(task_acquire, is_limited=lambda group: True)
    return decide(operation, make_request(), stored, groups=groups)


def test_a_hint_has_a_place_and_needs_no_look_at_the_limits():
    decision = acquire_limited(make_targeted(hint_at_ms=NOW), Group(name="g", concurrency=0))

    assert decision.status == 200
    assert [load.groups for load in decision.loads] == [()]


def test_who_comes_without_a_hint_gets_a_place_if_there_is_one():
    decision = acquire_limited(make_targeted(), Group(name="g", concurrency=1))

    assert decision.status == 200
    assert decision.changes.groups_put == (Group(name="g", concurrency=1, held={"t": ""}),)


def test_who_comes_without_a_hint_is_refused_at_once_if_there_is_none():
    full = Group(name="g", concurrency=1, held={"other": ""})

    decision = acquire_limited(make_targeted(queued_at_ms=NOW), full)

    assert decision.status == 409
    assert decision.data == "group 'g' runs 1 at a time: task 't' waits for its turn"
    assert not decision.is_write


def test_whoever_is_refused_a_place_is_left_to_the_dispatch_which_queues_it():
    full = Group(name="g", concurrency=0)
    state = make_state(make_targeted(), groups=[full])
    operation = task_acquire(make_request(), is_limited=lambda group: True)

    operation.send(None)
    commit = operation.send(state)

    assert isinstance(commit, Commit)
    assert [*state.changed] == ["t"]


def test_a_group_that_turns_out_to_have_no_limits_limits_nobody():
    assert acquire_limited(make_targeted()).status == 200
