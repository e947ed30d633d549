import json
from typing import Any

import pytest

from resonate_broker import transitions
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import Value
from resonate_store.state import Promise
from tests.unit.broker.builders import BIRTH, NOW, make_promise, make_schedule, make_targeted


def kinds(before: Promise | None, after: Promise) -> list[str]:
    return [event.kind for event in transitions.of_promise(before, after, NOW)]


def make_settled(id: str = "t", state: Any = "resolved", **task: Any) -> Promise:
    promise = make_targeted(id, "fulfilled", **task)
    return make_promise(id, state=state, task=promise.task, tags=promise.tags)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, make_promise(), ["promise.created"]),
        (None, make_targeted(), ["promise.created", "task.created"]),
        (
            None,
            make_targeted("t", "acquired"),
            ["promise.created", "task.created", "task.acquired"],
        ),
        (
            None,
            make_promise(state="rejected_timedout"),
            ["promise.created", "promise.timedout"],
        ),
        (make_promise(), make_promise(state="resolved"), ["promise.resolved"]),
        (make_promise(), make_promise(state="rejected"), ["promise.rejected"]),
        (make_promise(), make_promise(state="rejected_canceled"), ["promise.canceled"]),
        (make_targeted(), make_targeted("t", "acquired"), ["task.acquired"]),
        (make_targeted("t", "acquired"), make_targeted("t", "suspended"), ["task.suspended"]),
        (make_targeted(), make_targeted("t", "suspended"), ["task.acquired", "task.suspended"]),
        (
            make_targeted("t", "suspended"),
            make_targeted("t", "pending", version=1, is_resumed=True),
            ["task.resumed"],
        ),
        (
            make_targeted("t", "suspended"),
            make_targeted("t", "acquired", version=2, is_resumed=True),
            ["task.resumed", "task.acquired"],
        ),
        (
            make_targeted("t", "acquired"),
            make_targeted("t", "pending", version=1),
            ["task.released"],
        ),
        (
            make_targeted("t", "acquired"),
            make_targeted("t", "pending", version=1, lease_losses=1),
            ["task.lost"],
        ),
        (make_targeted("t", "acquired"), make_targeted("t", "halted"), ["task.halted"]),
        (
            make_targeted("t", "halted"),
            make_targeted("t", "pending", version=1),
            ["task.continued"],
        ),
        (
            make_targeted("t", "acquired"),
            make_settled(),
            ["promise.resolved", "task.fulfilled"],
        ),
        (
            make_targeted(),
            make_settled(),
            ["task.acquired", "promise.resolved", "task.fulfilled"],
        ),
        (
            make_targeted("t", "acquired"),
            make_targeted("t", "acquired", expires_at_ms=NOW + 9_000),
            [],
        ),
        (make_settled(), make_settled(), []),
    ],
)
def test_what_has_happened_is_told_in_its_order(
    before: Promise | None, after: Promise, expected: list[str]
):
    assert kinds(before, after) == expected


def test_an_event_says_where_it_belongs():
    promise = make_targeted("root.1", "acquired")
    promise = make_promise("root.1", task=promise.task, tags={tags.ORIGIN: "root"})

    created, *_, acquired = transitions.of_promise(None, promise, NOW)

    assert (created.origin, created.subject, created.group) == ("root", "root.1", "g")
    assert (created.at_ms, acquired.at_ms) == (BIRTH, NOW)
    assert json.loads(acquired.data) == {
        "id": "root.1",
        "state": "acquired",
        "version": 1,
        "pid": "w1",
        "group": "g",
    }
    document = json.loads(created.data)
    assert (document["state"], document["tags"][tags.ORIGIN]) == ("pending", "root")
    assert "settledAt" not in document


def test_a_promise_without_a_tree_is_its_own_origin():
    (event,) = transitions.of_promise(None, make_promise("p"), NOW)

    assert (event.origin, event.group) == ("p", "")


def test_events_tell_the_users_that_the_broker_has_verified():
    def by(user: str) -> Value:
        return Value(headers={tags.USER_HEADER: user})

    promise = make_promise(state="resolved", param=by("shop"), value=by("bank"))
    (resolved,) = transitions.of_promise(make_promise(), promise, NOW)
    schedule = make_schedule(promise_param=by("shop"))
    (created,) = transitions.of_schedule("s", None, schedule, NOW)

    told = json.loads(resolved.data)
    assert (told["createdBy"], told["settledBy"]) == ("shop", "bank")
    assert json.loads(created.data)["createdBy"] == "shop"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, make_schedule(), ["schedule.created"]),
        (make_schedule(), make_schedule(last_run_at_ms=7), ["schedule.fired"]),
        (make_schedule(), make_schedule(next_run_at_ms=NOW), []),
        (make_schedule(), None, ["schedule.deleted"]),
        (None, None, []),
    ],
)
def test_what_has_happened_to_a_schedule(before: Any, after: Any, expected: list[str]):
    events = transitions.of_schedule("s", before, after, NOW)

    assert [event.kind for event in events] == expected
    assert all((event.origin, event.subject, event.at_ms) == ("s", "s", NOW) for event in events)
