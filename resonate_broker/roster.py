"""Who has said hello: kept in memory, since every worker says it again twice a minute."""

from collections.abc import Callable

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import WorkerRecord
from resonate_sdk.protocol.requests import Hello

FORGET_MS = 20 * limits.HELLO_INTERVAL_MS
WORKERS_MAX = 10_000


class Roster:
    """The workers that this server has heard of lately.

    The server that takes requests of partition 0 hears every hello, and is asked for the list.
    """

    def __init__(self, now_ms: Callable[[], int | None]) -> None:
        """Know nobody.

        Args:
            now_ms: the clock of the store; None while it is not known.
        """
        self._now_ms = now_ms
        self._workers: dict[str, WorkerRecord] = {}  # who was heard last is the last one

    def heard(self, hello: Hello) -> None:
        """Note a hello; those of processes that run no tasks do not matter."""
        now_ms = self._now_ms()
        if hello.group is None or now_ms is None:
            return
        known = self._workers.pop(hello.pid, None)
        if known is None and len(self._workers) == WORKERS_MAX:
            del self._workers[next(iter(self._workers))]
        self._workers[hello.pid] = WorkerRecord(
            pid=hello.pid,
            group=hello.group,
            slots=hello.slots,
            in_flight=hello.in_flight,
            sdk=hello.sdk,
            first_seen_at_ms=now_ms if known is None else known.first_seen_at_ms,
            seen_at_ms=now_ms,
        )

    def workers(self, group: str | None) -> tuple[WorkerRecord, ...]:
        """All that were heard lately, or those of a group, by group and process."""
        now_ms = self._now_ms() or 0
        for pid, worker in list(self._workers.items()):
            if worker.seen_at_ms > now_ms - FORGET_MS:
                break
            del self._workers[pid]
        found = [w for w in self._workers.values() if group in (None, w.group)]
        return tuple(sorted(found, key=lambda worker: (worker.group, worker.pid)))
