"""`schedule.create`: create promises at the instants of a calendar."""

from resonate_broker import cron, rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.occurrences import occurrence, schedule_record
from resonate_sdk.protocol import limits, responses, tags
from resonate_sdk.protocol.requests import ScheduleCreate, create_fault
from resonate_sdk.protocol.responses import Answer, ScheduleData
from resonate_store.state import Schedule


def schedule_create(request: ScheduleCreate) -> Operation:
    """Create the schedule; one that exists is answered as it is, whatever the request says."""
    fault = _fault(request)
    if fault is not None:
        return rules.refused(responses.MALFORMED, f"schedule.create: {fault}")
    state: WorkingState = yield Load(schedules=(request.id,))
    schedule = state.schedule(request.id)
    if schedule is None:
        schedule = _born(request, state.now_ms)
        state.put_schedule(schedule)
    return (yield Commit(Answer(responses.OK, ScheduleData(schedule=schedule_record(schedule)))))


def _fault(request: ScheduleCreate) -> str | None:
    """What makes the schedule, or one of its promises, impossible; a sentence, or None."""
    if tags.DELAY in request.promise_tags:
        delay = request.promise_tags[tags.DELAY]
        return f"promiseTags: resonate:delay {delay!r} is not allowed: the cron says when"
    try:
        cron.check(request.cron, request.timezone)
        create = occurrence(_born(request, 0), limits.INSTANT_MS_MAX)
    except ValueError as error:
        return f"{error}"
    fault = create_fault(create, acquire=False)
    return None if fault is None else f"promiseTags: {fault}"


def _born(request: ScheduleCreate, now_ms: int) -> Schedule:
    next_ms = cron.next_ms(request.cron, request.timezone, now_ms)
    return Schedule(
        id=request.id,
        cron=request.cron,
        promise_id=request.promise_id,
        promise_timeout_ms=request.promise_timeout_ms,
        promise_param=request.promise_param,
        promise_tags=request.promise_tags,
        timezone=request.timezone,
        overlap=request.overlap,
        missed=request.missed,
        created_at_ms=now_ms,
        next_run_at_ms=limits.INSTANT_MS_MAX if next_ms is None else next_ms,
    )
