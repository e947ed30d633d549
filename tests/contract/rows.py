"""Rows for tests of stores, built with keyword overrides."""

from typing import Any

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import Value
from resonate_store.state import Changes, LoadSet, Promise, Task
from resonate_store.store import Store

YEAR_MS = 365 * 86_400_000
BORN_AT_MS = 1_700_000_000_000


def make_task(**fields: Any) -> Task:
    defaults: dict[str, Any] = {"state": "pending", "version": 0, "group": "billing"}
    return Task(**(defaults | fields))


def make_promise(id: str = "p", **fields: Any) -> Promise:
    defaults: dict[str, Any] = {
        "state": "pending",
        "param": Value(data="cGFyYW0="),
        "tags": {},
        "timeout_at_ms": BORN_AT_MS + YEAR_MS,
        "created_at_ms": BORN_AT_MS,
    }
    return Promise(id=id, **(defaults | fields))


def make_child(id: str, *, branch: str, parent: str | None = None, **fields: Any) -> Promise:
    """A promise that runs inside the task of `branch`."""
    tags = {tag.BRANCH: branch, tag.PARENT: parent or branch}
    return make_promise(id, tags=tags, **fields)


def make_remote_child(id: str, *, parent: str, **fields: Any) -> Promise:
    """A promise with a task of its own, called by `parent`."""
    return make_promise(id, tags={tag.BRANCH: id, tag.PARENT: parent}, **fields)


def ids_of(promises: tuple[Promise, ...]) -> list[str]:
    return [promise.id for promise in promises]


async def write(store: Store, changes: Changes, *, ids: tuple[str, ...] = ()) -> None:
    """Commit changes; what they update or create is locked first, and `ids` as well."""
    named = {promise.id for promise in (*changes.created, *changes.updated)} | set(ids)
    transaction = await store.begin(LoadSet(ids=tuple(sorted(named))))
    await transaction.commit(changes)


async def create(store: Store, *promises: Promise) -> None:
    by_id = sorted(promises, key=lambda promise: promise.id)
    await write(store, Changes(created=tuple(by_id)))


async def read(store: Store, id: str) -> Promise | None:
    transaction = await store.begin(LoadSet(ids=(id,)))
    await transaction.rollback()
    return {promise.id: promise for promise in transaction.loaded.promises}.get(id)
