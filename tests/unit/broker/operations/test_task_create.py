from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.operations.task_create import task_create
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import TaskState
from resonate_sdk.protocol.requests import CreateAction, TaskCreate
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    TARGET,
    VALUE,
    decide,
    make_create,
    make_promise,
    make_targeted,
    make_task,
)

LEASE = 9_000


def make_request(*, preload: bool = True, **create: Any) -> TaskCreate:
    action = CreateAction(data=make_create("t", **({"target": TARGET} | create)))
    return TaskCreate(pid="w1", lease_ms=LEASE, action=action, preload=preload)


def test_a_new_promise_comes_with_a_task_that_the_caller_holds_at_version_1():
    decision = decide(task_create, make_request(param=VALUE))

    task, promise = decision.task(), decision.promise("t")
    assert decision.status == 200
    assert (promise.state, promise.created_at_ms, promise.param) == ("pending", NOW, VALUE)
    assert (task.state, task.version, task.pid, task.group) == ("acquired", 1, "w1", "g")
    assert (task.lease_ms, task.expires_at_ms, task.retry_at_ms) == (LEASE, NOW + LEASE, None)
    assert decision.changes.created == (promise,)


def test_the_answer_shows_task_promise_and_preload():
    decision = decide(task_create, make_request(param=VALUE))

    granted = decision.data
    assert (granted.task.state, granted.task.version) == ("acquired", 1)
    assert (granted.task.pid, granted.task.lease_ms) == ("w1", LEASE)
    assert (granted.promise.id, granted.promise.param) == ("t", VALUE)
    assert (granted.preload, granted.preload_cut) == ((), False)


def test_no_hint_is_sent_for_a_task_that_is_acquired_at_birth():
    decision = decide(task_create, make_request())

    assert decision.state.outgoing() == ()


@pytest.mark.parametrize("timeout_at_ms", [NOW, NOW - 1])
def test_a_promise_born_past_its_deadline_has_a_fulfilled_task_that_nobody_held(
    timeout_at_ms: int,
):
    decision = decide(task_create, make_request(timeout_at_ms=timeout_at_ms))

    task, promise = decision.task(), decision.promise("t")
    assert decision.status == 200
    assert (decision.data.task.state, decision.data.promise.state) == (
        "fulfilled",
        "rejected_timedout",
    )
    assert (task.state, task.version, task.pid) == ("fulfilled", 0, None)
    assert (promise.created_at_ms, promise.settled_at_ms) == (timeout_at_ms, timeout_at_ms)


def test_an_existing_promise_without_a_target_is_answered_422():
    decision = decide(task_create, make_request(), make_promise("t"))

    assert (decision.status, decision.is_write) == (422, False)


def test_an_existing_settled_promise_without_a_target_is_answered_422():
    decision = decide(task_create, make_request(), make_promise("t", state="resolved"))

    assert decision.status == 422


def test_an_existing_pending_task_is_acquired_one_version_further():
    stored = make_targeted("t", version=4, resumes=("a",), hint_at_ms=NOW - 5, attempts=2)

    decision = decide(task_create, make_request(param=VALUE), stored)

    task = decision.task()
    assert decision.status == 200
    assert (task.state, task.version, task.pid, task.last_pid) == ("acquired", 5, "w1", "w1")
    assert (task.lease_ms, task.expires_at_ms) == (LEASE, NOW + LEASE)
    assert (task.retry_at_ms, task.queued_at_ms, task.resumes) == (None, None, ())
    assert decision.data.promise.param == stored.param


def test_a_task_that_is_delayed_is_acquired_before_its_delay():
    stored = make_targeted("t", retry_at_ms=NOW + 50_000)

    decision = decide(task_create, make_request(), stored)

    assert decision.task().state == "acquired"


@pytest.mark.parametrize("state", ["acquired", "suspended", "halted"])
def test_a_task_that_is_not_pending_is_answered_409(state: TaskState):
    decision = decide(task_create, make_request(), make_targeted("t", state))

    assert (decision.status, decision.is_write) == (409, False)
    assert state in decision.data


