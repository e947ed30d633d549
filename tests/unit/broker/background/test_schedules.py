from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.background.schedules import (
    OCCURRENCES_PER_BATCH,
    SCHEDULES_PER_RUN,
    Plan,
    fire,
    fire_schedules,
    plan,
)
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadDueSchedules, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.occurrences import occurrence
from resonate_sdk.protocol import limits, tags
from resonate_store.state import DueSchedules, Promise, Schedule
from tests.unit.broker.builders import make_promise, make_schedule, make_state

MINUTE = 60_000
FIRST = 1_700_000_040_000  # on a minute
assert FIRST % MINUTE == 0


def minutes(*numbers: int) -> tuple[int, ...]:
    return tuple(FIRST + number * MINUTE for number in numbers)


def due(**overrides: Any) -> Schedule:
    return make_schedule(created_at_ms=FIRST - 5, next_run_at_ms=FIRST, **overrides)


def run(schedule: Schedule, planned: Plan, *stored: Promise, now_ms: int) -> WorkingState:
    """The state that firing leaves."""
    body = fire(schedule, planned)
    load = body.send(None)
    assert isinstance(load, Load)
    rows = {promise.id: promise for promise in stored}
    state = make_state(
        *(rows[id] for id in sorted(set(load.ids)) if id in rows),
        named=load.ids,
        schedules=[schedule],
        now_ms=now_ms,
    )
    assert body.send(state) == Commit()
    return state


def created(state: WorkingState) -> list[str]:
    return [promise.id for promise in state.changes().created]


# Which instants get a promise


def test_an_instant_that_has_come_gets_a_promise():
    assert plan(due(), FIRST) == Plan(minutes(0), *minutes(1))


@pytest.mark.parametrize(
    ("missed", "instants"),
    [("all", minutes(*range(6))), ("latest", minutes(5)), ("none", minutes(5))],
)
def test_of_missed_instants_all_get_one_or_the_latest_or_none(
    missed: str, instants: tuple[int, ...]
):
    """The fifth has just come, and has not been missed."""
    assert plan(due(missed=missed), FIRST + 5 * MINUTE + 900) == Plan(instants, *minutes(6))


@pytest.mark.parametrize(("missed", "count"), [("all", 1), ("latest", 1), ("none", 0)])
def test_an_instant_is_missed_after_a_minute(missed: str, count: int):
    planned = plan(due(cron="14 22 * * *", missed=missed), FIRST + MINUTE)

    assert len(planned.instants) == count
    assert planned.next_run_at_ms == FIRST + 24 * 60 * MINUTE


def test_many_missed_instants_are_made_up_for_in_bounded_steps():
    schedule, now_ms = due(), FIRST + 250 * MINUTE

    counts: list[int] = []
    while schedule.next_run_at_ms <= now_ms:
        planned = plan(schedule, now_ms)
        counts.append(len(planned.instants))
        schedule = replace(schedule, next_run_at_ms=planned.next_run_at_ms)

    assert counts == [OCCURRENCES_PER_BATCH, OCCURRENCES_PER_BATCH, 51]


def test_a_year_of_missed_minutes_is_passed_over_at_once():
    planned = plan(due(missed="latest"), FIRST + 525_600 * MINUTE)

    assert planned == Plan(minutes(525_600), *minutes(525_601))


def test_a_calendar_that_has_come_to_its_end_is_never_due_again():
    last_minute_ms = 253_402_300_740_000  # of the year 9999
    schedule = make_schedule(next_run_at_ms=last_minute_ms)

    assert plan(schedule, last_minute_ms) == Plan((last_minute_ms,), limits.INSTANT_MS_MAX)


# What a promise of a schedule is like


def test_a_promise_is_created_as_of_its_instant_with_the_tags_of_its_schedule():
    state = run(due(promise_timeout_ms=7_000), Plan(minutes(0), *minutes(1)), now_ms=FIRST + 30)

    id = f"s.{FIRST}"
    promise = state.promise(id)
    assert promise is not None
    assert (promise.created_at_ms, promise.timeout_at_ms) == (FIRST, FIRST + 7_000)
    assert promise.tags[tags.SCHEDULE] == "s"
    assert {promise.tags[tag] for tag in (tags.ORIGIN, tags.BRANCH, tags.PARENT, tags.PREFIX)} == {
        id
    }
    assert promise.task is not None
    assert (promise.task.state, promise.task.retry_at_ms) == ("pending", FIRST)


def test_its_schedule_goes_on_to_the_next_instant():
    state = run(due(), Plan(minutes(0, 1), *minutes(2)), now_ms=FIRST + MINUTE)

    schedule = state.schedule("s")
    assert schedule is not None
    assert (schedule.last_run_at_ms, schedule.next_run_at_ms) == minutes(1, 2)


def test_one_whose_deadline_has_passed_is_timed_out_at_it():
    state = run(due(promise_timeout_ms=9), Plan(minutes(0), *minutes(1)), now_ms=FIRST + MINUTE)

    promise = state.promise(f"s.{FIRST}")
    assert promise is not None
    assert (promise.state, promise.settled_at_ms) == ("rejected_timedout", FIRST + 9)
    assert promise.task is not None
    assert promise.task.state == "fulfilled"


