"""One envelope or an array of them: the answer has the form of its request, and its order."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from resonate_broker.config import Config
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
from tests.integration.amqp.server import ServerThread

CONFLICT = 409
MALFORMED = 400
NOT_FOUND = 404
NOT_ATTEMPTED = "not attempted"


@pytest.fixture
def server(module_server: ServerThread) -> ServerThread:
    return module_server


@pytest.fixture
def id(namespace: str) -> str:
    """An id that only this test knows: the server is shared."""
    return namespace


def status_by_corr_id(answers: list[dict[str, Json]]) -> dict[str, int]:
    return {answer["head"]["corrId"]: answer["head"]["status"] for answer in answers}


async def test_an_envelope_is_answered_with_an_envelope(client: ForeignClient, id: str):
    await client.send(
        request("promise.create", create(id), corr_id="mine"), correlation_id="of the message"
    )

    message = await client.answers.next()

    answer = json.loads(message.body)
    assert answer["kind"] == "promise.create"
    assert answer["head"]["corrId"] == "mine"
    assert message.correlation_id == "of the message"
    assert message.type == "promise.create"
    assert isinstance(message.headers["resonate-now"], int)
    assert message.headers["resonate-now"] >= answer["data"]["promise"]["createdAt"]


async def test_an_array_of_one_is_answered_with_an_array(client: ForeignClient, id: str):
    await client.send([request("promise.create", create(id), corr_id="mine")])

    answer = await client.answers.next_json()

    assert [item["head"]["corrId"] for item in answer] == ["mine"]


@pytest.mark.parametrize("count", [2, 50, 500])
async def test_an_array_is_carried_out_and_answered_in_its_order(
    client: ForeignClient, id: str, count: int
):
    requests = [
        request("promise.settle", settle(id, f"{number}"), corr_id=f"{number}")
        for number in range(1, count)
    ]

    answers = await client.ask_all([request("promise.create", create(id), corr_id="0"), *requests])

    assert [int(answer["head"]["corrId"]) for answer in answers] == list(range(count))
    assert set(statuses(answers)) == {OK}
    values = [answer["data"]["promise"]["value"].get("data") for answer in answers]
    assert values == [None, *["1"] * (count - 1)]  # the first settlement counts


async def test_every_item_of_an_array_has_the_kind_of_its_request(client: ForeignClient, id: str):
    kinds = {
        "promise.create": create(id, tags=task_for("nobody-serves-this")),
        "promise.get": {"id": id},
        "task.get": {"id": id},
        "promise.register_listener": {"awaited": id, "address": "nobody-listens"},
        "promise.settle": settle(id),
        "promise.eat": {},
    }

    answers = await client.ask_all(
        [request(kind, data, corr_id=kind) for kind, data in kinds.items()]
    )

    assert {answer["head"]["corrId"]: answer["kind"] for answer in answers} == {k: k for k in kinds}


async def test_what_a_strict_server_does_not_serve_breaks_its_chain_too(config: Config):
    with ServerThread(replace(config, strict=True)):
        async with foreign_client(config.url, config.namespace) as client:
            answers = await client.ask_all(
                [
                    request("promise.search", {}, corr_id="not served", chain="x"),
                    request("promise.create", create("a"), corr_id="rest", chain="x"),
                    request("promise.create", create("b"), corr_id="outside"),
                ]
            )

    assert status_by_corr_id(answers) == {"not served": 501, "rest": CONFLICT, "outside": OK}


async def test_the_rest_of_a_chain_behind_a_failed_item_is_not_attempted(
    client: ForeignClient, id: str
):
    answers = await client.ask_all(
        [
            request("promise.create", create(f"{id}.1"), corr_id="first", chain="x"),
            request("promise.settle", settle(f"{id}.missing"), corr_id="failed", chain="x"),
            request("promise.settle", settle(f"{id}.1"), corr_id="rest 1", chain="x"),
            request("promise.create", create(f"{id}.2"), corr_id="rest 2", chain="x"),
            request("promise.get", {"id": f"{id}.1"}, corr_id="outside"),
        ]
    )

    assert status_by_corr_id(answers) == {
        "first": OK,
        "failed": NOT_FOUND,
        "rest 1": CONFLICT,
        "rest 2": CONFLICT,
        "outside": OK,
    }
    rest = [answer for answer in answers if answer["head"]["corrId"].startswith("rest")]
    assert all(NOT_ATTEMPTED in answer["data"] for answer in rest)
    assert (await client.promise(f"{id}.1"))["state"] == "pending"
    missing = await client.ask("promise.get", {"id": f"{id}.2"})
    assert missing["head"]["status"] == NOT_FOUND


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("promise.get", {"id": ""}),
        ("promise.eat", {"id": "a"}),
        ("promise.get", "no object"),
        (7, {}),
        ("promise.create", create("t", tags=task_for("g") | {"resonate:timer": "true"})),
    ],
    ids=["over a limit", "unknown kind", "no data", "no envelope", "contradicts itself"],
)
async def test_a_malformed_item_breaks_its_chain_too(
    client: ForeignClient, id: str, kind: str, data: object
):
    answers = await client.ask_all(
        [
            request("promise.create", create(id), corr_id="before", chain="x"),
            request(kind, data, corr_id="malformed", chain="x"),
            request("promise.settle", settle(id), corr_id="behind", chain="x"),
        ]
    )

    assert status_by_corr_id(answers) == {
        "before": OK,
        "malformed": MALFORMED,
        "behind": CONFLICT,
    }
    assert (await client.promise(id))["state"] == "pending"


async def test_two_chains_of_one_message_are_independent(client: ForeignClient, id: str):
    answers = await client.ask_all(
        [
            request("promise.settle", settle(f"{id}.missing"), corr_id="x1", chain="x"),
            request("promise.create", create(f"{id}.y"), corr_id="y1", chain="y"),
            request("promise.create", create(f"{id}.x"), corr_id="x2", chain="x"),
            request("promise.settle", settle(f"{id}.y"), corr_id="y2", chain="y"),
        ]
    )

    assert status_by_corr_id(answers) == {"x1": NOT_FOUND, "y1": OK, "x2": CONFLICT, "y2": OK}
    assert (await client.promise(f"{id}.y"))["state"] == "resolved"


async def test_a_chain_of_the_same_name_in_another_message_is_another_chain(
    client: ForeignClient, id: str
):
    broken = [request("promise.settle", settle(f"{id}.missing"), corr_id="a", chain="x")]
    whole = [request("promise.create", create(id), corr_id="b", chain="x")]

    answers = [*await client.ask_all(broken), *await client.ask_all(whole)]

    assert status_by_corr_id(answers) == {"a": NOT_FOUND, "b": OK}


async def test_a_heartbeat_in_a_chain_waits_its_turn(client: ForeignClient, id: str):
    await client.ask("promise.create", create(id, tags=task_for(id)))
    acquire = {"id": id, "version": 0, "pid": "me", "ttl": 60_000}
    beat = {"pid": "me", "tasks": [{"id": id, "version": 1}]}
    missing = {"id": f"{id}.missing", "version": 0}

    answers = await client.ask_all(
        [
            request("task.acquire", acquire, corr_id="acquire", chain="x"),
            request("task.heartbeat", beat, corr_id="beat", chain="x"),
            request("task.release", missing, corr_id="missing", chain="x"),
            request("task.heartbeat", beat, corr_id="behind", chain="x"),
        ]
    )

    assert status_by_corr_id(answers) == {
        "acquire": OK,
        "beat": OK,
        "missing": NOT_FOUND,
        "behind": CONFLICT,
    }
    lost = [answer["data"].get("lost", []) for answer in answers if answer["head"]["status"] == OK]
    assert lost == [[], []]


async def test_a_heartbeat_outside_of_a_chain_goes_before_what_waits(
    client: ForeignClient, id: str
):
    await client.ask("promise.create", create(id, tags=task_for(id)))
    acquire = {"id": id, "version": 0, "pid": "me", "ttl": 60_000}
    beat = {"pid": "me", "tasks": [{"id": id, "version": 1}]}

    answers = await client.ask_all(
        [
            request("task.acquire", acquire, corr_id="acquire"),
            request("task.heartbeat", beat, corr_id="beat"),
        ]
    )

    assert status_by_corr_id(answers) == {"acquire": OK, "beat": OK}
    (beaten,) = [each["data"] for each in answers if each["head"]["corrId"] == "beat"]
    assert [lost["id"] for lost in beaten["lost"]] == [id]  # nobody had acquired it


@pytest.mark.parametrize("position", [0, 250, 498])
async def test_a_chain_breaks_wherever_it_fails(client: ForeignClient, id: str, position: int):
    requests = [
        request("promise.create", create(f"{id}.{number}"), corr_id=f"{number}", chain="x")
        for number in range(500)
    ]
    requests[position] = request(
        "promise.settle", settle(f"{id}.missing"), corr_id=f"{position}", chain="x"
    )

    status = status_by_corr_id(await client.ask_all(requests))

    behind = 500 - position - 1
    assert [status[f"{number}"] for number in range(500)] == [
        *[OK] * position,
        NOT_FOUND,
        *[CONFLICT] * behind,
    ]


def run_at_once(id: str, version: int, pid: str) -> list[dict[str, Json]]:
    """What a worker sends for a task whose body was short: C9."""
    fulfill = {
        "id": id,
        "version": version + 1,
        "action": {"kind": "promise.settle", "head": {}, "data": settle(id, pid)},
    }
    acquire = {"id": id, "version": version, "pid": pid, "ttl": 60_000}
    return [
        request("task.acquire", acquire, corr_id="acquire", chain=id),
        request("task.fulfill", fulfill, corr_id="fulfill", chain=id),
    ]


async def test_a_task_is_acquired_and_fulfilled_in_one_message(client: ForeignClient, id: str):
    await client.ask("promise.create", create(id, tags=task_for(id)))

    answers = await client.ask_all(run_at_once(id, 0, "me"))

    assert statuses(answers) == [OK, OK]
    assert (await client.promise(id))["value"] == {"data": "me"}
    task = await client.task(id)
    assert (task["state"], task["version"]) == ("fulfilled", 1)


async def test_who_did_not_get_a_task_does_not_fulfill_it_for_the_one_who_did(
    client: ForeignClient, id: str
):
    await client.ask("promise.create", create(id, tags=task_for(id)))
    acquire = {"id": id, "version": 0, "pid": "winner", "ttl": 60_000}
    await client.ask("task.acquire", acquire)
    before = await client.task(id)

    answers = await client.ask_all(run_at_once(id, 0, "loser"))

    assert status_by_corr_id(answers) == {"acquire": CONFLICT, "fulfill": CONFLICT}
    assert [NOT_ATTEMPTED in answer["data"] for answer in answers].count(True) == 1
    assert await client.task(id) == before
    assert before["pid"] == "winner"
    assert (await client.promise(id))["state"] == "pending"


@pytest.mark.parametrize(
    "acquire",
    [{"version": 1}, {"version": 7}, {"id": "missing"}, {"ttl": 0}, {"pid": "a b"}],
    ids=["early", "from nowhere", "of no task", "without a lease", "by nobody"],
)
async def test_a_refused_acquire_leaves_no_trace(
    client: ForeignClient, id: str, acquire: dict[str, Json]
):
    await client.ask("promise.create", create(id, tags=task_for(id)))
    before = await client.task(id), await client.promise(id)

    answer = await client.ask(
        "task.acquire", {"id": id, "version": 0, "pid": "me", "ttl": 60_000} | acquire
    )

    assert answer["head"]["status"] in (MALFORMED, NOT_FOUND, CONFLICT)
    assert (await client.task(id), await client.promise(id)) == before


async def test_the_requests_of_one_sender_are_carried_out_in_their_order(
    client: ForeignClient, id: str
):
    count = 250
    async with asyncio.TaskGroup() as sending:
        for number in range(count):
            one = f"{id}.{number}"
            for kind, data in (
                ("promise.create", create(one)),
                ("promise.settle", settle(one, "first")),
                ("promise.settle", settle(one, "second", "rejected")),
                ("promise.get", {"id": one}),
            ):
                body = request(kind, data, corr_id=f"{number} {kind}")
                sending.create_task(client.send(body, key=kind))

    answers = [await client.answers.next_json() for _ in range(4 * count)]

    assert set(statuses(answers)) == {OK}
    assert [answer["head"]["corrId"].split()[0] for answer in answers] == [
        f"{number}" for number in range(count) for _ in range(4)
    ]
    for created, settled, again, got in zip(*[iter(answers)] * 4, strict=True):
        assert created["data"]["promise"]["state"] == "pending"
        assert settled["data"]["promise"]["value"] == {"data": "first"}
        assert again["data"] == settled["data"]
        assert got["data"] == settled["data"]


async def test_single_requests_and_arrays_of_one_sender_keep_their_order(
    client: ForeignClient, id: str
):
    count = 50
    await client.send(request("promise.create", create(id)))
    for number in range(count):
        await client.send([request("promise.get", {"id": id}), request("promise.get", {"id": id})])
        await client.send(request("promise.create", create(f"{id}.{number}")))
        await client.send([request("promise.settle", settle(f"{id}.{number}", "x"))])
    await client.send(request("promise.settle", settle(id, "end")))

    answers: list[dict[str, Json]] = []
    while len(answers) < 2 + 4 * count:
        answer = await client.answers.next_json()
        answers += answer if isinstance(answer, list) else [answer]

    assert set(statuses(answers)) == {OK}
    for number in range(count):
        assert (await client.promise(f"{id}.{number}"))["state"] == "resolved"
