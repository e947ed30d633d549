"""`debug.reset`: delete everything."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load, Reset
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import DebugReset
from resonate_sdk.protocol.responses import Answer, Nothing


def debug_reset(request: DebugReset) -> Operation:
    """Nothing is left of promises, tasks and schedules; messages that were sent are."""
    yield Load()
    yield Commit()
    failed: Failed | None = yield Reset()
    if failed is not None:
        return rules.refused(responses.UNAVAILABLE, f"cannot reset now: {failed.reason}")
    return Answer(responses.OK, Nothing())
