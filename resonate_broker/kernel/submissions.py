"""What coroutines ask for, and what they are resumed with.

`Load`, `Commit` and `Spawn` are answered by the kernel itself, which merges the loads and commits
of many coroutines into one transaction. The others go to the AIO one by one.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal

from msgspec import Struct

from resonate_sdk.protocol.messages import Message
from resonate_sdk.protocol.records import PromiseState, TaskState, TriggerRecord, Value
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import (
    Changes,
    Due,
    DueSchedules,
    Group,
    InboxEntry,
    Listener,
    Loaded,
    LoadSet,
    Page,
    Retired,
    ScheduleRows,
    Snapshot,
    Timer,
    Wanted,
)


class Load(Struct, frozen=True, gc=False):
    """Lock these promises and read them; completed with the `WorkingState` of the batch.

    A coroutine that finds it needs more names may yield a second load: the batch is then run
    again from its start with these names as well, the coroutine included.

    Attributes:
        ids: promises that the request names.
        settling: those of them that may settle.
        preload: those of them whose branch is wanted.
        branches: branches that are wanted, by their names.
        schedules: schedules that the request names.
        inbox: calls of applications that are to be taken.
        groups: worker groups whose limits matter.
        troubles: those of `ids` of whose task it matters what its holders have told.
    """

    ids: tuple[str, ...] = ()
    settling: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    inbox: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()

    def union(self, other: "Load | None") -> "Load":
        """What both ask for."""
        if other is None:
            return self
        return Load(
            ids=(*self.ids, *other.ids),
            settling=(*self.settling, *other.settling),
            preload=(*self.preload, *other.preload),
            branches=(*self.branches, *other.branches),
            schedules=(*self.schedules, *other.schedules),
            inbox=(*self.inbox, *other.inbox),
            groups=(*self.groups, *other.groups),
            troubles=(*self.troubles, *other.troubles),
        )


class Commit(Struct, frozen=True, gc=False):
    """Make what this coroutine changed durable; completed with the answer, which is then true.

    The changes are visible to the next coroutine of the batch at once.

    Attributes:
        answer: what the request is answered; None for what nobody asked for.
    """

    answer: Answer | None = None


class Spawn(Struct, frozen=True):
    """Run coroutines beside each other; completed with None when all have ended.

    Attributes:
        bodies: make their bodies, again if they must start over.
    """

    bodies: tuple[Callable[[], Generator[Any, Any, Any]], ...]


class Begin(Struct, frozen=True, gc=False):
    """Open the transaction of a batch; completed with `Loaded` or `StoreFailed`."""

    load: LoadSet


class Write(Struct, frozen=True, gc=False):
    """Write and commit the open transaction; completed with `Written` or `StoreFailed`."""

    changes: Changes


class Written(Struct, frozen=True):
    """The transaction is durable."""


class StoreFailed(Struct, frozen=True):
    """The transaction of a batch came to nothing.

    Attributes:
        outcome: `aborted`: nothing happened, run the batch again. `rejected`: nothing happened,
            and the same changes will be refused again. `unknown`: nobody can tell.
    """

    outcome: Literal["aborted", "rejected", "unknown"]
    reason: str


class ReadDue(Struct, frozen=True):
    """Name promises that somebody must look at; completed with `Due`.

    Attributes:
        at_ms: the instant, if not the present one.
    """

    limit: int
    at_ms: int | None = None


class ReadDueSchedules(Struct, frozen=True):
    """Read schedules that somebody must see to; completed with `DueSchedules`.

    Attributes:
        at_ms: the instant, if not the present one.
    """

    limit: int
    at_ms: int | None = None


class ReadInbox(Struct, frozen=True):
    """Name calls that applications have left; completed with a tuple of `InboxEntry`."""

    limit: int


class ReadGroups(Struct, frozen=True):
    """Read the limits of all groups, or of one; completed with a tuple of `Group`."""

    name: str | None = None


class Adopt(Struct, frozen=True):
    """Let a group hold what it has had before it had limits; completed with None."""

    group: str


class ReadQueued(Struct, frozen=True):
    """Name tasks of a group that wait for room; completed with a tuple of ids."""

    group: str
    wanted: Wanted


class ReadQueuedGroups(Struct, frozen=True):
    """Name groups with tasks that wait for room; completed with a tuple of names."""

    limit: int


class Search(Struct, frozen=True):
    """Find promises by tags; completed with `Page`.

    Attributes:
        after: only ids above this one.
        states: stored in one of these; in any if empty.
    """

    tags: Mapping[str, str]
    after: str | None
    limit: int
    states: tuple[PromiseState, ...] = ()


class SearchTasks(Struct, frozen=True):
    """Find promises with a task, by the state it is stored in; completed with `Page`."""

    state: TaskState | None
    after: str | None
    limit: int


class SearchSchedules(Struct, frozen=True):
    """Find schedules by the tags of their promises; completed with `ScheduleRows`."""

    tags: Mapping[str, str]
    after: str | None
    limit: int


class FindRetired(Struct, frozen=True):
    """Name trees with promises that settled long ago; completed with `Retired`.

    Attributes:
        position: where the last one left off.
    """

    position: int
    settled_before_ms: int


class RemoveTree(Struct, frozen=True):
    """Remove a part of a tree, if it may go; completed with how many promises went."""

    tree: str
    settled_before_ms: int
    rows_max: int


class ReadSnapshot(Struct, frozen=True):
    """Read everything; completed with `Snapshot`."""


class Reset(Struct, frozen=True):
    """Delete everything; completed with None."""


class CreateTrigger(Struct, frozen=True):
    """Store a trigger and bind its queue, unless there is one with its id.

    Completed with what is stored, or `TriggerRefused`.
    """

    trigger: TriggerRecord


class TriggerRefused(Struct, frozen=True):
    """There can be no such trigger; the reason is a sentence for people."""

    reason: str


class ReadTriggers(Struct, frozen=True):
    """Read all triggers; completed with a tuple of them."""


class EndTrigger(Struct, frozen=True):
    """Let a trigger take no more events; completed with whether there is one."""

    id: str


class Declare(Struct, frozen=True):
    """Make the exchanges and queues of a group; completed with None."""

    group: str


class Probe(Struct, frozen=True):
    """Ask how full the queue of a group is; completed with `Probed`."""

    group: str


class Probed(Struct, frozen=True):
    """The queue of a group at one moment.

    Attributes:
        ready: hints in the queue that no worker has.
        consumers: workers that take from it, perhaps.
        unconfirmed: hints that were on their way to the queue when it was counted.
    """

    ready: int
    consumers: int
    unconfirmed: int


class Failed(Struct, frozen=True):
    """An effect could not be had; the coroutine goes on without."""

    reason: str


class Outgoing(Struct, frozen=True):
    """A message on its way to a worker or a listener.

    Exclusive without a process, it is for somebody who knows no protocol: what he is told stands in
    the address of the listener, what he is asked in the target of the promise.

    Attributes:
        group: the group it is for.
        pid: the process it is for; None for any of the group.
        is_exclusive: to that process and no other.
        message: what it says.
        listener: the listener that is told by it, if one is.
        timer: the timer that reminds of the listener until it is told.
        refusal: the value to reject the promise with, since it can never be sent.
    """

    group: str
    pid: str | None
    is_exclusive: bool
    message: Message
    listener: Listener | None = None
    timer: Timer | None = None
    refusal: Value | None = None

    @property
    def is_call(self) -> bool:
        """Whether it asks somebody who knows no protocol to carry out a task."""
        return self.is_exclusive and self.pid is None and self.listener is None


class Publish(Struct, frozen=True):
    """Send messages; completed with `Published` when the broker has taken or refused them all."""

    messages: tuple[Outgoing, ...]


class Published(Struct, frozen=True):
    """What need not be sent again: listeners that are told or gone, calls that are delivered."""

    told: tuple[Outgoing, ...]


StoreSubmission = Begin | Write
StoreRead = (
    ReadDue
    | ReadDueSchedules
    | ReadInbox
    | ReadGroups
    | Adopt
    | ReadQueued
    | ReadQueuedGroups
    | Search
    | SearchTasks
    | SearchSchedules
    | FindRetired
    | RemoveTree
    | ReadSnapshot
    | Reset
)
TriggerEffect = CreateTrigger | ReadTriggers | EndTrigger
Effect = StoreRead | TriggerEffect | Declare | Probe | Publish
AioSubmission = StoreSubmission | Effect
AioCompletion = (
    Loaded
    | Written
    | StoreFailed
    | Due
    | DueSchedules
    | Page
    | ScheduleRows
    | Retired
    | Snapshot
    | int
    | Probed
    | Published
    | Failed
    | TriggerRecord
    | TriggerRefused
    | tuple[TriggerRecord, ...]
    | tuple[str, ...]
    | tuple[InboxEntry, ...]
    | tuple[Group, ...]
    | None
)
