"""The order in which events leave."""

from resonate_broker.aio.events import turns
from resonate_store.state import Event, NumberedEvent


def numbered(origin: str, position: int) -> NumberedEvent:
    event = Event(
        origin=origin, kind="promise.created", subject=origin, group="", at_ms=0, data="{}"
    )
    return NumberedEvent(position=position, sequence=position, event=event)


def test_the_next_event_of_a_tree_has_a_later_turn():
    events = [numbered(origin, position) for position, origin in enumerate("abacab")]

    found = [[event.position for event in turn] for turn in turns(events)]

    assert found == [[0, 1, 3], [2, 5], [4]]
