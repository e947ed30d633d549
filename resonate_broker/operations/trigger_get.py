"""`trigger.get`: read one trigger."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Failed, ReadTriggers
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import TriggerGet
from resonate_sdk.protocol.responses import Answer, TriggerData


def trigger_get(request: TriggerGet) -> Operation:
    """Answer with the trigger."""
    triggers: tuple[TriggerRecord, ...] | Failed = yield ReadTriggers()
    if isinstance(triggers, Failed):
        return rules.refused(responses.UNAVAILABLE, f"trigger.get, ask again: {triggers.reason}")
    for trigger in triggers:
        if trigger.id == request.id:
            return Answer(responses.OK, TriggerData(trigger=trigger))
    return rules.refused(responses.NOT_FOUND, f"no trigger {request.id!r}")
