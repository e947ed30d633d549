"""`debug.*` on every store: who may not, time that moves by request, and what is shown."""

from typing import Any

import pytest

from resonate_sdk.protocol.responses import Nothing, SnapMessage, SnapTaskTimeout, SnapTimeout
from tests.contract.scripts import NOW
from tests.contract.server import Server

KINDS = ["debug.start", "debug.stop", "debug.reset", "debug.tick", "debug.snap"]
LEASE_MS = 60_000


@pytest.fixture
def server(store) -> Server:
    return Server(store, 1_000, may_debug=True)


async def ask(server: Server, kind: str, data: dict[str, Any], at_ms: int | None = None) -> Any:
    head: dict[str, Any] = {"corrId": "c", "version": "2026-04-01"}
    if at_ms is not None:
        head["resonate:debug_time"] = at_ms
    (answer,) = await server.ask([{"kind": kind, "head": head, "data": data}], together=True)
    return answer


async def ok(server: Server, kind: str, data: dict[str, Any], at_ms: int | None = None) -> Any:
    answer = await ask(server, kind, data, at_ms)
    assert answer.is_ok, answer
    return answer.data


def create(id: str, timeout_at_ms: int, **tags: str) -> dict[str, Any]:
    named = {f"resonate:{name}": value for name, value in tags.items()}
    return {"id": id, "timeoutAt": timeout_at_ms, "tags": named}


@pytest.mark.parametrize("kind", [*KINDS, "debug.unknown"])
@pytest.mark.parametrize("data", [{}, {"time": "soon"}])
async def test_without_permission_nothing_of_it_is_done_whatever_the_request_says(
    store, kind: str, data: dict[str, Any]
):
    server = Server(store, 1_000)
    await ok(server, "promise.create", create("p", NOW + 5))

    answer = await ask(server, kind, data)

    assert answer.status == 403
    assert kind in answer.data
    assert [promise.id for promise in (await store.snapshot()).promises] == ["p"]
    assert not server.system.is_still


async def test_without_permission_nobody_chooses_instants(store):
    server = Server(store, 1_000)

    data = await ok(server, "promise.create", create("p", NOW + 5), at_ms=7)

    assert data.promise.created_at_ms == NOW


async def test_a_kind_that_does_not_exist_is_unknown_to_whom_may(server):
    answer = await ask(server, "debug.unknown", {})

    assert (answer.status, answer.data) == (400, "Unknown operation: debug.unknown")


@pytest.mark.parametrize("time", [-1, "5", None, 2**63])
async def test_an_instant_that_is_none_is_refused_by_name(server, time: object):
    tick = await ask(server, "debug.tick", {"time": time})
    (answer,) = await server.ask(
        [{"kind": "promise.get", "data": {"id": "p"},
          "head": {"version": "2026-04-01", "resonate:debug_time": time or "x"}}],
        together=True,
    )  # fmt: skip

    assert (tick.status, answer.status) == (400, 400)
    assert "time" in tick.data
    assert "resonate:debug_time" in answer.data or "head" in answer.data


async def test_a_tick_whose_head_names_another_instant_is_refused(server):
    assert (await ask(server, "debug.tick", {"time": NOW}, at_ms=NOW + 1)).status == 400
    assert (await ask(server, "debug.tick", {"time": NOW}, at_ms=NOW)).status == 200


async def test_a_request_is_carried_out_at_the_instant_it_names(server):
    server.clock.now_ms = NOW + 9_000

    data = await ok(server, "promise.create", create("p", NOW + 9_999), at_ms=NOW + 7)

    assert data.promise.created_at_ms == NOW + 7


async def test_requests_of_one_message_have_an_instant_each(server):
    requests = [
        {
            "kind": "promise.create",
            "head": {"version": "2026-04-01", "resonate:debug_time": NOW - n},
            "data": create(f"p{n}", NOW + 9_999),
        }
        for n in range(3)
    ]

    answers = await server.ask(requests, together=True)

    assert [answer.data.promise.created_at_ms for answer in answers] == [NOW, NOW - 1, NOW - 2]


async def test_while_time_stands_still_nothing_happens_and_nothing_is_sent(server):
    await ok(server, "debug.start", {})
    await ok(server, "promise.create", create("t", NOW + 9_000, target="g"))
    await ok(server, "promise.create", create("p", NOW + 50))
    await server.pass_time(0, is_told=False)

    assert server.aio.published == []
    server.clock.now_ms += 100
    server.system.wake("sweep")
    await server.run()
    assert {p.state for p in (await server.store.snapshot()).promises} == {"pending"}

    await ok(server, "debug.stop", {})
    assert not server.system.is_still


async def test_a_tick_does_what_is_due_at_its_instant(server):
    await ok(server, "debug.start", {})
    action = {"kind": "promise.create", "data": create("t", NOW + 9_000_000, target="g")}
    await ok(server, "task.create", {"pid": "w", "ttl": LEASE_MS, "action": action})
    await ok(server, "promise.create", create("early", NOW + 10))
    await ok(server, "promise.create", create("timer", NOW + 10, timer="true"))
    await ok(server, "promise.create", create("late", NOW + 2 * LEASE_MS))
    await ok(
        server,
        "schedule.create",
        {"id": "s", "cron": "* * * * *", "promiseId": "{{.id}}.{{.timestamp}}",
         "promiseTimeout": 9_000_000},
    )  # fmt: skip

    server.clock.now_ms = NOW + LEASE_MS
    server.checked.is_internal = True
    assert await ok(server, "debug.tick", {"time": NOW + LEASE_MS}) == Nothing()
    server.checked.is_internal = False

    snap = await ok(server, "debug.snap", {})
    states = {promise.id.split(".")[0]: promise.state for promise in snap.promises}
    assert states == {
        "early": "rejected_timedout", "timer": "resolved", "late": "pending", "t": "pending",
        "s": "pending",
    }  # fmt: skip
    assert [(task.id, task.state, task.version) for task in snap.tasks] == [("t", "pending", 1)]


