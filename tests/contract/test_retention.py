"""Removing what has settled long ago: whole trees, and never what something refers to (C22)."""

from typing import Any

import pytest

from resonate_broker.background.retention import Retention
from resonate_broker.kernel.submissions import FindRetired, RemoveTree
from resonate_sdk.protocol import tags as tag
from resonate_store.memory import store as memory_store
from resonate_store.sqlite import store as sqlite_store
from resonate_store.state import Callback, Changes, Listener, LoadSet, Promise, Timer, Use
from resonate_store.store import Store
from tests.contract.rows import BORN_AT_MS, create, ids_of, make_promise, write
from tests.contract.scripts import NOW
from tests.contract.server import Server

CUT = BORN_AT_MS + 1_000
ROWS = 500


def settled(id: str, at_ms: int = BORN_AT_MS, **fields: Any) -> Promise:
    return make_promise(id, state="resolved", settled_at_ms=at_ms, **fields)


def in_tree(root: str) -> dict[str, str]:
    return {tag.ORIGIN: root}


def tree(root: str = "a", children: int = 2, **fields: Any) -> list[Promise]:
    """A settled tree."""
    ids = (root, *(f"{root}.{number}" for number in range(children)))
    return [settled(id, tags=in_tree(root), **fields) for id in ids]


async def ids(store: Store) -> list[str]:
    return ids_of((await store.snapshot()).promises)


async def candidates(store: Store, cut: int = CUT) -> list[str]:
    found: list[str] = []
    position = 0
    while True:
        retired = await store.retired(position, cut)
        found += retired.trees
        position = retired.next_position
        if position == 0:
            return sorted(set(found))


async def test_a_tree_goes_as_a_whole(store):
    await create(store, *tree("a"), *tree("b", at_ms=CUT + 1), settled("single"))

    assert await candidates(store) == ["a", "single"]
    assert await store.remove_tree("a", CUT, ROWS) == 3
    assert await store.remove_tree("single", CUT, ROWS) == 1
    assert await store.remove_tree("b", CUT, ROWS) == 0
    assert await ids(store) == ["b", "b.0", "b.1"]


@pytest.mark.parametrize("state", ["pending", "young"])
@pytest.mark.parametrize("id", ["a", "a.1"])
async def test_a_tree_stays_while_one_of_it_is_pending_or_young(store, state: str, id: str):
    one = make_promise(id, tags=in_tree("a"))
    if state == "young":
        one = settled(id, CUT + 1, tags=in_tree("a"))
    await create(store, *(one if promise.id == id else promise for promise in tree()))

    assert await store.remove_tree("a", CUT, ROWS) == 0
    assert len(await ids(store)) == 3


@pytest.mark.parametrize(
    "changes",
    [
        Changes(callbacks_added=(Callback("a.1", "z"),)),
        Changes(callbacks_added=(Callback("a", "z"),)),
        Changes(listeners_added=(Listener("a.1", "amqp://any@g"),)),
        Changes(listeners_added=(Listener("a", "amqp://any@g"),)),
        Changes(uses_added=(Use("a.1", "z"),)),
        Changes(uses_added=(Use("a", "z"),)),
    ],
)
async def test_a_tree_stays_while_something_refers_to_it(store, changes: Changes):
    await create(store, *tree(), make_promise("z"))
    await write(store, changes, ids=("a", "a.1", "z"))

    assert await store.remove_tree("a", CUT, ROWS) == 0
    assert await ids(store) == ["a", "a.0", "a.1", "z"]


async def test_what_its_executions_waited_for_is_forgotten_with_it(store):
    await create(store, *tree(), make_promise("z"))
    await write(store, Changes(callbacks_added=(Callback("z", "a"),)), ids=("a", "z"))

    assert await store.remove_tree("a", CUT, ROWS) == 3
    assert (await store.snapshot()).callbacks == ()


async def test_a_timer_that_was_left_behind_goes_with_its_promise(store):
    one = settled("a", timer_at_ms=CUT)
    await write(store, Changes(created=(one,), timers_armed=(Timer(CUT, "a"),)))

    assert await store.remove_tree("a", CUT, ROWS) == 1
    assert (await store.snapshot()).timers == ()


