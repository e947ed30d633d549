"""A client of a real server that asks at random."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random

from resonate_sdk.protocol import envelope
from resonate_sdk.protocol.responses import PromiseData, TaskData, TaskGranted
from tests.integration.amqp.foreign import ForeignClient
from tests.simulation.requests import Knowledge, Requests


async def be_busy(
    client: ForeignClient,
    pid: str,
    numbers: Iterable[int],
    *,
    patience_s: float | None = None,
    keys: Sequence[str] = ("promise.get",),
    generation: Callable[[], int] = lambda: 0,
) -> None:
    """Ask at random, as the clients of simulations do.

    Args:
        client: the connection.
        pid: the name of the process.
        numbers: of the messages to send.
        patience_s: an answer that does not come within it is given up.
        keys: with which messages are published, at random.
        generation: when it goes up all ids are new, and those before it are forgotten.
    """
    now_ms = lambda: time.time_ns() // 1_000_000  # noqa: E731
    known, random = Knowledge(pid, now_ms), Random(pid)
    current = generation()
    requests = Requests(random, known, lambda: current)
    for number in numbers:
        if generation() != current:
            current = generation()
            known.forget()
        asked = [requests.make() for _ in range(random.choice((1, 1, 3)))]
        body = [
            {
                "kind": kind,
                "head": {"version": "2026-04-01", "corrId": f"{number}-{index}"},
                "data": data,
            }
            for index, (kind, data) in enumerate(asked)
        ]
        await client.send(body, key=random.choice(keys))
        try:
            async with asyncio.timeout(patience_s):
                answers = await client.take_answers(len(body))
        except TimeoutError:
            if patience_s is None:
                raise
            continue
        for answer in answers:
            learn(known, json.dumps(answer).encode())


def learn(known: Knowledge, body: bytes) -> None:
    """Remember what an answer says."""
    (response,) = envelope.decode_responses(body)
    if response.head.status != 200:
        return
    match envelope.decode_answer(response).data:
        case PromiseData(promise=promise):
            known.promises[promise.id] = promise
        case TaskData(task=task):
            known.tasks[task.id] = task
        case TaskGranted(task=task, promise=promise):
            known.tasks[task.id] = task
            known.promises[promise.id] = promise
            if task.state == "acquired":
                known.held[task.id] = task.version
        case _:
            pass
