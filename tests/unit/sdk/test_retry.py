"""The delays of the retry policies."""

import pytest

from resonate_sdk import Constant, Exponential, Linear, Never


def progression(policy, count):
    return [policy.next(attempt) for attempt in range(1, count + 1)]


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Never(), [None]),
        (Constant(delay=1, max_retries=2), [1, 1, None]),
        (Constant(delay=0.5, max_retries=1), [0.5, None]),
        (Constant(delay=1, max_retries=0), [None]),
        (Linear(delay=1, max_retries=2), [1, 2, None]),
        (Linear(delay=0.5, max_retries=3), [0.5, 1.0, 1.5, None]),
        (
            Exponential(delay=1, factor=2, max_delay=8, max_retries=5),
            [2, 4, 8, 8, 8, None],
        ),
        (Exponential(delay=0.1, factor=10, max_retries=3, max_delay=1000), [1, 10, 100, None]),
    ],
    ids=repr,
)
def test_the_delays_follow_each_other(policy, delays):
    assert progression(policy, len(delays)) == pytest.approx(delays)


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Constant(), [1, 1, 1, 1, 1, 1]),
        (Linear(), [1, 2, 3, 4, 5, 6]),
        (Exponential(), [2, 4, 8, 16, 30, 30]),
    ],
    ids=repr,
)
def test_by_default_there_is_no_end(policy, delays):
    assert progression(policy, 6) == delays
    assert policy.next(10_000) is not None


@pytest.mark.parametrize("policy", [Constant(), Linear(), Exponential()], ids=repr)
def test_the_first_attempt_is_made_at_once(policy):
    assert policy.next(0) == 0


def test_an_exponential_delay_never_overflows():
    assert Exponential(max_delay=30).next(100_000) == 30


def test_jitter_stays_within_its_fraction():
    delays = [Exponential(delay=1, jitter=0.25).next(1) or 0 for _ in range(200)]

    assert all(1.5 <= delay <= 2.5 for delay in delays)
    assert min(delays) < 2 < max(delays)


def test_policies_are_values():
    assert Exponential() == Exponential()
    assert Constant(1) != Constant(2)
    assert len({Never(), Never()}) == 1
