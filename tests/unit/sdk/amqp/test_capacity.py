"""C17: the broker delivers what fits, no slot stays empty, nothing is hoarded."""

from collections.abc import Sequence

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from resonate_sdk.amqp.capacity import (
    GROW_MS,
    UNSTARTED_MS_MAX,
    WINDOW_GROWTH,
    WINDOW_MIN,
    WITHHELD_MS_MAX,
    Ack,
    Action,
    Cancel,
    Capacity,
    Consume,
    PassOn,
    Requeue,
    Start,
)


def begun(slots: int) -> Capacity:
    capacity = Capacity(slots)
    assert capacity.begin(0) == [Consume(min(slots, WINDOW_MIN))]
    return capacity


@pytest.mark.parametrize(("slots", "prefetch"), [(1, 1), (6, 6), (64, 16)])
def test_the_prefetch_is_the_number_of_slots_up_to_a_limit(slots: int, prefetch: int):
    assert Capacity(slots).begin(0) == [Consume(prefetch)]


def test_a_hint_starts_at_once_while_a_slot_is_free():
    capacity = begun(slots=2)

    assert capacity.delivered(1, now_ms=0) == [Start(1, is_sticky=False)]
    assert capacity.free == 1


def test_the_acknowledgement_is_withheld_while_the_slot_is_taken():
    capacity = begun(slots=1)
    capacity.delivered(1, now_ms=0)

    assert capacity.answered(1, now_ms=5) == []


def test_the_acknowledgement_is_given_when_the_slot_is_free_again():
    capacity = begun(slots=1)
    capacity.delivered(1, now_ms=0)
    capacity.answered(1, now_ms=5)

    assert capacity.freed(now_ms=10) == [Ack(1)]


def test_nothing_is_withheld_while_more_slots_are_free_than_the_broker_may_deliver():
    capacity = begun(slots=64)
    capacity.delivered(1, now_ms=0)

    assert capacity.answered(1, now_ms=5) == [Ack(1)]


def test_what_was_not_answered_is_not_acknowledged():
    capacity = begun(slots=1)
    capacity.delivered(1, now_ms=0)

    assert capacity.freed(now_ms=10) == []


def test_an_acknowledgement_that_was_withheld_for_too_long_ends_the_consumer():
    capacity = begun(slots=1)
    capacity.delivered(1, now_ms=0)
    capacity.answered(1, now_ms=5)

    assert capacity.needs_look
    assert capacity.looked(5 + WITHHELD_MS_MAX - 1) == []
    assert capacity.looked(5 + WITHHELD_MS_MAX) == [Cancel()]
    assert capacity.cancelled(2_000) == [Ack(1)]
    assert capacity.freed(3_000) == [Consume(1)]


def test_a_worker_with_other_free_slots_consumes_again_at_once():
    capacity = begun(slots=2)
    capacity.delivered(1, now_ms=0)
    capacity.answered(1, now_ms=0)

    assert capacity.looked(WITHHELD_MS_MAX) == [Cancel()]
    assert capacity.cancelled(WITHHELD_MS_MAX) == [Ack(1), Consume(1)]


def test_a_hint_that_finds_its_slot_taken_goes_back_after_a_moment():
    capacity = begun(slots=1)
    capacity.delivered_sticky(7)

    assert capacity.delivered(1, now_ms=0) == []
    assert capacity.looked(UNSTARTED_MS_MAX) == [Cancel()]
    assert capacity.delivered(2, now_ms=60) == [], "it was under way when the consumer ended"
    assert capacity.cancelled(70) == [Requeue(1), Requeue(2)]


def test_a_hint_that_waits_starts_when_a_slot_is_freed_in_time():
    capacity = begun(slots=1)
    capacity.delivered_sticky(7)
    capacity.delivered(1, now_ms=0)

    assert capacity.freed(now_ms=20) == [Start(1, is_sticky=False)]


