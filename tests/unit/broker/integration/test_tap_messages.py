import pytest

from resonate_broker.integration import tap_messages
from resonate_store.state import Event, NumberedEvent


def make_event(group: str = "billing") -> NumberedEvent:
    event = Event(
        origin="order-1",
        kind="promise.resolved",
        subject="order-1.2",
        group=group,
        at_ms=5_000,
        data="{}",
    )
    return NumberedEvent(position=77, sequence=3, event=event)


@pytest.mark.parametrize(
    ("group", "key"), [("billing", "promise.resolved.billing"), ("", "promise.resolved")]
)
def test_the_routing_key_has_the_kind_and_the_group(group: str, key: str):
    assert tap_messages.routing_key(make_event(group)) == key


def test_the_headers_are_the_attributes_of_cloudevents():
    headers = tap_messages.headers(make_event(), "/resonate/shop", "1970-01-01T00:00:05.000Z")

    assert headers == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": "77",
        "cloudEvents:source": "/resonate/shop",
        "cloudEvents:type": "resonate.promise.resolved",
        "cloudEvents:subject": "order-1.2",
        "cloudEvents:time": "1970-01-01T00:00:05.000Z",
        "cloudEvents:partitionkey": "order-1",
        "cloudEvents:sequence": "3",
    }
