"""R3, its end: a listener that has been told is forgotten.

The row of a listener on a settled promise is the record of a message that is still owed; it goes
when the broker has confirmed the message, or when there is nobody to take it.
"""

from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Load, Outgoing
from resonate_broker.kernel.working_state import WorkingState


def forget_listeners(told: tuple[Outgoing, ...]) -> Body:
    """Remove listeners that have been told, each with the timer that would remind of it.

    No lock is needed: a settled promise gets no new listener, and removing one twice is harmless.
    """
    state: WorkingState = yield Load()
    state.forget(told)
    yield Commit()
