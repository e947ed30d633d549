"""What every store must do when it is read beside the batches: sweeps, searches, snapshots."""

import pytest

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.limits import INSTANT_MS_MAX
from resonate_sdk.protocol.records import Value
from resonate_store.memory import store as memory_store
from resonate_store.postgres import store as postgres_store
from resonate_store.sqlite import store as sqlite_store
from resonate_store.state import Callback, Changes, Listener, Promise, Snapshot, Timer, Wanted
from resonate_store.store import Store
from tests.contract.rows import BORN_AT_MS, create, ids_of, make_promise, make_task, write

LONG_AGO_MS = 5
FAR_AHEAD_MS = INSTANT_MS_MAX
TASK = make_task()


# Sweeps


async def test_what_is_due_comes_earliest_first(store):
    armed = [Timer(LONG_AGO_MS, "b"), Timer(LONG_AGO_MS, "a"), Timer(LONG_AGO_MS - 1, "c")]
    await write(store, Changes(timers_armed=tuple(sorted(armed))))

    due = await store.due(10)

    assert due.timers == tuple(sorted(armed))
    assert due.next_at_ms is None


async def test_no_more_is_due_than_asked_for(store):
    await write(store, Changes(timers_armed=tuple(Timer(LONG_AGO_MS, f"{n}") for n in range(9))))

    due = await store.due(3)

    assert due.timers == tuple(Timer(LONG_AGO_MS, id) for id in ("0", "1", "2"))


async def test_the_next_timer_is_the_earliest_that_is_not_due(store):
    armed = (Timer(LONG_AGO_MS, "a"), Timer(FAR_AHEAD_MS - 1, "b"), Timer(FAR_AHEAD_MS, "c"))
    await write(store, Changes(timers_armed=armed))

    due = await store.due(10)

    assert due.timers == armed[:1]
    assert due.next_at_ms == FAR_AHEAD_MS - 1


async def test_without_timers_nothing_is_due(store):
    due = await store.due(10)

    assert (due.timers, due.next_at_ms) == ((), None)


def queue(id: str, group: str, queued_at_ms: int | None) -> Promise:
    return make_promise(id, task=make_task(group=group, queued_at_ms=queued_at_ms))


async def test_who_waits_longest_for_room_comes_first(store):
    await create(
        store,
        queue("a", "billing", 3),
        queue("b", "billing", 1),
        queue("c", "billing", 2),
        queue("d", "billing", 2),
        queue("e", "billing", None),
        queue("f", "mail", 0),
        make_promise("g"),
    )

    assert await store.queued("billing", Wanted(count_max=10)) == ("b", "c", "d", "a")
    assert await store.queued("billing", Wanted(count_max=2)) == ("b", "c")
    assert await store.queued("nobody", Wanted(count_max=10)) == ()


async def test_who_got_room_waits_no_longer(store):
    await create(store, queue("a", "billing", 1), queue("b", "billing", None))

    await write(store, Changes(updated=(queue("a", "billing", None), queue("b", "billing", 5))))

    assert await store.queued("billing", Wanted(count_max=10)) == ("b",)


async def test_each_group_that_waits_is_named_once(store):
    groups = ("Z", "a", "b-1", "b_1")
    for group in groups:
        await create(store, *(queue(f"{group}.{n}", group, n) for n in range(3)))
    await create(store, queue("idle", "idle", None))

    assert await store.queued_groups(10) == groups
    assert await store.queued_groups(3) == groups[:3]


async def test_without_queued_tasks_no_group_waits(store):
    assert await store.queued_groups(10) == ()


# Search


