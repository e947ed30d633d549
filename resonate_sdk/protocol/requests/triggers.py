"""Requests about triggers: ours, the checked protocol has no such kinds."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from resonate_sdk.protocol import addresses, limits
from resonate_sdk.protocol.requests.base import Id, Instant, Name, Request
from resonate_sdk.protocol.requests.checks import check_id, check_text

PROMISE_ID_DEFAULT = "{{.trigger}}:{{.message_id}}"


class TriggerGet(Request, frozen=True, kw_only=True):
    """Read one trigger."""

    kind: ClassVar[str] = "trigger.get"
    id: Name


class TriggerCreate(Request, frozen=True, kw_only=True):
    """Start a function, or settle a promise, by each event; an existing id is left as it is.

    Attributes:
        exchange: that the events are published to.
        routing_key: of the binding; what it matches depends on the exchange.
        promise_id: template of the ids of the promises.
        func: the function that an event starts; absent: the event settles a promise.
        target: who runs it.
        key: template of the tag `resonate:key`, by which limits of the group tell calls apart.
        priority: template of the tag `resonate:priority`, or one digit for all events.
        timeout_ms: from an event to the deadline of its promise.
    """

    kind: ClassVar[str] = "trigger.create"
    id: Name
    exchange: str
    routing_key: str = field(name="routingKey")
    promise_id: Id = field(name="promiseId", default=PROMISE_ID_DEFAULT)
    func: Annotated[str, Meta(min_length=1)] | None = None
    target: str | None = None
    key: str | None = None
    priority: str | None = None
    timeout_ms: Instant = field(name="timeout", default=limits.PROMISE_TIMEOUT_MS_DEFAULT)

    def __post_init__(self) -> None:
        _check_amqp_text("exchange", self.exchange)
        _check_amqp_text("routingKey", self.routing_key)
        check_id("promiseId", self.promise_id)
        if not self.exchange:
            raise ValueError(
                "exchange is empty: the default exchange knows queues by their names, and nothing "
                "can be bound to it"
            )
        if (self.func is None) != (self.target is None):
            raise ValueError("func and target belong together; without both, events settle")
        if self.func is not None and self.target is not None:
            check_id("func", self.func)
            try:
                addresses.normalize(self.target)
            except addresses.AddressError as error:
                raise ValueError(f"target: {error}") from error
        for name, template in (("key", self.key), ("priority", self.priority)):
            _check_wish(name, template, starts=self.func is not None)
        if self.timeout_ms == 0:
            raise ValueError("timeout is 0: every promise would be over when it begins")


class TriggerDelete(Request, frozen=True, kw_only=True):
    """End a trigger; events that wait in its queue are dropped."""

    kind: ClassVar[str] = "trigger.delete"
    id: Name


class TriggerSearch(Request, frozen=True, kw_only=True):
    """List all triggers, by ascending id."""

    kind: ClassVar[str] = "trigger.search"


def _check_wish(name: str, template: str | None, *, starts: bool) -> None:
    if template is None:
        return
    if not starts:
        raise ValueError(f"{name} is for limits of the group that runs a func: events settle here")
    check_text(name, template)
    size = len(template.encode())
    if not 0 < size <= limits.TAG_VALUE_BYTES_MAX:
        raise ValueError(f"{name} has {size} bytes, the limit is {limits.TAG_VALUE_BYTES_MAX}")


def _check_amqp_text(name: str, text: str) -> None:
    check_text(name, text)
    size = len(text.encode())
    if size > limits.AMQP_TEXT_BYTES_MAX:
        raise ValueError(
            f"{name} has {size} bytes, the limit of AMQP is {limits.AMQP_TEXT_BYTES_MAX}"
        )
