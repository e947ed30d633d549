"""Events that triggers take: what each of them asks for."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from resonate_broker import templates
from resonate_broker.integration import calls, plain
from resonate_broker.integration.invocation import Invoke
from resonate_broker.integration.plain import NotPlainError
from resonate_broker.templates import Event
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import (
    PromiseSettle,
    check_id,
    check_tags,
    check_value,
    priority_fault,
)

VERSION = 1  # of the functions that are started


def read(
    trigger: TriggerRecord,
    body: bytes,
    *,
    message_id: str | None,
    correlation_id: str | None,
    content_type: str | None,
    headers: Mapping[str, Any],
) -> Invoke | PromiseSettle:
    """Read an event.

    Raises:
        NotPlainError: it does not have what the trigger needs, or cannot be stored.
    """
    if len(body) > limits.MESSAGE_BYTES_MAX:
        raise NotPlainError(
            f"the body has {len(body)} bytes, the limit is {limits.MESSAGE_BYTES_MAX}"
        )
    event = Event(
        trigger=trigger.id,
        message_id=message_id,
        correlation_id=correlation_id,
        headers=headers,
        body=body,
    )
    try:
        promise_id = templates.render(trigger.promise_id, event)
        check_id("the id of its promise", promise_id)
        if trigger.func is None or trigger.target is None:
            return calls.settlement(promise_id, body, content_type, headers)
        invoke = _invocation(trigger, trigger.func, trigger.target, promise_id, body, content_type)
        return replace(invoke, wishes=_wishes(trigger, event))
    except NotPlainError:
        raise
    except ValueError as error:
        raise NotPlainError(str(error)) from error


def _wishes(trigger: TriggerRecord, event: Event) -> Mapping[str, str]:
    """The tags that say which limit counts, and whose turn it is."""
    wishes: dict[str, str] = {}
    if trigger.key is not None:
        wishes[tags.KEY] = templates.render(trigger.key, event, "its key")
    if trigger.priority is not None:
        priority = templates.render(trigger.priority, event, "its priority")
        fault = priority_fault(priority)
        if fault is not None:
            raise NotPlainError(fault)
        wishes[tags.PRIORITY] = priority
    check_tags(wishes)
    return wishes


def _invocation(
    trigger: TriggerRecord,
    func: str,
    target: str,
    promise_id: str,
    body: bytes,
    content_type: str | None,
) -> Invoke:
    """A call with the body as its one argument."""
    argument = Raw(calls.as_json(body, content_type or ""))
    call: Mapping[str, Any] = {"func": func, "args": [argument], "kwargs": {}, "version": VERSION}
    value = plain.stored(msgspec.json.encode(call))
    check_value("the call", value)
    return Invoke(
        id=promise_id,
        func=func,
        version=VERSION,
        call=value,
        target=target,
        timeout_ms=trigger.timeout_ms,
        delay_ms=0,
    )
