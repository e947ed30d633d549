"""Tasks and their hints: C15 and C16. Whatever becomes of a hint, the task finds a worker."""

import asyncio
import json
from collections.abc import Callable

from aio_pika.abc import AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from resonate_broker.config import Config
from resonate_sdk.protocol import topology
from tests.integration.amqp.foreign import (
    OK,
    ForeignClient,
    Inbox,
    Json,
    create,
    foreign_client,
    request,
    settle,
    statuses,
    task_for,
)
from tests.integration.amqp.server import Gate, ServerThread, drop_messages

GROUP = "billing"
ME = "me"
LEASE_MS = 60_000
STICKY_SECONDS = 1.0  # so long a hint waits for the process it prefers
RESEND_SECONDS = 2.0  # so long after it was sent a lost hint is sent again
LOOP_SLACK_SECONDS = 0.1
MADE_SECONDS_MAX = 10
READ_SECONDS = 1
AT_ONCE_SECONDS = 3
ARRAY_MAX = 350


async def worker_queue(client: ForeignClient, pid: str = ME) -> AbstractQueue:
    """Make the queue of hints that prefer this process, as a worker does."""
    (queue,) = topology.worker_topology(client.names, GROUP, pid).queues
    declared = await client.declare(queue.name, queue.arguments)
    await declared.bind(client.names.group(GROUP), routing_key=pid)
    return declared


async def greet(client: ForeignClient) -> Inbox:
    """Be a worker of the group, and take the hints for any of them."""
    await client.greet_as_worker(GROUP, ME)
    return await client.consume(client.names.task_queue(GROUP))


async def invoke(client: ForeignClient, id: str, target: str = GROUP) -> None:
    answer = await client.ask("promise.create", create(id, tags=task_for(target)))
    assert answer["head"]["status"] == OK


async def acquire(client: ForeignClient, id: str, version: int = 0, pid: str = ME) -> None:
    data = {"id": id, "version": version, "pid": pid, "ttl": LEASE_MS}
    answer = await client.ask("task.acquire", data)
    assert answer["head"]["status"] == OK, answer


async def suspend_on(client: ForeignClient, id: str, awaited: str) -> None:
    callback = {
        "kind": "promise.register_callback",
        "head": {},
        "data": {"awaited": awaited, "awaiter": id},
    }
    answer = await client.ask("task.suspend", {"id": id, "version": 1, "actions": [callback]})
    assert answer["head"]["status"] == OK, answer


async def wake(client: ForeignClient, hints: Inbox, *, pid: str = ME) -> None:
    """Run the execution `t` in a process until it waits for `p`, and settle that."""
    await client.ask_all(
        [
            request("promise.create", create("p")),
            request("promise.create", create("t", tags=task_for(GROUP))),
        ]
    )
    assert about(await hints.next_json()) == ("invoke", "t", 0)
    await acquire(client, "t", pid=pid)
    await suspend_on(client, "t", "p")
    await client.ask("promise.settle", settle("p"))


def about(hint: Json) -> tuple[str, str, int]:
    task = hint["data"]["task"]
    return hint["kind"], task["id"], task["version"]


async def test_a_hint_says_what_to_do_and_carries_the_promise(client: ForeignClient):
    hints = await greet(client)

    await invoke(client, "t")
    message = await hints.next()

    hint = json.loads(message.body)
    assert message.type == "task.invoke"
    assert about(hint) == ("invoke", "t", 0)
    assert hint["head"]["version"] == "2026-04-01"
    assert hint["data"]["promise"] == await client.promise("t")


async def test_the_process_that_ran_an_execution_last_is_told_first_when_it_wakes(
    client: ForeignClient,
):
    hints = await greet(client)
    await worker_queue(client)
    own = await client.consume(client.names.worker_queue(GROUP, ME))

    await wake(client, hints)

    assert about(await own.next_json()) == ("resume", "t", 1)
    assert hints.is_empty


async def test_the_group_is_told_at_once_when_the_queue_of_that_process_is_gone(
    client: ForeignClient,
):
    hints = await greet(client)
    queue = await worker_queue(client)
    await queue.delete(if_unused=False, if_empty=False)

    await wake(client, hints)

    assert about(await hints.next_json(STICKY_SECONDS)) == ("resume", "t", 1)


async def test_the_group_is_told_when_that_process_does_not_take_its_hint(client: ForeignClient):
    hints = await greet(client)
    await worker_queue(client)

    await wake(client, hints)
    hint = await hints.next(RESEND_SECONDS - LOOP_SLACK_SECONDS)

    assert about(json.loads(hint.body)) == ("resume", "t", 1)
    assert hint.headers["x-first-death-reason"] == "expired"


async def test_the_group_is_told_at_once_when_that_process_has_no_room(client: ForeignClient):
    hints = await greet(client)
    await worker_queue(client)
    own = await client.consume(client.names.worker_queue(GROUP, ME), acknowledges=True)

    await wake(client, hints)
    await (await own.next()).reject(requeue=False)
    hint = await hints.next(STICKY_SECONDS)

    assert about(json.loads(hint.body)) == ("resume", "t", 1)
    assert hint.headers["x-first-death-reason"] == "rejected"


