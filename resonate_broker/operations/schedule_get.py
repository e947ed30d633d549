"""`schedule.get`: read one schedule."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.occurrences import schedule_record
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import ScheduleGet
from resonate_sdk.protocol.responses import Answer, ScheduleData


def schedule_get(request: ScheduleGet) -> Operation:
    """Answer with the schedule."""
    state: WorkingState = yield Load(schedules=(request.id,))
    schedule = state.schedule(request.id)
    if schedule is None:
        return (yield Commit(rules.refused(responses.NOT_FOUND, f"no schedule {request.id!r}")))
    return (yield Commit(Answer(responses.OK, ScheduleData(schedule=schedule_record(schedule)))))
