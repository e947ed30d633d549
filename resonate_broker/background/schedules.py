"""R7: schedules create their promises when their instants come.

The candidates are read without locks, then named by ordinary batches: whoever has the row finds
out whether another server was first.
"""

from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from resonate_broker import cron, rules
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadDueSchedules, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.occurrences import occurrence, occurrence_id
from resonate_sdk.protocol import limits
from resonate_store.state import DueSchedules, Schedule

SCHEDULES_PER_RUN = 100
OCCURRENCES_PER_BATCH = 100
MISSED_MS = 60_000  # an instant that nobody saw to for so long has been missed


class Plan(Struct, frozen=True):
    """What is to be done for a schedule.

    Attributes:
        instants: those that get a promise.
        next_run_at_ms: where it goes on; not later than now if some are left for the next batch.
    """

    instants: tuple[int, ...]
    next_run_at_ms: int


def fire_schedules(at_ms: int | None = None) -> Body:
    """See to the schedules that are due; return the instant at which one will be.

    Args:
        at_ms: the instant, if not the present one.
    """
    due: DueSchedules | Failed = yield ReadDueSchedules(SCHEDULES_PER_RUN, at_ms)
    if isinstance(due, Failed):
        return None
    plans = [(schedule, plan(schedule, due.now_ms)) for schedule in due.schedules]
    yield Spawn(tuple(partial(fire, schedule, planned) for schedule, planned in plans))
    is_cut = len(plans) == SCHEDULES_PER_RUN
    is_behind = any(planned.next_run_at_ms <= due.now_ms for _, planned in plans)
    return due.now_ms if is_cut or is_behind else due.next_at_ms


def plan(schedule: Schedule, now_ms: int) -> Plan:
    """Choose among the instants that have come, in bounded steps."""
    before_ms, expression = schedule.next_run_at_ms - 1, (schedule.cron, schedule.timezone)
    done_ms = now_ms
    match schedule.missed:
        case "all":
            instants = cron.between_ms(*expression, before_ms, now_ms, OCCURRENCES_PER_BATCH)
            if len(instants) == OCCURRENCES_PER_BATCH:
                done_ms = instants[-1]
        case "latest":
            latest_ms = cron.latest_ms(*expression, before_ms, now_ms)
            instants = () if latest_ms is None else (latest_ms,)
        case "none":
            in_time_ms = max(before_ms, now_ms - MISSED_MS)
            instants = cron.between_ms(*expression, in_time_ms, now_ms, OCCURRENCES_PER_BATCH)
    next_ms = cron.next_ms(*expression, done_ms)
    return Plan(instants, limits.INSTANT_MS_MAX if next_ms is None else next_ms)


def fire(schedule: Schedule, planned: Plan) -> Body:
    """Create the promises of instants that have come, unless somebody else has done it."""
    ids = [occurrence_id(schedule, at_ms) for at_ms in planned.instants]
    if schedule.last_run_at_ms is not None and schedule.overlap == "skip":
        ids.append(occurrence_id(schedule, schedule.last_run_at_ms))
    state: WorkingState = yield Load(ids=tuple(ids), schedules=(schedule.id,))
    if state.schedule(schedule.id) == schedule:
        last_ms = schedule.last_run_at_ms
        for at_ms in planned.instants:
            if not _is_skipped(state, schedule, last_ms):
                _create(state, schedule, at_ms)
                last_ms = at_ms
        state.put_schedule(
            replace(schedule, last_run_at_ms=last_ms, next_run_at_ms=planned.next_run_at_ms)
        )
    yield Commit()


def _is_skipped(state: WorkingState, schedule: Schedule, last_ms: int | None) -> bool:
    if schedule.overlap == "allow" or last_ms is None:
        return False
    previous = rules.observe(state, occurrence_id(schedule, last_ms))
    return previous is not None and previous.state == "pending"


def _create(state: WorkingState, schedule: Schedule, at_ms: int) -> None:
    """Create the promise as of its instant; one that is late may time out at once."""
    create = occurrence(schedule, at_ms)
    if state.promise(create.id) is None:
        state.put(rules.born(create, at_ms))
    rules.observe(state, create.id)