def test_a_sticky_hint_without_a_slot_is_passed_on_to_the_group():
    capacity = begun(slots=1)
    capacity.delivered(1, now_ms=0)

    assert capacity.delivered_sticky(7) == [PassOn(7)]


def test_a_hint_that_was_being_acquired_when_the_consumer_ended_is_acknowledged_later():
    capacity = begun(slots=2)
    capacity.delivered(1, now_ms=0)
    capacity.delivered(2, now_ms=0)
    capacity.answered(1, now_ms=0)
    capacity.looked(WITHHELD_MS_MAX)

    assert capacity.cancelled(WITHHELD_MS_MAX) == [Ack(1)]
    assert capacity.answered(2, now_ms=1_500) == [Ack(2)]


def test_a_prefetch_from_a_busier_time_grows_again():
    capacity = begun(slots=4)
    for tag in range(1, 5):
        capacity.delivered(tag, now_ms=0)
        capacity.answered(tag, now_ms=0)
    capacity.looked(WITHHELD_MS_MAX)
    capacity.cancelled(WITHHELD_MS_MAX)
    assert capacity.freed(2_000) == [Consume(1)]
    for _ in range(3):
        capacity.freed(2_100)

    assert capacity.looked(2_000 + GROW_MS) == [Cancel()]
    assert capacity.cancelled(2_000 + GROW_MS) == [Consume(4)]


def work(capacity: Capacity, tags: range, now_ms: int) -> None:
    """Run short executions, as many at a time as the prefetch allows."""
    for tag in tags:
        capacity.delivered(tag, now_ms)
    for tag in tags:
        capacity.answered(tag, now_ms)
        capacity.freed(now_ms)


def test_the_prefetch_grows_when_it_is_what_limits_the_hints():
    capacity = begun(slots=200)
    work(capacity, range(WINDOW_MIN), now_ms=10)

    assert capacity.needs_look
    assert capacity.looked(GROW_MS - 1) == []
    assert capacity.looked(GROW_MS) == [Cancel()]
    assert capacity.cancelled(GROW_MS) == [Consume(WINDOW_MIN * WINDOW_GROWTH)]
    assert not capacity.needs_look


def test_the_prefetch_never_grows_beyond_the_slots():
    capacity = begun(slots=40)
    work(capacity, range(WINDOW_MIN), now_ms=10)
    capacity.looked(GROW_MS)

    assert capacity.cancelled(GROW_MS) == [Consume(40)]

    work(capacity, range(100, 140), now_ms=1_100)
    assert capacity.looked(5 * GROW_MS) == []


def test_the_prefetch_never_grows_beyond_what_the_program_allows():
    capacity = Capacity(200, prefetch_max=4)
    assert capacity.begin(0) == [Consume(4)]

    work(capacity, range(4), now_ms=10)

    assert not capacity.needs_look
    assert capacity.looked(GROW_MS) == []


def test_a_prefetch_that_is_never_used_up_stays_as_it_is():
    capacity = begun(slots=200)
    work(capacity, range(WINDOW_MIN - 1), now_ms=10)

    assert not capacity.needs_look
    assert capacity.looked(GROW_MS) == []


def test_the_prefetch_is_small_again_when_an_execution_takes_long():
    capacity = begun(slots=40)
    work(capacity, range(WINDOW_MIN), now_ms=10)
    capacity.looked(GROW_MS)
    capacity.cancelled(GROW_MS)
    capacity.delivered(100, now_ms=2_000)
    capacity.answered(100, now_ms=2_000)

    assert capacity.looked(2_000 + WITHHELD_MS_MAX) == [Cancel()]
    assert capacity.cancelled(3_001) == [Ack(100), Consume(WINDOW_MIN)]


def test_a_new_connection_begins_anew_while_executions_go_on():
    capacity = begun(slots=2)
    capacity.delivered(1, now_ms=0)

    assert capacity.begin(1_000) == [Consume(1)]
    assert capacity.answered(1, now_ms=1_001) == [], "its tag was of another connection"
    capacity.freed(1_002)
    assert capacity.free == 2