async def test_a_promise_that_another_tree_uses_goes_after_that_tree(store):
    await create(store, *tree("user"), *tree("used"))
    await write(store, Changes(uses_added=(Use("used", "user"), Use("used.0", "user"))))

    assert await store.remove_tree("used", CUT, ROWS) == 0
    assert await store.remove_tree("user", CUT, ROWS) == 3
    assert await store.remove_tree("used", CUT, ROWS) == 3


async def test_a_promise_may_be_used_again_and_again(store):
    use = Use("used", "user")
    await create(store, *tree("user"), *tree("used"))
    for _ in range(2):
        await write(store, Changes(uses_added=(use,)))

    assert await store.remove_tree("used", CUT, ROWS) == 0
    assert await store.remove_tree("user", CUT, ROWS) == 3
    assert await store.remove_tree("used", CUT, ROWS) == 3


async def test_a_large_tree_goes_in_parts_its_root_last(store):
    await create(store, *tree(children=7))

    counts = [await store.remove_tree("a", CUT, 3)]
    assert "a" in await ids(store)
    while counts[-1] == 3:
        counts.append(await store.remove_tree("a", CUT, 3))

    assert sum(counts) == 8
    assert await ids(store) == []


async def test_children_whose_root_is_gone_are_found(store):
    await create(store, *tree()[1:])

    assert await candidates(store) == ["a"]
    assert await store.remove_tree("a", CUT, ROWS) == 2


async def test_a_walk_sees_every_row_of_a_large_table(store, monkeypatch):
    for module in (memory_store, sqlite_store):
        monkeypatch.setattr(module, "RETIRED_ROWS_MAX", 7)
    monkeypatch.setattr("resonate_store.postgres.store.RETIRED_PAGES_MAX", 1)
    await create(store, *(settled(f"p{number:03}") for number in range(100)))

    assert len(await candidates(store)) == 100


async def test_a_row_that_somebody_else_holds_lets_its_tree_wait(store, other, kind):
    if kind != "postgres":
        return  # one owner: nobody else holds anything
    await create(store, *tree())
    holder = await other.begin(LoadSet(ids=("a.1",)))
    assert await store.remove_tree("a", CUT, ROWS) == 0
    await holder.rollback()
    assert await store.remove_tree("a", CUT, ROWS) == 3


async def test_the_step_removes_what_is_old_and_runs_on_while_it_finds_something(store):
    await create(store, *tree(), settled("young", CUT + 1))
    retention = Retention(1_000, lambda: CUT + 1_000)

    body, completion = retention.run(), None
    while True:
        try:
            submission = body.send(completion)
        except StopIteration as stop:
            again_at_ms = stop.value
            break
        match submission:
            case FindRetired(position=position, settled_before_ms=cut):
                completion = await store.retired(position, cut)
            case RemoveTree(tree=root, settled_before_ms=cut, rows_max=rows_max):
                completion = await store.remove_tree(root, cut, rows_max)
            case _:
                raise AssertionError(submission)

    assert again_at_ms == CUT + 1_000
    assert await ids(store) == ["young"]


async def test_a_fence_that_touches_another_tree_keeps_what_it_touched(store):
    server = Server(store, 1_000)

    async def ask(kind: str, data: dict[str, Any]) -> Any:
        head = {"corrId": "c", "version": "2026-04-01"}
        (answer,) = await server.ask([{"kind": kind, "head": head, "data": data}], together=True)
        assert answer.is_ok, answer
        return answer.data

    far = NOW + 9_000_000
    create_root = {"id": "root", "timeoutAt": far, "tags": {"resonate:target": "g"}}
    action = {"kind": "promise.create", "data": create_root}
    await ask("task.create", {"pid": "w", "ttl": 60_000, "action": action})
    for id, tags in (("root.1", {"resonate:origin": "root"}), ("elsewhere", {})):
        data = {"id": id, "timeoutAt": far, "tags": tags}
        fence = {"kind": "promise.create", "data": data}
        await ask("task.fence", {"id": "root", "version": 1, "action": fence})
        await ask("promise.settle", {"id": id, "state": "resolved"})

    assert await store.remove_tree("elsewhere", NOW + 1, ROWS) == 0

    await ask("promise.settle", {"id": "root", "state": "resolved"})
    assert await store.remove_tree("root", NOW + 1, ROWS) == 2
    assert await store.remove_tree("elsewhere", NOW + 1, ROWS) == 1