def test_an_id_that_exists_is_left_alone_and_the_schedule_goes_on():
    mine = make_promise(f"s.{FIRST}", timeout_at_ms=FIRST + 9)

    state = run(due(), Plan(minutes(0), *minutes(1)), mine, now_ms=FIRST)

    assert state.promise(mine.id) == mine
    assert [s.last_run_at_ms for s in state.changes().schedules_updated] == [FIRST]


def test_promises_without_a_target_may_be_awaited():
    state = run(due(promise_tags={}), Plan(minutes(0), *minutes(1)), now_ms=FIRST)

    promise = state.promise(f"s.{FIRST}")
    assert promise is not None
    assert promise.tags[tags.EXTERNAL] == "true"


def test_what_a_schedule_says_of_itself_wins_over_its_tags():
    promise = occurrence(due(promise_tags={tags.SCHEDULE: "other", "x": "y"}), FIRST)

    assert (promise.tags[tags.SCHEDULE], promise.tags["x"]) == ("s", "y")


def test_no_deadline_is_after_the_last_instant():
    promise = occurrence(due(promise_timeout_ms=7_000), limits.INSTANT_MS_MAX - 5)

    assert promise.timeout_at_ms == limits.INSTANT_MS_MAX


# One after the other


def test_with_overlap_skip_an_instant_passes_while_the_previous_promise_is_pending():
    before = make_promise(f"s.{FIRST - MINUTE}", timeout_at_ms=FIRST + 9 * MINUTE)
    schedule = due(overlap="skip", last_run_at_ms=FIRST - MINUTE)

    state = run(schedule, Plan(minutes(0), *minutes(1)), before, now_ms=FIRST)

    assert created(state) == []
    (after,) = state.changes().schedules_updated
    assert (after.last_run_at_ms, after.next_run_at_ms) == (FIRST - MINUTE, *minutes(1))


@pytest.mark.parametrize("state_before", ["resolved", "gone", "late"])
def test_with_overlap_skip_it_goes_on_when_the_previous_promise_is_settled(state_before: str):
    id = f"s.{FIRST - MINUTE}"
    stored = {
        "resolved": [make_promise(id, state="resolved")],
        "gone": [],
        "late": [make_promise(id, timeout_at_ms=FIRST)],
    }[state_before]
    schedule = due(overlap="skip", last_run_at_ms=FIRST - MINUTE)

    state = run(schedule, Plan(minutes(0), *minutes(1)), *stored, now_ms=FIRST)

    assert created(state) == [f"s.{FIRST}"]


def test_with_overlap_skip_one_of_several_missed_instants_gets_a_promise():
    state = run(due(overlap="skip"), Plan(minutes(0, 1, 2), *minutes(3)), now_ms=FIRST + 2 * MINUTE)

    assert created(state) == [f"s.{FIRST}"]


# Once, whoever looks


@pytest.mark.parametrize("found", [None, "further"])
def test_when_another_server_was_first_nothing_happens(found: str | None):
    schedule = due()
    body = fire(schedule, Plan(minutes(0), *minutes(1)))
    load = body.send(None)
    stored = [] if found is None else [due(last_run_at_ms=FIRST)]
    state = make_state(named=load.ids, schedules=stored, named_schedules=["s"], now_ms=FIRST)

    assert body.send(state) == Commit()

    assert not state.changes()


# The step


def step(schedules: tuple[Schedule, ...], *, next_at_ms: int | None) -> Any:
    """When the step wants to run again."""
    body = fire_schedules()
    assert isinstance(body.send(None), ReadDueSchedules)
    spawn = body.send(DueSchedules(now_ms=FIRST, schedules=schedules, next_at_ms=next_at_ms))
    assert isinstance(spawn, Spawn)
    assert len(spawn.bodies) == len(schedules)
    with pytest.raises(StopIteration) as stop:
        body.send(None)
    return stop.value.value


def test_the_step_runs_again_when_the_next_schedule_is_due():
    assert step((), next_at_ms=FIRST + 5) == FIRST + 5
    assert step((due(),), next_at_ms=None) is None


def test_the_step_runs_again_at_once_when_instants_are_left():
    behind = make_schedule(next_run_at_ms=FIRST - 250 * MINUTE)

    assert step((behind,), next_at_ms=None) == FIRST


def test_an_instant_that_is_left_and_has_just_come_is_not_waited_for():
    behind = make_schedule(next_run_at_ms=FIRST - OCCURRENCES_PER_BATCH * MINUTE)

    assert step((behind,), next_at_ms=None) == FIRST


def test_the_step_runs_again_at_once_when_there_may_be_more_schedules():
    assert step((due(),) * SCHEDULES_PER_RUN, next_at_ms=None) == FIRST
    assert step((due(),) * (SCHEDULES_PER_RUN - 1), next_at_ms=None) is None


def test_a_step_that_cannot_read_tries_again_later():
    body = fire_schedules()
    body.send(None)

    with pytest.raises(StopIteration) as stop:
        body.send(Failed("no connection"))
    assert stop.value.value is None
