"""Who has published what became a promise, or settled one: recorded beside the value.

RabbitMQ refuses a message whose `user_id` is not the user of its connection, so it is true. What a
message claims itself is not recorded.
"""

from typing import TypeVar

from msgspec.structs import replace

from resonate_broker.integration.invocation import Invoke
from resonate_sdk.protocol.envelope import Body, Decoded
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseCreate,
    PromiseSettle,
    Request,
    ScheduleCreate,
    SettleAction,
    TaskCreate,
    TaskFence,
    TaskFulfill,
)
from resonate_sdk.protocol.tags import USER_HEADER

_MARK = USER_HEADER.encode()
_ESCAPE = rb"\u"  # by which JSON can write the header so that its name does not stand there

Action = TypeVar("Action")


def signed_body(body: Body, raw: bytes, user_id: str | None) -> Body:
    """The requests of a message with its publisher.

    Args:
        body: what the message held.
        raw: the message.
        user_id: its publisher, if that is known.
    """
    if not user_id and _MARK not in raw and _ESCAPE not in raw:
        return body  # most messages: nothing is known, and nothing can be claimed
    items = tuple(
        replace(item, request=signed(item.request, user_id)) if isinstance(item, Decoded) else item
        for item in body.items
    )
    return replace(body, items=items)


def signed(request: Request, user_id: str | None) -> Request:
    """A request with its publisher, if that is known."""
    match request:
        case Invoke(call=call):
            return replace(request, call=_with_user(call, user_id))
        case PromiseCreate(param=param):
            return replace(request, param=_with_user(param, user_id))
        case PromiseSettle(value=value):
            return replace(request, value=_with_user(value, user_id))
        case ScheduleCreate(promise_param=param):  # who makes it has made all that it creates
            return replace(request, promise_param=_with_user(param, user_id))
        case TaskCreate(action=action) | TaskFence(action=action) | TaskFulfill(action=action):
            return replace(request, action=_signed_action(action, user_id))
        case _:
            return request


def _signed_action(action: Action, user_id: str | None) -> Action:
    match action:
        case CreateAction(data=data) | SettleAction(data=data):
            return replace(action, data=signed(data, user_id))
        case _:
            return action


def _with_user(value: Value, user_id: str | None) -> Value:
    others = {k: text for k, text in (value.headers or {}).items() if k != USER_HEADER}
    headers = {**others, USER_HEADER: user_id} if user_id else others
    return replace(value, headers=headers or None)
