"""Two workers are given the same fresh hint: C9 and C10. Both bodies run, one of them counts."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from typing import Any

import aio_pika
import msgspec
import pytest

from resonate_sdk import Resonate
from resonate_sdk.clock import now_ms
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.protocol import messages
from resonate_sdk.protocol.messages import HintData, Invoke, MessageHead
from resonate_sdk.protocol.records import PromiseRecord, TaskRef
from tests.integration.amqp.foreign import ForeignClient, create, foreign_client, task_for
from tests.integration.amqp.server import ServerThread

GROUP = "g"
PIDS = ("w1", "w2")
NOBODY = "nobody"  # a group without workers: the server sends no hints of its own
SECONDS_MAX = 10
COUNT = 20
PATIENCE_MS = 60_000  # instead of a second: a busy machine may take longer than that


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints are fresh, however long they were under way."""
    monkeypatch.setattr("resonate_sdk.worker.overlap.AGE_MS_MAX", PATIENCE_MS)
    monkeypatch.setattr("resonate_sdk.worker.overlap.AHEAD_MS_MAX", PATIENCE_MS)


class Worker:
    """A client that serves a function, and writes down what it asks the server for."""

    def __init__(self, url: str, namespace: str, pid: str, body: Callable[[str], None]) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.has_asked = threading.Event()
        self.ran: list[str] = []
        self.client = Resonate.remote(url, namespace=namespace, group=GROUP, pid=pid)
        self._body = body
        self._watch_requests()
        self.client.register(self._run, name="body")
        self.client.start()
        self.client.promises.create(f"greeting-{pid}", expires_in=60)  # tells the server's clock
        self.asked.clear()

    def _run(self, ctx: Any) -> str:
        self.ran.append(ctx.id)
        self._body(ctx.id)
        return self.client.pid

    def _watch_requests(self) -> None:
        transport: Any = self.client._runtime._transport
        request = transport.request

        def watched(asked: Any, *, chain: str | None = None, **more: Any) -> Any:
            if asked.kind.startswith("task.") and asked.kind != "task.heartbeat":
                self.asked.append((asked.kind, chain))
                self.has_asked.set()
            return request(asked, chain=chain, **more)

        transport.request = watched


class Workers:
    def __init__(self, stack: ExitStack, server: ServerThread) -> None:
        self._stack = stack
        self._config = server.config

    def start(self, body: Callable[[str], None]) -> list[Worker]:
        workers = [Worker(self._config.url, self._config.namespace, pid, body) for pid in PIDS]
        for worker in workers:
            self._stack.callback(worker.client.stop)
        return workers

    def stop(self) -> None:
        """Let what is under way come to its end."""
        self._stack.close()


@pytest.fixture
async def workers(server: ServerThread) -> AsyncGenerator[Workers]:
    with ExitStack() as stack:
        yield Workers(stack, server)
        await asyncio.to_thread(stack.close)


@pytest.fixture
async def client(server: ServerThread) -> AsyncGenerator[ForeignClient]:
    async with foreign_client(server.config.url, server.config.namespace) as client:
        yield client


async def make_task(client: ForeignClient, id: str) -> PromiseRecord:
    param = msgspec.to_builtins(encode_call(Codec(), "body", 1, (), {}))
    await client.ask("promise.create", create(id, param=param, tags=task_for(NOBODY)))
    return msgspec.convert(await client.promise(id), PromiseRecord)


async def hint_to_all(client: ForeignClient, promise: PromiseRecord) -> None:
    """Give every worker the first hint of a task, as if it had been sent to it alone."""
    data = HintData(task=TaskRef(id=promise.id, version=0), promise=promise)
    body = messages.encode(Invoke(data=data, head=MessageHead(sent_at_ms=now_ms())))
    for pid in PIDS:
        await client.channel.default_exchange.publish(
            aio_pika.Message(body, type="task.invoke"),
            routing_key=client.names.worker_queue(GROUP, pid),
        )


async def settled_by(client: ForeignClient, id: str) -> str:
    async with asyncio.timeout(SECONDS_MAX):
        while (promise := await client.promise(id))["state"] == "pending":
            pass  # asking is all the waiting there is
    assert promise["state"] == "resolved"
    assert (await client.task(id))["version"] == 1
    record = msgspec.convert(promise, PromiseRecord)
    return Codec().decode(record.value, str)


async def test_of_two_workers_with_the_same_hint_one_settles_and_the_other_leaves_no_trace(
    client: ForeignClient, workers: Workers
):
    may_end = threading.Event()
    running = await asyncio.to_thread(workers.start, lambda _: _pass(may_end))
    promise = await make_task(client, "x")

    await hint_to_all(client, promise)
    for worker in running:
        assert await asyncio.to_thread(worker.has_asked.wait, SECONDS_MAX)
    may_end.set()
    winner = await settled_by(client, "x")
    await asyncio.to_thread(workers.stop)

    assert [worker.ran for worker in running] == [["x"], ["x"]]
    asked = {worker.client.pid: worker.asked for worker in running}
    assert asked.pop(winner) == [("task.acquire", None), ("task.fulfill", None)]
    (of_loser,) = asked.values()
    assert of_loser == [("task.acquire", None), ("task.get", None)]


def _pass(gate: threading.Event) -> None:
    assert gate.wait(SECONDS_MAX)


async def test_of_two_short_bodies_with_the_same_hint_only_the_holders_result_counts(
    client: ForeignClient, workers: Workers
):
    """The result of the other one travels behind its acquisition, and is not attempted."""
    running = await asyncio.to_thread(workers.start, lambda _: None)
    promises = [await make_task(client, f"x{number}") for number in range(COUNT)]

    for promise in promises:
        await hint_to_all(client, promise)
    winners = [await settled_by(client, promise.id) for promise in promises]
    await asyncio.to_thread(workers.stop)

    assert set(winners) <= set(PIDS)
    for worker in running:
        won = winners.count(worker.client.pid)
        kinds = [kind for kind, _ in worker.asked]
        alone = [kind for kind, chain in worker.asked if chain is None]
        assert kinds.count("task.acquire") == COUNT
        assert alone.count("task.fulfill") <= won
        assert set(alone) <= {"task.acquire", "task.fulfill", "task.get"}
        assert alone.count("task.get") == COUNT - won
    assert sum(len(worker.ran) for worker in running) > COUNT
