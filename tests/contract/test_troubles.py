"""What holders of tasks have told: kept beside their promises, and gone with them."""

from resonate_sdk.protocol.records import Trouble
from resonate_store.state import Changes, LoadSet, TaskTrouble
from resonate_store.store import Store
from tests.contract.rows import BORN_AT_MS, create, make_promise, write

TROUBLE = Trouble(
    id="a.1",
    reason="ValueError: “no” \N{SNOWMAN}",
    pid="w",
    attempts=2,
    at_ms=BORN_AT_MS,
    again_at_ms=BORN_AT_MS + 1,
)


def told(task: str, version: int = 1, **fields: object) -> TaskTrouble:
    return TaskTrouble(task=task, origin="a", version=version, trouble=TROUBLE)


async def load(store: Store, *tasks: str) -> tuple[TaskTrouble, ...]:
    transaction = await store.begin(LoadSet(ids=tasks, troubles=tasks))
    await transaction.rollback()
    return transaction.loaded.troubles


async def test_the_last_that_was_told_of_a_task_is_kept(store):
    await create(store, make_promise("a"), make_promise("b"))
    await write(store, Changes(troubles_put=(told("a"), told("b"))), ids=("a", "b"))
    await write(store, Changes(troubles_put=(told("a", version=7),)), ids=("a",))

    assert await load(store, "a") == (told("a", version=7),)
    assert await load(store, "b") == (told("b"),)


async def test_nothing_is_known_of_a_promise_that_does_not_exist(store):
    await create(store, make_promise("a"))
    await write(store, Changes(troubles_put=(told("gone"),)), ids=("a",))

    assert await load(store, "gone", "a") == ()


async def test_it_goes_with_its_tree(store):
    settled = {"state": "resolved", "settled_at_ms": BORN_AT_MS}
    await create(store, make_promise("a", **settled))
    await write(store, Changes(troubles_put=(told("a"),)), ids=("a",))

    assert await store.remove_tree("a", BORN_AT_MS, 10) == 1
    await create(store, make_promise("a"))
    assert await load(store, "a") == ()
