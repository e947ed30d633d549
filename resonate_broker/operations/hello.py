"""`hello`: somebody is there."""

from collections.abc import Callable

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Declare, Failed
from resonate_broker.roster import Roster
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.requests import Hello
from resonate_sdk.protocol.responses import Answer, Welcome


def hello(
    request: Hello, partitions: int, on_group: Callable[[str], None], roster: Roster
) -> Operation:
    """Welcome a process once the queues of its group exist, and see to the group's tasks.

    Args:
        request: who is there.
        partitions: how many submission queues there are.
        on_group: told that a worker of this group has come.
        roster: of the workers that are there.
    """
    if request.group is not None:
        declared: Failed | None = yield Declare(request.group)
        if isinstance(declared, Failed):
            reason = f"cannot make the queues of group {request.group!r}: {declared.reason}"
            return rules.refused(responses.UNAVAILABLE, reason)
        on_group(request.group)
        roster.heard(request)
    welcome = Welcome(
        partitions=partitions,
        request_bytes_max=limits.MESSAGE_BYTES_MAX,
        version=limits.VERSION,
    )
    return Answer(responses.OK, welcome)
