"""`trigger.delete`: end a trigger."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import EndTrigger, Failed
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TriggerDelete
from resonate_sdk.protocol.responses import Answer, Nothing


def trigger_delete(request: TriggerDelete) -> Operation:
    """No event reaches it any more; what it has started goes on.

    Its queue goes as soon as no server consumes it, and its row after that.
    """
    ended: bool | Failed = yield EndTrigger(request.id)
    if isinstance(ended, Failed):
        return rules.refused(responses.UNAVAILABLE, f"trigger.delete, ask again: {ended.reason}")
    if not ended:
        return rules.refused(responses.NOT_FOUND, f"no trigger {request.id!r}")
    return Answer(responses.OK, Nothing())
