"""Requests about promises, over both transports."""

import pytest

from tests.contract.protocol.conftest import Server
from tests.contract.protocol.requests import create, in_ms, settle, start


async def test_a_promise_is_created_once(server: Server, id: str):
    first = await server.do("promise.create", create(id))

    again = await server.do("promise.create", create(id, 5, timer="true"))

    assert again == first
    promise = first["promise"]
    assert promise["state"] == "pending"
    assert promise["tags"] == {"resonate:external": "true"}
    assert (promise["param"], promise["value"]) == ({"data": "p"}, {})
    assert "settledAt" not in promise
    assert await server.do("promise.get", {"id": id}) == first


async def test_a_promise_that_nobody_made_is_not_found(server: Server, id: str):
    assert (await server.ask("promise.get", {"id": id}))[0] == 404
    assert (await server.ask("promise.settle", settle(id)))[0] == 404
    assert (await server.ask("task.get", {"id": id}))[0] == 404


@pytest.mark.parametrize("state", ["resolved", "rejected", "rejected_canceled"])
async def test_a_promise_is_settled_once(server: Server, id: str, state: str):
    await server.do("promise.create", create(id))

    first = await server.do("promise.settle", settle(id, state))
    again = [
        await server.do("promise.settle", settle(id, other, "other"))
        for other in ("resolved", "rejected", "rejected_canceled")
    ]

    assert again == [first, first, first]
    assert (first["promise"]["state"], first["promise"]["value"]) == (state, {"data": "v"})
    assert first["promise"]["settledAt"] <= in_ms(0)


@pytest.mark.parametrize(
    ("tags", "state"),
    [({"timer": "true"}, "resolved"), ({}, "rejected_timedout")],
    ids=["timer", "other"],
)
async def test_a_promise_may_be_born_past_its_deadline(
    server: Server, id: str, tags: dict[str, str], state: str
):
    wanted = create(id, -1_000, **tags)

    promise = (await server.do("promise.create", wanted))["promise"]

    assert promise["state"] == state
    assert promise["createdAt"] == promise["settledAt"] == wanted["timeoutAt"]
    assert (await server.do("promise.settle", settle(id)))["promise"] == promise


async def test_a_task_is_born_with_its_promise(server: Server, id: str):
    await server.do("promise.create", create(id, target="g"))

    task = (await server.do("task.get", {"id": id}))["task"]

    assert task == {"id": id, "state": "pending", "version": 0, "resumes": 0}


async def test_a_promise_without_a_target_has_no_task(server: Server, id: str):
    await server.do("promise.create", create(id))

    assert (await server.ask("task.get", {"id": id}))[0] == 404
    assert (await server.ask("task.create", start(id, "w")))[0] == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": {"resonate:timer": "true", "resonate:target": "g"}},
        {"tags": {"resonate:target": "no address"}},
        {"tags": {"resonate:delay": "5"}},
        {"tags": {"resonate:target": "g", "resonate:delay": "soon"}},
        {"timeoutAt": -1},
        {"timeoutAt": "soon"},
        {"id": ""},
    ],
    ids=str,
)
async def test_a_malformed_creation_is_refused(server: Server, id: str, wrong: dict[str, object]):
    status, reason = await server.ask("promise.create", create(id) | wrong)

    assert status == 400
    assert isinstance(reason, str)
    assert (await server.ask("promise.get", {"id": id}))[0] == 404


async def test_only_external_promises_are_awaited_and_listened_to(server: Server, id: str):
    awaiter, internal = f"{id}.w", f"{id}.i"
    await server.do("promise.create", create(awaiter, target="g"))
    await server.do("promise.create", create(internal, scope="local"))

    await_ = {"awaited": internal, "awaiter": awaiter}
    listen = {"awaited": internal, "address": "poll://uni@g/w"}

    assert (await server.ask("promise.register_callback", await_))[0] == 422
    assert (await server.ask("promise.register_listener", listen))[0] == 422


async def test_who_awaits_needs_a_task(server: Server, id: str):
    plain, other = f"{id}.p", f"{id}.o"
    await server.do("promise.create", create(plain))
    await server.do("promise.create", create(other))

    async def status(awaited: str, awaiter: str) -> int:
        data = {"awaited": awaited, "awaiter": awaiter}
        return (await server.ask("promise.register_callback", data))[0]

    assert await status(plain, other) == 422
    assert await status(plain, f"{id}.missing") == 422
    assert await status(f"{id}.missing", other) == 404
    assert await status(plain, plain) == 400


async def test_a_listener_is_told_when_the_promise_settles(server: Server, id: str, group: str):
    await server.transport.attach(group)
    await server.do("promise.create", create(id))
    address = f"poll://uni@{group}/{server.pid}"
    await server.do("promise.register_listener", {"awaited": id, "address": address})

    settled = await server.do("promise.settle", settle(id))
    news = await server.transport.next_message()

    assert news["kind"] == "notify"
    assert news["data"] == settled


async def test_who_creates_a_promise_may_be_told_when_it_settles(
    server: Server, id: str, group: str
):
    await server.transport.attach(group)
    listener = {"listener": f"poll://uni@{group}/{server.pid}"}
    await server.do("promise.create", create(id) | listener)
    await server.do("promise.create", create(id) | listener)

    settled = await server.do("promise.settle", settle(id))
    news = await server.transport.next_message()

    assert (news["kind"], news["data"]) == ("notify", settled)
    assert await server.do("promise.create", create(id) | listener) == settled


async def test_promises_are_found_by_their_tags(server: Server, id: str):
    ids = [f"{id}.{number}" for number in range(3)]
    for each in ids:
        await server.do("promise.create", create(each, origin=id))
    await server.do("promise.settle", settle(ids[1]))

    async def found(**more: object) -> list[str]:
        data = {"tags": {"resonate:origin": id}, **more}
        page = await server.do("promise.search", data)
        return [promise["id"] for promise in page["promises"]]

    assert await found() == ids
    assert await found(state="resolved") == [ids[1]]
    assert await found(cursor=ids[0]) == ids[1:]


async def test_a_kind_that_nobody_knows_is_refused(server: Server):
    assert (await server.ask("promise.do", {"id": "a"}))[0] == 400
