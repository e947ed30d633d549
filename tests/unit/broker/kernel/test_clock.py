from hypothesis import given, strategies as st

from resonate_broker.kernel.clock import StoreClock

AHEAD_MS = 5_000
delays = st.integers(0, 300)


def test_both_clocks_agree_until_the_store_was_heard():
    clock = StoreClock()

    assert (clock.to_tick(5_000), clock.to_store(5_000)) == (5_000, 5_000)
    assert not clock.is_known
    clock.observe(100, 100, 5_000)
    assert clock.is_known


def test_the_last_instant_never_runs_backwards():
    clock = StoreClock()
    last_ms: list[int] = []

    for tick_ms, store_ms in ((100, 5_000), (101, 4_000), (102, 5_001)):
        clock.observe(tick_ms, tick_ms, store_ms)
        last_ms.append(clock.last_ms)

    assert last_ms == [5_000, 5_000, 5_001]


def test_a_clock_that_was_set_is_followed_at_once():
    clock = StoreClock()
    clock.observe(100, 100, 5_000)
    clock.observe(200, 200, 5_300)
    assert (clock.to_store(250), clock.to_tick(5_350)) == (5_350, 250)

    clock.observe(300, 300, 4_000)
    assert clock.to_store(300) == 4_000


def test_who_hears_late_does_not_look_late():
    clock = StoreClock()
    clock.observe(100, 101, 101 + AHEAD_MS)
    clock.observe(200, 250, 210 + AHEAD_MS)

    assert clock.to_tick(1_000 + AHEAD_MS) == 1_000


@given(st.lists(st.tuples(delays, delays), min_size=1))
def test_it_is_never_early_and_as_late_as_the_soonest_was_heard(trips: list[tuple[int, int]]):
    clock = StoreClock()
    asked_ms = 0
    for there_ms, back_ms in trips:
        read_ms = asked_ms + there_ms
        clock.observe(asked_ms, read_ms + back_ms, read_ms + AHEAD_MS)
        asked_ms = read_ms + back_ms

    assert clock.to_tick(1_000 + AHEAD_MS) == 1_000 + min(back_ms for _, back_ms in trips)
