"""A request arrives twice: it has one effect, and the same answer where the protocol says so."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resonate_broker.config import Config
from resonate_broker.kernel.entries import SQE, Submitted
from resonate_broker.kernel.system import System
from resonate_sdk.clock import now_ms
from resonate_sdk.protocol import limits
from tests.acceptance.recovery.deployment import Deployment
from tests.integration.amqp.foreign import (
    OK,
    ForeignClient,
    Json,
    create,
    foreign_client,
    request,
    settle,
    statuses,
    task_for,
)
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread, lose_answers_and_acknowledgements

CONFLICT = 409
LEASE_MS = 60_000

StartServer = Callable[[], ServerThread]


def acquire(id: str, version: int = 0, pid: str = "me") -> Json:
    return {"id": id, "version": version, "pid": pid, "ttl": LEASE_MS}


def action(kind: str, data: Json) -> Json:
    return {"kind": kind, "head": {}, "data": data}


def await_on(id: str, awaited: str) -> Json:
    callback = action("promise.register_callback", {"awaited": awaited, "awaiter": id})
    return {"id": id, "version": 1, "actions": [callback]}


# By kind: a request, and what was sent before it. `t` is a task, `p` a plain promise.
P: tuple[str, Json] = ("promise.create", create("p"))
T: tuple[str, Json] = ("promise.create", create("t", tags=task_for("group")))
HELD: tuple[str, Json] = ("task.acquire", acquire("t"))
ABSORBED: dict[str, tuple[list[tuple[str, Json]], Json]] = {
    "promise.create": ([], create("new", param={"data": "1"})),
    "promise.settle": ([P], settle("p", "1")),
    "promise.get": ([P], {"id": "p"}),
    "promise.register_callback": ([P, T], {"awaited": "p", "awaiter": "t"}),
    "promise.register_listener": ([P], {"awaited": "p", "address": "amqp://uni@group/me"}),
    "task.get": ([T], {"id": "t"}),
    "task.fence": (
        [T, HELD],
        {"id": "t", "version": 1, "action": action("promise.create", create("t.1"))},
    ),
    "task.heartbeat": ([T, HELD], {"pid": "me", "tasks": [{"id": "t", "version": 1}]}),
}
REFUSED: dict[str, tuple[list[tuple[str, Json]], Json]] = {
    "task.acquire": ([T], acquire("t")),
    "task.release": ([T, HELD], {"id": "t", "version": 1}),
    "task.fulfill": (
        [T, HELD],
        {"id": "t", "version": 1, "action": action("promise.settle", settle("t", "1"))},
    ),
    "task.suspend": ([P, T, HELD], await_on("t", "p")),
    "task.create": (
        [],
        {
            "pid": "me",
            "ttl": LEASE_MS,
            "action": action("promise.create", create("t", tags=task_for("group"))),
        },
    ),
}


EVERY_YEAR: Json = {
    "id": "s",
    "cron": "0 0 1 1 *",
    "promiseId": "s.{{.timestamp}}",
    "promiseTimeout": 1,
}


async def prepare(client: ForeignClient, before: list[tuple[str, Json]]) -> None:
    if before:
        answers = await client.ask_all([request(kind, data) for kind, data in before])
        assert set(statuses(answers)) == {OK}


@pytest.mark.parametrize("kind", ABSORBED)
async def test_a_message_that_arrives_twice_gets_the_same_answer_and_has_one_effect(
    client: ForeignClient, rows: Rows, kind: str
):
    before, data = ABSORBED[kind]
    await prepare(client, before)
    body = json.dumps(request(kind, data, corr_id="c")).encode()

    await client.send(body, key=kind)
    first = await client.answers.next_json()
    stored = await rows.all()
    await client.send(body, key=kind)
    second = await client.answers.next_json()

    assert first["head"]["status"] == OK
    assert second == first
    assert await rows.all() == stored


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_message_that_is_no_repetition_by_itself_is_refused_the_second_time(
    client: ForeignClient, rows: Rows, kind: str
):
    before, data = REFUSED[kind]
    await prepare(client, before)
    body = json.dumps(request(kind, data, corr_id="c")).encode()

    await client.send(body, key=kind)
    first = await client.answers.next_json()
    stored = await rows.all()
    await client.send(body, key=kind)
    second = await client.answers.next_json()

    assert (first["head"]["status"], second["head"]["status"]) == (OK, CONFLICT)
    assert await rows.all() == stored


async def test_who_is_refused_what_he_holds_finds_out_by_reading(client: ForeignClient):
    await prepare(client, [T, HELD])

    refused = await client.ask("task.acquire", acquire("t"))
    task = await client.task("t")

    assert refused["head"]["status"] == CONFLICT
    assert (task["state"], task["pid"], task["version"]) == ("acquired", "me", 1)


@pytest.mark.parametrize("form", ["objects", "array"])
async def test_what_a_server_committed_before_it_died_is_answered_by_the_next_one(
    config: Config, start_server: StartServer, rows: Rows, form: str
):
    dying = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        lose_answers_and_acknowledgements(dying)
        requests = [
            request("promise.create", create("p", param={"data": "1"}), corr_id="0"),
            request("promise.settle", settle("p", "2"), corr_id="1"),
            request("promise.create", create("last"), corr_id="2"),
        ]
        for message in [requests] if form == "array" else requests:
            await client.send(message)
        await rows.until_exists("last")
        committed = await rows.all()

        dying.stop()
        start_server()
        answers: list[Json] = []
        while len(answers) < len(requests):
            answer = await client.answers.next_json()
            answers += answer if isinstance(answer, list) else [answer]

        assert statuses(answers) == [OK] * len(requests)
        assert [answer["head"]["corrId"] for answer in answers] == ["0", "1", "2"]
        assert answers[1]["data"]["promise"]["value"] == {"data": "2"}
        assert await rows.all() == committed
        assert client.answers.is_empty


async def test_what_comes_again_shares_its_batch_with_its_own_delivery_only(
    config: Config,
    start_server: StartServer,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
):
    """C6: it may be what has killed the server before."""
    submitted: list[tuple[str, int | None]] = []
    submit = System.submit

    def note(system: System, sqe: SQE[Any, Any], **how: bool) -> bool:
        if isinstance(sqe.submission, Submitted):
            id = getattr(sqe.submission.request, "id", "")
            submitted.append((id, sqe.submission.solitary))
        return submit(system, sqe, **how)

    dying = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        lose_answers_and_acknowledgements(dying)
        await client.send([request("promise.create", create(id)) for id in ("a", "b")])
        await client.send(request("promise.create", create("c")))
        await rows.until_exists("c")
        dying.stop()
        monkeypatch.setattr(System, "submit", note)
        start_server()
        for _ in range(2):
            await client.answers.next()
        await client.promise("a")

    found = dict(submitted[:3])
    assert [*found] == ["a", "b", "c"]
    assert found["a"] == found["b"] != found["c"]
    assert None not in found.values()
    assert submitted[3:] == [("a", None)]


# By kind: what was sent before, and a request without a version: a repetition undoes what came after.
UNVERSIONED: dict[str, tuple[list[tuple[str, Json]], Json]] = {
    "task.halt": ([T], {"id": "t"}),
    "task.continue": ([T, ("task.halt", {"id": "t"})], {"id": "t"}),
    "schedule.create": ([], EVERY_YEAR),
    "schedule.delete": ([("schedule.create", EVERY_YEAR)], {"id": "s"}),
}


@pytest.mark.parametrize("is_old", [True, False], ids=["old", "young"])
async def test_what_has_no_version_is_not_carried_out_again_after_a_while(
    config: Config, start_server: StartServer, rows: Rows, is_old: bool
):
    """C13."""
    dying = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        for before, _ in UNVERSIONED.values():
            await prepare(client, before)
        lose_answers_and_acknowledgements(dying)
        age_s = limits.REPEAT_MS_MAX // 1000 + 5 if is_old else 0
        sent_at = datetime.fromtimestamp(now_ms() / 1000 - age_s, UTC)
        bodies = [request(kind, data, corr_id=kind) for kind, (_, data) in UNVERSIONED.items()]
        await client.send([*bodies, request("promise.create", create("last"))], timestamp=sent_at)
        await rows.until_exists("last")

        dying.stop()
        start_server()
        answers = {a["head"]["corrId"]: a for a in await client.take_answers(len(bodies) + 1)}

        found = {kind: answers[kind]["head"]["status"] for kind in UNVERSIONED}
        assert found == dict.fromkeys(UNVERSIONED, CONFLICT if is_old else OK)
        texts = [str(answers[kind]["data"]) for kind in UNVERSIONED]
        assert is_old == all("redelivered" in text for text in texts)


async def test_a_task_acquired_from_a_server_that_died_is_found_by_its_holder(
    config: Config, start_server: StartServer, rows: Rows
):
    dying = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        await prepare(client, [T])
        lose_answers_and_acknowledgements(dying)
        await client.send(
            [
                request("task.acquire", acquire("t"), corr_id="acquire"),
                request("promise.create", create("last"), corr_id="last"),
            ]
        )
        await rows.until_exists("last")

        dying.stop()
        start_server()
        answers = await client.take_answers(2)
        task = await client.task("t")

        status = {answer["head"]["corrId"]: answer["head"]["status"] for answer in answers}
        assert status == {"acquire": CONFLICT, "last": OK}
        assert (task["state"], task["pid"], task["version"]) == ("acquired", "me", 1)


async def test_requests_that_arrive_while_a_server_is_killed_are_all_answered_by_the_next(
    config: Config, tmp_path: Path
):
    count = 400
    place = (config.url, config.database_url, config.namespace)
    with Deployment(tmp_path, *place) as deployment:
        server = await asyncio.to_thread(deployment.start_server)
        async with foreign_client(config.url, config.namespace) as client:
            await client.use_queue("mine")
            async with asyncio.TaskGroup() as sending:
                for number in range(count):
                    data = create(f"p{number}"), settle(f"p{number}", "1")
                    chain = [
                        request("promise.create", data[0], corr_id=f"{number} create"),
                        request("promise.settle", data[1], corr_id=f"{number} settle"),
                    ]
                    sending.create_task(client.send(chain))
                    if number == count // 2:
                        sending.create_task(asyncio.to_thread(deployment.kill, server))
            await asyncio.to_thread(deployment.start_server)
            await client.send([request("promise.get", {"id": "p0"}, corr_id="end")])
            status: dict[str, int] = {}
            while "end" not in status:
                for answer in await client.answers.next_json():
                    status[answer["head"]["corrId"]] = answer["head"]["status"]

            assert set(status.values()) == {OK}
            promises = [await client.promise(f"p{number}") for number in range(count)]
            assert {promise["value"]["data"] for promise in promises} == {"1"}


async def test_a_standby_takes_over_where_the_active_server_stopped(
    config: Config, start_server: StartServer
):
    count = 200
    active = start_server()
    start_server()  # stands by: the queue has a single active consumer
    async with foreign_client(config.url, config.namespace) as client:
        async with asyncio.TaskGroup() as sending:
            for number in range(count):
                body = request("promise.create", create(f"p{number}"), corr_id=f"{number}")
                sending.create_task(client.send(body))
                if number == count // 2:
                    sending.create_task(asyncio.to_thread(active.stop))

        answers = [await client.answers.next_json() for _ in range(count)]

        assert statuses(answers) == [OK] * count
        assert {answer["head"]["corrId"] for answer in answers} == {f"{n}" for n in range(count)}
