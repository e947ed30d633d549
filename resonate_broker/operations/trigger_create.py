"""`trigger.create`: let events of an exchange start executions, or settle promises."""

from resonate_broker import rules, templates
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import CreateTrigger, Failed, TriggerRefused
from resonate_sdk.protocol import addresses, responses
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import TriggerCreate, priority_fault
from resonate_sdk.protocol.responses import Answer, TriggerData


def trigger_create(request: TriggerCreate) -> Operation:
    """Create the trigger; one that exists is answered as it is, whatever the request says.

    When it is answered 200 the queue is bound: no event that is published from then on is missed.
    """
    fault = definition_fault(request)
    if fault is not None:
        return rules.refused(responses.MALFORMED, f"trigger.create: {fault}")
    target = None if request.target is None else addresses.normalize(request.target)
    wanted = TriggerRecord(
        id=request.id,
        exchange=request.exchange,
        routing_key=request.routing_key,
        promise_id=request.promise_id,
        func=request.func,
        target=target,
        key=request.key,
        priority=request.priority,
        timeout_ms=request.timeout_ms,
        created_at_ms=0,
    )
    created: TriggerRecord | TriggerRefused | Failed = yield CreateTrigger(wanted)
    match created:
        case TriggerRecord():
            return Answer(responses.OK, TriggerData(trigger=created))
        case TriggerRefused(reason=reason):
            return rules.refused(responses.CONFLICT, f"trigger.create: {reason}")
        case Failed(reason=reason):
            return rules.refused(responses.UNAVAILABLE, f"trigger.create, ask again: {reason}")


def definition_fault(request: TriggerCreate) -> str | None:
    """Say what is wrong with a template, in one sentence, or None."""
    fault = templates.fault(request.promise_id, is_constant_allowed=request.func is None)
    if fault is not None:
        return f"promiseId: {fault}"
    for name, template in (("key", request.key), ("priority", request.priority)):
        fault = None if template is None else templates.fault(template, is_constant_allowed=True)
        if fault is not None:
            return f"{name}: {fault}"
    priority = request.priority
    if priority is None or not templates.is_constant(priority):
        return None
    fault = priority_fault(priority)
    return None if fault is None else f"priority: {fault}"
