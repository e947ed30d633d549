"""Invariants 46 to 48, 54 to 57, 63 and 93 to 95: how promises change."""

from collections.abc import Callable

from resonate_sdk.protocol import tags
from resonate_store.state import Promise
from tests.invariants.promises import has_value
from tests.invariants.stored import Step

PromiseTransition = Callable[[Promise, Promise, Step], bool]
Birth = Callable[[Promise, Step], bool]

CLIENT_STATES = ("resolved", "rejected", "rejected_canceled")


def _verdict(promise: Promise) -> str:
    return "resolved" if promise.tags.get(tags.TIMER) == "true" else "rejected_timedout"


# 46
def birth_fields_immutable(before: Promise, after: Promise, step: Step) -> bool:
    return (
        before.id == after.id
        and before.param == after.param
        and before.tags == after.tags
        and before.timeout_at_ms == after.timeout_at_ms
        and before.created_at_ms == after.created_at_ms
    )


# 47, 54, 55 and 63
def settled_promise_record(before: Promise, after: Promise, step: Step) -> bool:
    return before.state == "pending" or (
        before.state == after.state
        and before.value == after.value
        and before.settled_at_ms == after.settled_at_ms
    )


# 49
def task_set_only_grows(before: Promise, after: Promise, step: Step) -> bool:
    return (before.task is None) == (after.task is None)


# 56
def settled_at_changes_with_state(before: Promise, after: Promise, step: Step) -> bool:
    return (before.settled_at_ms != after.settled_at_ms) == (before.state != after.state)


# 57
def value_unchanged_while_pending(before: Promise, after: Promise, step: Step) -> bool:
    return after.state != "pending" or before.value == after.value


# 93
def promise_settlement_stamp(before: Promise, after: Promise, step: Step) -> bool:
    if before.state != "pending" or after.state == "pending":
        return True
    at_ms, deadline = after.settled_at_ms, after.timeout_at_ms
    by_client = at_ms == step.now_ms < deadline and after.state in CLIENT_STATES
    by_deadline = (
        at_ms == deadline <= step.now_ms
        and after.state == _verdict(after)
        and after.value == before.value
    )
    return by_client or by_deadline


# 59, 61 and 95
def new_promise_born_clean(promise: Promise, step: Step) -> bool:
    at_ms = promise.created_at_ms
    is_late = tags.SCHEDULE in promise.tags  # born as of the instant that it was planned for
    is_pending = (
        promise.state == "pending"
        and (at_ms <= step.now_ms if is_late else at_ms == step.now_ms)
        and step.now_ms < promise.timeout_at_ms
    )
    is_settled = (
        promise.state == _verdict(promise)
        and promise.settled_at_ms == promise.timeout_at_ms <= step.now_ms
        and (at_ms <= promise.timeout_at_ms if is_late else at_ms == promise.timeout_at_ms)
    )
    # Who creates may register a listener in the same step: by a field, or a plain message.
    listeners_max = 1 if promise.state == "pending" else 0
    is_free = (
        not step.after.awaiters(promise.id)
        and len(step.after.addresses(promise.id)) <= listeners_max
    )
    return (is_pending or is_settled) and not has_value(promise) and is_free


# 48
def promise_set_only_grows(step: Step) -> bool:
    return step.before.promises.keys() <= step.after.promises.keys()


PROMISE_STEPS: tuple[PromiseTransition, ...] = (
    birth_fields_immutable,
    settled_promise_record,
    task_set_only_grows,
    settled_at_changes_with_state,
    value_unchanged_while_pending,
    promise_settlement_stamp,
)
