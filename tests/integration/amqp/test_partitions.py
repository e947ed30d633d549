"""Several submission queues: a tree has its own, and every request is served whatever its queue."""

import asyncio
from collections.abc import Callable, Generator

import pytest
from msgspec.structs import replace

from resonate_broker.config import Config
from resonate_sdk import Context, Resonate
from resonate_sdk.protocol import topology
from tests.integration.amqp.foreign import (
    OK,
    create,
    foreign_client,
    request,
    settle,
)
from tests.integration.amqp.server import ServerThread

PARTITIONS = 3
TREES = 30
COUNT = 100
RESULT_SECONDS = 60

Start = Callable[[int], ServerThread]


@pytest.fixture
def start(config: Config) -> Generator[Start]:
    """Starts a server with so many partitions; those that run at the end are stopped."""
    started: list[ServerThread] = []

    def start(partitions: int) -> ServerThread:
        started.append(ServerThread(replace(config, partitions=partitions)))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()


def key_of(kind: str, origin: str, partitions: int = PARTITIONS) -> str:
    return topology.submit_key(kind, origin, partitions)


def ids_by_partition() -> list[str]:
    """An id for each partition."""
    ids: dict[str, str] = {}
    number = 0
    while len(ids) < PARTITIONS:
        ids.setdefault(key_of("", f"id{number}"), f"id{number}")
        number += 1
    return list(ids.values())


async def test_each_partition_keeps_the_order_of_a_sender_and_plain_keys_are_served(
    config: Config, start: Start
):
    start(PARTITIONS)
    start(PARTITIONS)
    ids = ids_by_partition()
    async with foreign_client(config.url, config.namespace) as client:
        for number in range(COUNT):
            for id in ids:
                one = f"{id}.{number}"
                for kind, data in (
                    ("promise.create", create(one)),
                    ("promise.settle", settle(one, "first")),
                    ("promise.settle", settle(one, "second", "rejected")),
                ):
                    body = request(kind, data, corr_id=f"{id} {number} {kind}")
                    await client.send(body, key=key_of(kind, id))
        answers = [await client.answers.next_json() for _ in range(3 * COUNT * len(ids))]
        await client.send(request("promise.get", {"id": f"{ids[0]}.0"}), key="promise.get")
        plain = await client.answers.next_json()

    for id in ids:
        own = [answer for answer in answers if answer["head"]["corrId"].split()[0] == id]
        numbers = [int(answer["head"]["corrId"].split()[1]) for answer in own]
        assert numbers == [number for number in range(COUNT) for _ in range(3)]
        for created, settled, again in zip(*[iter(own)] * 3, strict=True):
            assert created["data"]["promise"]["state"] == "pending"
            assert settled["data"]["promise"]["value"] == {"data": "first"}
            assert again["data"] == settled["data"]
    assert plain["data"]["promise"]["value"] == {"data": "first"}


def test_programs_know_nothing_of_partitions(config: Config, start: Start):
    start(PARTITIONS)

    def half(ctx: Context, number: int) -> int:
        return number // 2

    def both(ctx: Context, number: int):
        one = yield ctx.begin_rpc(half, number)
        other = yield ctx.begin_rpc(half, number)
        return (yield one) + (yield other)

    url, namespace = config.url, config.namespace
    worker = Resonate.remote(url=url, namespace=namespace, group="halves")
    for function in (half, both):
        worker.register(function)
    worker.start()
    with worker, Resonate.remote(url=url, namespace=namespace, group="asking") as asking:
        calls = [
            asking.options(target="halves").begin_rpc(f"tree-{number}", "both", 2 * number)
            for number in range(TREES)
        ]

        assert [call.result(RESULT_SECONDS) for call in calls] == [2 * n for n in range(TREES)]

    assert {key_of("", f"tree-{number}") for number in range(TREES)} == {
        f"p{partition:02}." for partition in range(PARTITIONS)
    }


async def test_queues_of_a_time_with_more_partitions_are_served_for_those_who_still_use_them(
    config: Config, start: Start
):
    first = start(PARTITIONS)
    ids = ids_by_partition()
    async with foreign_client(config.url, config.namespace) as client:
        await asyncio.to_thread(first.stop)
        for id in ids:
            await client.send(
                request("promise.create", create(id)), key=key_of("promise.create", id)
            )

        await asyncio.to_thread(start, 1)
        answers = [await client.answers.next_json() for _ in ids]

    assert [answer["head"]["status"] for answer in answers] == [OK] * len(ids)
