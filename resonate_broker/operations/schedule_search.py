"""`schedule.search`: list schedules by the tags of their promises."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load, SearchSchedules
from resonate_broker.occurrences import schedule_record
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import ScheduleSearch
from resonate_sdk.protocol.responses import Answer, SchedulePage
from resonate_store.state import ScheduleRows


def schedule_search(request: ScheduleSearch) -> Operation:
    """Answer with a page; with a cursor there may be more, even if the page is empty.

    It passes through a batch first, so that it finds what its sender wrote before.
    """
    yield Load()
    yield Commit()
    rows: ScheduleRows | Failed = yield SearchSchedules(request.tags, request.cursor, request.limit)
    if isinstance(rows, Failed):
        return rules.refused(responses.UNAVAILABLE, f"cannot search now: {rows.reason}")
    schedules = tuple(schedule_record(schedule) for schedule in rows.schedules)
    return Answer(responses.OK, SchedulePage(schedules=schedules, cursor=rows.scanned_to))
