"""Many tasks for a group without workers: they cost next to nothing, and are served in the end."""

import json
import logging
import os
import time

import pytest

from resonate_broker.config import Config, KernelConfig
from tests.integration.amqp.foreign import (
    OK,
    ForeignClient,
    Json,
    create,
    request,
    settle,
    task_for,
)
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread

logger = logging.getLogger(__name__)

# RESONATE_TEST_BACKLOG=100000 runs it at full size.
TASKS = int(os.environ.get("RESONATE_TEST_BACKLOG", "1500"))
WINDOW = 100 if TASKS < 10_000 else 1_000
ARRAY = 200
GROUP = "nobody"
QUIET_SECONDS = 3.0
SETTLING_SECONDS_MAX = 20 + TASKS / 500
LEASE_MS = 3_600_000
QUEUED = "select count(*) from promises where queued_at is not null"
UPDATES = "select n_tup_upd from pg_stat_user_tables where relid = 'promises'::regclass"


@pytest.fixture
def config(config: Config) -> Config:
    kernel = KernelConfig(dispatch_window=WINDOW)
    return Config(
        url=config.url,
        database_url=config.database_url,
        namespace=config.namespace,
        kernel=kernel,
    )


def id_of(number: int) -> str:
    return f"task-{number:06}"


async def ready(client: ForeignClient) -> int:
    """How many hints the broker holds for the group."""
    queue = await client.channel.declare_queue(client.names.task_queue(GROUP), passive=True)
    return queue.declaration_result.message_count or 0


async def pass_seconds(seconds: float, rows: Rows) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await rows.fetchval("select pg_sleep(0.1)")


@pytest.mark.timeout(900)
async def test_tasks_without_a_worker_wait_quietly_and_are_all_served_when_one_comes(
    client: ForeignClient, rows: Rows, server: ServerThread
):
    began = time.monotonic()
    for first in range(0, TASKS, ARRAY):
        numbers = range(first, min(first + ARRAY, TASKS))
        answers = await client.ask_all(
            [
                request("promise.create", create(id_of(n), tags=task_for(GROUP)), corr_id=str(n))
                for n in numbers
            ]
        )
        assert {answer["head"]["status"] for answer in answers} == {OK}
    created_s = time.monotonic() - began

    # The hints that were sent find nobody: their tasks wait with the others.
    await rows.until(QUEUED, equals=TASKS, seconds=SETTLING_SECONDS_MAX)
    held = await ready(client)
    assert 0 < held <= WINDOW

    # Now nothing happens any more: no row is written, no message sent.
    await pass_seconds(1.0, rows)  # counts of the database come late
    updates, cpu_s = await rows.fetchval(UPDATES), time.process_time()
    await pass_seconds(QUIET_SECONDS, rows)
    idle_cpu = (time.process_time() - cpu_s) / QUIET_SECONDS
    assert await rows.fetchval(UPDATES) == updates
    assert await ready(client) == held
    assert idle_cpu < 0.2

    # A worker comes, and finds every task.
    began = time.monotonic()
    await client.greet_as_worker(GROUP, "w")
    await client.channel.set_qos(prefetch_count=ARRAY)  # it takes no more than it can begin
    hints = await client.consume(client.names.task_queue(GROUP), acknowledges=True)
    served: set[str] = set()
    while len(served) < TASKS:
        found = [await hints.next(seconds=30)]
        while not hints.is_empty and len(found) < ARRAY:
            found.append(await hints.next())
        requests: list[Json] = []
        for message in found:
            hint = json.loads(message.body)
            id = hint["data"]["task"]["id"]
            version = hint["data"]["task"]["version"]
            acquire = {"id": id, "version": version, "pid": "w", "ttl": LEASE_MS, "preload": False}
            action = {"kind": "promise.settle", "data": settle(id)}
            fulfill = {"id": id, "version": version + 1, "action": action}
            requests += [
                request("task.acquire", acquire, corr_id=f"acquire {id}", chain=id),
                request("task.fulfill", fulfill, corr_id=f"fulfill {id}", chain=id),
            ]
        for answer in await client.ask_all(requests):
            verb, id = answer["head"]["corrId"].split()
            if verb == "fulfill" and answer["head"]["status"] == OK:
                served.add(id)
        for message in found:
            await message.ack()
    assert served == {id_of(number) for number in range(TASKS)}
    logger.info(
        "tasks=%d created_s=%.1f hints=%d idle_cpu=%.3f served_s=%.1f",
        TASKS, created_s, held, idle_cpu, time.monotonic() - began,
    )  # fmt: skip
