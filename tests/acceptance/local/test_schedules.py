"""Schedules from a client: created once, looked at, ended; each instant is a call."""

import asyncio

import pytest

from resonate_sdk import AlreadyExistsError, InvalidError, NotFoundError
from resonate_sdk.testing import Environment

DAILY, HOURLY = "0 6 * * *", "0 * * * *"


def report(ctx, region):
    return region


def test_a_function_is_scheduled_once_however_often_that_is_said(resonate):
    function = resonate.register(report)

    first = resonate.schedule("daily", DAILY, function, "north")
    again = resonate.schedule("daily", DAILY, "report", "north")

    assert [schedule.id for schedule in resonate.schedules.search()] == ["daily"]
    assert (first.cron, first.next_run) == (again.cron, again.next_run)
    assert again.last_run is None
    assert list(first.runs()) == []


@pytest.mark.parametrize(
    ("cron", "region"), [(HOURLY, "north"), (DAILY, "south")], ids=["calendar", "arguments"]
)
def test_another_definition_under_the_same_id_is_refused_with_advice(resonate, cron, region):
    function = resonate.register(report)
    resonate.schedule("daily", DAILY, function, "north")

    with pytest.raises(AlreadyExistsError, match="exists with another definition: delete it, or"):
        resonate.schedule("daily", cron, function, region)
    assert resonate.schedules.get("daily").cron == DAILY


def test_a_definition_is_replaced_if_that_is_wanted(resonate):
    resonate.schedules.create("daily", DAILY, param=1)
    replaced = resonate.schedules.create("daily", HOURLY, param=1, replace=True)

    assert replaced.cron == HOURLY
    assert resonate.schedules.get("daily").cron == HOURLY


def test_a_schedule_is_found_by_its_tags_and_says_what_it_is_for(resonate):
    resonate.schedules.create("other", HOURLY, tags={"team": "b"})
    how = {"tags": {"team": "a"}, "promise_tags": {"region": "north"}, "description": "sums up"}
    resonate.schedules.create("daily", DAILY, **how)
    resonate.schedules.create("daily", DAILY, **how)

    (found,) = resonate.schedules.search(tags={"team": "a"})
    assert (found.id, found.description) == ("daily", "sums up")
    assert found.tags == {"team": "a", "region": "north"}
    assert resonate.schedules.get("other").description == ""


def test_a_deleted_schedule_is_gone(resonate):
    resonate.schedule("daily", DAILY, resonate.register(report), "north").delete()

    with pytest.raises(NotFoundError):
        resonate.schedules.get("daily")
    with pytest.raises(NotFoundError):
        resonate.schedules.delete("daily")


def test_a_calendar_that_is_none_is_refused(resonate):
    with pytest.raises(InvalidError, match="cron"):
        resonate.schedules.create("daily", "every morning")


def test_a_function_schedules_itself_with_its_own_options(resonate):
    function = resonate.register(report)

    daily = function.options(tags={"team": "a"}, target="reports", timeout=60).schedule(
        "daily", DAILY, region="north"
    )

    assert [schedule.id for schedule in resonate.schedules.search(tags={"team": "a"})] == ["daily"]
    assert daily.cron == DAILY
    again = resonate.schedule(
        "daily",
        DAILY,
        function.options(tags={"team": "a"}, target="reports", timeout=60),
        region="north",
    )
    assert again.next_run == daily.next_run
    with pytest.raises(AlreadyExistsError):
        function.schedule("daily", DAILY, region="north")


def test_each_instant_is_one_call_with_the_arguments_at_the_target():
    runs: list[tuple[str, str, int]] = []

    def sums_up(ctx, region, *, year):
        runs.append((ctx.id, region, year))

    with Environment(start="2026-01-01T00:30Z") as env:
        client = env.client("callers")
        worker = env.worker("reports", register=[sums_up])
        daily = client.options(target="reports", timeout=60, tags={"team": "a"}).schedule(
            "daily", DAILY, "sums_up", "north", year=2026
        )
        env.advance(hours=36)
        env.restart(worker)
        env.advance(hours=24)
        occurrences = list(daily.runs())

        ids = {occurrence.id for occurrence in occurrences}
        assert len(ids) == len(occurrences) == 3
        assert {id.partition(".")[0] for id in ids} == {"daily"}
        assert runs == [(id, "north", 2026) for id, *_ in runs]
        assert sorted(id for id, *_ in runs) == sorted(ids)
        for occurrence in occurrences:
            assert occurrence.resolved
            assert occurrence.tags["resonate:target"] == "amqp://any@reports"
            assert occurrence.tags["team"] == "a"
            assert occurrence.timeout_at - occurrence.created_at <= 60_000
        daily.delete()
        env.advance(hours=24)
        assert len(runs) == 3


def test_a_program_of_coroutines_has_schedules_as_well(resonate):
    function = resonate.register(report)

    async def main():
        aio = resonate.aio
        made = await aio.schedule("daily", DAILY, function, "north")
        await aio.schedules.create("hourly", HOURLY, param=1, timezone="Europe/Berlin")
        found = [schedule.id for schedule in await aio.schedules.search()]
        runs = await made.runs()
        await made.delete()
        await aio.schedules.delete("hourly")
        with pytest.raises(NotFoundError):
            await aio.schedules.get("daily")
        return found, runs, (await aio.pending_versions("report"))

    assert asyncio.run(main()) == (["daily", "hourly"], [], {1: 0})
