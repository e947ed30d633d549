"""What a database that has filled costs, beside one that is empty, alternating in the same run."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from resonate_sdk import Resonate
from resonate_store.postgres import PostgresStore, settings
from scripts.benchmark.cluster import WORKER_GROUP, Cluster, services, system
from scripts.benchmark.rows import Row, Timing, sum_up
from scripts.benchmark.workloads import WORKLOADS, Begin, calls, make, repeat

SETTLED = 1_000_000
ASLEEP = 25_000  # executions that sleep: the promise of each, and that of its sleep
QUEUED = 50_000  # executions of a group without workers
PENDING = 2 * ASLEEP + QUEUED
CHILDREN = 3  # of each settled execution
NOBODY = "bench-nobody"
A_DAY_S = 86_400.0
TABLES = ("promises", "callbacks", "listeners", "timers")
COPIES_PER_STATEMENT = 10_000
SEED_SECONDS_MAX = 30
WARM_UP_S = 2.0
PAIRS_PER_ROUND = 5  # short ones: what else the machine does changes from second to second
LOOKS = 100  # of each kind per pair
WORK: Mapping[str, tuple[Begin, int, tuple[int, ...]]] = {
    "W1": (WORKLOADS["W1"].begin, 1, (1, 100)),
    "W2": (WORKLOADS["W2"].begin, 10, (10,)),
    "W3": (calls("fan_out", 10), 10, (10,)),
    "sleep": (calls("nap", 0.0), 1, (20,)),
}


class Side(Struct, frozen=True):
    """A namespace: one is empty, one is full."""

    namespace: str
    url: str
    running: Cluster
    client: Resonate


def measure_scale(rounds: int, seconds: float) -> Iterator[Row]:
    """Yield two rows for each kind of work: with an empty database, and with a full one."""
    with ExitStack() as stack:
        urls = stack.enter_context(services()).urls
        empty, full = (_side(stack, urls, f"bench-{name}") for name in ("empty", "full"))
        _fill(full)
        for name, (begin, operations, in_flight) in WORK.items():
            for count in in_flight:
                yield from _compare(
                    name,
                    count,
                    begin,
                    operations,
                    (empty, full),
                    pairs=rounds * PAIRS_PER_ROUND,
                    seconds=seconds / PAIRS_PER_ROUND,
                )
        yield from asyncio.run(_compare_sweeps((empty, full), rounds * PAIRS_PER_ROUND))


def _side(stack: ExitStack, urls: dict[str, str], namespace: str) -> Side:
    running = stack.enter_context(system(urls, namespace))
    client = stack.enter_context(
        Resonate.remote(url=urls["RESONATE_URL"], namespace=namespace, group="bench-client")
    )
    return Side(namespace, urls["RESONATE_DATABASE_URL"], running, client)


def _fill(side: Side) -> None:
    """Let executions of each kind take place once, then copy what they have left in the tables."""
    worker = side.client.options(target=WORKER_GROUP)
    worker.begin_rpc("seed-settled", "fan_out", CHILDREN).result(timeout=SEED_SECONDS_MAX)
    worker.begin_rpc("seed-asleep", "nap", A_DAY_S).created()
    side.client.options(target=NOBODY).begin_rpc("seed-queued", "noop").created()
    asyncio.run(_copy_seeds(side))


async def _copy_seeds(side: Side) -> None:
    connection = await asyncpg.connect(
        side.url, server_settings={"search_path": settings.quoted(side.namespace)}
    )
    try:
        await _seeds_rest(connection)
        for seed, copies in (
            ("seed-settled", SETTLED // (CHILDREN + 1)),
            ("seed-asleep", ASLEEP),
            ("seed-queued", QUEUED),
        ):
            for table in TABLES:
                for first in range(0, copies, COPIES_PER_STATEMENT):
                    last = min(first + COPIES_PER_STATEMENT, copies) - 1
                    await connection.execute(_copy(table, seed, first, last))
        pending = await connection.fetchval("select count(*) from promises where state = 'pending'")
        assert pending >= PENDING, f"{pending} promises are pending"
        for table in TABLES:  # what autovacuum would have done meanwhile
            await connection.execute(f"vacuum (analyze) {table}")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _seeds_rest(connection: asyncpg.Connection) -> None:
    """Wait until the one sleeps, and nobody is expected to take the other."""
    query = (
        "select (select task_state = 'suspended' from promises where id = 'seed-asleep') "
        "and (select queued_at is not null from promises where id = 'seed-queued')"
    )
    async with asyncio.timeout(SEED_SECONDS_MAX):
        while not await connection.fetchval(query):
            await connection.execute("select pg_sleep(0.1)")


def _copy(table: str, seed: str, first: int, last: int) -> str:
    """A statement that copies all rows of an execution, wherever its id stands in them."""
    key = "id" if table in ("promises", "timers") else "awaited"
    return f"""
        insert into {table} select copy.* from {table} original
        cross join generate_series({first}, {last}) as number
        cross join lateral jsonb_populate_record(
            null::{table},
            replace(to_jsonb(original)::text, '{seed}', '{seed[5:]}-' || number)::jsonb
        ) as copy
        where original.{key} = '{seed}' or original.{key} like '{seed}.%'
    """  # noqa: S608  # the names are ours


def _compare(
    name: str,
    in_flight: int,
    begin: Begin,
    operations: int,
    sides: tuple[Side, Side],
    *,
    pairs: int,
    seconds: float,
) -> Iterator[Row]:
    """Work for a while on one side and on the other, again and again."""
    warm = [repeat(side.client, begin, in_flight, WARM_UP_S) for side in sides]
    calls_per_s = min(len(timing.latencies_ms) / timing.seconds for timing in warm)
    count = max(2 * in_flight, round(calls_per_s * seconds))
    timings: dict[str, list[Timing]] = {side.namespace: [] for side in sides}
    used_s = {side.namespace: dict.fromkeys(_cpu_s(side), 0.0) for side in sides}
    for number in range(pairs):
        for side in sides[:: -1 if number % 2 else 1]:
            before = _cpu_s(side)
            timings[side.namespace].append(make(side.client, begin, in_flight, count))
            for process, cpu_s in _cpu_s(side).items():
                used_s[side.namespace][process] += cpu_s - before[process]
    empty, full = (timings[side.namespace] for side in sides)
    ratios = [there.seconds / here.seconds for here, there in zip(empty, full, strict=True)]
    rows = [
        sum_up(
            f"{name} {side.namespace.removeprefix('bench-')}",
            in_flight,
            timings[side.namespace],
            operations=operations,
            cpu_s=used_s[side.namespace],
        )
        for side in sides
    ]
    cpu_empty, cpu_full = (sum(row.cpu_us_per_op.values()) for row in rows)
    yield rows[0]
    yield replace(
        rows[1],
        times_empty=round(statistics.median(ratios), 3),
        cpu_times_empty=round(cpu_full / cpu_empty, 3),
    )


def _cpu_s(side: Side) -> dict[str, float]:
    """CPU seconds used so far by the processes of a namespace, and by its sessions."""
    return side.running.cpu_s() | {"database": asyncio.run(_database_cpu_s(side))}


async def _database_cpu_s(side: Side) -> float:
    connection = await asyncpg.connect(side.url)
    try:
        pids = await connection.fetch(
            "select pid from pg_stat_activity where starts_with(application_name, $1)",
            f"{settings.APPLICATION} {side.namespace} ",
        )
    finally:
        await connection.close()
    return sum(_process_cpu_s(pid) for (pid,) in pids)


def _process_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _compare_sweeps(sides: tuple[Side, Side], pairs: int) -> Sequence[Row]:
    """Measure what a server asks the database when nothing is due."""
    stores = [await PostgresStore.open(side.url, side.namespace) for side in sides]
    looks: Mapping[str, Callable[[PostgresStore], Awaitable[object]]] = {
        "look: timers": lambda store: store.due(200),
        "look: schedules": lambda store: store.due_schedules(100),
        "look: queues": lambda store: store.queued_groups(10_000),
        "look: limits": lambda store: store.groups(None),
        "look: inbox": lambda store: store.inbox(200),
    }
    rows: list[Row] = []
    try:
        for name, look in looks.items():
            timings: list[list[Timing]] = [[], []]
            for _ in range(pairs):
                for number, store in enumerate(stores):
                    timings[number].append(await _look(look, store))
            ratios = [full.seconds / empty.seconds for empty, full in zip(*timings, strict=True)]
            empty, full = (
                sum_up(f"{name} {side}", 1, timings[number], cpu_s={})
                for number, side in enumerate(("empty", "full"))
            )
            rows += [empty, replace(full, times_empty=round(statistics.median(ratios), 3))]
    finally:
        for store in stores:
            await store.close()
    return rows


async def _look(look: Callable[[PostgresStore], Awaitable[object]], store: PostgresStore) -> Timing:
    latencies_ms: list[float] = []
    begun_at = time.perf_counter()
    for _ in range(LOOKS):
        started_at = time.perf_counter()
        await look(store)
        latencies_ms.append((time.perf_counter() - started_at) * 1000)
    return Timing(time.perf_counter() - begun_at, latencies_ms, len(latencies_ms))