def test_the_holder_itself_is_answered_409():
    held = decide(task_create, make_request()).promise("t")

    decision = decide(task_create, make_request(), held)

    assert (decision.status, decision.is_write) == (409, False)


def test_an_existing_settled_promise_is_answered_with_its_fulfilled_task():
    stored = make_promise(
        "t", state="rejected", value=VALUE, task=make_task("fulfilled", version=3)
    )

    decision = decide(task_create, make_request(), stored)

    assert decision.status == 200
    assert (decision.data.task.state, decision.data.task.version) == ("fulfilled", 3)
    assert (decision.data.promise.state, decision.data.promise.value) == ("rejected", VALUE)


def test_an_existing_settled_promise_is_not_written():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled"))

    decision = decide(task_create, make_request(), stored)

    assert decision.state.take_changed() == {}


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended", "halted"])
def test_a_task_whose_promise_is_at_its_deadline_is_answered_fulfilled(state: TaskState):
    stored = make_targeted("t", state, version=3)

    decision = decide(task_create, make_request(timeout_at_ms=3_000_000), stored, now_ms=DEADLINE)

    assert decision.status == 200
    assert (decision.data.task.state, decision.data.task.version) == ("fulfilled", 3)
    assert decision.data.promise.state == "rejected_timedout"
    assert decision.promise("t").state == "rejected_timedout"


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        ({tags.TARGET: TARGET, tags.TIMER: "true"}, "timer"),
        ({tags.TARGET: TARGET, tags.DELAY: str(NOW + 1)}, "resonate:delay"),
        ({tags.TARGET: TARGET, tags.DELAY: "0"}, "resonate:delay"),
        ({tags.TARGET: ""}, "resonate:target"),
        ({tags.TARGET: "https://example.org"}, "resonate:target"),
    ],
)
def test_tags_that_do_not_go_together_are_400_before_anything_is_read(
    tag: dict[str, str], names: str
):
    decision = decide(task_create, make_request(tags=tag), make_promise("t"))

    assert decision.status == 400
    assert names in decision.data
    assert decision.loads == ()


def test_a_creation_without_a_target_is_400_before_anything_is_read():
    action = CreateAction(data=make_create("t"))
    request = TaskCreate(pid="w1", lease_ms=LEASE, action=action)

    decision = decide(task_create, request, make_promise("t"))

    assert (decision.status, decision.loads) == (400, ())
    assert "resonate:target" in decision.data


BRANCH = {tags.BRANCH: "t"}


def test_the_preload_of_a_task_that_is_taken_over_is_its_branch():
    stored = replace(make_targeted("t", version=1), tags={tags.TARGET: TARGET, **BRANCH})
    children = [make_promise("t.2", tags=BRANCH), make_promise("t.1", tags=BRANCH)]

    decision = decide(task_create, make_request(), stored, related=children)

    assert [promise.id for promise in decision.data.preload] == ["t.1", "t.2"]
    assert decision.loads[0].preload == ("t",)


def test_a_new_task_of_a_branch_that_is_called_otherwise_is_given_that_branch():
    member = make_promise("r.1", tags={tags.BRANCH: "r", tags.PARENT: "r"})
    request = make_request(tags={tags.BRANCH: "r"})

    decision = decide(task_create, request, related=[member])

    assert [promise.id for promise in decision.data.preload] == ["r.1"]
    assert (decision.loads[0].preload, decision.loads[0].branches) == (("t",), ("r",))


def test_without_a_wish_for_it_nothing_is_preloaded():
    stored = replace(make_targeted("t", version=1), tags={tags.TARGET: TARGET, **BRANCH})

    decision = decide(task_create, make_request(preload=False), stored)

    assert decision.loads[0].preload == ()
    assert decision.data.preload == ()
