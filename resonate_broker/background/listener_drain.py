"""R3 and R6, their ends: a listener that has been told is forgotten, a call that was delivered waits.

The row of a listener on a settled promise is the record of a message that is still owed; it goes
when the broker has confirmed the message, or when there is nobody to take it. A call that the
broker has confirmed is in the hands of who was called: it is not sent again.
"""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Load, Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.messages import Invoke


def forget_listeners(told: tuple[Outgoing, ...]) -> Body:
    """Remove listeners that have been told, each with the timer that would remind of it.

    No lock is needed for them: a settled promise gets no new listener, and removing one twice is
    harmless.
    """
    calls = {call.message.data.task.id: call for call in told if isinstance(call.message, Invoke)}
    ids = tuple(calls)
    state: WorkingState = yield Load(ids=ids, settling=ids)
    state.forget(outgoing for outgoing in told if outgoing.listener is not None)
    for id, call in calls.items():
        _conclude(state, id, call)
    yield Commit()


def _conclude(state: WorkingState, id: str, call: Outgoing) -> None:
    """Wait for the reply until the deadline, or reject what can never be called."""
    promise = rules.observe(state, id)
    if promise is None or promise.task is None:
        return
    task = promise.task
    if task.state != "pending" or task.hint_at_ms != call.message.head.sent_at_ms:
        return  # it has ended, or has been sent again since
    if call.refusal is not None:
        rules.settle(state, promise, "rejected", call.refusal)
    else:
        state.put(replace(promise, task=replace(task, retry_at_ms=promise.timeout_at_ms)))
