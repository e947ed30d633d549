from typing import Any

import pytest

from resonate_broker.embedded.queues import MessageQueues, Subscriber
from resonate_broker.kernel.submissions import Outgoing, Probed
from tests.unit.broker.builders import make_hint, make_outgoing


class Workers:
    """Queues, and what each process of the group `g` was delivered."""

    def __init__(self, *credits: int) -> None:
        self.queues = MessageQueues()
        self.delivered: dict[str, list[Any]] = {}
        for number, credit in enumerate(credits, start=1):
            self.attach(f"w{number}", "g")
            self.queues.add_credit(f"w{number}", credit)

    def attach(self, pid: str, group: str | None) -> None:
        messages = self.delivered[pid] = []
        self.queues.attach(Subscriber(pid, group, messages.append))

    def publish(self, *ids: str, **outgoing: Any) -> None:
        for id in ids:
            self.queues.publish(make_outgoing(id, **outgoing))

    def ids(self, pid: str) -> list[str]:
        return [message.data.task.id for message in self.delivered[pid]]


def test_hints_wait_until_a_worker_takes_them_in_their_order():
    workers = Workers(0)
    workers.publish("a", "b", "c")

    workers.queues.add_credit("w1", 2)

    assert workers.ids("w1") == ["a", "b"]
    assert workers.queues.probe("g") == Probed(ready=1, consumers=1, unconfirmed=0)


def test_a_worker_gets_no_more_hints_than_it_takes():
    workers = Workers(2)

    workers.publish("a", "b", "c")

    assert workers.ids("w1") == ["a", "b"]


def test_a_hint_goes_to_the_worker_with_most_room():
    workers = Workers(1, 3)

    workers.publish("a", "b", "c")

    assert (workers.ids("w1"), workers.ids("w2")) == (["c"], ["a", "b"])


def test_a_hint_goes_to_the_preferred_worker_if_it_has_room():
    workers = Workers(1, 3)

    workers.publish("a", "b", pid="w1")

    assert (workers.ids("w1"), workers.ids("w2")) == (["a"], ["b"])


def test_a_preferred_process_of_another_group_is_passed_over():
    workers = Workers(1)
    workers.attach("x", "h")
    workers.queues.add_credit("x", 5)

    workers.publish("a", pid="x")

    assert (workers.ids("x"), workers.ids("w1")) == ([], ["a"])


def test_a_message_for_one_process_needs_no_room():
    workers = Workers(0, 5)

    workers.publish("a", pid="w1", is_exclusive=True)

    assert (workers.ids("w1"), workers.ids("w2")) == (["a"], [])


def test_a_message_for_a_process_that_is_gone_is_dropped():
    workers = Workers(5)

    workers.publish("a", pid="gone", is_exclusive=True)

    assert workers.ids("w1") == []
    assert workers.queues.probe("g").ready == 0


def test_a_process_without_a_group_takes_no_hints():
    workers = Workers()
    workers.attach("client", None)
    workers.queues.add_credit("client", 5)

    workers.publish("a")

    assert workers.ids("client") == []


def test_a_worker_that_has_gone_gets_nothing_more():
    workers = Workers(5, 1)

    workers.queues.detach("w1")
    workers.publish("a")

    assert (workers.ids("w1"), workers.ids("w2")) == ([], ["a"])
    assert workers.queues.probe("g").consumers == 1


def test_room_for_a_process_that_is_gone_is_of_no_consequence():
    workers = Workers(0)
    workers.publish("a")

    workers.queues.add_credit("gone", 5)

    assert workers.queues.probe("g").ready == 1


def test_hints_of_one_group_are_not_seen_by_another():
    workers = Workers(0)
    workers.attach("x", "h")

    workers.publish("a")
    workers.queues.add_credit("x", 5)

    assert workers.ids("x") == []


@pytest.mark.parametrize("outgoing", [make_outgoing("a", group="nobody")])
def test_hints_of_a_group_without_workers_are_kept(outgoing: Outgoing):
    queues = MessageQueues()

    queues.publish(outgoing)

    assert outgoing.message == make_hint("a")
    assert queues.probe("nobody") == Probed(ready=1, consumers=0, unconfirmed=0)
