"""Decides whether a recorded history could have happened one request after the other.

A history is a set of requests, each with the interval in which it was carried out. It is
linearizable if there is an order of them that respects the intervals and in which the model
answers each request as it was answered. Requests of origins that never meet are looked at apart.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from tests.model.draft import rest
from tests.model.model import step
from tests.model.state import Json, Promise, State

UNKNOWN = 500
EMPTY = State(promises={}, callbacks={}, listeners={})
_ID_FIELDS = ("id", "awaited", "awaiter")


class Request(Struct, frozen=True):
    """One line of a history.

    Attributes:
        called_at: no effect before.
        returned_at: the effect was there.
    """

    kind: str
    now: int
    req: Json
    res: Json
    called_at: int = field(name="call")
    returned_at: int = field(name="return")
    client: int = 0

    @property
    def status(self) -> int:
        """What it was answered."""
        return self.res["head"]["status"]

    @property
    def data(self) -> Json:
        """What the answer says, without its free words."""
        data = self.res["data"]
        if isinstance(data, str):
            return None
        if self.kind == "task.fence" and isinstance(data["action"]["data"], str):
            return {**data, "action": {**data["action"], "data": None}}
        return data

    @property
    def ids(self) -> tuple[str, ...]:
        """The objects that it names."""
        return tuple(dict.fromkeys(_ids(self.req)))


class NotLinearizableError(AssertionError):
    """No order of the requests explains their answers."""


def check(lines: Iterable[bytes]) -> int:
    """Look at a history; returns how many requests it has.

    Raises:
        NotLinearizableError: it could not have happened.
    """
    requests = [msgspec.json.decode(line, type=Request) for line in lines]
    for part in partitions(requests):
        _Search(part).run()
    return len(requests)


def partitions(requests: Sequence[Request]) -> list[list[Request]]:
    """Requests of origins that have to do with each other, in the order of their instants."""
    root: dict[str, str] = {}

    def find(origin: str) -> str:
        while root.setdefault(origin, origin) != origin:
            origin = root[origin]
        return origin

    for request in requests:
        first, *others = (find(id.partition(".")[0]) for id in request.ids)
        for other in others:
            root[find(other)] = find(first)
    parts: dict[str, list[Request]] = {}
    for request in sorted(requests, key=lambda request: request.now):
        parts.setdefault(find(request.ids[0].partition(".")[0]), []).append(request)
    return list(parts.values())


class _Search:
    """Looks for an order, along the instants first: mostly that is the one."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._failed = set[tuple[frozenset[int], int]]()
        self._longest = 0
        self._stuck: Request | None = None

    def run(self) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 10 * len(self._requests) + 1_000))
        if not self._explains(EMPTY, frozenset(range(len(self._requests)))):
            raise NotLinearizableError(
                f"after {self._longest} of {len(self._requests)} requests nothing explains "
                f"{self._stuck}"
            )

    def _explains(self, state: State, left: frozenset[int]) -> bool:
        if all(self._requests[number].status == UNKNOWN for number in left):
            return True
        key = (left, _fingerprint(state))
        if key in self._failed:
            return False
        ends_first = min(self._requests[number].returned_at for number in left)
        for number in sorted(left):
            request = self._requests[number]
            if request.called_at > ends_first:
                continue
            for after in _outcomes(state, request):
                if self._explains(after, left - {number}):
                    return True
            if len(self._requests) - len(left) >= self._longest:
                self._longest, self._stuck = len(self._requests) - len(left), request
        self._failed.add(key)
        return False


def _outcomes(state: State, request: Request) -> Iterator[State]:
    """What may be stored after a request, if its answer can be explained."""
    for before in _unasked(state, request):
        for is_eager in (True, False):
            after, status, data = step(
                before, request.kind, request.req, request.now, is_eager=is_eager, is_strict=True
            )
            if request.status == UNKNOWN or (status, data) == (request.status, request.data):
                yield after


def _unasked(state: State, request: Request) -> Iterator[State]:
    """What the server may have done by itself before a request: deadlines, wakes, lost leases."""
    for seen in (state, rest(state, request.now)):
        expired = [
            promise
            for promise in map(seen.promises.get, request.ids)
            if promise is not None and _has_expired(promise, request.now)
        ]
        subsets = (combinations(expired, count) for count in range(len(expired) + 1))
        for lost in chain.from_iterable(subsets):
            yield replace(seen, promises={**seen.promises, **dict(map(_given_back, lost))})


def _has_expired(promise: Promise, now: int) -> bool:
    task = promise.task
    return task is not None and task.expires_at is not None and task.expires_at <= now


def _given_back(promise: Promise) -> tuple[str, Promise]:
    assert promise.task is not None, promise.id
    task = replace(promise.task, state="pending", pid=None, ttl=None, expires_at=None)
    return promise.id, replace(promise, task=task)


def _fingerprint(state: State) -> int:
    promises = tuple(
        (p.id, p.state, p.settled_at, p.task and (p.task.state, p.task.version, p.task.resumes))
        for p in state.promises.values()
    )
    leases = tuple(p.task.expires_at for p in state.promises.values() if p.task is not None)
    return hash((promises, leases, frozenset(state.callbacks.items())))


def _ids(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        fields: dict[str, Any] = data
        for name, value in fields.items():
            if name in _ID_FIELDS and isinstance(value, str):
                yield value
            elif name not in ("param", "value", "tags"):
                yield from _ids(value)
    elif isinstance(data, list):
        for item in data:
            yield from _ids(item)
