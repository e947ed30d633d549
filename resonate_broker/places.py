"""Limits of worker groups: who gets a place, and when the next one may start.

A place is taken under the lock of the group when a hint is sent, or when a task is acquired that has
none; it is given back by whatever ends that, a lost lease as well. So what counts are rows.
"""

from collections.abc import Callable, Generator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from resonate_broker.kernel.submissions import Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import GroupRecord, Rate
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Group, Promise, Task, Wanted, holds_place

MICROSECONDS = 1_000
AHEAD_MS = 1_000  # starts that were not used for so long may be made up for
_WHOLE = ""  # the key under which a group counts what it starts, and that of who has none


class Offer(Struct, frozen=True):
    """What a group has to give just now.

    Attributes:
        wanted: the tasks that may come to it.
        again_at_ms: when it has more to give, if time alone brings that.
    """

    wanted: Wanted
    again_at_ms: int | None = None

    @property
    def is_for_all(self) -> bool:
        """Whether nobody is kept away, so that who does not come to it does not wait."""
        return self.wanted.may_start and not (self.wanted.full_keys or self.wanted.late_keys)


def offer(group: Group, room: int, now_ms: int) -> Offer:
    """Choose whom to ask for, so that no more tasks are looked at than may go.

    Args:
        group: with what it holds.
        room: that the broker has.
        now_ms: the present instant.
    """
    free = room
    if group.concurrency is not None:
        free = max(0, min(room, group.concurrency - len(group.held)))
    keys = set(group.held.values()) - {_WHOLE}
    full = tuple(sorted(key for key in keys if _is_full(group, group.held, key)))
    late = {key: _next_start_ms(group.key_rate, group.starts, key) for key in group.starts if key}
    late = {key: at_ms for key, at_ms in late.items() if at_ms > now_ms}
    again = sorted(late.values())
    start_at_ms = _next_start_ms(group.rate, group.starts, _WHOLE)
    may_start = start_at_ms <= now_ms
    if may_start and group.rate is not None:
        free = min(free, _starts_left(group.rate, group.starts, now_ms))
    if not may_start:
        again = [start_at_ms]
    wanted = Wanted(
        count_max=free, may_start=may_start, full_keys=full, late_keys=tuple(sorted(late))
    )
    return Offer(wanted, again[0] if again else None)


def try_take(state: WorkingState, promise: Promise) -> bool:
    """Give a task a place among those of its group, or say that there is none."""
    task = promise.task
    assert task is not None, promise.id
    group = state.group(task.group)
    if group is None:
        return True
    key = task.concurrency_key or _WHOLE
    held = {id: k for id, k in group.held.items() if _is_live(state, id)}
    starts = dict(group.starts)
    if group.concurrency is not None and len(held) >= group.concurrency:
        return False
    if key and _is_full(group, held, key):
        return False
    if _is_start(task):
        wanted = [(group.rate, _WHOLE), (group.key_rate if key else None, key)]
        rates = [(rate, name) for rate, name in wanted if rate is not None]
        if any(_next_start_ms(rate, starts, name) > state.now_ms for rate, name in rates):
            return False
        now_us = state.now_ms * MICROSECONDS
        starts = {name: at_us for name, at_us in starts.items() if at_us > now_us}
        for rate, name in rates:
            starts[name] = max(starts.get(name, 0), now_us) + _interval_us(rate)
    state.put_group(replace(group, held=held | {promise.id: key}, starts=starts))
    return True


def needs_place(promise: Promise) -> bool:
    """Whether a task that somebody wants to acquire must get a place first, if places are limited."""
    task = promise.task
    if task is None or task.state != "pending" or task.hint_at_ms is not None:
        return False
    return holds_place(replace(promise, task=replace(task, state="acquired")))