def test_after_the_end_nothing_starts():
    capacity = begun(slots=1)
    capacity.delivered_sticky(7)
    capacity.delivered(1, now_ms=0)

    assert capacity.end() == [Requeue(1)]
    assert capacity.freed(10) == []


class Broker(RuleBasedStateMachine):
    """A queue that never runs dry, a worker, and what must hold between them at all times."""

    @initialize(slots=st.integers(1, 20) | st.sampled_from((40, 200)))
    def start(self, slots: int) -> None:
        self.capacity = Capacity(slots)
        self.slots = slots
        self.now_ms = 0
        self.next_tag = 1
        self.prefetch = 0
        self.is_consuming = False
        self.is_cancelling = False
        self.unacked = set[int]()  # of the present consumer
        self.running = list[int]()  # started, not freed
        self.unanswered = set[int]()
        self.apply(self.capacity.begin(0))

    def apply(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(tag=tag):
                    self.running.append(tag)
                    self.unanswered.add(tag)
                case Ack(tag=tag):
                    assert tag not in self.unanswered, "acknowledged before the answer"
                    self.unacked.discard(tag)
                case Requeue(tag=tag):
                    assert tag in self.unacked
                    assert tag not in self.running, "given back although it runs"
                    self.unacked.discard(tag)
                case Cancel():
                    assert self.is_consuming
                    self.is_cancelling = True
                case Consume(prefetch=prefetch):
                    assert not self.is_consuming, "consumes twice"
                    self.is_consuming, self.prefetch = True, prefetch
                    self.unacked.clear()
                case PassOn():
                    assert self.capacity.free == 0

    @precondition(lambda self: self.is_consuming and len(self.unacked) < self.prefetch)
    @rule()
    def deliver(self) -> None:
        tag, self.next_tag = self.next_tag, self.next_tag + 1
        self.unacked.add(tag)
        self.apply(self.capacity.delivered(tag, self.now_ms))

    @rule()
    def deliver_sticky(self) -> None:
        tag, self.next_tag = self.next_tag, self.next_tag + 1
        before = len(self.running)
        self.apply(self.capacity.delivered_sticky(tag))
        if len(self.running) > before:
            self.unanswered.discard(tag)

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data())
    def answer(self, data) -> None:
        tag = data.draw(st.sampled_from(sorted(self.unanswered)))
        self.unanswered.remove(tag)
        self.apply(self.capacity.answered(tag, self.now_ms))

    @precondition(lambda self: any(tag not in self.unanswered for tag in self.running))
    @rule(data=st.data())
    def free(self, data) -> None:
        tag = data.draw(
            st.sampled_from([tag for tag in self.running if tag not in self.unanswered])
        )
        self.running.remove(tag)
        self.apply(self.capacity.freed(self.now_ms))

    @rule(passed_ms=st.sampled_from([1, 10, 60, 1_100]))
    def look(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        self.apply(self.capacity.looked(self.now_ms))

    @precondition(lambda self: self.is_cancelling)
    @rule()
    def cancel_ok(self) -> None:
        self.is_cancelling = self.is_consuming = False
        self.apply(self.capacity.cancelled(self.now_ms))

    @invariant()
    def no_more_runs_than_there_are_slots(self) -> None:
        if hasattr(self, "capacity"):
            assert len(self.running) <= self.slots
            assert self.capacity.in_flight == len(self.running)

    @invariant()
    def whoever_waits_is_looked_at(self) -> None:
        if hasattr(self, "capacity") and not self.is_cancelling:
            waiting = self.unacked - set(self.running)
            assert not waiting or self.capacity.needs_look

    @invariant()
    def a_free_slot_is_offered_to_the_broker(self) -> None:
        if hasattr(self, "capacity") and self.capacity.free and not self.is_cancelling:
            assert self.is_consuming


TestBroker = Broker.TestCase
TestBroker.settings = settings(max_examples=200, stateful_step_count=40, derandomize=True)
