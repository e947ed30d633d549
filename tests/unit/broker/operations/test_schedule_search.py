import pytest

from resonate_broker.kernel.submissions import Commit, Failed, Load, SearchSchedules
from resonate_broker.operations.schedule_search import schedule_search
from resonate_sdk.protocol.requests import ScheduleSearch
from resonate_store.state import ScheduleRows
from tests.unit.broker.builders import make_schedule, make_state


def run(request: ScheduleSearch, rows: ScheduleRows | Failed):
    """What a search submits, and how it answers what was found."""
    body = schedule_search(request)
    submissions = [body.send(None), body.send(make_state()), body.send(None)]
    with pytest.raises(StopIteration) as stop:
        body.send(rows)
    return submissions, stop.value.value


def test_a_search_goes_through_a_batch_and_answers_what_was_found_with_the_cursor():
    rows = ScheduleRows(schedules=(make_schedule("a"), make_schedule("b")), scanned_to="b")

    submissions, answer = run(ScheduleSearch(tags={"x": "y"}, cursor="0", limit=2), rows)

    assert submissions == [Load(), Commit(), SearchSchedules({"x": "y"}, "0", 2)]
    assert answer.status == 200
    assert [schedule.id for schedule in answer.data.schedules] == ["a", "b"]
    assert answer.data.cursor == "b"


def test_a_search_without_a_word_asks_for_the_first_ten():
    submissions, _ = run(ScheduleSearch(), ScheduleRows(schedules=(), scanned_to=None))

    assert submissions[-1] == SearchSchedules({}, None, 10)


def test_a_search_that_cannot_be_made_is_answered_503():
    _, answer = run(ScheduleSearch(), Failed("no connection"))

    assert answer.status == 503