async def test_a_snapshot_shows_everything_sorted(server):
    await ok(server, "debug.start", {})
    for id in ("w2", "w1"):
        action = {"kind": "promise.create", "data": create(id, NOW + 9_000_000, target="g")}
        await ok(server, "task.create", {"pid": "w", "ttl": LEASE_MS, "action": action})
    await ok(server, "promise.create", create("p", NOW + 50_000))
    await ok(server, "promise.create", create("q", NOW + 9_000_000, target="h"))
    await ok(server, "promise.create", create("local", NOW + 5, scope="local"))
    callback = {"kind": "promise.register_callback", "data": {"awaited": "p", "awaiter": "w1"}}
    await ok(server, "task.suspend", {"id": "w1", "version": 1, "actions": [callback]})
    await ok(server, "promise.register_listener", {"awaited": "p", "address": "poll://uni@g/c"})

    snap = await ok(server, "debug.snap", {})

    assert [promise.id for promise in snap.promises] == ["local", "p", "q", "w1", "w2"]
    assert snap.promise_timeouts == (
        SnapTimeout(id="p", timeout=NOW + 50_000),
        SnapTimeout(id="q", timeout=NOW + 9_000_000),
        SnapTimeout(id="w1", timeout=NOW + 9_000_000),
        SnapTimeout(id="w2", timeout=NOW + 9_000_000),
    )
    assert [(c.awaiter, c.awaited) for c in snap.callbacks] == [("w1", "p")]
    assert [(x.id, x.address) for x in snap.listeners] == [("p", "amqp://uni@g/c")]
    assert [(task.id, task.state) for task in snap.tasks] == [
        ("q", "pending"), ("w1", "suspended"), ("w2", "acquired"),
    ]  # fmt: skip
    assert SnapTaskTimeout(id="w2", type=1, timeout=NOW + LEASE_MS) in snap.task_timeouts
    assert [(m.address, kind(m)) for m in snap.messages] == [("amqp://any@h", "Invoke")]

    await ok(server, "promise.settle", {"id": "p", "state": "resolved"})
    snap = await ok(server, "debug.snap", {})
    assert [(m.address, kind(m)) for m in snap.messages] == [
        ("amqp://any@h", "Invoke"), ("amqp://any@g", "Resume"), ("amqp://uni@g/c", "Notify"),
    ]  # fmt: skip


def kind(message: SnapMessage) -> str:
    return type(message.message).__name__


async def test_a_snapshot_shows_promises_after_the_deadline_rule(server):
    await ok(server, "debug.start", {})
    await ok(server, "promise.create", create("p", NOW + 5))
    server.clock.now_ms += 5

    snap = await ok(server, "debug.snap", {})

    assert [promise.state for promise in snap.promises] == ["rejected_timedout"]
    assert snap.promise_timeouts == (SnapTimeout(id="p", timeout=NOW + 5),)


async def test_after_a_reset_nothing_is_left(server):
    await ok(server, "promise.create", create("p", NOW + 5_000))
    await ok(server, "promise.create", create("t", NOW + 5_000, target="g"))
    await ok(server, "promise.register_listener", {"awaited": "p", "address": "g"})
    schedule = {"id": "s", "cron": "* * * * *", "promiseId": "x", "promiseTimeout": 5}
    await ok(server, "schedule.create", schedule)

    await ok(server, "debug.reset", {})

    assert await server.store.snapshot() == type(await server.store.snapshot())()


@pytest.mark.parametrize(
    ("clock_ms", "at_ms", "found"),
    [(NOW, NOW + 5, ["p"]), (NOW, NOW + 4, []), (NOW + 10, NOW + 4, [])],
)
async def test_a_search_sees_tasks_at_the_instant_that_it_chooses(
    server, clock_ms: int, at_ms: int, found: list[str]
):
    await ok(server, "promise.create", create("p", NOW + 5, target="g"), at_ms=NOW)
    server.clock.now_ms = clock_ms

    page = await ok(server, "task.search", {"state": "fulfilled"}, at_ms)

    assert [task.id for task in page.tasks] == found


async def test_a_tick_is_over_when_nothing_is_due_any_more(server):
    await ok(server, "debug.start", {})
    await ok(server, "promise.create", create("t", NOW + 9 * LEASE_MS, target="g"))
    await ok(server, "promise.create", create("p", NOW + 5))
    await ok(server, "task.acquire", {"id": "t", "version": 0, "pid": "w", "ttl": LEASE_MS})
    await ok(server, "promise.register_callback", {"awaited": "p", "awaiter": "t"})

    server.clock.now_ms = NOW + LEASE_MS
    server.checked.is_internal = True
    await ok(server, "debug.tick", {"time": NOW + LEASE_MS})  # p wakes t, which is looked at later
    server.checked.is_internal = False

    task = (await ok(server, "task.get", {"id": "t"})).task
    assert (task.state, task.resumes) == ("pending", 1)
