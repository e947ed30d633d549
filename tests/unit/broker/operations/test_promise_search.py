from collections.abc import Generator
from typing import Any

import pytest

from resonate_broker.kernel.submissions import Commit, Failed, Load, Search
from resonate_broker.operations.promise_search import promise_search
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import PromiseState
from resonate_sdk.protocol.requests import PromiseSearch
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Page, Promise
from tests.unit.broker.builders import DEADLINE, NOW, make_promise, make_state


def run(request: PromiseSearch, page: Page | Failed) -> tuple[list[Any], Any]:
    """What a search submits, and how it answers a page."""
    body = promise_search(request)
    submissions = [body.send(None), body.send(make_state()), body.send(None)]
    try:
        spawn = body.send(page)
    except StopIteration as stop:
        return submissions, stop.value
    assert isinstance(page, Page)
    state = make_state(*page.promises, now_ms=page.now_ms)
    for make in spawn.bodies:
        look = make()
        assert isinstance(look.send(None), Load)
        assert look.send(state) == Commit()
        assert next(look, None) is None
    return [*submissions, state], end(body, None)


def end(body: Generator[Any, Any, Answer], completion: object) -> Any:
    with pytest.raises(StopIteration) as stop:
        body.send(completion)
    return stop.value.value


def page(*promises: Promise, scanned_to: str | None = None, now_ms: int = NOW) -> Page:
    return Page(now_ms=now_ms, promises=promises, scanned_to=scanned_to)


def test_a_search_goes_through_a_batch_so_that_it_finds_what_its_sender_wrote_before():
    request = PromiseSearch(tags={"colour": "red"}, cursor="c", limit=7)

    submissions, _ = run(request, page())

    assert submissions == [Load(), Commit(), Search({"colour": "red"}, "c", 7)]


@pytest.mark.parametrize(
    ("state", "stored"),
    [
        (None, ()),
        ("pending", ("pending",)),
        ("resolved", ("resolved", "pending")),
        ("rejected_timedout", ("rejected_timedout", "pending")),
    ],
)
def test_the_store_looks_for_what_may_be_seen_in_the_state(
    state: PromiseState | None, stored: tuple[PromiseState, ...]
):
    submissions, _ = run(PromiseSearch(state=state), page())

    assert submissions[-1].states == stored


def test_what_was_found_is_answered_in_its_order_with_the_cursor():
    _, answer = run(PromiseSearch(), page(make_promise("a"), make_promise("b"), scanned_to="b"))

    assert answer.status == 200
    assert [promise.id for promise in answer.data.promises] == ["a", "b"]
    assert answer.data.cursor == "b"


def test_a_page_with_nothing_behind_it_has_no_cursor():
    _, answer = run(PromiseSearch(), page(make_promise("a")))

    assert answer.data.cursor is None


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (None, ["late", "open", "slept", "won"]),
        ("pending", ["open"]),
        ("resolved", ["slept", "won"]),
        ("rejected_timedout", ["late"]),
        ("rejected", []),
    ],
)
def test_the_state_is_compared_after_the_deadline_rule(
    state: PromiseState | None, found: list[str]
):
    rows = [
        make_promise("late", timeout_at_ms=NOW),
        make_promise("open", timeout_at_ms=NOW + 1),
        make_promise("slept", timeout_at_ms=NOW, tags={tags.TIMER: "true"}),
        make_promise("won", state="resolved"),
    ]

    _, answer = run(PromiseSearch(state=state), page(*rows))

    assert [promise.id for promise in answer.data.promises] == found


def test_every_record_is_shown_after_the_deadline_rule():
    _, answer = run(PromiseSearch(), page(make_promise("a"), now_ms=DEADLINE))

    (record,) = answer.data.promises
    assert (record.state, record.settled_at_ms) == ("rejected_timedout", DEADLINE)


def test_a_verdict_that_a_search_shows_is_stored():
    """C4: whoever serves the verdict of a deadline stores it."""
    (*_, state), _ = run(PromiseSearch(), page(make_promise("a"), now_ms=DEADLINE))

    promise = state.promise("a")
    assert promise is not None
    assert promise.state == "rejected_timedout"


def test_a_page_of_which_nothing_is_left_keeps_its_cursor():
    _, answer = run(PromiseSearch(state="rejected"), page(make_promise("a"), scanned_to="a"))

    assert (answer.data.promises, answer.data.cursor) == ((), "a")


def test_a_search_whose_verdicts_could_not_be_stored_is_answered_503_and_not_in_part():
    body = promise_search(PromiseSearch())
    body.send(None)
    body.send(make_state())
    body.send(None)
    body.send(page(make_promise("a"), make_promise("late", timeout_at_ms=NOW)))

    answer = end(body, None)

    assert answer.status == 503
    assert "not stored" in answer.data


def test_a_search_that_cannot_be_made_is_answered_503():
    _, answer = run(PromiseSearch(), Failed("no connection"))

    assert answer.status == 503
    assert "no connection" in str(answer.data)
