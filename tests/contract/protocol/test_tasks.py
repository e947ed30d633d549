"""Requests about tasks, over both transports."""

import pytest

from tests.contract.protocol.conftest import Server
from tests.contract.protocol.requests import (
    acquire,
    create,
    fence,
    fulfill,
    settle,
    start,
    suspend,
)


async def task(server: Server, id: str) -> dict[str, object]:
    return (await server.do("task.get", {"id": id}))["task"]


async def test_a_task_is_created_and_held_at_once(server: Server, id: str):
    granted = await server.do("task.create", start(id, "w", 5_000))

    assert granted["task"] == {
        "id": id, "state": "acquired", "version": 1, "resumes": 0, "ttl": 5_000, "pid": "w",
    }  # fmt: skip
    assert granted["promise"]["state"] == "pending"
    assert granted["preload"] == []
    assert (await server.ask("task.create", start(id, "w")))[0] == 409


@pytest.mark.parametrize("kind", ["task.create", "task.acquire"])
async def test_a_preload_is_of_the_branch_that_the_same_message_has_given_the_promise(
    server: Server, id: str, kind: str
):
    await server.do("promise.create", create(f"{id}.1", target="g", branch=id, parent=id))
    new = create(f"{id}.2", target="g", branch=id, parent=id)
    wanted = {
        "task.create": start(f"{id}.2", "w"),  # another branch, as far as it knows
        "task.acquire": acquire(f"{id}.2", 0),
    }[kind]

    _, (_, granted) = await server.ask_all(
        ("promise.create", new), (kind, wanted | {"preload": True})
    )

    assert [promise["id"] for promise in granted["preload"]] == [f"{id}.1"]


@pytest.mark.parametrize("of", [None, "elsewhere"])
async def test_a_preload_is_of_the_branch_whatever_is_called_like_it(
    server: Server, id: str, of: str | None
):
    namesake = create(id) if of is None else create(id, branch=of)
    await server.do("promise.create", namesake)
    await server.do("promise.create", create(f"{id}.1", target="g", branch=id))
    action = {"kind": "promise.create", "data": create(f"{id}.2", target="g", branch=id)}

    granted = await server.do("task.create", start(f"{id}.2", "w") | {"action": action})

    assert [promise["id"] for promise in granted["preload"]] == [f"{id}.1"]


async def test_a_task_whose_promise_is_settled_is_given_as_fulfilled(server: Server, id: str):
    await server.do("promise.create", create(id, target="g"))
    await server.do("promise.settle", settle(id))

    granted = await server.do("task.create", start(id, "w"))

    assert (granted["task"]["state"], granted["task"]["version"]) == ("fulfilled", 0)
    assert granted["promise"]["state"] == "resolved"


async def test_a_version_is_granted_once(server: Server, id: str):
    await server.do("promise.create", create(id, target="g"))

    granted = await server.do("task.acquire", acquire(id, 0))
    again = await server.ask("task.acquire", acquire(id, 0))
    early = await server.ask("task.acquire", acquire(id, 1))
    missing = await server.ask("task.acquire", acquire(f"{id}.missing", 0))

    assert granted["task"]["version"] == 1
    assert [again[0], early[0], missing[0]] == [409, 409, 404]


async def test_a_released_task_is_pending_at_the_same_version(server: Server, id: str):
    await server.do("task.create", start(id, "w"))

    released = await server.do("task.release", {"id": id, "version": 1})

    assert released == {}
    assert await task(server, id) == {"id": id, "state": "pending", "version": 1, "resumes": 0}
    assert (await server.do("task.acquire", acquire(id, 1)))["task"]["version"] == 2


