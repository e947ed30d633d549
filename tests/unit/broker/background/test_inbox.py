"""Calls in the inbox become promises, one batch member each."""

from typing import Any

import pytest

from resonate_broker.background.inbox import ROWS_PER_RUN, drain_inbox, take
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadInbox, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import Value
from resonate_store.state import InboxEntry, InboxRefusal, InboxRow, Loaded, LoadSet, Promise
from tests.unit.broker.builders import DEADLINE, NOW, make_targeted

ENTRY = InboxEntry(number=7, id="p")


def make_row(**overrides: Any) -> InboxRow:
    fields: dict[str, Any] = {
        "number": 7,
        "id": "p",
        "timeout_at_ms": DEADLINE,
        "tags": {tags.TARGET: "poll://any@g"},
        "param": Value(data="e30="),
    }
    return InboxRow(**(fields | overrides))


def run(*rows: InboxRow, stored: tuple[Promise, ...] = ()) -> tuple[WorkingState, list[int]]:
    """The state that taking one call leaves, and when it was taken."""
    taken: list[int] = []
    body = take(ENTRY, taken)
    assert body.send(None) == Load(ids=("p",), inbox=(7,))
    loaded = Loaded(now_ms=NOW, promises=stored, inbox=rows)
    state = WorkingState(LoadSet(ids=("p",), inbox=(7,)), loaded, NOW)
    assert body.send(state) == Commit()
    with pytest.raises(StopIteration):
        body.send(None)
    return state, taken


def test_a_call_becomes_a_promise_as_if_it_had_come_in_as_a_request():
    state, taken = run(make_row())

    (made,) = state.changes().created
    assert (made.id, made.timeout_at_ms, made.created_at_ms) == ("p", DEADLINE, NOW)
    assert made.tags == {tags.TARGET: "amqp://any@g"}
    assert made.task is not None
    assert state.changes().inbox_taken == (7,)
    assert taken == [NOW]


def test_a_deadline_that_has_passed_meanwhile_has_its_verdict():
    state, _ = run(make_row(timeout_at_ms=NOW - 1))

    (made,) = state.changes().created
    assert (made.state, made.settled_at_ms) == ("rejected_timedout", NOW - 1)


def test_a_promise_that_exists_stays_as_it_is():
    state, taken = run(make_row(), stored=(make_targeted("p"),))

    assert state.changes().updated == state.changes().created == ()
    assert state.changes().inbox_taken == (7,)
    assert taken == [NOW]


def test_what_somebody_else_has_is_left_to_him():
    state, taken = run()

    assert not state.changes()
    assert taken == []


@pytest.mark.parametrize(
    "row",
    [
        make_row(tags={tags.TARGET: "a b"}),
        make_row(tags={tags.DELAY: "1"}),
        make_row(tags={"k": "v" * 1025}),
        make_row(tags={tags.TARGET: "g", tags.TIMER: "true"}),
    ],
)
def test_what_no_request_may_say_is_refused_with_the_reason(row: InboxRow):
    state, _ = run(row)

    changes = state.changes()
    assert changes.created == ()
    assert changes.inbox_taken == ()
    assert changes.inbox_refused == (InboxRefusal(7, changes.inbox_refused[0].reason),)
    assert changes.inbox_refused[0].reason.startswith("tag")
    assert bool(changes)


def drain(*entries: InboxEntry, is_ours: bool) -> int | None:
    """Run the step; take its calls, or find that somebody else has them."""
    body = drain_inbox()
    assert body.send(None) == ReadInbox(ROWS_PER_RUN)
    spawn = body.send(entries)
    assert isinstance(spawn, Spawn)
    for make in spawn.bodies:
        child = make()
        child.send(None)
        loaded = Loaded(now_ms=NOW, inbox=(make_row(),) if is_ours else ())
        child.send(WorkingState(LoadSet(ids=("p",), inbox=(7,)), loaded, NOW))
        with pytest.raises(StopIteration):
            child.send(None)
    with pytest.raises(StopIteration) as end:
        body.send(None)
    return end.value.value


def test_after_a_run_that_took_something_there_may_be_more():
    assert drain(ENTRY, is_ours=True) == NOW
    assert drain(is_ours=True) is None


def test_what_another_server_holds_is_not_asked_for_again_and_again():
    assert drain(ENTRY, is_ours=False) is None


def test_a_database_that_is_away_is_asked_another_time():
    body = drain_inbox()
    body.send(None)
    with pytest.raises(StopIteration) as end:
        body.send(Failed("away"))
    assert end.value.value is None


def test_two_calls_of_one_id_in_one_batch_make_one_promise():
    rows = (make_row(), make_row(number=8, timeout_at_ms=DEADLINE + 1))
    load = LoadSet(ids=("p",), inbox=(7, 8))
    state = WorkingState(load, Loaded(now_ms=NOW, inbox=rows), NOW)
    for row in rows:
        body = take(InboxEntry(number=row.number, id="p"), [])
        body.send(None)
        body.send(state)

    assert [promise.timeout_at_ms for promise in state.changes().created] == [DEADLINE]
    assert state.changes().inbox_taken == (7, 8)
