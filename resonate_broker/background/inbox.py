"""Calls that applications have left in transactions of their own become promises.

The candidates are read without locks, then named by ordinary batches. A batch gets a row only if no
other server has it, and removes it in the transaction that makes the promise.
"""

import logging
from functools import partial

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadInbox, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.envelope import normalize
from resonate_sdk.protocol.requests import PromiseCreate, create_fault
from resonate_store.state import InboxEntry, InboxRow

ROWS_PER_RUN = 200

logger = logging.getLogger(__name__)


def drain_inbox() -> Body:
    """Take what waits; return the present instant if there may be more."""
    entries: tuple[InboxEntry, ...] | Failed = yield ReadInbox(ROWS_PER_RUN)
    if isinstance(entries, Failed):
        return None
    taken_at_ms: list[int] = []
    yield Spawn(tuple(partial(take, entry, taken_at_ms) for entry in entries))
    # What somebody else holds is his to take: without a row of our own there is no hurry.
    return max(taken_at_ms, default=None)


def take(entry: InboxEntry, taken_at_ms: list[int]) -> Body:
    """Make the promise of a call, unless it exists.

    Args:
        entry: the call.
        taken_at_ms: gets the instant when it has been taken here.
    """
    state: WorkingState = yield Load(ids=(entry.id,), inbox=(entry.number,))
    row = state.inbox_row(entry.number)
    if row is None:
        return (yield Commit())
    fault = _create(state, row)
    if fault is None:
        state.take(row)
    else:
        state.refuse(row, fault)
    yield Commit()
    taken_at_ms.append(state.now_ms)
    if fault is not None:
        logger.error(
            "call in the inbox refused number=%d id=%s reason=%s", row.number, row.id, fault
        )
    return None


def _create(state: WorkingState, row: InboxRow) -> str | None:
    """Create the promise as a request would; return what makes that impossible, if something does."""
    try:
        create = normalize(
            PromiseCreate(
                id=row.id, timeout_at_ms=row.timeout_at_ms, param=row.param, tags=row.tags
            )
        )
    except ValueError as error:
        return str(error)
    assert isinstance(create, PromiseCreate), create
    fault = create_fault(create, acquire=False)
    if fault is None and state.promise(create.id) is None:
        state.put(rules.born(create, state.now_ms))
    return fault
