"""What is stored, in a form that is quick to look at, and one step from such a state to the next.

`focus` keeps the checks cheap: a state that was made from one that has been checked holds its
invariants if those rows hold them that are not what they were.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Self

from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.protocol import tags
from resonate_store.state import (
    Callback,
    Changes,
    Group,
    Listener,
    Promise,
    Schedule,
    Snapshot,
    Task,
    TaskTrouble,
    Timer,
)

Pairs = dict[str, frozenset[str]]
NOBODY = frozenset[str]()


class Stored:
    """Everything that is stored, by id. It never changes: `after` makes another one.

    Attributes:
        callbacks: awaiters by awaited promise.
        listeners: addresses by awaited promise.
        groups: those with limits; a snapshot does not tell of them.
        troubles: what holders of tasks have told; a snapshot does not tell of them either.
        focus: the promises that have to be looked at.
    """

    __slots__ = (
        "callbacks",
        "focus",
        "groups",
        "listeners",
        "promises",
        "schedules",
        "timers",
        "troubles",
    )

    def __init__(
        self,
        promises: dict[str, Promise],
        callbacks: Pairs,
        listeners: Pairs,
        timers: frozenset[Timer],
        schedules: dict[str, Schedule],
        groups: Mapping[str, Group] | None = None,
        troubles: Mapping[str, TaskTrouble] | None = None,
        focus: Sequence[Promise] | None = None,
    ) -> None:
        self.promises = promises
        self.callbacks = callbacks
        self.listeners = listeners
        self.timers = timers
        self.schedules = schedules
        self.groups = groups or {}
        self.troubles = troubles or {}
        self.focus = tuple(promises.values()) if focus is None else focus

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """All of a snapshot, in focus."""
        return cls(
            {promise.id: promise for promise in snapshot.promises},
            _grouped((row.awaited, row.awaiter) for row in snapshot.callbacks),
            _grouped((row.awaited, row.address) for row in snapshot.listeners),
            frozenset(snapshot.timers),
            {schedule.id: schedule for schedule in snapshot.schedules},
        )

    def after(self, changes: Changes) -> "Stored":
        """What is stored after a write: the model of every store. In focus is what changed."""
        promises = self.promises.copy()
        for promise in changes.created:
            assert promise.id not in promises, f"{promise.id!r} exists"
        for promise in changes.updated:
            assert promise.id in promises, f"{promise.id!r} does not exist"
        written = (*changes.created, *changes.updated)
        promises |= {promise.id: promise for promise in written}
        callbacks, listeners, timers = self.callbacks, self.listeners, self.timers
        if changes.callbacks_added or changes.callbacks_consumed:
            added, gone = map(_awaiters, (changes.callbacks_added, changes.callbacks_consumed))
            callbacks = _changed(callbacks, added, gone)
        if changes.listeners_added or changes.listeners_told:
            added, gone = map(_addresses, (changes.listeners_added, changes.listeners_told))
            listeners = _changed(listeners, added, gone)
        if changes.timers_armed or changes.timers_disarmed or changes.timers_told:
            told = {
                timer
                for timer in changes.timers_told
                if timer.id not in callbacks and timer.id not in listeners
            }
            timers = (timers - told).difference(changes.timers_disarmed)
            timers = timers.union(changes.timers_armed)
        touched = dict.fromkeys(promise.id for promise in written)
        for callback in (*changes.callbacks_added, *changes.callbacks_consumed):
            touched |= {callback.awaited: None, callback.awaiter: None}
        for listener in (*changes.listeners_added, *changes.listeners_told):
            touched[listener.awaited] = None
        for timer in (*changes.timers_told, *changes.timers_disarmed, *changes.timers_armed):
            touched[timer.id] = None
        focus = [promises[id] for id in touched if id in promises]
        schedules = self._schedules_after(changes) if changes.has_schedules else self.schedules
        groups, troubles = self._groups_after(changes), self.troubles
        if changes.troubles_put:
            troubles = {**troubles, **{row.task: row for row in changes.troubles_put}}
        return Stored(promises, callbacks, listeners, timers, schedules, groups, troubles, focus)

    def _groups_after(self, changes: Changes) -> Mapping[str, Group]:
        if not changes.groups_put and not changes.groups_deleted:
            return self.groups
        left = {n: group for n, group in self.groups.items() if n not in changes.groups_deleted}
        return left | {group.name: group for group in changes.groups_put}

    def _schedules_after(self, changes: Changes) -> dict[str, Schedule]:
        schedules = self.schedules.copy()
        for id in changes.schedules_deleted:
            del schedules[id]
        for schedule in changes.schedules_created:
            assert schedule.id not in schedules, f"{schedule.id!r} exists"
        for schedule in changes.schedules_updated:
            assert schedule.id in schedules, f"{schedule.id!r} does not exist"
        written = (*changes.schedules_created, *changes.schedules_updated)
        return schedules | {schedule.id: schedule for schedule in written}

    def without(self, ids: Set[str]) -> "Stored":
        """What is left when some promises are gone, and what their executions waited for."""
        callbacks = {id: awaiters - ids for id, awaiters in self.callbacks.items()}
        return Stored(
            {id: promise for id, promise in self.promises.items() if id not in ids},
            {id: awaiters for id, awaiters in callbacks.items() if awaiters},
            self.listeners,
            frozenset(timer for timer in self.timers if timer.id not in ids),
            self.schedules,
            self.groups,
            {id: trouble for id, trouble in self.troubles.items() if id not in ids},
        )

    def in_full(self) -> "Stored":
        """The same, with everything in focus."""
        return Stored(
            self.promises,
            self.callbacks,
            self.listeners,
            self.timers,
            self.schedules,
            self.groups,
            self.troubles,
        )

    def differences(self, other: "Stored") -> list[str]:
        """What is not the same in another state, in words."""
        found: list[str] = []
        for name in ("promises", "callbacks", "listeners", "schedules"):
            mine: Mapping[str, object] = getattr(self, name)
            yours: Mapping[str, object] = getattr(other, name)
            if mine != yours:
                ids = sorted(mine.keys() | yours.keys())
                found += [
                    f"{name} of {id!r}: {mine.get(id)} against {yours.get(id)}"
                    for id in ids
                    if mine.get(id) != yours.get(id)
                ]
        if self.timers != other.timers:
            found += [f"timer {timer}" for timer in sorted(self.timers ^ other.timers)]
        return found

    def task(self, id: str) -> Task | None:
        """The task of a promise."""
        promise = self.promises.get(id)
        return None if promise is None else promise.task

    def awaiters(self, id: str) -> frozenset[str]:
        """Who is woken when a promise settles."""
        return self.callbacks.get(id, NOBODY)

    def addresses(self, id: str) -> frozenset[str]:
        """Who is told when a promise settles."""
        return self.listeners.get(id, NOBODY)

    def is_awaiting(self, id: str) -> bool:
        """Whether any promise would wake this task."""
        return any(id in awaiters for awaiters in self.callbacks.values())


class Step:
    """What was stored before one step and after it.

    Attributes:
        now_ms: the instant of the step.
        sent: messages that the step sends.
        changed: promises that were there before and are not what they were, or what hangs on
            them is not: before and after.
        born: promises that were not there before.
    """

    __slots__ = ("after", "before", "born", "changed", "now_ms", "sent")

    def __init__(
        self, before: Stored, after: Stored, now_ms: int, sent: Sequence[Outgoing]
    ) -> None:
        self.before = before
        self.after = after
        self.now_ms = now_ms
        self.sent = sent
        ids = {
            id: None
            for id, promise in after.promises.items()
            if before.promises.get(id) is not promise
        }
        for mine, yours in (
            (before.callbacks, after.callbacks),
            (before.listeners, after.listeners),
        ):
            if mine is not yours:
                ids |= {
                    id: None for id in mine.keys() | yours.keys() if mine.get(id) != yours.get(id)
                }
        self.changed = [
            (before.promises[id], after.promises[id])
            for id in ids
            if id in before.promises and id in after.promises
        ]
        self.born = [after.promises[id] for id in ids if id not in before.promises]

    def is_live(self, promise: Promise) -> bool:
        """Whether the promise is pending at the instant of the step."""
        return promise.state == "pending" and promise.timeout_at_ms > self.now_ms

    def consumed_callbacks(self, id: str) -> frozenset[str]:
        """Awaiters of a promise that wait no more."""
        return self.before.awaiters(id) - self.after.awaiters(id)

    def consumed_listeners(self, id: str) -> frozenset[str]:
        """Addresses that are told no more."""
        return self.before.addresses(id) - self.after.addresses(id)


def is_call(promise: Promise) -> bool:
    """Whether somebody who knows no protocol is to carry out its task."""
    return promise.tags.get(tags.TARGET, "").startswith("amqp-exchange://")


def _grouped(pairs: Iterable[tuple[str, str]]) -> Pairs:
    groups: dict[str, set[str]] = {}
    for awaited, other in pairs:
        groups.setdefault(awaited, set()).add(other)
    return {awaited: frozenset(others) for awaited, others in groups.items()}


def _awaiters(rows: Iterable[Callback]) -> Pairs:
    return _grouped((row.awaited, row.awaiter) for row in rows)


def _addresses(rows: Iterable[Listener]) -> Pairs:
    return _grouped((row.awaited, row.address) for row in rows)


def _changed(pairs: Pairs, added: Pairs, gone: Pairs) -> Pairs:
    changed = dict(pairs)
    for awaited in (*added, *gone):
        others = (pairs.get(awaited, NOBODY) | added.get(awaited, NOBODY)) - gone.get(
            awaited, NOBODY
        )
        if others:
            changed[awaited] = others
        else:
            changed.pop(awaited, None)
    return changed
