"""Who has said hello, and when last."""

import pytest

from resonate_broker import roster as roster_module
from resonate_broker.roster import FORGET_MS, Roster
from resonate_sdk.protocol.requests import Hello


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now_ms: int | None = 1_000

    def __call__(self) -> int | None:
        return self.now_ms


def test_the_last_hello_says_what_a_worker_does():
    clock = Clock()
    roster = Roster(clock)
    roster.heard(Hello(pid="w", group="g", slots=16, in_flight=1, sdk="py"))
    clock.now_ms = 31_000
    roster.heard(Hello(pid="w", group="g", slots=16, in_flight=5, sdk="py"))

    (worker,) = roster.workers("g")

    assert (worker.in_flight, worker.slots, worker.sdk) == (5, 16, "py")
    assert (worker.first_seen_at_ms, worker.seen_at_ms) == (1_000, 31_000)
    assert roster.workers("other") == ()


def test_who_is_silent_for_long_is_forgotten_and_others_are_not():
    clock = Clock()
    roster = Roster(clock)
    roster.heard(Hello(pid="old", group="g"))
    roster.heard(Hello(pid="steady", group="g"))
    clock.now_ms = 1_000 + FORGET_MS
    roster.heard(Hello(pid="steady", group="g"))

    assert [worker.pid for worker in roster.workers(None)] == ["steady"]


def test_clients_and_times_that_nobody_knows_are_not_noted():
    clock = Clock()
    roster = Roster(clock)
    roster.heard(Hello(pid="client"))
    clock.now_ms = None
    roster.heard(Hello(pid="w", group="g"))

    assert roster.workers(None) == ()


def test_of_too_many_the_longest_silent_goes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(roster_module, "WORKERS_MAX", 2)
    roster = Roster(Clock())
    for pid in ("a", "b", "a", "c"):
        roster.heard(Hello(pid=pid, group="g"))

    assert [worker.pid for worker in roster.workers(None)] == ["a", "c"]
