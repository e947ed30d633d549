"""`task.search`: list tasks by state."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import SearchTasks
from resonate_broker.operations.promise_search import find
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskSearch
from resonate_sdk.protocol.responses import Answer, TaskPage
from resonate_store.state import Page


def task_search(request: TaskSearch) -> Operation:
    """Answer with a page; with a cursor there may be more, even if the page is empty."""
    # One that is seen as fulfilled may be stored in any state: its deadline may have passed.
    stored_as = None if request.state == "fulfilled" else request.state
    page: Page | Answer = yield from find(SearchTasks(stored_as, request.cursor, request.limit))
    if isinstance(page, Answer):
        return page
    tasks = tuple(rules.task_record(promise, details=request.details) for promise in page.promises)
    found = tuple(task for task in tasks if request.state in (None, task.state))
    return Answer(responses.OK, TaskPage(tasks=found, cursor=page.scanned_to))
