import pytest
from msgspec.structs import replace

from resonate_broker.operations.task_suspend import task_suspend
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.limits import VALUE_BYTES_MAX
from resonate_sdk.protocol.records import TaskState, Value
from resonate_sdk.protocol.requests import CallbackAction, PromiseRegisterCallback, TaskSuspend
from resonate_sdk.protocol.responses import Nothing
from resonate_store.state import Callback
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    TARGET,
    VALUE,
    decide,
    make_internal,
    make_promise,
    make_targeted,
    make_task,
)

HELD = make_targeted("t", "acquired", version=3)


def make_request(*awaited: str, version: int = 3, preload: bool = True) -> TaskSuspend:
    actions = tuple(
        CallbackAction(data=PromiseRegisterCallback(awaited=id, awaiter="t"))
        for id in awaited or ("a",)
    )
    return TaskSuspend(id="t", version=version, actions=actions, preload=preload)


def test_a_task_that_does_not_exist_is_answered_404():
    assert decide(task_suspend, make_request(), make_promise("a")).status == 404
    assert decide(task_suspend, make_request(), make_promise("t")).status == 404


def test_the_holder_sleeps_on_every_awaited_promise():
    awaited = [make_promise("b"), make_promise("a"), make_targeted("c")]

    decision = decide(task_suspend, make_request("b", "a", "c"), HELD, *awaited)

    assert (decision.status, decision.data) == (200, Nothing())
    assert decision.changes.callbacks_added == (
        Callback("a", "t"),
        Callback("b", "t"),
        Callback("c", "t"),
    )


def test_a_suspended_task_keeps_its_version_and_nothing_of_its_lease():
    held = make_targeted(
        "t", "acquired", version=3, resumes=("x",), lease_losses=2, is_resumed=True
    )

    decision = decide(task_suspend, make_request(), held, make_promise("a"))

    task = decision.task()
    assert (task.state, task.version, task.resumes) == ("suspended", 3, ())
    assert (task.pid, task.lease_ms, task.expires_at_ms, task.retry_at_ms) == (None,) * 4
    assert task.last_pid == "w1"


def test_sleeping_is_progress_and_clears_the_count_of_lost_leases():
    held = make_targeted("t", "acquired", version=3, lease_losses=2)

    decision = decide(task_suspend, make_request(), held, make_promise("a"))

    assert decision.task().lease_losses == 0


@pytest.mark.parametrize("version", [0, 2, 4])
def test_another_version_is_refused_without_a_write(version: int):
    decision = decide(task_suspend, make_request(version=version), HELD, make_promise("a"))

    assert (decision.status, decision.is_write) == (409, False)


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_is_not_acquired_is_refused_without_a_write(state: TaskState):
    decision = decide(
        task_suspend, make_request(), make_targeted("t", state, version=3), make_promise("a")
    )

    assert (decision.status, decision.is_write) == (409, False)


def test_the_task_of_a_settled_promise_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    assert decide(task_suspend, make_request(), stored, make_promise("a")).status == 409


