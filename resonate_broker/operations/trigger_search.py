"""`trigger.search`: list the triggers."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Failed, ReadTriggers
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import TriggerSearch
from resonate_sdk.protocol.responses import Answer, TriggerPage


def trigger_search(request: TriggerSearch) -> Operation:
    """Answer with all of them: there are never more than fit into one answer."""
    triggers: tuple[TriggerRecord, ...] | Failed = yield ReadTriggers()
    if isinstance(triggers, Failed):
        return rules.refused(responses.UNAVAILABLE, f"trigger.search, ask again: {triggers.reason}")
    return Answer(responses.OK, TriggerPage(triggers=triggers))
