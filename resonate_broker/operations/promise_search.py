"""`promise.search`: list promises by tags and state."""

from collections.abc import Generator
from functools import partial
from typing import Any

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Body, Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load, Search, SearchTasks, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import PromiseState
from resonate_sdk.protocol.requests import PromiseSearch
from resonate_sdk.protocol.responses import Answer, PromisePage
from resonate_store.state import Page, Promise


def promise_search(request: PromiseSearch) -> Operation:
    """Answer with a page; with a cursor there may be more, even if the page is empty."""
    wanted = Search(request.tags, request.cursor, request.limit, _stored_as(request.state))
    page: Page | Answer = yield from find(wanted)
    if isinstance(page, Answer):
        return page
    promises = tuple(
        rules.record(promise)
        for promise in page.promises
        if request.state is None or promise.state == request.state
    )
    return Answer(responses.OK, PromisePage(promises=promises, cursor=page.scanned_to))


def find(search: Search | SearchTasks) -> Generator[Any, Any, Page | Answer]:
    """Look for promises; return a page of them after the deadline rule, or a refusal.

    It passes through a batch first, so that it finds what its sender wrote before. A deadline that
    has passed is stored before it is shown.
    """
    state: WorkingState = yield Load()
    yield Commit()
    page: Page | Failed = yield search
    if isinstance(page, Failed):
        return rules.refused(responses.UNAVAILABLE, f"cannot search now: {page.reason}")
    # With an instant of its own a request may be ahead of the clock; batches know which counts.
    now_ms = max(page.now_ms, state.now_ms)
    due = tuple(promise.id for promise in page.promises if rules.is_due(promise, now_ms))
    if not due:
        return page
    seen: dict[str, Promise | None] = {}
    yield Spawn(tuple(partial(_store_verdict, id, seen) for id in due))
    if len(seen) < len(due):
        return rules.refused(
            responses.UNAVAILABLE, "cannot search now: a deadline that has passed was not stored"
        )
    found = (seen.get(promise.id) if promise.id in due else promise for promise in page.promises)
    return replace(page, promises=tuple(promise for promise in found if promise is not None))


def _stored_as(state: PromiseState | None) -> tuple[PromiseState, ...]:
    """How a promise may be stored that is seen in this state: its deadline may have passed."""
    match state:
        case None:
            return ()
        case "pending":
            return ("pending",)
        case "resolved" | "rejected" | "rejected_canceled" | "rejected_timedout":
            return (state, "pending")


def _store_verdict(id: str, seen: dict[str, Promise | None]) -> Body:
    state: WorkingState = yield Load(ids=(id,))
    promise = rules.observe(state, id)
    yield Commit()
    seen[id] = promise
