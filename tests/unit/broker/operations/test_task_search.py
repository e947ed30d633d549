from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.kernel.submissions import Commit, Failed, Load, SearchTasks
from resonate_broker.operations.task_search import task_search
from resonate_sdk.protocol.records import TaskState
from resonate_sdk.protocol.requests import TaskSearch
from resonate_store.state import Page
from tests.unit.broker.builders import NOW, make_state, make_targeted

ROWS = (
    make_targeted("due", "halted", version=2),
    make_targeted("held", "acquired", version=3),
    make_targeted("idle", "pending"),
)


def run(request: TaskSearch, found: Page | Failed) -> tuple[SearchTasks, Any]:
    """What a search asks the store for, and how it answers."""
    body = task_search(request)
    assert body.send(None) == Load()
    assert body.send(make_state()) == Commit()
    wanted = body.send(None)
    try:
        spawn = body.send(found)
    except StopIteration as stop:
        return wanted, stop.value
    assert isinstance(found, Page)
    state = make_state(*found.promises, now_ms=found.now_ms)
    for make in spawn.bodies:
        look = make()
        look.send(None)
        look.send(state)
        next(look, None)
    with pytest.raises(StopIteration) as stop:
        body.send(None)
    return wanted, stop.value.value


def page(*promises, scanned_to: str | None = None) -> Page:
    return Page(now_ms=NOW, promises=promises, scanned_to=scanned_to)


@pytest.mark.parametrize(
    ("state", "stored"),
    [(None, None), ("halted", "halted"), ("pending", "pending"), ("fulfilled", None)],
)
def test_the_store_looks_for_what_may_be_seen_in_the_state(
    state: TaskState | None, stored: TaskState | None
):
    wanted, _ = run(TaskSearch(state=state, cursor="c", limit=7), page())

    assert wanted == SearchTasks(stored, "c", 7)


@pytest.mark.parametrize(
    ("state", "found"),
    [(None, ["due", "held", "idle"]), ("fulfilled", ["due"]), ("acquired", ["held"])],
)
def test_a_task_is_seen_through_its_promise(state: TaskState | None, found: list[str]):
    rows = (replace(ROWS[0], timeout_at_ms=NOW), *ROWS[1:])

    _, answer = run(TaskSearch(state=state), page(*rows, scanned_to="idle"))

    assert answer.status == 200
    assert [task.id for task in answer.data.tasks] == found
    assert answer.data.cursor == "idle"


def test_a_search_that_cannot_be_made_is_answered_503():
    _, answer = run(TaskSearch(), Failed("no connection"))

    assert answer.status == 503


def test_details_are_shown_to_who_asks_for_them():
    _, plain = run(TaskSearch(), page(*ROWS))
    _, detailed = run(TaskSearch(details=True), page(*ROWS))

    assert {task.details for task in plain.data.tasks} == {None}
    assert {task.details.group for task in detailed.data.tasks} == {"g"}
