"""`debug.start`: let time stand still."""

from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.system import System
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import DebugStart
from resonate_sdk.protocol.responses import Answer, Nothing


def debug_start(request: DebugStart, system: System) -> Operation:
    """From now on this server takes no internal step and sends no message by itself."""
    yield Load()
    yield Commit()
    system.is_still = True
    return Answer(responses.OK, Nothing())
