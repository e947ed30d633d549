from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.operations.promise_create import promise_create
from resonate_broker.operations.promise_settle import promise_settle
from resonate_broker.operations.task_fence import task_fence
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import SettleState, TaskState
from resonate_sdk.protocol.requests import (
    ActionHead,
    CreateAction,
    PromiseCreate,
    PromiseSettle,
    SettleAction,
    TaskFence,
)
from resonate_store.state import Callback, Changes, Listener, Promise, Use
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

HELD = make_targeted("t", "acquired", version=3)
HEAD = ActionHead(correlation_id="inner-1")


def make_creation(version: int = 3, *, preload: bool = True, **create: Any) -> TaskFence:
    action = CreateAction(data=make_create("c", **create), head=HEAD)
    return TaskFence(id="t", version=version, action=action, preload=preload)


def make_settlement(
    version: int = 3, state: SettleState = "resolved", *, preload: bool = True
) -> TaskFence:
    action = SettleAction(data=PromiseSettle(id="c", state=state, value=VALUE), head=HEAD)
    return TaskFence(id="t", version=version, action=action, preload=preload)


@pytest.mark.parametrize("request_", [make_creation(), make_settlement()])
def test_a_task_that_does_not_exist_is_answered_404_without_a_write(request_: TaskFence):
    child = make_promise("c")

    assert decide(task_fence, request_, child).status == 404
    assert decide(task_fence, request_, child, make_promise("t")).status == 404
    assert not decide(task_fence, request_, child).is_write


@pytest.mark.parametrize("version", [0, 2, 4])
def test_a_stale_version_is_refused_and_the_inner_action_leaves_no_trace(version: int):
    creation = decide(task_fence, make_creation(version), HELD)
    settlement = decide(task_fence, make_settlement(version), HELD, make_promise("c"))

    assert (creation.status, settlement.status) == (409, 409)
    assert not creation.is_write
    assert not settlement.is_write


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_is_not_acquired_is_refused_without_a_write(state: TaskState):
    stored = make_targeted("t", state, version=3)

    decision = decide(task_fence, make_creation(), stored)

    assert (decision.status, decision.is_write) == (409, False)


def test_the_task_of_a_settled_promise_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    assert decide(task_fence, make_creation(), stored).status == 409


