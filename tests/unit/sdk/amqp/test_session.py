import asyncio
from typing import Any

import pytest

from resonate_sdk.amqp.session import Session, SessionLostError


def make_session() -> Session:
    nothing: Any = None
    return Session(nothing, nothing, nothing)


async def test_a_call_that_is_under_way_ends_with_its_session():
    session = make_session()
    asyncio.get_running_loop().call_soon(session.lose, "the broker has gone")

    with pytest.raises(SessionLostError, match="could not wait: the broker has gone"):
        async with session._calling("wait"):
            await asyncio.Event().wait()


async def test_a_call_in_a_session_that_is_lost_already_ends_at_once():
    session = make_session()
    session.lose("the broker has gone")

    with pytest.raises(SessionLostError, match="could not wait: the broker has gone"):
        async with session._calling("wait"):
            await asyncio.Event().wait()


async def test_a_call_that_has_ended_is_not_touched_by_the_end_of_its_session():
    session = make_session()
    async with session._calling("wait"):
        pass

    session.lose("the broker has gone")

    assert session.is_lost
