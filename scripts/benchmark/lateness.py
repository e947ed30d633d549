"""How late timers are, while little else is to be done."""

import itertools
import queue
import random
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from resonate_sdk import Resonate, TimedOutError
from resonate_sdk.client.handle import Handle
from scripts.benchmark.cluster import WORKER_GROUP, now_s
from scripts.benchmark.rows import Timing

AHEAD_S = (0.3, 1.3)  # each timer is set so far ahead
WAIT_SECONDS_MAX = 30

SetTimer = Callable[[Resonate, str, float], Handle[Any]]
"""Sets a timer; the handle is done when somebody has heard that it has fired."""


def _sleep(client: Resonate, id: str, at_s: float) -> Handle[Any]:
    """An execution sleeps until then; the client hears what its body returns after that."""
    return client.options(target=WORKER_GROUP).begin_rpc(id, "nap_until", at_s)


def _deadline(client: Resonate, id: str, at_s: float) -> Handle[Any]:
    """A promise has its deadline then; the client waits for it."""
    client.promises.create(id, round(at_s * 1000))
    return client.get(id)


TIMERS: dict[str, SetTimer] = {"late sleeps": _sleep, "late deadlines": _deadline}


def lateness(client: Resonate, set_timer: SetTimer, in_flight: int, seconds: float) -> Timing:
    """Set timers for a while, `in_flight` at a time; say how late each was heard of."""
    prefix, numbers = secrets.token_hex(4), itertools.count()
    heard: queue.SimpleQueue[float | BaseException] = queue.SimpleQueue()

    def start() -> None:
        at_s = now_s() + random.uniform(*AHEAD_S)
        handle = set_timer(client, f"{prefix}-{next(numbers)}", at_s)
        handle.future.add_done_callback(partial(hear, at_s))

    def hear(at_s: float, future: Future[Any]) -> None:
        match future.exception():
            case None:  # the body tells when it went on
                heard.put((future.result() - at_s) * 1000)
            case TimedOutError():
                heard.put((now_s() - at_s) * 1000)
            case error:
                heard.put(error)

    def next_late_ms() -> float:
        late_ms = heard.get(timeout=WAIT_SECONDS_MAX)
        if isinstance(late_ms, BaseException):
            raise late_ms
        return late_ms

    begun_at = time.perf_counter()
    for _ in range(in_flight):
        start()
    late_ms: list[float] = []
    while time.perf_counter() - begun_at < seconds:
        late_ms.append(next_late_ms())
        start()
    elapsed = time.perf_counter() - begun_at
    for _ in range(in_flight):
        next_late_ms()
    return Timing(elapsed, late_ms, len(late_ms) + in_flight)
