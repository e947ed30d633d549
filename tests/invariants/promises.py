"""Invariants 1 to 16 and 31: what a stored promise looks like."""

from collections.abc import Callable

from resonate_broker import rules
from resonate_sdk.protocol import tags
from resonate_store.state import Promise
from tests.invariants.stored import Stored

PromiseInvariant = Callable[[Promise, Stored, int], bool]


def has_value(promise: Promise) -> bool:
    return promise.value.data is not None or bool(promise.value.headers)


# 1
def created_at_lte_timeout_at(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.created_at_ms <= promise.timeout_at_ms


# 2
def pending_created_before_deadline(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.state != "pending" or promise.created_at_ms < promise.timeout_at_ms


# 3
def settled_at_lte_timeout_at(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.settled_at_ms is None or promise.settled_at_ms <= promise.timeout_at_ms


# 4
def created_at_lte_settled_at(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.settled_at_ms is None or promise.created_at_ms <= promise.settled_at_ms


# 5
def settled_at_iff_not_pending(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return (promise.settled_at_ms is not None) == (promise.state != "pending")


# 6
def pending_has_no_value(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.state != "pending" or not has_value(promise)


# 7
def deadline_verdict_matches_timer_tag(promise: Promise, stored: Stored, now_ms: int) -> bool:
    if promise.settled_at_ms != promise.timeout_at_ms:
        return True
    is_timer = promise.tags.get(tags.TIMER) == "true"
    return promise.state == ("resolved" if is_timer else "rejected_timedout")


# 8
def deadline_settlement_has_no_value(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.settled_at_ms != promise.timeout_at_ms or not has_value(promise)


# 9
def timer_not_targeted(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.tags.get(tags.TIMER) != "true" or tags.TARGET not in promise.tags


# 10 and 94
def timedout_is_server_owned(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.state != "rejected_timedout" or promise.settled_at_ms == promise.timeout_at_ms


# 13
def obligations_require_external(promise: Promise, stored: Stored, now_ms: int) -> bool:
    owes = stored.awaiters(promise.id) or stored.addresses(promise.id)
    return not owes or rules.is_external(promise)


# 14
def awaiter_is_not_self(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.id not in stored.awaiters(promise.id)


# 15
def created_at_lte_now(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.created_at_ms <= now_ms


# 16
def settled_at_lte_now(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return promise.settled_at_ms is None or promise.settled_at_ms <= now_ms


PROMISE: tuple[PromiseInvariant, ...] = (
    created_at_lte_timeout_at,
    pending_created_before_deadline,
    settled_at_lte_timeout_at,
    created_at_lte_settled_at,
    settled_at_iff_not_pending,
    pending_has_no_value,
    deadline_verdict_matches_timer_tag,
    deadline_settlement_has_no_value,
    timer_not_targeted,
    timedout_is_server_owned,
    obligations_require_external,
    awaiter_is_not_self,
    created_at_lte_now,
    settled_at_lte_now,
)