@pytest.mark.parametrize("kind", ["task.release", "task.fulfill", "task.suspend", "task.fence"])
async def test_only_the_holder_at_its_version_may_go_on(server: Server, id: str, kind: str):
    other = f"{id}.o"
    await server.do("promise.create", create(other))
    await server.do("task.create", start(id, "w"))

    async def status(id: str, version: int) -> int:
        data = {
            "task.release": {"id": id, "version": version},
            "task.fulfill": fulfill(id, version),
            "task.suspend": suspend(id, version, other),
            "task.fence": fence(id, version, "promise.settle", settle(other)),
        }[kind]
        return (await server.ask(kind, data))[0]

    assert await status(f"{id}.missing", 1) == 404
    assert [await status(id, 0), await status(id, 2)] == [409, 409]
    assert (await server.do("promise.get", {"id": other}))["promise"]["state"] == "pending"
    assert (await task(server, id))["state"] == "acquired"
    assert await status(id, 1) == 200


async def test_a_task_is_fulfilled_with_its_promise(server: Server, id: str):
    await server.do("task.create", start(id, "w"))

    settled = await server.do("task.fulfill", fulfill(id, 1, "rejected"))

    assert (settled["promise"]["state"], settled["promise"]["value"]) == ("rejected", {"data": "v"})
    assert await task(server, id) == {"id": id, "state": "fulfilled", "version": 1, "resumes": 0}
    assert (await server.ask("task.fulfill", fulfill(id, 1)))[0] == 409


async def test_a_suspended_task_wakes_when_one_of_those_it_awaits_settles(server: Server, id: str):
    first, second = f"{id}.1", f"{id}.2"
    for awaited in (first, second):
        await server.do("promise.create", create(awaited))
    await server.do("task.create", start(id, "w"))

    assert await server.do("task.suspend", suspend(id, 1, first, second)) == {}
    assert (await task(server, id))["state"] == "suspended"
    await server.do("promise.settle", settle(second))
    await server.do("promise.settle", settle(first))

    assert await task(server, id) == {"id": id, "state": "pending", "version": 1, "resumes": 2}


async def test_who_awaits_what_is_settled_does_not_sleep(server: Server, id: str):
    settled, pending = f"{id}.1", f"{id}.2"
    for awaited in (settled, pending):
        await server.do("promise.create", create(awaited, branch=id))
    await server.do("promise.settle", settle(settled))
    await server.do("task.create", start(id, "w"))

    status, answer = await server.ask("task.suspend", suspend(id, 1, pending, settled))

    assert (status, "preload" in answer) == (300, True)
    assert (await task(server, id))["state"] == "acquired"
    await server.do("promise.settle", settle(pending))
    assert (await task(server, id))["resumes"] == 0  # no callback was registered


async def test_only_what_exists_and_is_external_can_be_slept_for(server: Server, id: str):
    internal, settled = f"{id}.i", f"{id}.s"
    await server.do("promise.create", create(internal, scope="local"))
    await server.do("promise.create", create(settled))
    await server.do("promise.settle", settle(settled))
    await server.do("task.create", start(id, "w"))

    async def status(*awaited: str) -> int:
        return (await server.ask("task.suspend", suspend(id, 1, *awaited)))[0]

    assert await status(settled, internal) == 422
    assert await status(settled, f"{id}.missing") == 422
    assert [await status(), await status(id), await status(settled, settled)] == [400, 400, 400]


async def test_a_fence_carries_out_its_action_and_says_what_that_answered(server: Server, id: str):
    child = f"{id}.1"
    await server.do("task.create", start(id, "w"))

    async def inner(kind: str, data: object) -> tuple[int, object]:
        answer = await server.do("task.fence", fence(id, 1, kind, data))
        action = answer["action"]
        assert action["kind"] == kind
        assert action["head"]["corrId"] == "inner"
        return action["head"]["status"], action["data"]

    missing, _ = await inner("promise.settle", settle(child))
    created, _ = await inner("promise.create", create(child))
    malformed, _ = await inner("promise.create", create(f"{id}.2", delay="1"))
    settled, _ = await inner("promise.settle", settle(child))

    assert [missing, created, malformed, settled] == [404, 200, 400, 200]
    assert (await server.do("promise.create", create(child)))["promise"]["state"] == "resolved"
    assert (await server.ask("task.fence", fence(id, 1, "promise.settle", settle(id))))[0] == 400


