"""`promise.search`: list promises by tags and state."""

from functools import partial

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Body, Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load, Search, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import PromiseSearch
from resonate_sdk.protocol.responses import Answer, PromisePage
from resonate_store.state import Page


def promise_search(request: PromiseSearch) -> Operation:
    """Answer with a page; with a cursor there may be more, even if the page is empty.

    It passes through a batch first, so that it finds what its sender wrote before. A deadline that
    has passed is stored before it is shown.
    """
    yield Load()
    yield Commit()
    page: Page | Failed = yield Search(request.tags, request.cursor, request.limit)
    if isinstance(page, Failed):
        return rules.refused(responses.UNAVAILABLE, f"cannot search now: {page.reason}")
    due = tuple(promise.id for promise in page.promises if rules.is_due(promise, page.now_ms))
    if due:
        yield Spawn(tuple(partial(_store_verdict, id) for id in due))
    promises: list[PromiseRecord] = []
    for promise in page.promises:
        seen = rules.project(promise, page.now_ms)
        if request.state is None or seen.state == request.state:
            promises.append(rules.record(seen))
    data = PromisePage(promises=tuple(promises), cursor=page.scanned_to)
    return Answer(responses.OK, data)


def _store_verdict(id: str) -> Body:
    state: WorkingState = yield Load(ids=(id,))
    rules.observe(state, id)
    yield Commit()
