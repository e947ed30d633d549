"""The questions about the protocol that have one right answer, over the real operations."""

from collections.abc import Mapping
from typing import Any

import pytest

from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Timer
from tests.contract.scripts import NOW
from tests.contract.server import Server

FAR = NOW + 9_000_000
SOON = NOW + 5_000
LEASE_MS = 60_000
TARGET = {"resonate:target": "amqp://any@g"}
LOCAL = {"resonate:scope": "local"}
TIMER = {"resonate:timer": "true"}


class Client:
    """Asks a server one thing after the other."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def ask(self, kind: str, **data: Any) -> Answer:
        head = {"corrId": "c", "version": "2026-04-01"}
        (answer,) = await self.server.ask(
            [{"kind": kind, "head": head, "data": data}], together=True
        )
        return answer

    async def ok(self, kind: str, **data: Any) -> Any:
        answer = await self.ask(kind, **data)
        assert answer.status in (200, 300), answer
        return answer.data

    async def create(self, id: str, timeout_at_ms: int = FAR, **tags: str) -> None:
        await self.ok("promise.create", id=id, timeoutAt=timeout_at_ms, tags=tags)

    async def run(self, id: str, timeout_at_ms: int = FAR, pid: str = "w") -> Answer:
        create = {"id": id, "timeoutAt": timeout_at_ms, "tags": TARGET}
        action = {"kind": "promise.create", "data": create}
        return await self.ask("task.create", pid=pid, ttl=LEASE_MS, action=action)

    async def suspend(self, id: str, *awaited: str, version: int = 1) -> Answer:
        actions = [
            {"kind": "promise.register_callback", "data": {"awaited": other, "awaiter": id}}
            for other in awaited
        ]
        return await self.ask("task.suspend", id=id, version=version, actions=actions)

    async def settle(self, id: str) -> None:
        await self.ok("promise.settle", id=id, state="resolved")

    async def task(self, id: str) -> Any:
        return (await self.ok("task.get", id=id)).task

    def wait(self, ms: int) -> None:
        """Let time pass unnoticed: no internal step is taken."""
        self.server.clock.now_ms += ms

    async def stored(self, id: str) -> Any:
        snapshot = await self.server.store.snapshot()
        (found,) = [promise for promise in snapshot.promises if promise.id == id]
        return found


@pytest.fixture
def client(store) -> Client:
    return Client(Server(store, 1_000))


async def test_c1_a_deadline_is_armed_for_external_promises_and_for_no_others(client):
    await client.create("external", SOON)
    await client.create("timer", SOON, **TIMER)
    await client.create("targeted", NOW + 1_500, **TARGET)  # before its hint is sent again
    await client.create("internal", SOON, **LOCAL)

    timers = (await client.server.store.snapshot()).timers

    armed = {"external": SOON, "timer": SOON, "targeted": NOW + 1_500}
    assert set(timers) == {Timer(at_ms, id) for id, at_ms in armed.items()}


async def test_c2_nobody_waits_for_an_internal_promise(client):
    await client.create("internal", FAR, **LOCAL)
    await client.run("t")

    callback = await client.ask("promise.register_callback", awaited="internal", awaiter="t")

    assert (callback.status, (await client.suspend("t", "internal")).status) == (422, 422)
    assert (await client.task("t")).state == "acquired"


async def test_c3_nobody_listens_to_an_internal_promise(client):
    await client.create("internal", FAR, **LOCAL)

    listener = await client.ask("promise.register_listener", awaited="internal", address="g")

    assert listener.status == 422
    assert (await client.server.store.snapshot()).listeners == ()


async def test_c4_create_halt_and_continue_look_at_the_task_through_its_promise(client):
    for id in ("held", "halted"):
        await client.run(id, SOON)
    await client.ok("task.halt", id="halted")
    client.wait(5_000)

    created = await client.run("held")

    assert (created.status, created.data.task.state) == (200, "fulfilled")
    assert created.data.promise.state == "rejected_timedout"
    assert (await client.ask("task.halt", id="held")).status == 409
    assert (await client.ask("task.continue", id="halted")).status == 409


async def test_c5_lease_expiry_and_dispatch_leave_a_dead_task_alone(client):
    await client.run("held", NOW + LEASE_MS)
    await client.create("waiting", NOW + LEASE_MS, **TARGET)
    client.server.aio.published.clear()

    await client.server.pass_time(LEASE_MS, is_told=False)

    for id in ("held", "waiting"):
        assert (await client.stored(id)).task.state == "fulfilled"
    assert client.server.aio.published == []


async def test_c6_a_wake_skips_an_awaiter_whose_own_deadline_has_passed(client):
    await client.create("awaited")
    await client.run("awaiter", SOON)
    await client.suspend("awaiter", "awaited")
    client.server.aio.published.clear()
    client.wait(5_000)

    await client.settle("awaited")

    awaiter = await client.stored("awaiter")
    assert (awaiter.state, awaiter.settled_at_ms) == ("rejected_timedout", SOON)
    assert awaiter.task.state == "fulfilled"
    assert client.server.aio.published == []


async def test_c7_a_heartbeat_does_not_prolong_the_lease_of_a_dead_task(client):
    await client.run("t", SOON)
    client.wait(5_000)

    beaten = await client.ok("task.heartbeat", pid="w", tasks=[{"id": "t", "version": 1}])

    assert [ref.id for ref in beaten.lost] == ["t"]
    assert (await client.task("t")).state == "fulfilled"


async def test_c8_every_answer_shows_promises_and_tasks_after_the_deadline_rule(client):
    await client.create("a", SOON)
    await client.create("timer", SOON, **TIMER)
    await client.run("holder")
    client.wait(5_000)
    fence = {"kind": "promise.create", "data": {"id": "a", "timeoutAt": FAR}}

    seen = [
        (await client.ok("promise.create", id="a", timeoutAt=FAR)).promise,
        (await client.ok("promise.get", id="a")).promise,
        (await client.ok("promise.settle", id="a", state="resolved")).promise,
        (await client.ok("promise.register_callback", awaited="a", awaiter="holder")).promise,
        (await client.ok("promise.register_listener", awaited="a", address="g")).promise,
        (await client.ok("task.fence", id="holder", version=1, action=fence)).action.data.promise,
    ]

    assert {(promise.state, promise.settled_at_ms) for promise in seen} == {
        ("rejected_timedout", SOON)
    }
    timer = (await client.ok("promise.get", id="timer")).promise
    assert (timer.state, timer.settled_at_ms) == ("resolved", SOON)


async def test_c8_a_preload_shows_promises_after_the_deadline_rule(client):
    lineage = {"resonate:branch": "root", "resonate:parent": "root"}
    await client.create("root.1", SOON, **LOCAL, **lineage)
    client.wait(5_000)
    create = {"id": "root", "timeoutAt": FAR, "tags": {**TARGET, "resonate:branch": "root"}}

    granted = await client.ok(
        "task.create", pid="w", ttl=LEASE_MS, action={"kind": "promise.create", "data": create}
    )

    assert [(p.id, p.state) for p in granted.preload] == [("root.1", "rejected_timedout")]
    assert (await client.stored("root.1")).state == "rejected_timedout"


async def test_c9_no_version_is_dispatched_that_was_not_issued(client):
    await client.create("t", FAR, **TARGET)
    for version in range(3):
        await client.ok("task.acquire", id="t", version=version, pid="w", ttl=LEASE_MS)
        await client.ok("task.release", id="t", version=version + 1)

    versions = [outgoing.message.data.task.version for outgoing in client.server.aio.published]

    assert versions == [0, 1, 2, 3]


async def test_c10_of_two_claims_at_one_version_one_succeeds(client):
    await client.create("t", FAR, **TARGET)
    claim: Mapping[str, Any] = {"id": "t", "version": 0, "ttl": LEASE_MS}

    first = await client.ask("task.acquire", **claim, pid="w1")
    second = await client.ask("task.acquire", **claim, pid="w2")
    again = await client.ask("task.acquire", **claim, pid="w1")
    created = await client.run("t", pid="w2")

    assert [first.status, second.status, again.status, created.status] == [200, 409, 409, 409]
    assert (await client.task("t")).pid == "w1"


@pytest.mark.parametrize("is_late", [False, True], ids=["settled", "past its deadline"])
async def test_c11_a_settled_promise_takes_no_new_obligations(client, is_late: bool):
    await client.create("p", SOON)
    await client.run("t")
    if is_late:
        client.wait(5_000)
    else:
        await client.settle("p")

    await client.ok("promise.register_callback", awaited="p", awaiter="t")
    await client.ok("promise.register_listener", awaited="p", address="g")
    suspended = await client.suspend("t", "p")

    snapshot = await client.server.store.snapshot()
    assert (snapshot.callbacks, snapshot.listeners) == ((), ())
    assert suspended.status == 300


@pytest.mark.parametrize("verb", ["start", "stop", "reset", "tick", "snap"])
async def test_c12_debugging_needs_permission(client, verb: str):
    await client.create("p")

    assert (await client.ask(f"debug.{verb}", time=NOW)).status == 403
    assert (await client.stored("p")).id == "p"


# The order of guards: 400 before 404 before 409 and 422, and nothing is written by any of them.

CALLBACK = "promise.register_callback"
GUARDS: list[tuple[str, dict[str, Any], int]] = [
    ("promise.settle", {"id": "none", "state": "pending"}, 400),
    ("promise.settle", {"id": "none", "state": "resolved"}, 404),
    (CALLBACK, {"awaited": "none", "awaiter": "none"}, 400),
    (CALLBACK, {"awaited": "none", "awaiter": "nobody"}, 404),
    (CALLBACK, {"awaited": "internal", "awaiter": "nobody"}, 422),
    (CALLBACK, {"awaited": "open", "awaiter": "internal"}, 422),
    ("promise.register_listener", {"awaited": "none", "address": "?"}, 400),
    ("promise.register_listener", {"awaited": "none", "address": "g"}, 404),
    ("task.acquire", {"id": "none", "version": -1, "pid": "w", "ttl": 5}, 400),
    ("task.acquire", {"id": "open", "version": 0, "pid": "w", "ttl": 5}, 404),
    ("task.acquire", {"id": "held", "version": 1, "pid": "w", "ttl": 5}, 409),
    ("task.release", {"id": "open", "version": 7}, 404),
    ("task.release", {"id": "held", "version": 7}, 409),
    ("task.halt", {"id": "open"}, 404),
    ("task.continue", {"id": "held"}, 409),
    (
        "task.suspend",
        {"id": "open", "version": 1,
         "actions": [{"kind": CALLBACK, "data": {"awaited": "none", "awaiter": "held"}}]},
        400,
    ),
    (
        "task.suspend",
        {"id": "open", "version": 1,
         "actions": [{"kind": CALLBACK, "data": {"awaited": "none", "awaiter": "open"}}]},
        404,
    ),
    (
        "task.suspend",
        {"id": "held", "version": 7,
         "actions": [{"kind": CALLBACK, "data": {"awaited": "none", "awaiter": "held"}}]},
        409,
    ),
    (
        "task.suspend",
        {"id": "held", "version": 1,
         "actions": [
             {"kind": CALLBACK, "data": {"awaited": "done", "awaiter": "held"}},
             {"kind": CALLBACK, "data": {"awaited": "none", "awaiter": "held"}},
         ]},
        422,
    ),
    (
        "task.fulfill",
        {"id": "open", "version": 1,
         "action": {"kind": "promise.settle", "data": {"id": "other", "state": "resolved"}}},
        400,
    ),
    (
        "task.fulfill",
        {"id": "open", "version": 1,
         "action": {"kind": "promise.settle", "data": {"id": "open", "state": "resolved"}}},
        404,
    ),
    (
        "task.fence",
        {"id": "held", "version": 7,
         "action": {"kind": "promise.settle", "data": {"id": "none", "state": "resolved"}}},
        409,
    ),
    (
        "task.create",
        {"pid": "w", "ttl": 5, "action": {"kind": "promise.create",
                                          "data": {"id": "open", "timeoutAt": FAR}}},
        400,
    ),
    (
        "task.create",
        {"pid": "w", "ttl": 5, "action": {"kind": "promise.create",
                                          "data": {"id": "open", "timeoutAt": FAR, "tags": TARGET}}},
        422,
    ),
    ("schedule.get", {"id": "none"}, 404),
    ("schedule.delete", {"id": "none"}, 404),
    ("schedule.create", {"id": "s", "cron": "x", "promiseId": "p", "promiseTimeout": 5}, 400),
]  # fmt: skip


@pytest.fixture
async def populated(client) -> Client:
    await client.create("open")
    await client.create("done")
    await client.create("internal", FAR, **LOCAL)
    await client.settle("done")
    await client.run("held")
    return client


async def test_a_request_that_is_refused_is_refused_for_the_first_reason_and_writes_nothing(
    populated,
):
    before = await populated.server.store.snapshot()

    found = [(kind, data, (await populated.ask(kind, **data)).status) for kind, data, _ in GUARDS]

    assert found == GUARDS
    assert await populated.server.store.snapshot() == before