async def test_a_heartbeat_names_what_is_lost_and_refuses_nothing(server: Server, id: str):
    await server.do("task.create", start(id, "w"))
    held, stale = {"id": id, "version": 1}, {"id": id, "version": 0}

    assert await server.do("task.heartbeat", {"pid": "w", "tasks": [held]}) == {}
    lost = await server.do("task.heartbeat", {"pid": "w", "tasks": [held, stale]})
    other = await server.do("task.heartbeat", {"pid": "x", "tasks": [held]})

    assert (lost, other) == ({"lost": [stale]}, {"lost": [held]})
    assert (await server.ask("task.heartbeat", {"pid": "w", "tasks": []}))[0] == 400


async def test_a_halted_task_rests_until_it_is_continued(server: Server, id: str):
    await server.do("task.create", start(id, "w"))

    assert await server.do("task.halt", {"id": id}) == {}
    assert await server.do("task.halt", {"id": id}) == {}
    assert await task(server, id) == {"id": id, "state": "halted", "version": 1, "resumes": 0}
    assert (await server.ask("task.fulfill", fulfill(id, 1)))[0] == 409
    assert await server.do("task.continue", {"id": id}) == {}
    assert (await server.ask("task.continue", {"id": id}))[0] == 409
    assert (await server.do("task.acquire", acquire(id, 1)))["task"]["version"] == 2


@pytest.mark.parametrize("kind", ["task.halt", "task.continue"])
async def test_a_fulfilled_task_is_neither_halted_nor_continued(server: Server, id: str, kind: str):
    await server.do("promise.create", create(id, -5, target="g"))

    assert (await server.ask(kind, {"id": id}))[0] == 409
    assert (await server.ask(kind, {"id": f"{id}.missing"}))[0] == 404


async def test_tasks_are_found_by_their_state(server: Server, id: str):
    await server.do("task.create", start(id, "w"))
    await server.do("task.halt", {"id": id})
    before = id[:-1]

    page = await server.do("task.search", {"state": "halted", "cursor": before, "limit": 10})

    assert id in [found["id"] for found in page["tasks"]]
    assert {found["state"] for found in page["tasks"]} == {"halted"}


async def test_a_worker_is_told_to_start_and_to_go_on(server: Server, id: str, group: str):
    await server.transport.attach(group)
    await server.do("promise.create", create(id, target=group))
    invoke = await server.transport.next_message()
    await server.do("task.acquire", acquire(id, 0))
    await server.do("promise.create", create(f"{id}.1"))
    await server.do("task.suspend", suspend(id, 1, f"{id}.1"))

    await server.do("promise.settle", settle(f"{id}.1"))
    resume = await server.transport.next_message()

    assert (invoke["kind"], invoke["data"]["task"]) == ("invoke", {"id": id, "version": 0})
    assert (resume["kind"], resume["data"]["task"]) == ("resume", {"id": id, "version": 1})


async def test_a_lost_lease_gives_the_task_back_at_the_same_version(
    server: Server, id: str, group: str
):
    await server.transport.attach(group)
    await server.do("promise.create", create(id, target=group))
    await server.transport.next_message()
    await server.do("task.acquire", acquire(id, 0, ttl=1))

    again = await server.transport.next_message()

    assert again["data"]["task"] == {"id": id, "version": 1}


async def test_a_chain_is_attempted_until_an_item_is_refused(server: Server, id: str):
    answers = await server.ask_all(
        ("promise.create", create(id)),
        ("promise.settle", settle(f"{id}.missing")),
        ("promise.settle", settle(id)),
        chain="x",
    )

    assert [status for status, _ in answers] == [200, 404, 409]
    assert (await server.do("promise.get", {"id": id}))["promise"]["state"] == "pending"
