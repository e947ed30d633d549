"""The rows of one batch while it is being decided.

It begins with what the store returned. Each coroutine of the batch reads it and changes it; what
one has changed, the next one sees. In the end it knows what must be written: each row once.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from resonate_broker.kernel.submissions import Outgoing
from resonate_store.state import (
    Callback,
    Changes,
    Event,
    Group,
    InboxRefusal,
    InboxRow,
    Listener,
    Loaded,
    LoadSet,
    Promise,
    Schedule,
    TaskTrouble,
    Timer,
    Use,
)


class WorkingState:
    """Rows under lock, as the coroutines of one batch see and change them."""

    def __init__(
        self, load: LoadSet, loaded: Loaded, now_ms: int, *, is_strict: bool = False
    ) -> None:
        """Start from what was loaded.

        Args:
            load: what was asked for: a name in it that was not found does not exist.
            loaded: what was found.
            now_ms: the instant of the batch.
            is_strict: whether a family is the branch alone, as the protocol has it.
        """
        self.now_ms = now_ms
        self.is_strict = is_strict
        self.hints: Counter[str] = Counter()  # hints of this batch for the queues of groups
        # Transitions: they count when the batch is durable.
        self.tally: defaultdict[str, int] = defaultdict(int)
        self._outgoing: list[Outgoing] = []
        self._named = frozenset(load.ids)
        self._stored = {promise.id: promise for promise in loaded.promises}
        self._promises = dict(self._stored)
        self._changed: dict[str, Promise | None] = {}  # as it was before the running coroutine

        # Dictionaries serve as sets with an order: the same batch is decided the same way always.
        self._callbacks: dict[str, dict[str, None]] = {id: {} for id in load.settling}
        self._listeners: dict[str, dict[str, None]] = {id: {} for id in load.settling}
        for callback in loaded.callbacks:
            self._callbacks[callback.awaited][callback.awaiter] = None
        for listener in loaded.listeners:
            self._listeners[listener.awaited][listener.address] = None
        self._callbacks_added: set[Callback] = set()
        self._callbacks_consumed: set[Callback] = set()
        self._listeners_added: set[Listener] = set()
        self._told: list[Outgoing] = []
        self._events: list[Event] = []
        self._armed: set[Timer] = set()
        self._uses: set[Use] = set()
        self._held: dict[str, int] = {}
        self._disarmed: set[Timer] = set()

        self._schedules_deleted: set[str] = set()
        self._schedules_changed: dict[str, Schedule | None] = {}  # as those of promises
        self._stored_schedules = {schedule.id: schedule for schedule in loaded.schedules}
        self._schedules: dict[str, Schedule | None] = {
            id: self._stored_schedules.get(id) for id in load.schedules
        }

        self._groups: dict[str, Group | None] = dict.fromkeys(load.groups)
        self._groups |= {group.name: group for group in loaded.groups}
        self._stored_groups = dict(self._groups)

        self._troubles = {row.task: row for row in loaded.troubles}
        self._troubles_put: dict[str, TaskTrouble] = {}

        self._inbox = {row.number: row for row in loaded.inbox}
        self._inbox_taken: set[int] = set()
        self._inbox_refused: set[InboxRefusal] = set()

        roots = {id: self._promises.get(id) for id in load.preload}
        self._read = {*load.branches}
        self._read |= {id if root is None else root.branch for id, root in roots.items()}
        self._related = {promise.id: promise for promise in loaded.related}
        self._branches: dict[str, dict[str, None]] = {}
        self._remote_children: dict[str, dict[str, None]] = {}
        for promise in loaded.related:
            self._file(promise)

    def has_read(self, branch: str) -> bool:
        """Whether all that is stored of a branch has been read, as far as it is ever found."""
        return branch in self._read

    def is_named(self, id: str) -> bool:
        """Whether a request of this batch names the promise, so that its absence is known."""
        return id in self._named

    def promise(self, id: str) -> Promise | None:
        """The promise as it is now; None when it does not exist or is not under our lock."""
        return self._promises.get(id)

    def put(self, promise: Promise) -> None:
        """Create a promise, or replace one."""
        id = promise.id
        current = self._promises.get(id)
        assert current is not None or id in self._named, f"{id!r} was not loaded"
        self._changed.setdefault(id, current)
        self._promises[id] = promise
        if current is None:
            self._callbacks.setdefault(id, {})
            self._listeners.setdefault(id, {})
            self._file(promise)

    @property
    def changed(self) -> Mapping[str, Promise | None]:
        """Promises changed since the last `take_changed`, each as it was before."""
        return self._changed

    def take_changed(self) -> dict[str, Promise | None]:
        """Promises changed since the last call, each as it was before; None for a newborn."""
        changed, self._changed = self._changed, {}
        return changed

    def has_obligations(self, id: str) -> bool | None:
        """Whether somebody waits for the promise; None when that was not loaded."""
        if id not in self._callbacks or id not in self._listeners:
            return None
        return bool(self._callbacks[id] or self._listeners[id])

    def callbacks(self, awaited: str) -> tuple[str, ...]:
        """Awaiters of a promise, as far as they are known here."""
        return tuple(self._callbacks.get(awaited, ()))

    def add_callback(self, awaited: str, awaiter: str) -> None:
        """Wake `awaiter` when `awaited` settles."""
        if awaited in self._callbacks:
            if awaiter in self._callbacks[awaited]:
                return
            self._callbacks[awaited][awaiter] = None
        self._callbacks_added.add(Callback(awaited, awaiter))

    def consume_callback(self, awaited: str, awaiter: str) -> None:
        """The awaiter has been woken."""
        del self._callbacks[awaited][awaiter]
        callback = Callback(awaited, awaiter)
        if callback in self._callbacks_added:
            self._callbacks_added.remove(callback)
        else:
            self._callbacks_consumed.add(callback)

    def listeners(self, awaited: str) -> tuple[str, ...]:
        """Addresses that wait for a promise, as far as they are known here, sorted."""
        return tuple(sorted(self._listeners.get(awaited, ())))

    def add_listener(self, awaited: str, address: str) -> None:
        """Tell `address` when `awaited` settles."""
        if awaited in self._listeners:
            if address in self._listeners[awaited]:
                return
            self._listeners[awaited][address] = None
        self._listeners_added.add(Listener(awaited, address))

    def schedule(self, id: str) -> Schedule | None:
        """The schedule as it is now; None when it does not exist."""
        return self._schedules[id]

    def put_schedule(self, schedule: Schedule) -> None:
        """Create a schedule, or replace one."""
        assert schedule.id in self._schedules, f"{schedule.id!r} was not loaded"
        self._schedules_changed.setdefault(schedule.id, self._schedules[schedule.id])
        self._schedules[schedule.id] = schedule

    def delete_schedule(self, id: str) -> None:
        """End a schedule."""
        assert id in self._schedules, f"{id!r} was not loaded"
        self._schedules_changed.setdefault(id, self._schedules[id])
        self._schedules[id] = None
        self._schedules_deleted.add(id)

    def has_group(self, name: str) -> bool:
        """Whether the limits of a group are known to this batch, and nobody else uses them up."""
        return name in self._groups

    def group(self, name: str) -> Group | None:
        """The limits of a group as they are now; None when it has none."""
        return self._groups[name]

    def put_group(self, group: Group) -> None:
        """Set the limits of a group, or what is used up of them."""
        assert group.name in self._groups, f"{group.name!r} was not loaded"
        self._groups[group.name] = group

    def delete_group(self, name: str) -> None:
        """The group has no limits any more."""
        assert name in self._groups, f"{name!r} was not loaded"
        self._groups[name] = None

    def trouble(self, task: str) -> TaskTrouble | None:
        """What a holder of the task has told last, if that was loaded."""
        return self._troubles.get(task)

    def put_trouble(self, row: TaskTrouble) -> None:
        """Keep what the holder of a task tells."""
        assert row.task in self._named, f"{row.task!r} was not loaded"
        self._troubles[row.task] = self._troubles_put[row.task] = row

    def inbox_row(self, number: int) -> InboxRow | None:
        """A call that an application has left; None when somebody else has it, or had it."""
        return self._inbox.get(number)

    def take(self, row: InboxRow) -> None:
        """The call has its promise: its row can go."""
        self._inbox_taken.add(row.number)

    def refuse(self, row: InboxRow, reason: str) -> None:
        """No promise can be made of the call: its row stays, with the reason."""
        self._inbox_refused.add(InboxRefusal(row.number, reason))

    def take_changed_schedules(self) -> dict[str, Schedule | None]:
        """Schedules changed since the last call, each as it was before; None for a newborn."""
        changed, self._schedules_changed = self._schedules_changed, {}
        return changed

    def record(self, events: Iterable[Event]) -> None:
        """Tell what has happened, once that is durable."""
        self._events.extend(events)

    @property
    def next_runs_at_ms(self) -> tuple[int, ...]:
        """When the schedules that the batch knows are due."""
        return tuple(s.next_run_at_ms for s in self._schedules.values() if s is not None)

    def add_use(self, user: Promise, used: Promise) -> None:
        """Note that an execution relies on a promise, if that is of another tree."""
        user_origin, used_origin = user.origin or user.id, used.origin or used.id
        if user_origin != used_origin:
            self._uses.add(Use(used.id, user_origin))

    def send(self, outgoing: Outgoing) -> None:
        """Send a message once the batch is durable."""
        self._outgoing.append(outgoing)
        if outgoing.listener is None and not outgoing.is_exclusive:
            self.hints[outgoing.group] += 1

    def outgoing(self) -> tuple[Outgoing, ...]:
        """What the batch sends; news of a promise carry the timer that reminds of its listener."""
        return tuple(self._with_timer(outgoing) for outgoing in self._outgoing)

    def _with_timer(self, outgoing: Outgoing) -> Outgoing:
        if outgoing.listener is None:
            return outgoing
        promise = self._promises[outgoing.listener.awaited]
        if promise.timer_at_ms is None:
            return outgoing
        return replace(outgoing, timer=Timer(promise.timer_at_ms, promise.id))

    def forget(self, told: Iterable[Outgoing]) -> None:
        """Listeners have been told: their rows can go."""
        self._told.extend(told)

    def hold(self, id: str, until_ms: int) -> None:
        """Do not look at a promise again before this, whatever its rows say."""
        self._held[id] = until_ms

    def held_until_ms(self, id: str) -> int:
        """The instant before which nobody looks at the promise again."""
        return self._held.get(id, 0)

    def arm(self, timer: Timer) -> None:
        """Look at a promise at an instant."""
        if timer in self._disarmed:
            self._disarmed.remove(timer)
        else:
            self._armed.add(timer)

    def disarm(self, timer: Timer) -> None:
        """Do not look at it then."""
        if timer in self._armed:
            self._armed.remove(timer)
        else:
            self._disarmed.add(timer)

    @property
    def armed(self) -> tuple[Timer, ...]:
        """The timers that the batch adds."""
        return tuple(self._armed)

    def family(self, root: Promise) -> list[Promise]:
        """The branch of a promise and the remote children of all in it, but not itself."""
        if root.branch is None:
            return []
        members = self._branches.get(root.branch, {})
        ids = dict(members)
        for parent in (root.branch, *members):
            ids |= self._remote_children.get(parent, {})
        first = self._promises.get(root.branch)
        if self.is_strict and first is not None and first.branch == first.id:
            ids[first.id] = None
        ids.pop(root.id, None)
        return [self._promises.get(id) or self._related[id] for id in sorted(ids)]

    def first_to_name(self, root: Promise) -> str | None:
        """The first promise of a branch that belongs to a family, and is not known to do so.

        It has no entry in the index of branches: who wants it must name it.
        """
        branch = root.branch
        if not self.is_strict or branch is None or branch in self._named:
            return None
        return branch

    def _file(self, promise: Promise) -> None:
        branch, parent, id = promise.branch, promise.parent, promise.id
        if branch is not None and (branch != id or self.is_strict):
            self._branches.setdefault(branch, {})[id] = None
        elif branch is not None and parent is not None and parent != id:
            self._remote_children.setdefault(parent, {})[id] = None

    def changes(self) -> Changes:
        """What must be written to make the batch durable."""
        created: list[Promise] = []
        updated: list[Promise] = []
        for id, promise in self._promises.items():
            stored = self._stored.get(id)
            if stored is None:
                created.append(promise)
            elif stored is not promise:
                updated.append(promise)
        told = [outgoing.listener for outgoing in self._told if outgoing.listener is not None]
        timers_told = {outgoing.timer for outgoing in self._told if outgoing.timer is not None}
        return Changes(
            created=_ordered(created, _id),
            updated=_ordered(updated, _id),
            callbacks_added=_ordered(self._callbacks_added),
            callbacks_consumed=_ordered(self._callbacks_consumed),
            listeners_added=_ordered(self._listeners_added),
            listeners_told=_ordered(set(told)),
            timers_told=_ordered(timers_told),
            timers_disarmed=_ordered(self._disarmed),
            timers_armed=_ordered(self._armed),
            uses_added=_ordered(self._uses),
            inbox_taken=_ordered(self._inbox_taken),
            inbox_refused=_ordered(self._inbox_refused),
            events=tuple(self._events),
            troubles_put=_ordered(self._troubles_put.values(), _task),
            **self._group_changes(),
            **self._schedule_changes(),
        )

    def _group_changes(self) -> Mapping[str, tuple[Any, ...]]:
        if not self._groups:
            return {}
        groups = sorted(self._groups.items())
        return {
            "groups_put": tuple(
                group
                for name, group in groups
                if group is not None and group is not self._stored_groups[name]
            ),
            "groups_deleted": tuple(
                name
                for name, group in groups
                if group is None and self._stored_groups[name] is not None
            ),
        }

    def _schedule_changes(self) -> Mapping[str, tuple[Any, ...]]:
        if not self._schedules:
            return {}
        created: list[Schedule] = []
        updated: list[Schedule] = []
        deleted: list[str] = []
        for id, schedule in sorted(self._schedules.items()):
            stored = self._stored_schedules.get(id)
            if stored is not None and id in self._schedules_deleted:
                deleted.append(id)  # another one of the same id may have come in its place
                stored = None
            if schedule is not None and stored is None:
                created.append(schedule)
            elif schedule is not None and schedule is not stored:
                updated.append(schedule)
        return {
            "schedules_created": tuple(created),
            "schedules_updated": tuple(updated),
            "schedules_deleted": tuple(deleted),
        }


def _ordered(rows: Collection[Any], key: Callable[[Any], Any] | None = None) -> tuple[Any, ...]:
    """Rows in an order that is always the same; most batches have none of most kinds."""
    return tuple(sorted(rows, key=key)) if rows else ()


def _id(promise: Promise) -> str:
    return promise.id


def _task(row: TaskTrouble) -> str:
    return row.task