def refusal(
    state: WorkingState, promise: Promise, is_limited: Callable[[str], bool]
) -> Generator[Load, WorkingState, Answer | None]:
    """Give who comes to acquire a task a place, if it needs one; refuse it if there is none.

    Args:
        state: of the batch.
        promise: whose task somebody wants.
        is_limited: whether a group has limits, or may have some.

    Returns:
        The refusal; None if the task may be acquired.
    """
    task = promise.task
    if task is None or not needs_place(promise) or not is_limited(task.group):
        return None
    if not state.has_group(task.group):
        yield Load(groups=(task.group,))  # and the batch begins anew
    return None if try_take(state, promise) else _refuse(state, promise, task)


def _refuse(state: WorkingState, promise: Promise, task: Task) -> Answer:
    """The task waits for its turn."""
    group = state.group(task.group)
    assert group is not None, "what has no limits is not full"
    state.put(promise)  # whoever dispatches what has changed sees to it that it is queued
    reason = (
        f"group {task.group!r} runs {_allowance(group)}: task {promise.id!r} waits for its turn"
    )
    return Answer(responses.CONFLICT, reason)


def _allowance(group: Group) -> str:
    """What a group allows, in words."""
    parts = [
        f"{group.concurrency} at a time" if group.concurrency is not None else "",
        f"{group.key_concurrency} of a key at a time" if group.key_concurrency is not None else "",
        f"{group.rate.count} in {group.rate.per_ms} ms" if group.rate else "",
        f"{group.key_rate.count} of a key in {group.key_rate.per_ms} ms" if group.key_rate else "",
    ]
    return " and ".join(part for part in parts if part)


def group_record(name: str, group: Group | None) -> GroupRecord:
    """The limits of a group as they are shown."""
    if group is None:
        return GroupRecord(name=name)
    return GroupRecord(
        name=name,
        concurrency=group.concurrency,
        key_concurrency=group.key_concurrency,
        rate=group.rate,
        key_rate=group.key_rate,
    )


def with_use(record: GroupRecord, group: Group, now_ms: int, key: str | None) -> GroupRecord:
    """The same with what is used up of the limits.

    Args:
        record: of the group.
        group: with what it holds.
        now_ms: the present instant.
        key: of which it is told, too.
    """

    def later(at_ms: int) -> int | None:
        return at_ms if at_ms > now_ms else None

    record = replace(
        record,
        running=len(group.held),
        next_start_at_ms=later(_next_start_ms(group.rate, group.starts, _WHOLE)),
    )
    if not key:
        return record
    return replace(
        record,
        key_running=sum(k == key for k in group.held.values()),
        key_next_start_at_ms=later(_next_start_ms(group.key_rate, group.starts, key)),
    )


def _is_live(state: WorkingState, id: str) -> bool:
    """Whether a place that was held is held still; what this batch has not locked is."""
    promise = state.promise(id)
    return promise is None or holds_place(promise)


def _is_start(task: Task) -> bool:
    """Whether it would be the first that anybody hears of the execution."""
    return task.version == 0 and task.attempts == 0


def _is_full(group: Group, held: Mapping[str, str], key: str) -> bool:
    limit = group.key_concurrency
    return limit is not None and sum(k == key for k in held.values()) >= limit


def _next_start_ms(rate: Rate | None, starts: Mapping[str, int], key: str) -> int:
    """When the next one may start."""
    if rate is None:
        return 0
    ahead_us = starts.get(key, 0) - (_burst(rate) - 1) * _interval_us(rate)
    return -(-ahead_us // MICROSECONDS)


def _starts_left(rate: Rate, starts: Mapping[str, int], now_ms: int) -> int:
    """How many may start at this instant; at least one may."""
    ahead_us = max(0, starts.get(_WHOLE, 0) - now_ms * MICROSECONDS)
    return max(1, _burst(rate) - -(-ahead_us // _interval_us(rate)))


def _interval_us(rate: Rate) -> int:
    return max(1, rate.per_ms * MICROSECONDS // rate.count)


def _burst(rate: Rate) -> int:
    """How many may start at once after a while without any."""
    return max(1, rate.count * AHEAD_MS // rate.per_ms)
