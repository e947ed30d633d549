"""The table of transitions of tasks, cell by cell, as the protocol has it; over both transports."""

from typing import Any

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

LEASE_MS = 60_000
REFUSED = (409, None)  # and everything stays as it was

# What each request is answered in each state, and the state of the task after it.
TABLE: dict[str, dict[str, tuple[int, str | None]]] = {
    "pending": {
        "create": (200, "acquired"),
        "acquire": (200, "acquired"),
        "suspend": REFUSED,
        "fulfill": REFUSED,
        "release": REFUSED,
        "fence": REFUSED,
        "heartbeat": (200, "pending"),
        "halt": (200, "halted"),
        "continue": REFUSED,
        "wake": (200, "pending"),
        "settle": (200, "fulfilled"),
    },
    "acquired": {
        "create": REFUSED,
        "acquire": REFUSED,
        "suspend": (200, "suspended"),
        "fulfill": (200, "fulfilled"),
        "release": (200, "pending"),
        "fence": (200, "acquired"),
        "heartbeat": (200, "acquired"),
        "halt": (200, "halted"),
        "continue": REFUSED,
        "wake": (200, "acquired"),
        "settle": (200, "fulfilled"),
    },
    "suspended": {
        "create": REFUSED,
        "acquire": REFUSED,
        "suspend": REFUSED,
        "fulfill": REFUSED,
        "release": REFUSED,
        "fence": REFUSED,
        "heartbeat": (200, "suspended"),
        "halt": (200, "halted"),
        "continue": REFUSED,
        "wake": (200, "pending"),
        "settle": (200, "fulfilled"),
    },
    "halted": {
        "create": REFUSED,
        "acquire": REFUSED,
        "suspend": REFUSED,
        "fulfill": REFUSED,
        "release": REFUSED,
        "fence": REFUSED,
        "heartbeat": (200, "halted"),
        "halt": (200, "halted"),
        "continue": (200, "pending"),
        "wake": (200, "halted"),
        "settle": (200, "fulfilled"),
    },
    "fulfilled": {
        "create": (200, "fulfilled"),
        "acquire": REFUSED,
        "suspend": REFUSED,
        "fulfill": REFUSED,
        "release": REFUSED,
        "fence": REFUSED,
        "heartbeat": (200, "fulfilled"),
        "halt": REFUSED,
        "continue": REFUSED,
        "wake": (200, "fulfilled"),
        "settle": (200, "fulfilled"),
    },
}
REQUESTS = tuple(TABLE["pending"])


class Execution:
    """A task in one state, at version 1, which is told when `awaited` settles."""

    def __init__(self, server: Server, id: str) -> None:
        self.server = server
        self.id = id
        self.awaited = f"{id}.awaited"

    async def bring_to(self, state: str) -> None:
        """Bring a new task into a state."""
        do = self.server.do
        await do("promise.create", create(self.awaited))
        await do("task.create", start(self.id, "w", LEASE_MS))
        if state == "suspended":
            await do("task.suspend", suspend(self.id, 1, self.awaited))
            return
        callback = {"awaited": self.awaited, "awaiter": self.id}
        await do("promise.register_callback", callback)
        match state:
            case "pending":
                await do("task.release", {"id": self.id, "version": 1})
            case "halted":
                await do("task.halt", {"id": self.id})
            case "fulfilled":
                await do("task.fulfill", fulfill(self.id, 1))
            case _:
                assert state == "acquired"

    async def ask(self, what: str) -> int:
        """Make the request of a column; return its status."""
        id = self.id
        child = fence(id, 1, "promise.create", create(f"{id}.child"))
        requests: dict[str, tuple[str, Any]] = {
            "create": ("task.create", start(id, "w", LEASE_MS)),
            "acquire": ("task.acquire", acquire(id, 1)),
            "suspend": ("task.suspend", suspend(id, 1, self.awaited)),
            "fulfill": ("task.fulfill", fulfill(id, 1)),
            "release": ("task.release", {"id": id, "version": 1}),
            "fence": ("task.fence", child),
            "heartbeat": ("task.heartbeat", {"pid": "w", "tasks": [{"id": id, "version": 1}]}),
            "halt": ("task.halt", {"id": id}),
            "continue": ("task.continue", {"id": id}),
            "wake": ("promise.settle", settle(self.awaited)),
            "settle": ("promise.settle", settle(id)),
        }
        status, _ = await self.server.ask(*requests[what])
        return status

    async def task(self) -> dict[str, Any]:
        """The task as everybody sees it."""
        return (await self.server.do("task.get", {"id": self.id}))["task"]


@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize("state", TABLE)
async def test_a_task_goes_from_state_to_state_as_the_table_says(
    server: Server, id: str, state: str, what: str
):
    status, after = TABLE[state][what]
    execution = Execution(server, id)
    await execution.bring_to(state)
    before = await execution.task()
    assert (before["state"], before["version"]) == (state, 1)

    assert await execution.ask(what) == status

    task = await execution.task()
    if after is None:
        assert task == before
        return
    is_granted = state == "pending" and after == "acquired"
    is_told = what == "wake" and state != "fulfilled"
    expected: dict[str, Any] = {
        "id": id,
        "state": after,
        "version": 2 if is_granted else 1,
        "resumes": 1 if is_told else 0,
    }
    if after == "acquired":
        expected |= {"ttl": LEASE_MS, "pid": "w"}
    assert task == expected


@pytest.mark.parametrize("state", ["pending", "suspended", "halted", "fulfilled"])
async def test_a_fence_that_does_not_hold_leaves_no_child_behind(
    server: Server, id: str, state: str
):
    execution = Execution(server, id)
    await execution.bring_to(state)

    assert await execution.ask("fence") == 409

    assert (await server.ask("promise.get", {"id": f"{id}.child"}))[0] == 404


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("what", ["suspend", "fulfill", "release", "fence"])
async def test_only_the_version_that_was_granted_counts(
    server: Server, id: str, what: str, version: int
):
    execution = Execution(server, id)
    await execution.bring_to("acquired")
    data: dict[str, Any] = {
        "suspend": suspend(id, version, execution.awaited),
        "fulfill": fulfill(id, version),
        "release": {"id": id, "version": version},
        "fence": fence(id, version, "promise.create", create(f"{id}.child")),
    }

    status, _ = await server.ask(f"task.{what}", data[what])

    assert status == 409
    assert (await execution.task())["state"] == "acquired"


async def test_what_has_settled_is_counted_until_somebody_goes_on(server: Server, id: str):
    execution = Execution(server, id)
    await execution.bring_to("halted")
    await execution.ask("wake")

    await execution.ask("continue")
    continued = await execution.task()
    await execution.ask("acquire")
    acquired = await execution.task()

    assert (continued["state"], continued["resumes"]) == ("pending", 1)
    assert (acquired["state"], acquired["resumes"], acquired["version"]) == ("acquired", 0, 2)
