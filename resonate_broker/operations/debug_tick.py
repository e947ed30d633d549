"""`debug.tick`: do what is due at an instant."""

from collections.abc import Callable

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Body, Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import DebugTick
from resonate_sdk.protocol.responses import Answer, Nothing


def debug_tick(request: DebugTick, tick: Callable[[int], Body]) -> Operation:
    """Deadlines, wakes, leases, dispatches and schedules that are due then are seen to.

    Args:
        request: the instant.
        tick: takes the steps, in batches whose instant is that of the request.
    """
    yield Load()
    yield Commit()
    failed: Failed | None = yield from tick(request.at_ms)
    if failed is not None:
        return rules.refused(responses.UNAVAILABLE, f"cannot tick now: {failed.reason}")
    return Answer(responses.OK, Nothing())
