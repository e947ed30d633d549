"""What waits in the database is looked at when somebody asks, and seldom."""

import asyncio

from resonate_broker.observation import backlog
from resonate_broker.observation.backlog import BacklogLook
from resonate_store.state import Backlog
from resonate_store.store import UnavailableError

FOUND = Backlog(now_ms=5, events=1, oldest_event_at_ms=4, inbox=2, inbox_refused=0)


async def test_who_asks_often_causes_one_look():
    looks: list[int] = []

    async def read(count_max: int) -> Backlog:
        looks.append(count_max)
        return FOUND

    look = BacklogLook(read)
    for _ in range(3):
        await look.look()

    assert look.latest == FOUND
    assert looks == [backlog.COUNT_MAX]


async def test_a_database_that_is_away_or_silent_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(backlog, "LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(backlog, "LOOK_S_MAX", 0.01)
    answers = iter((FOUND, UnavailableError("away"), FOUND, None))

    async def read(_: int) -> Backlog:
        answer = next(answers)
        if isinstance(answer, UnavailableError):
            raise answer
        return answer or await asyncio.get_running_loop().create_future()

    look, seen = BacklogLook(read), []
    for _ in range(4):
        await look.look()
        seen.append(look.latest)

    assert seen == [FOUND, None, FOUND, None]
