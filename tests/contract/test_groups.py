"""Limits of worker groups on every store: their rows, and who waits in which order."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import Rate
from resonate_store.state import Changes, Group, LoadSet, Promise, Timer, Wanted
from resonate_store.store import Store
from tests.contract.rows import BORN_AT_MS, create, make_promise, make_task, write

FULL = Group(
    name="billing",
    concurrency=3,
    key_concurrency=1,
    rate=Rate(count=10, per_ms=1_000),
    key_rate=Rate(count=1, per_ms=60_000),
    held={},
    starts={"": 1_700_000_000_000_000, "tenant": 5},
)


async def put(store: Store, *groups: Group) -> None:
    transaction = await store.begin(LoadSet(groups=tuple(group.name for group in groups)))
    await transaction.commit(Changes(groups_put=groups))


async def load(store: Store, *names: str) -> tuple[Group, ...]:
    transaction = await store.begin(LoadSet(groups=names))
    await transaction.rollback()
    return transaction.loaded.groups


def member(id: str, state: str = "acquired", target: str = "any@billing", **task: Any) -> Promise:
    made = make_task(state=state, **task)
    tags = {tag.TARGET: f"amqp://{target}"}
    return make_promise(id, task=made, tags=tags, timer_at_ms=BORN_AT_MS)


@pytest.mark.parametrize("group", [FULL, Group(name="g"), Group(name="g", concurrency=0)])
async def test_limits_come_back_as_they_were_set(store, group):
    await put(store, group)

    assert await load(store, group.name, "nobody") == (group,)
    assert await store.groups(group.name) == await store.groups(None) == (group,)
    assert await store.groups("nobody") == ()


async def test_limits_are_replaced_and_deleted(store):
    await put(store, FULL, Group(name="mail", concurrency=1))

    await put(store, Group(name="billing", concurrency=9))
    transaction = await store.begin(LoadSet(groups=("mail",)))
    await transaction.commit(Changes(groups_deleted=("mail",)))

    assert await store.groups(None) == (Group(name="billing", concurrency=9),)


async def test_only_who_runs_or_is_about_to_holds_a_place(store):
    await create(
        store,
        member("acquired"),
        member("fulfilled", "fulfilled"),
        member("hinted", "pending", hint_at_ms=5),
        member("queued", "pending", queued_at_ms=5),
        member("suspended", "suspended"),
    )
    names = ("acquired", "fulfilled", "gone", "hinted", "queued", "suspended")
    await put(store, Group(name="billing", concurrency=9, held=dict.fromkeys(names, "k")))

    held = {"acquired": "k", "hinted": "k"}
    assert [group.held for group in await load(store, "billing")] == [held]
    assert [group.held for group in await store.groups("billing")] == [held]
    assert [group.held for group in await store.groups(None)] == [{}]


async def test_what_a_group_had_before_it_had_limits_counts(store):
    promises = (
        member("a", concurrency_key="k"),
        member("b", "pending", hint_at_ms=5),
        member("c", "pending", queued_at_ms=5),
        member("d", "suspended"),
        member("e", target="uni@billing/w1"),
        member("f", group="mail", target="any@mail"),
    )
    await create(store, *promises)
    timers = tuple(Timer(BORN_AT_MS, promise.id) for promise in promises)
    await write(store, Changes(timers_armed=timers))
    await put(store, Group(name="billing", concurrency=9))

    await store.adopt("billing")
    await store.adopt("nobody")

    assert [group.held for group in await load(store, "billing")] == [{"a": "k", "b": ""}]


def waiting(id: str, queued_at_ms: int, **task: Any) -> Promise:
    return make_promise(id, task=make_task(queued_at_ms=queued_at_ms, **task))


async def test_priority_goes_before_patience(store):
    await create(
        store,
        waiting("a", 1),
        waiting("b", 2, priority=9),
        waiting("c", 3, priority=0),
        waiting("d", 4, priority=4),
        waiting("e", 5, priority=5),
        waiting("f", 6, priority=9),
    )

    assert await store.queued("billing", Wanted(count_max=9)) == ("b", "f", "e", "a", "d", "c")
    assert await store.queued("billing", Wanted(count_max=2)) == ("b", "f")


async def test_who_may_not_go_does_not_hold_up_others(store):
    await create(
        store,
        waiting("a", 1, concurrency_key="full"),
        waiting("b", 2, concurrency_key="late"),
        waiting("c", 3, concurrency_key="late", version=1),
        waiting("d", 4, concurrency_key="free"),
        waiting("e", 5),
        waiting("f", 6, version=2),
        waiting("g", 7, concurrency_key="full", version=3),
    )
    wanted = Wanted(count_max=9, full_keys=("full",), late_keys=("late",))

    assert await store.queued("billing", wanted) == ("c", "d", "e", "f")
    assert await store.queued("billing", replace(wanted, count_max=1)) == ("c",)
    resumed = Wanted(count_max=9, may_start=False)
    assert await store.queued("billing", resumed) == ("c", "f", "g")
