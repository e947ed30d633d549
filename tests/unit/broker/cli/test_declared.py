"""What is on the broker, held against what should be."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.cli.declared import Declared, binding_keys, compare
from resonate_broker.cli.management import BindingStatus, ObjectArguments, QueueStatus
from resonate_sdk.protocol.topology import Names, group_topology

WANTED = group_topology(Names("ns"), "g")
QUEUE = WANTED.queues[0]


def declared(**changes: Any) -> Declared:
    """A broker that has everything, but for these changes."""
    exchanges = {
        e.name: ObjectArguments(name=e.name, type=e.type, arguments=dict(e.arguments) or [])
        for e in WANTED.exchanges
    }
    queues = {
        q.name: QueueStatus(name=q.name, type="quorum", arguments=dict(q.arguments))
        for q in WANTED.queues
    }
    whole = Declared(
        exchanges=frozenset(exchanges),
        queues=frozenset(queues),
        exchange_details=exchanges,
        queue_details=queues,
        bindings=frozenset((b.exchange, b.queue, b.key) for b in WANTED.bindings),
    )
    return replace(whole, **changes)


def states(found: Declared) -> list[str]:
    return [each.state for each in compare(WANTED, found)]


def test_what_is_declared_as_it_should_be_is_there():
    assert states(declared()) == ["there"] * 4


def test_what_is_not_there_is_missing():
    found = declared(exchanges=frozenset(), queues=frozenset(), bindings=frozenset())

    assert states(found) == ["missing"] * 4


def test_without_the_management_api_bindings_are_not_seen():
    found = declared(exchange_details=None, queue_details=None, bindings=None)

    assert states(found) == ["there", "there", "there", "unseen"]


@pytest.mark.parametrize(
    ("status", "difference"),
    [
        (
            QueueStatus(name=QUEUE.name, arguments={**QUEUE.arguments, "x-delivery-limit": 20}),
            "x-delivery-limit is 20, not 100",
        ),
        (
            QueueStatus(name=QUEUE.name, arguments={**QUEUE.arguments, "x-expires": 5}),
            "x-expires is 5 and should not be set",
        ),
        (
            QueueStatus(name=QUEUE.name, durable=False, arguments=[]),
            "durable is False, not True; x-delivery-limit is not set and should be 100; "
            "x-queue-type is not set and should be quorum",
        ),
    ],
)
def test_what_is_declared_otherwise_is_told(status: QueueStatus, difference: str):
    found = compare(WANTED, declared(queue_details={QUEUE.name: status}))

    (queue,) = [each for each in found if each.kind == "queue"]
    assert (queue.state, queue.difference) == ("different", difference)


def test_only_bindings_of_queues_count():
    to_queue = BindingStatus(source="e", destination="q", destination_type="queue", routing_key="k")
    to_exchange = replace(to_queue, destination_type="exchange")

    assert binding_keys((to_queue, to_exchange)) == {("e", "q", "k")}
    assert binding_keys((to_exchange,)) == frozenset()