def test_at_the_deadline_of_its_promise_the_holder_is_refused():
    decision = decide(task_fence, make_creation(timeout_at_ms=9_000_000), HELD, now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.state.promise("c") is None
    assert decision.promise("t").state == "rejected_timedout"


def test_the_holder_creates_a_child():
    decision = decide(task_fence, make_creation(target="amqp://any@h", param=VALUE), HELD)

    child, task = decision.promise("c"), decision.task("c")
    assert decision.status == 200
    assert (child.state, child.created_at_ms, child.param) == ("pending", NOW, VALUE)
    assert (task.state, task.version, task.group, task.retry_at_ms) == ("pending", 0, "h", NOW)


def test_the_holder_settles_a_child():
    awaiter = make_targeted("w", "suspended", version=2)

    decision = decide(
        task_fence,
        make_settlement(state="rejected"),
        HELD,
        make_promise("c"),
        awaiter,
        callbacks=[Callback("c", "w")],
        listeners=[Listener("c", "amqp://uni@c/1")],
    )

    child = decision.promise("c")
    assert (child.state, child.value, child.settled_at_ms) == ("rejected", VALUE, NOW)
    assert decision.task("w").state == "pending"
    assert len(decision.state.outgoing()) == 1


def test_the_inner_answer_echoes_kind_and_correlation_id_with_a_status_of_its_own():
    creation = decide(task_fence, make_creation(), HELD).data.action
    settlement = decide(task_fence, make_settlement(), HELD, make_promise("c")).data.action

    assert (creation.kind, settlement.kind) == ("promise.create", "promise.settle")
    for action in (creation, settlement):
        assert action.head.correlation_id == "inner-1"
        assert (action.head.status, action.head.version) == (200, limits.VERSION)


def test_settling_a_missing_promise_is_200_outside_and_404_inside():
    decision = decide(task_fence, make_settlement(), HELD)

    assert (decision.status, decision.data.action.head.status) == (200, 404)
    assert "'c'" in decision.data.action.data
    assert not decision.is_write


def test_an_impossible_creation_is_200_outside_and_400_inside():
    request = make_creation(target=TARGET, tags={tags.TIMER: "true"})

    decision = decide(task_fence, request, HELD)

    assert (decision.status, decision.data.action.head.status) == (200, 400)
    assert "timer" in decision.data.action.data
    assert not decision.is_write


def test_an_impossible_creation_by_a_stale_holder_is_409():
    request = make_creation(2, target=TARGET, tags={tags.TIMER: "true"})

    assert decide(task_fence, request, HELD).status == 409


@pytest.mark.parametrize(
    "child",
    [
        None,
        make_promise("c"),
        make_promise("c", state="rejected", value=VALUE),
        make_promise("c", timeout_at_ms=NOW),
    ],
)
def test_the_inner_record_is_what_the_bare_operation_would_have_answered(child: Promise | None):
    stored = [] if child is None else [child]
    create: PromiseCreate = make_create("c", param=VALUE)
    settle = PromiseSettle(id="c", state="resolved", value=VALUE)

    fenced = [
        decide(task_fence, make_creation(param=VALUE), HELD, *stored),
        decide(task_fence, make_settlement(), HELD, *stored),
    ]
    bare = [decide(promise_create, create, *stored), decide(promise_settle, settle, *stored)]

    for inside, alone in zip(fenced, bare, strict=True):
        assert inside.data.action.head.status == alone.status
        assert inside.data.action.data == alone.data
        assert inside.state.promise("c") == alone.state.promise("c")


def test_a_child_born_past_its_deadline_is_settled_inside():
    decision = decide(task_fence, make_creation(timeout_at_ms=NOW), HELD)

    assert decision.data.action.data.promise.state == "rejected_timedout"


def test_a_fence_prolongs_no_lease_and_keeps_the_task():
    decision = decide(task_fence, make_creation(), HELD)

    assert decision.task() == HELD.task


def test_a_fence_is_progress_and_clears_the_count_of_lost_leases():
    held = make_targeted("t", "acquired", version=3, lease_losses=2)

    decision = decide(task_fence, make_creation(), held)

    assert decision.task().lease_losses == 0


def test_a_holder_that_settles_what_it_awaits_itself_keeps_the_news():
    """The task is read, woken by its own settlement, and written: none of it may be lost."""
    held = make_targeted("t", "acquired", version=3, lease_losses=1)

    decision = decide(
        task_fence, make_settlement(), held, make_promise("c"), callbacks=[Callback("c", "t")]
    )

    task = decision.task()
    assert (task.state, task.resumes, task.lease_losses) == ("acquired", ("c",), 0)


def test_repeating_a_fence_is_harmless_while_the_task_is_held():
    first = decide(task_fence, make_creation(), HELD)

    second = decide(task_fence, make_creation(), HELD, first.promise("c"), now_ms=NOW + 5)

    assert second.data.action == first.data.action
    assert second.changes == Changes(uses_added=(Use("c", "t"),))  # which is there already


def test_a_promise_of_the_same_tree_is_not_noted_as_used():
    mine = make_creation(tags={tags.ORIGIN: "t"})

    assert decide(task_fence, mine, HELD).changes.uses_added == ()


def test_the_answer_carries_the_branch_with_the_new_child():
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    sibling = make_promise("b", tags={tags.BRANCH: "t"})

    decision = decide(task_fence, make_creation(tags={tags.BRANCH: "t"}), held, related=[sibling])

    assert [promise.id for promise in decision.data.preload] == ["b", "c"]


def test_without_a_wish_for_it_nothing_is_preloaded():
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})

    decision = decide(task_fence, make_creation(preload=False, tags={tags.BRANCH: "t"}), held)

    assert decision.loads[0].preload == ()
    assert decision.data.preload == ()


def test_a_verdict_that_the_branch_shows_is_stored():
    """C4: whoever serves the verdict of a deadline stores it."""
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    sibling = make_promise("b", tags={tags.BRANCH: "t"}, timeout_at_ms=NOW)

    decision = decide(task_fence, make_creation(), held, related=[sibling])

    assert [promise.state for promise in decision.data.preload] == ["rejected_timedout"]
    assert decision.promise("b").state == "rejected_timedout"


def test_the_child_is_locked_with_the_task_and_with_its_awaiters_only_if_it_may_settle():
    creation = decide(task_fence, make_creation(), HELD).loads[0]
    settlement = decide(task_fence, make_settlement(), HELD).loads[0]

    assert (creation.ids, creation.settling) == (("t", "c"), ())
    assert (settlement.ids, settlement.settling) == (("t", "c"), ("c",))
