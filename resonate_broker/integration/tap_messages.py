"""Events as messages: their routing keys, and the attributes of CloudEvents 1.0 as headers."""

from collections.abc import Mapping

from resonate_store.state import NumberedEvent

PREFIX = "cloudEvents:"  # as the binding of CloudEvents for AMQP names its properties
SPECIFICATION = "1.0"
TYPE_PREFIX = "resonate."


ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "partitionkey",
    "sequence",
)


def routing_key(numbered: NumberedEvent) -> str:
    """`promise.resolved.billing`; without the last word if no group has to do with it."""
    event = numbered.event
    return f"{event.kind}.{event.group}" if event.group else event.kind


def headers(numbered: NumberedEvent, source: str, time: str) -> Mapping[str, str]:
    """The attributes of an event.

    Args:
        numbered: the event.
        source: which servers tell it; together with the id it is unique.
        time: its instant as CloudEvents write it.
    """
    event = numbered.event
    attributes = {
        "specversion": SPECIFICATION,
        "id": str(numbered.position),
        "source": source,
        "type": TYPE_PREFIX + event.kind,
        "subject": event.subject,
        "time": time,
        "partitionkey": event.origin,
        "sequence": str(numbered.sequence),
    }
    return {PREFIX + name: text for name, text in attributes.items()}
