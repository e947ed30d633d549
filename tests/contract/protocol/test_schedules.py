"""Requests about schedules, and those that only admins may ask, over both transports."""

import pytest

from tests.contract.protocol.conftest import Server
from tests.contract.protocol.requests import in_ms


def schedule(id: str, **more: object) -> dict[str, object]:
    """The data of a `schedule.create`: seldom enough that it does not fire."""
    return {
        "id": id,
        "cron": "0 0 1 1 *",
        "promiseId": "{{.id}}.{{.timestamp}}",
        "promiseTimeout": 60_000,
        "promiseTags": {"resonate:target": "g"},
        **more,
    }


async def test_a_schedule_is_created_once(server: Server, id: str):
    first = await server.do("schedule.create", schedule(id))
    again = await server.do("schedule.create", schedule(id, cron="* * * * *"))

    assert again == first == await server.do("schedule.get", {"id": id})
    found = first["schedule"]
    assert found["createdAt"] <= in_ms(0) < found["nextRunAt"]
    assert (found["cron"], found["promiseTimeout"]) == ("0 0 1 1 *", 60_000)
    assert (found["timezone"], found["overlap"], found["missed"]) == ("UTC", "allow", "all")
    assert "lastRunAt" not in found


async def test_a_schedule_is_deleted_once(server: Server, id: str):
    await server.do("schedule.create", schedule(id))

    assert await server.do("schedule.delete", {"id": id}) == {}
    assert (await server.ask("schedule.delete", {"id": id}))[0] == 404
    assert (await server.ask("schedule.get", {"id": id}))[0] == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": "now and then"},
        {"cron": "* * * * * *"},
        {"timezone": "Nowhere/Else"},
        {"promiseTimeout": -1},
        {"overlap": "perhaps"},
        {"promiseTags": {"resonate:target": "g", "resonate:timer": "true"}},
        {"promiseTags": {"resonate:target": "no address"}},
    ],
    ids=str,
)
async def test_a_malformed_schedule_is_refused(server: Server, id: str, wrong: dict[str, object]):
    status, reason = await server.ask("schedule.create", schedule(id) | wrong)

    assert status == 400
    assert isinstance(reason, str)
    assert (await server.ask("schedule.get", {"id": id}))[0] == 404


async def test_schedules_are_found_by_the_tags_of_their_promises(server: Server, id: str):
    await server.do("schedule.create", schedule(id, promiseTags={"mine": id}))

    page = await server.do("schedule.search", {"tags": {"mine": id}})

    assert [found["id"] for found in page["schedules"]] == [id]


@pytest.mark.parametrize("kind", ["start", "stop", "reset", "tick", "snap"])
async def test_nobody_debugs_a_server_that_is_not_set_up_for_it(server: Server, kind: str):
    status, reason = await server.ask(f"debug.{kind}", {"time": 5})

    assert status == 403
    assert f"debug.{kind} is refused" in reason
