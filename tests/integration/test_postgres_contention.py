"""C2: servers that write the same promises at the same time never deadlock, nor lose anything.

Batches of random operations run on a few ids, which change all the time. The rules are the real
ones; what they must keep is checked from outside.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from random import Random
from time import monotonic

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import EMPTY
from resonate_store.postgres import PostgresStore
from resonate_store.state import LoadSet, Promise, Snapshot
from resonate_store.store import ConflictError
from tests.contract.rows import make_promise, make_task

SECONDS = float(os.environ.get("RESONATE_CONTENTION_SECONDS", "5"))
SERVERS = 3
IDS_PER_WINDOW = 40
WINDOW_SECONDS = 0.2
OPERATIONS_MAX = 30
AWAITED_MAX = 4
OPERATIONS = {"create": 20, "acquire": 40, "release": 15, "suspend": 20, "settle": 5}
LEASE_MS = 15_000
GRANT = tuple[str, int]


class Server:
    """One of several that work on the same window of ids."""

    def __init__(self, store: PostgresStore, seed: int) -> None:
        self._store = store
        self._random = Random(seed)
        self.grants = Counter[GRANT]()
        self.batches = 0
        self.lost = 0

    async def run(self, deadline: float) -> None:
        while (now := monotonic()) < deadline:
            window = int(now / WINDOW_SECONDS)
            await self.batch([f"{window}.{n:02}" for n in range(IDS_PER_WINDOW)])

    async def batch(self, window: list[str]) -> None:
        operations: list[Callable[[WorkingState], None]] = []
        named = set[str]()
        settling = set[str]()
        grants: list[GRANT] = []
        for _ in range(self._random.randint(1, OPERATIONS_MAX)):
            id = self._random.choice(window)
            named.add(id)
            match self._random.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]:
                case "create":
                    operations.append(lambda state, id=id: create(state, id))
                case "acquire":
                    operations.append(lambda state, id=id: acquire(state, id, grants))
                case "release":
                    operations.append(lambda state, id=id: release(state, id))
                case "suspend":
                    awaited = self._random.sample(window, self._random.randint(1, AWAITED_MAX))
                    named.update(awaited)
                    operations.append(
                        lambda state, id=id, awaited=awaited: suspend(state, id, awaited)
                    )
                case _:
                    settling.add(id)
                    operations.append(lambda state, id=id: settle(state, id))
        load = LoadSet(ids=tuple(sorted(named)), settling=tuple(sorted(settling)))
        try:
            transaction = await self._store.begin(load)
            state = WorkingState(load, transaction.loaded, transaction.loaded.now_ms)
            for operation in operations:
                operation(state)
            await transaction.commit(state.changes())
        except ConflictError:
            self.lost += 1
            return
        self.batches += 1
        self.grants.update(grants)

    async def drain(self, settled: list[str]) -> None:
        """Wake those whom nobody could wake when what they awaited was settled."""
        load = LoadSet(ids=tuple(settled), settling=tuple(settled))
        transaction = await self._store.begin(load)
        state = WorkingState(load, transaction.loaded, transaction.loaded.now_ms)
        for promise in transaction.loaded.promises:
            if promise.id in settled:
                rules.discharge(state, promise)
        await transaction.commit(state.changes())


def create(state: WorkingState, id: str) -> None:
    if state.promise(id) is None:
        promise = make_promise(
            id,
            tags={tag.TARGET: "amqp://any@g"},
            timeout_at_ms=state.now_ms + 2**40,
            task=make_task(group="g", retry_at_ms=0),
        )
        state.put(promise)


def acquire(state: WorkingState, id: str, grants: list[GRANT]) -> None:
    promise = state.promise(id)
    if promise is None or promise.task is None or promise.task.state != "pending":
        return
    task = rules.acquired(promise.task, "worker", LEASE_MS, state.now_ms)
    state.put(replace(promise, task=task))
    grants.append((id, task.version))


def release(state: WorkingState, id: str) -> None:
    promise = state.promise(id)
    if promise is None or promise.task is None or promise.task.state != "acquired":
        return
    state.put(replace(promise, task=rules.to_pending(promise.task, state.now_ms)))


def suspend(state: WorkingState, id: str, awaited: list[str]) -> None:
    promise = state.promise(id)
    if promise is None or promise.task is None or promise.task.state != "acquired":
        return
    others = [state.promise(other) for other in awaited]
    if any(other is None or other.state != "pending" for other in others):
        return
    for other in awaited:
        state.add_callback(other, id)
    state.put(replace(promise, task=rules.suspended(promise.task)))


def settle(state: WorkingState, id: str) -> None:
    promise = state.promise(id)
    if promise is not None and promise.state == "pending":
        rules.settle(state, promise, "resolved", EMPTY)


def owed(snapshot: Snapshot) -> list[str]:
    """Settled promises that somebody still waits for."""
    pending = {promise.id for promise in snapshot.promises if promise.state == "pending"}
    return sorted({c.awaited for c in snapshot.callbacks if c.awaited not in pending})


def lost_wake_ups(snapshot: Snapshot) -> list[Promise]:
    awaiters = {callback.awaiter for callback in snapshot.callbacks}
    return [
        promise
        for promise in snapshot.promises
        if promise.task is not None
        and promise.task.state == "suspended"
        and promise.id not in awaiters
    ]


async def test_servers_that_write_the_same_rows_lose_nothing(tables):
    stores = [PostgresStore(tables.url, tables.namespace) for _ in range(SERVERS)]
    servers = [Server(store, seed) for seed, store in enumerate(stores)]
    deadline = monotonic() + SECONDS
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.run(deadline))
    while left := owed(await stores[0].snapshot()):
        await servers[0].drain(left)

    snapshot = await stores[0].snapshot()
    grants = sum((server.grants for server in servers), Counter[GRANT]())
    conflicts = sum((store.conflicts for store in stores), Counter[str]())
    assert sum(server.batches for server in servers) > 10 * SECONDS
    assert set(grants.values()) == {1}, "a version was granted twice"
    versions = Counter(id for id, _ in grants)
    for promise in snapshot.promises:
        assert promise.task is not None
        assert promise.task.version == versions[promise.id], promise
        assert (promise.state == "pending") == (promise.task.state != "fulfilled"), promise
    assert lost_wake_ups(snapshot) == []
    assert set(conflicts) <= {"LostInsertError"}, "the lock discipline rules out deadlocks"
    assert conflicts.total() == sum(server.lost for server in servers)
    for store in stores:
        await store.close()