async def test_a_hint_that_died_with_its_process_is_sent_again_to_the_group(
    client: ForeignClient, config: Config
):
    hints = await greet(client)
    async with foreign_client(config.url, config.namespace) as dying:
        await worker_queue(dying, "dying")
        own = await dying.consume(dying.names.worker_queue(GROUP, "dying"), acknowledges=True)
        await wake(client, hints, pid="dying")
        await own.next()  # and never acknowledge it

    again = await hints.next_json()

    assert about(again) == ("resume", "t", 1)
    assert again["head"]["attempt"] == 1


async def test_a_hint_that_a_worker_took_and_forgot_is_sent_again(client: ForeignClient):
    hints = await greet(client)
    await invoke(client, "t")
    first = await hints.next_json()

    again = await hints.next_json()

    assert about(again) == about(first) == ("invoke", "t", 0)
    assert (first["head"].get("attempt", 0), again["head"]["attempt"]) == (0, 1)


async def test_a_task_for_one_process_waits_for_it_and_goes_to_no_other(client: ForeignClient):
    hints = await greet(client)
    await invoke(client, "t", f"amqp://uni@{GROUP}/later")

    await client.use_queue("later")
    hint = await client.answers.next_json()

    assert about(hint) == ("invoke", "t", 0)
    assert hints.is_empty


async def test_tasks_of_a_group_without_workers_wait_for_the_first(client: ForeignClient):
    count = 20
    for number in range(count):
        await invoke(client, f"t{number}")

    hints = await greet(client)

    found = [about(await hints.next_json()) for _ in range(count)]
    assert {id for _, id, _ in found} == {f"t{number}" for number in range(count)}


async def test_a_task_that_is_stored_while_its_first_worker_comes_is_dispatched_at_once(
    client: ForeignClient, server: ServerThread
):
    """The task is queued for the worker, but not yet to be read when the worker is looked after."""
    app = server.server
    probe = Gate(server, app._messages, "probe")
    hints = await greet(client)
    assert await asyncio.to_thread(probe.is_reached.wait, MADE_SECONDS_MAX)
    write = Gate(server, app._aio._store, "write")
    await client.send(request("promise.create", create("t", tags=task_for(GROUP))))
    assert await asyncio.to_thread(write.is_reached.wait, MADE_SECONDS_MAX)
    read = Gate(server, app._store, "queued")
    read.open()

    probe.open()
    await asyncio.to_thread(read.is_passed.wait, READ_SECONDS)  # if it does not wait for the write
    write.open()

    assert about(await hints.next_json(AT_ONCE_SECONDS)) == ("invoke", "t", 0)


async def test_tasks_survive_the_loss_of_everything_on_the_broker(client: ForeignClient):
    await client.greet_as_worker(GROUP, ME)
    await invoke(client, "t1")
    name = client.names.task_queue(GROUP)
    queue = await client.channel.get_queue(name, ensure=False)
    await queue.delete(if_unused=False, if_empty=False)

    await invoke(client, "t2")  # comes back unroutable
    await client.greet_as_worker(GROUP, ME)
    hints = await client.consume(await until_exists(client, name))

    missing = {"t1", "t2"}
    while missing:
        missing.discard((await hints.next_json())["data"]["task"]["id"])


async def until_exists(client: ForeignClient, queue: str) -> str:
    """Wait until somebody has made a queue; each refusal closes the channel that asked."""
    async with asyncio.timeout(MADE_SECONDS_MAX):
        while True:
            async with client.connection.channel() as channel:
                try:
                    await channel.declare_queue(queue, passive=True)
                except ChannelNotFoundEntity:
                    continue
                return queue


async def test_a_task_of_a_deleted_exchange_is_dispatched_through_a_new_one(client: ForeignClient):
    hints = await greet(client)
    await client.channel.exchange_delete(client.names.group(GROUP))

    await invoke(client, "t")

    assert about(await hints.next_json()) == ("invoke", "t", 0)


async def test_no_more_hints_than_the_window_are_on_the_broker(client: ForeignClient):
    extra, window = 50, 1_000
    await client.greet_as_worker(GROUP, ME)
    name = client.names.task_queue(GROUP)
    ids = [f"t{number}" for number in range(window + extra)]
    for start in range(0, len(ids), ARRAY_MAX):
        some = ids[start : start + ARRAY_MAX]
        answers = await client.ask_all(
            [request("promise.create", create(id, tags=task_for(GROUP))) for id in some]
        )
        assert set(statuses(answers)) == {OK}
    waiting = await client.channel.declare_queue(name, passive=True)
    hints = await client.consume(name)

    seen: set[str] = set()
    while len(seen) < len(ids):
        taken = [(await hints.next_json())["data"]["task"]["id"]]
        while not hints.is_empty and len(taken) < ARRAY_MAX:
            taken.append((await hints.next_json())["data"]["task"]["id"])
        acquires = [{"id": id, "version": 0, "pid": ME, "ttl": LEASE_MS} for id in taken]
        await client.ask_all([request("task.acquire", data) for data in acquires])
        seen.update(taken)

    assert waiting.declaration_result.message_count in range(1, window + 1)


async def test_a_restarted_server_sends_the_hints_that_its_predecessor_owed(
    config: Config, start_server: Callable[[], ServerThread]
):
    dying = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        hints = await greet(client)
        drop_messages(dying)
        await invoke(client, "t")
        dying.stop()
        assert hints.is_empty

        start_server()
        await client.greet_as_worker(GROUP, ME)

        assert about(await hints.next_json()) == ("invoke", "t", 0)
