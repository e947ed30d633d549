"""What the reference model knows of the world: no clocks, no queues, nothing about how it is kept."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

Json = Any
Schedule = Mapping[str, Json]
NOBODY = frozenset[str]()


class Task(Struct, frozen=True, kw_only=True):
    """The task of a targeted promise."""

    state: str
    version: int
    resumes: frozenset[str] = NOBODY
    pid: str | None = None
    ttl: int | None = None
    expires_at: int | None = None

    def shown(self, id: str) -> Json:
        """Its record."""
        shown: dict[str, Json] = {
            "id": id,
            "state": self.state,
            "version": self.version,
            "resumes": len(self.resumes),
        }
        if self.state == "acquired":
            shown |= {"ttl": self.ttl, "pid": self.pid}
        return shown


class Promise(Struct, frozen=True, kw_only=True):
    """A promise, and its task if it has a target."""

    id: str
    state: str
    param: Json
    value: Json
    tags: Mapping[str, str]
    timeout_at: int
    created_at: int
    settled_at: int | None = None
    task: Task | None = None

    @property
    def is_timer(self) -> bool:
        """Whether its deadline resolves it."""
        return self.tags.get("resonate:timer") == "true"

    @property
    def is_external(self) -> bool:
        """Whether others may wait for it."""
        return (
            self.tags.get("resonate:external") == "true"
            or "resonate:target" in self.tags
            or self.is_timer
        )

    def shown(self) -> Json:
        """Its record."""
        shown: dict[str, Json] = {
            "id": self.id,
            "state": self.state,
            "param": self.param,
            "value": self.value,
            "tags": self.tags,
            "timeoutAt": self.timeout_at,
            "createdAt": self.created_at,
        }
        if self.settled_at is not None:
            shown["settledAt"] = self.settled_at
        return shown


class State(Struct, frozen=True, kw_only=True):
    """Everything.

    Attributes:
        schedules: their records.
        callbacks: awaiters by awaited promise.
        listeners: addresses by awaited promise.
    """

    promises: Mapping[str, Promise]
    schedules: Mapping[str, Schedule] = {}
    callbacks: Mapping[str, frozenset[str]]
    listeners: Mapping[str, frozenset[str]]
