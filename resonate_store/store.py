"""The interface of a store, and how it fails.

A transaction has two phases: `begin` takes the locks and reads, `commit` writes. Between them
somebody decides what to write; nothing that was decided is true before `commit` has returned.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from resonate_sdk.protocol.records import PromiseState, TaskState, TriggerRecord
from resonate_store.state import (
    Changes,
    Due,
    DueSchedules,
    Group,
    InboxEntry,
    Loaded,
    LoadSet,
    NumberedEvent,
    Page,
    Retired,
    ScheduleRows,
    Snapshot,
    Wanted,
)

AWAITERS_MAX = 1_000  # locked per batch; the others keep their callbacks
PRELOAD_ROWS_MAX = 20_000  # of one branch, and of the remote children of one promise
SEARCH_ROWS_MAX = 10_000  # that a search looks at
# Of a page, before the row with which it ends. Escapes may make it several times as long on the wire,
# and RabbitMQ 4 takes messages of 16 MiB.
SEARCH_BYTES_MAX = 1024 * 1024


class StoreError(Exception):
    """A transaction could not be carried out; nothing of it happened unless a class says so."""


class ConflictError(StoreError):
    """Another server was first, or the database asks to try again: begin once more."""


class UnavailableError(StoreError):
    """The database cannot be reached, or refuses service for the moment."""


class RejectedError(StoreError):
    """The database will never take these changes."""


class FateUnknownError(StoreError):
    """The connection broke during the commit and the database cannot tell what became of it."""


class SchemaError(StoreError):
    """The tables are missing, or belong to another release."""


class Transaction(Protocol):
    """An open transaction: its locks are held until `commit` or `rollback`."""

    loaded: Loaded

    async def commit(self, changes: Changes) -> None:
        """Write and make durable.

        Raises:
            ConflictError: a row to create exists; nothing was written.
            UnavailableError: the connection broke, and nothing was written.
            RejectedError: nothing was written, and trying again would not help.
            FateUnknownError: it may have been written or not.
        """
        ...

    async def rollback(self) -> None:
        """Let the locks go; never raises, and does nothing after a commit that failed."""
        ...


class Store(Protocol):
    """Where promises live. One transaction at a time."""

    async def begin(self, load: LoadSet) -> Transaction:
        """Lock what is named, then read it and the instant.

        Raises:
            ConflictError: a lock was not to be had in time.
            UnavailableError: there is no connection.
            RejectedError: a name cannot be stored, so it cannot be looked for.
        """
        ...

    async def due(self, limit: int, at_ms: int | None = None) -> Due:
        """Read the timers that are due, now or at another instant.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def due_schedules(self, limit: int, at_ms: int | None = None) -> DueSchedules:
        """Read the schedules that are due, now or at another instant.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def search_schedules(
        self, tags: Mapping[str, str], after: str | None, limit: int
    ) -> ScheduleRows:
        """Find schedules by the tags of their promises, looking at a bounded number of rows.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def inbox(self, limit: int) -> tuple[InboxEntry, ...]:
        """Name calls that applications have left, in the order of their numbers.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def groups(self, name: str | None) -> tuple[Group, ...]:
        """Read the limits of all groups by name, without what they hold; or one, if it has any.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def adopt(self, group: str) -> None:
        """Let a limited group hold what its workers have had before the limits were known.

        Raises:
            ConflictError: a lock was not to be had in time.
            UnavailableError: there is no connection.
        """
        ...

    async def queued(self, group: str, wanted: Wanted) -> tuple[str, ...]:
        """Name tasks of a group that wait for room: by priority, then those waiting longest.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def queued_groups(self, limit: int) -> tuple[str, ...]:
        """Name groups that have such tasks, ascending.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def search(
        self,
        tags: Mapping[str, str],
        after: str | None,
        limit: int,
        states: tuple[PromiseState, ...] = (),
    ) -> Page:
        """Find promises by tags above an id, looking at a bounded number of rows.

        Args:
            tags: that they have, among others.
            after: only ids above this one.
            limit: no more than so many.
            states: stored in one of these; in any if empty.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def search_tasks(self, state: TaskState | None, after: str | None, limit: int) -> Page:
        """Find promises that have a task, stored in this state, looking at a bounded number.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def snapshot(self) -> Snapshot:
        """Read everything.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def retired(self, position: int, settled_before_ms: int) -> Retired:
        """Look at the next rows for trees of which something settled before an instant.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def remove_tree(self, tree: str, settled_before_ms: int, rows_max: int) -> int:
        """Remove a part of a tree if all of it may go; return how many promises went.

        It may go if all its promises settled before the instant, nobody waits for one of them or
        is still to be told, and no execution of another tree uses one.

        Raises:
            ConflictError: a lock was not to be had in time.
            UnavailableError: there is no connection.
        """
        ...

    async def reset(self) -> None:
        """Delete everything.

        Raises:
            ConflictError: somebody does not let the rows go.
            UnavailableError: there is no connection.
        """
        ...

    async def close(self) -> None:
        """Let the database go."""
        ...


class EventClaim(Protocol):
    """The right to publish events, for a moment."""

    events: Sequence[NumberedEvent]

    async def forget(self, positions: Sequence[int]) -> None:
        """These events have been told; durable when the claim ends.

        Raises:
            UnavailableError: there is no connection.
        """
        ...


class EventRows(Protocol):
    """Where events wait until they are told; only stores that several servers share have them."""

    def claim(self, limit: int) -> AbstractAsyncContextManager[EventClaim]:
        """Be the one who publishes, and read the oldest events; none if somebody else is.

        Raises:
            UnavailableError: there is no connection.
        """
        ...


class TriggerRows(Protocol):
    """Where triggers live; only stores that several servers share have them."""

    async def insert(self, trigger: TriggerRecord) -> bool:
        """Store a trigger; False if there is one with its id, or there are too many.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def all(self) -> tuple[TriggerRecord, ...]:
        """Read all triggers, by ascending id.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def end(self, id: str) -> bool:
        """Mark a trigger as one that takes no more events; False if there is none.

        Raises:
            UnavailableError: there is no connection.
        """
        ...

    async def remove(self, id: str) -> None:
        """Remove a trigger that was marked so.

        Raises:
            UnavailableError: there is no connection.
        """
        ...