def test_at_the_deadline_of_its_promise_the_holder_is_refused():
    awaited = make_promise("a", timeout_at_ms=DEADLINE + 1)

    decision = decide(task_suspend, make_request(), HELD, awaited, now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.promise("t").state == "rejected_timedout"
    assert decision.changes.callbacks_added == ()


def test_a_wrong_version_outranks_a_missing_awaited_promise():
    assert decide(task_suspend, make_request(version=2), HELD).status == 409


def test_a_missing_awaited_promise_is_answered_422_and_nothing_is_registered():
    decision = decide(task_suspend, make_request("a", "b"), HELD, make_promise("a"))

    assert (decision.status, decision.is_write) == (422, False)
    assert "'b'" in decision.data


def test_an_internal_awaited_promise_is_answered_422_and_nothing_is_registered():
    decision = decide(
        task_suspend, make_request("a", "b"), HELD, make_promise("a"), make_internal("b")
    )

    assert (decision.status, decision.is_write) == (422, False)
    assert "'b'" in decision.data


def test_a_settled_first_promise_does_not_hide_a_missing_second_one():
    settled = make_promise("a", state="resolved")

    decision = decide(task_suspend, make_request("a", "b"), HELD, settled)

    assert (decision.status, decision.is_write) == (422, False)


def test_a_settled_internal_promise_is_answered_422():
    decision = decide(task_suspend, make_request(), HELD, make_internal("a", state="resolved"))

    assert decision.status == 422


@pytest.mark.parametrize("settled", ["a", "b"])
def test_an_awaited_promise_that_is_settled_redirects_and_nothing_is_registered(settled: str):
    awaited = [
        make_promise(id, **({"state": "resolved", "value": VALUE} if id == settled else {}))
        for id in "ab"
    ]

    decision = decide(task_suspend, make_request("a", "b", preload=False), HELD, *awaited)

    assert (decision.status, decision.is_write) == (300, False)
    assert [(promise.id, promise.value) for promise in decision.data.preload] == [(settled, VALUE)]
    assert decision.task() == HELD.task


def test_a_redirected_task_keeps_its_lease_and_forgets_what_it_was_told():
    held = make_targeted("t", "acquired", version=3, resumes=("x", "y"))

    decision = decide(task_suspend, make_request(), held, make_promise("a", state="resolved"))

    task = decision.task()
    assert decision.status == 300
    assert held.task is not None
    assert task == replace(held.task, resumes=())


def test_a_redirect_says_nothing_about_lost_leases():
    held = make_targeted("t", "acquired", version=3, resumes=("x",), lease_losses=2)

    decision = decide(task_suspend, make_request(), held, make_promise("a", state="resolved"))

    assert decision.task().lease_losses == 2


@pytest.mark.parametrize(
    ("tag", "verdict"), [({}, "rejected_timedout"), ({tags.TIMER: "true"}, "resolved")]
)
def test_an_awaited_promise_at_its_deadline_redirects_and_the_verdict_is_stored(
    tag: dict[str, str], verdict: str
):
    awaited = make_promise("a", tags=tag, timeout_at_ms=NOW)

    decision = decide(task_suspend, make_request(preload=False), HELD, awaited)

    (record,) = decision.data.preload
    assert (decision.status, record.state, record.settled_at_ms) == (300, verdict, NOW)
    assert decision.promise("a").state == verdict


def test_an_awaited_promise_a_millisecond_before_its_deadline_is_waited_for():
    awaited = make_promise("a", timeout_at_ms=NOW + 1)

    assert decide(task_suspend, make_request(), HELD, awaited).status == 200


def test_a_redirect_comes_with_the_whole_branch():
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    awaited = make_promise("a", state="resolved", tags={tags.BRANCH: "t"})
    sibling = make_promise("b", tags={tags.BRANCH: "t"})

    decision = decide(task_suspend, make_request(), held, awaited, related=[awaited, sibling])

    assert [promise.id for promise in decision.data.preload] == ["a", "b"]
    assert decision.loads[0].preload == ("t",)


def test_a_redirect_tells_what_has_settled_in_other_trees_as_well():
    """Whoever is not told of it awaits it again, and again."""
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    foreign = make_promise("x", state="resolved", value=VALUE)
    relative = make_promise("b", tags={tags.BRANCH: "t"})

    decision = decide(task_suspend, make_request("x"), held, foreign, related=[relative])

    shown = [(promise.id, promise.state) for promise in decision.data.preload]
    assert shown == [("x", "resolved"), ("b", "pending")]


def test_what_does_not_fit_into_a_redirect_is_left_out_and_something_always_fits():
    large = Value(data="x" * VALUE_BYTES_MAX)
    settled = [make_promise(id, state="resolved", value=large) for id in "abcdef"]

    decision = decide(task_suspend, make_request(*"abcdef", preload=False), HELD, *settled)

    assert decision.data.preload_cut
    assert [promise.id for promise in decision.data.preload] == ["a", "b", "c"]


def test_a_redirect_to_who_knows_the_rest_shows_what_is_awaited_and_what_has_settled_since():
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    foreign = make_promise("z", state="resolved", settled_at_ms=NOW - 500)
    branch = [
        make_promise(id, state=state, settled_at_ms=settled_at_ms, tags={tags.BRANCH: "t"})
        for id, state, settled_at_ms in (
            ("pending", "pending", None),
            ("old", "resolved", NOW - 11),
            ("same", "resolved", NOW - 10),
            ("new", "rejected", NOW - 9),
        )
    ]
    due = make_promise("due", tags={tags.BRANCH: "t"}, timeout_at_ms=NOW)
    request = replace(make_request("z"), settled_since_ms=NOW - 10)

    decision = decide(task_suspend, request, held, foreign, due, related=[*branch, due])

    assert [promise.id for promise in decision.data.preload] == ["z", "same", "new", "due"]
    assert decision.promise("due").state == "rejected_timedout"


def test_what_is_awaited_is_shown_even_if_the_branch_is_cut(monkeypatch):
    """Without it a replay would wait for it again, for ever."""
    monkeypatch.setattr(limits, "PRELOAD_BYTES_MAX", 200)  # one
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    awaited = make_promise("b", state="resolved", tags={tags.BRANCH: "t"})
    sibling = make_promise("a", state="resolved", tags={tags.BRANCH: "t"})
    request = replace(make_request("b"), settled_since_ms=0)

    decision = decide(task_suspend, request, held, awaited, related=[awaited, sibling])

    assert [promise.id for promise in decision.data.preload] == ["b"]
    assert decision.data.preload_cut


def test_a_cut_redirect_goes_on_where_the_last_one_ended(monkeypatch):
    """What was left out must not be left out again because something later is known."""
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    awaited = make_promise("w", state="resolved", settled_at_ms=NOW)
    order = [3, 1, 4, 0, 2]
    branch = [
        make_promise(f"p{n}", state="resolved", settled_at_ms=NOW - 9 + n, tags={tags.BRANCH: "t"})
        for n in order
    ]
    monkeypatch.setattr(limits, "PRELOAD_BYTES_MAX", 600)  # about four

    since_ms, told, looks = 0, set[str](), 0
    while len(told) < len(branch):
        request = replace(make_request("w"), settled_since_ms=since_ms)
        decision = decide(task_suspend, request, held, awaited, related=branch)
        shown = [promise for promise in decision.data.preload if promise.id != "w"]
        since_ms = max(promise.settled_at_ms for promise in shown)
        told |= {promise.id for promise in shown}
        looks += 1
        assert told == {f"p{n}" for n in range(len(told))}, "in the order of settlement"

    assert 1 < looks < len(branch)


def test_a_verdict_that_the_branch_of_a_redirect_shows_is_stored():
    """C4: whoever serves the verdict of a deadline stores it."""
    held = replace(HELD, tags={tags.TARGET: TARGET, tags.BRANCH: "t"})
    sibling = make_promise("b", tags={tags.BRANCH: "t"}, timeout_at_ms=NOW)
    settled = make_promise("a", state="resolved")

    decision = decide(task_suspend, make_request(), held, settled, related=[sibling])

    shown = [promise.state for promise in decision.data.preload]
    assert shown == ["resolved", "rejected_timedout"]
    assert decision.promise("b").state == "rejected_timedout"


def test_the_awaited_promises_are_locked_with_the_task():
    decision = decide(task_suspend, make_request("b", "a"), HELD)

    assert decision.loads[0].ids == ("t", "b", "a")


def test_suspending_twice_is_refused():
    suspended = decide(task_suspend, make_request(), HELD, make_promise("a")).promise("t")

    assert decide(task_suspend, make_request(), suspended, make_promise("a")).status == 409
