"""Leases: prolonged while a task is held, given up when the server says so."""

import asyncio
import logging

import pytest

from resonate_sdk.errors import TransportError
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import TaskHeartbeat
from resonate_sdk.protocol.responses import Answer, Beaten
from resonate_sdk.worker.heartbeat import Leases
from tests.unit.sdk import virtual_time
from tests.unit.sdk.wire import Wire, refusal

LEASE_S = 15.0
BEATEN = Answer(responses.OK, Beaten())


def lost(*refs):
    return Answer(responses.OK, Beaten(lost=tuple(TaskRef(id=i, version=v) for i, v in refs)))


def beats(react, seconds, prepare):
    """Leases whose heart beats for a while."""

    async def main():
        wire = Wire(react)
        leases = Leases(wire, "me", round(LEASE_S * 1000))
        beating = asyncio.ensure_future(leases.keep_beating())  # noqa: TID251  # canceled below
        prepared = prepare(leases)
        await virtual_time.elapse(seconds)
        assert not beating.done(), "a heart goes on beating"
        beating.cancel()
        await asyncio.wait([beating])
        return wire, leases, prepared

    return virtual_time.run(main())


def held(wire):
    return [sorted((ref.id, ref.version) for ref in beat.tasks) for beat in wire.sent]


def hold(*refs):
    """Hold tasks, and take down what is lost."""
    gone = []

    def prepare(leases):
        for ref in refs:
            leases.add(*ref, lambda ref=ref: gone.append(ref))
        return gone

    return prepare


def test_a_heart_beats_three_times_per_lease_for_everything_that_is_held():
    wire, _, gone = beats(lambda _: BEATEN, 15.5, hold(("a", 1), ("b", 7)))

    assert wire.sent_at_s == pytest.approx([5, 10, 15])
    assert held(wire) == [[("a", 1), ("b", 7)]] * 3
    assert {beat.pid for beat in wire.sent} == {"me"}
    assert gone == []


def test_without_tasks_it_is_silent():
    wire, _, _ = beats(lambda _: BEATEN, 60, hold())

    assert wire.sent == []


def test_what_is_not_held_any_more_is_left_out():
    def prepare(leases):
        hold(("a", 1), ("b", 1))(leases)
        asyncio.get_running_loop().call_later(7, leases.remove, "a", 1)

    wire, leases, _ = beats(lambda _: BEATEN, 11, prepare)

    assert held(wire) == [[("a", 1), ("b", 1)], [("b", 1)]]
    assert not leases.holds("a")
    assert leases.holds("b")


def test_a_lost_task_is_told_once_and_not_prolonged_again():
    answers = [BEATEN, lost(("a", 1))]
    wire, leases, gone = beats(
        lambda _: answers.pop(0) if answers else BEATEN, 21, hold(("a", 1), ("b", 1))
    )

    assert gone == [("a", 1)]
    assert held(wire) == [[("a", 1), ("b", 1)]] * 2 + [[("b", 1)]] * 2
    assert not leases.holds("a")


def test_a_task_lost_at_an_old_version_does_not_lose_the_new_one():
    answers = [lost(("a", 1))]
    _, leases, gone = beats(lambda _: answers.pop(0) if answers else BEATEN, 21, hold(("a", 2)))

    assert gone == []
    assert leases.holds("a")


def test_losing_what_was_given_back_meanwhile_is_harmless():
    def prepare(leases):
        gone = hold(("a", 1))(leases)
        asyncio.get_running_loop().call_later(5, leases.remove, "a", 1)
        return gone

    _, _, gone = beats(lambda _: lost(("a", 1)), 21, prepare)

    assert gone in ([], [("a", 1)])


def test_many_tasks_are_split_at_the_limit_of_a_heartbeat():
    count = 2 * limits.TASKS_PER_HEARTBEAT_MAX + 1
    wire, _, _ = beats(lambda _: BEATEN, 6, hold(*((f"t{n}", 1) for n in range(count))))

    assert [len(beat.tasks) for beat in wire.sent] == [
        limits.TASKS_PER_HEARTBEAT_MAX,
        limits.TASKS_PER_HEARTBEAT_MAX,
        1,
    ]
    assert len({ref.id for beat in wire.sent for ref in beat.tasks}) == count


@pytest.mark.parametrize(
    "reaction", [TransportError("gone", may_be_carried_out=True), refusal(500), refusal(503)]
)
def test_a_beat_that_fails_is_followed_by_the_next(reaction, caplog):
    with caplog.at_level(logging.ERROR):
        wire, leases, gone = beats(lambda _: reaction, 16, hold(("a", 1)))

    assert len(wire.sent) >= 3
    assert gone == []
    assert leases.holds("a")
    assert caplog.records == []


def test_a_beat_that_is_not_answered_is_given_up_within_a_lease():
    wire, _, _ = beats(lambda _: None, 61, hold(("a", 1)))

    pauses = [b - a for a, b in zip(wire.sent_at_s, wire.sent_at_s[1:], strict=False)]
    assert max(pauses) <= LEASE_S + LEASE_S / 3 + 0.1
    assert all(isinstance(beat, TaskHeartbeat) for beat in wire.sent)


def test_one_unanswered_beat_does_not_cost_a_lease():
    """The next beat must go out while the lease still holds."""
    first = [True]

    def react(_):
        if first:
            first.clear()
            return None
        return BEATEN

    wire, _, _ = beats(react, 31, hold(("a", 1)))

    # The lease was prolonged last at its acquisition, at 0 s.
    assert wire.sent_at_s[0] == pytest.approx(5)
    assert wire.sent_at_s[1] < LEASE_S


def test_a_task_held_at_two_versions_is_let_go_one_by_one():
    async def main():
        leases = Leases(Wire(lambda _: BEATEN), "me", 1_000)
        leases.add("a", 1, lambda: None)
        leases.add("a", 2, lambda: None)
        leases.remove("a", 1)
        leases.remove("a", 1)
        return leases.holds("a")

    assert virtual_time.run(main())
