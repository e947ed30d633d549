"""`debug.stop`: let time pass again."""

from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.system import System
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import DebugStop
from resonate_sdk.protocol.responses import Answer, Nothing


def debug_stop(request: DebugStop, system: System) -> Operation:
    """What has become due meanwhile is done at once."""
    yield Load()
    yield Commit()
    system.is_still = False
    return Answer(responses.OK, Nothing())