async def search_all(store: Store, tags: dict[str, str], limit: int) -> list[str]:
    """Follow the pages of a search to their end."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await store.search(tags, after, limit)
        assert len(page.promises) <= limit
        found += ids_of(page.promises)
        if page.scanned_to is None:
            return found
        assert after is None or page.scanned_to > after
        after = page.scanned_to


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 100])
async def test_a_search_by_tags_finds_each_match_once(store, limit):
    await create(
        store,
        *(make_promise(f"{n:02}", tags={"even": str(n % 2 == 0), "n": str(n)}) for n in range(20)),
    )

    assert await search_all(store, {"even": "True"}, limit) == [f"{n:02}" for n in range(0, 20, 2)]
    assert await search_all(store, {"even": "True", "n": "7"}, limit) == []
    assert await search_all(store, {}, limit) == [f"{n:02}" for n in range(20)]


async def test_a_full_page_ends_at_its_last_row(store):
    await create(store, *(make_promise(id) for id in "abc"))

    page = await store.search({}, None, 2)
    assert (ids_of(page.promises), page.scanned_to) == (["a", "b"], "b")

    page = await store.search({}, "b", 2)
    assert (ids_of(page.promises), page.scanned_to) == (["c"], None)


@pytest.mark.parametrize("tags", [{}, {tag.ORIGIN: "root"}])
async def test_a_search_looks_at_a_bounded_number_of_rows(store, tags, monkeypatch):
    for module in (memory_store, sqlite_store, postgres_store):
        monkeypatch.setattr(module, "SEARCH_ROWS_MAX", 5)
    tree = [f"root.{n:02}" for n in range(12)]
    root = [make_promise("root", tags={tag.ORIGIN: "root"})]
    await create(store, *(root if tags else []), *(make_promise(id, tags=tags) for id in tree))

    page = await store.search(tags | {"needle": "yes"}, None, 10)
    assert page.promises == ()
    assert page.scanned_to == ("root.03" if tags else "root.04")

    assert await search_all(store, tags | {"needle": "yes"}, 10) == []
    assert await search_all(store, tags, 3) == (["root", *tree] if tags else tree)


@pytest.mark.parametrize("tags", [{}, {tag.ORIGIN: "root"}])
async def test_a_page_ends_where_it_would_be_too_large(store, tags, monkeypatch):
    for module in (memory_store, sqlite_store, postgres_store):
        monkeypatch.setattr(module, "SEARCH_BYTES_MAX", 10_000)
    large, tree = Value(data="x" * 6_000), [f"root.{n}" for n in range(5)]
    await create(store, *(make_promise(id, tags=tags, param=large, task=TASK) for id in tree))

    for page in (await store.search(tags, None, 100), await store.search_tasks(None, None, 100)):
        assert (ids_of(page.promises), page.scanned_to) == (["root.0", "root.1"], "root.1")
    assert await search_all(store, tags, 100) == tree


async def test_a_tree_is_found_with_its_root(store):
    await create(
        store,
        make_promise("root", tags={tag.ORIGIN: "root"}),
        make_promise("root.1", tags={tag.ORIGIN: "root", "k": "v"}),
        make_promise("a child may sort before", tags={tag.ORIGIN: "root"}),
        make_promise("root.2", tags={tag.ORIGIN: "other"}),
        make_promise("root.3"),
    )

    tree = ["a child may sort before", "root", "root.1"]
    assert await search_all(store, {tag.ORIGIN: "root"}, 10) == tree
    assert await search_all(store, {tag.ORIGIN: "root"}, 1) == tree
    assert await search_all(store, {tag.ORIGIN: "root", "k": "v"}, 10) == ["root.1"]
    assert await search_all(store, {tag.ORIGIN: "root.3"}, 10) == []


async def test_ids_sort_by_their_bytes(store):
    ids = ["", " ", "A", "B", "Z", "_", "a", "a b", "a-b", "a.b", "ab", "b", "z", "z\u0301", "ß"]
    ids += ["é", "e\u0301", "日", "\uffff", "\U0001f980", "~", "\u00a0"]
    await create(store, *(make_promise(id, tags={tag.ORIGIN: "o"}) for id in ids if id))
    timers = tuple(Timer(LONG_AGO_MS, id) for id in sorted(ids))
    await write(store, Changes(timers_armed=timers))

    by_bytes = sorted(ids, key=lambda id: id.encode())
    assert by_bytes == sorted(ids)
    assert await search_all(store, {}, 4) == by_bytes[1:]
    assert await search_all(store, {tag.ORIGIN: "o"}, 4) == by_bytes[1:]
    assert [timer.id for timer in (await store.due(100)).timers] == by_bytes


async def test_a_snapshot_has_everything_in_order(store):
    changes = Changes(
        created=(make_promise("a"), make_promise("b", task=make_task())),
        callbacks_added=(Callback("a", "b"), Callback("b", "a")),
        listeners_added=(Listener("a", "amqp://any@g"), Listener("b", "amqp://any@g")),
        timers_armed=(Timer(1, "b"), Timer(2, "a")),
    )

    await write(store, changes)

    assert await store.snapshot() == Snapshot(
        promises=changes.created,
        callbacks=changes.callbacks_added,
        listeners=changes.listeners_added,
        timers=changes.timers_armed,
    )


async def test_a_search_looks_only_at_what_is_stored_in_one_of_these_states(store):
    await create(
        store,
        make_promise("a"),
        make_promise("b", state="resolved", settled_at_ms=BORN_AT_MS),
        make_promise("c", state="rejected", settled_at_ms=BORN_AT_MS),
    )

    page = await store.search({}, None, 1, ("rejected", "resolved"))
    rest = await store.search({}, page.scanned_to, 5, ("rejected", "resolved"))

    assert (ids_of(page.promises), page.scanned_to) == (["b"], "b")
    assert (ids_of(rest.promises), rest.scanned_to) == (["c"], None)


async def test_tasks_are_found_by_the_state_they_are_stored_in(store):
    await create(
        store,
        make_promise("a"),
        make_promise("b", task=make_task(state="halted")),
        make_promise("c", task=make_task()),
        make_promise("d", task=make_task(state="halted")),
    )

    halted = await store.search_tasks("halted", None, 5)
    first = await store.search_tasks(None, None, 2)
    rest = await store.search_tasks(None, first.scanned_to, 2)

    assert (ids_of(halted.promises), halted.scanned_to) == (["b", "d"], None)
    assert (ids_of(first.promises), first.scanned_to) == (["b", "c"], "c")
    assert (ids_of(rest.promises), rest.scanned_to) == (["d"], None)
