from resonate_broker.kernel.clock import StoreClock


def observe(clock: StoreClock, tick_ms: int, store_ms: int) -> None:
    clock.tick(tick_ms)
    clock.observe(store_ms)


def test_both_clocks_agree_until_the_store_was_heard():
    clock = StoreClock()
    clock.tick(5_000)

    assert (clock.to_tick(5_000), clock.store_ms) == (5_000, 5_000)
    assert not clock.is_known
    clock.observe(5_000)
    assert clock.is_known


def test_the_last_instant_never_runs_backwards():
    clock = StoreClock()
    last_ms: list[int] = []

    for tick_ms, store_ms in ((100, 5_000), (101, 4_000), (102, 5_001)):
        observe(clock, tick_ms, store_ms)
        last_ms.append(clock.last_ms)

    assert last_ms == [5_000, 5_000, 5_001]


def test_ticks_never_run_backwards():
    clock = StoreClock()
    clock.tick(100)
    clock.tick(99)

    assert clock.tick_ms == 100


def test_instants_are_translated_by_the_difference_of_the_last_observation():
    clock = StoreClock()
    observe(clock, 100, 5_000)
    observe(clock, 200, 5_300)
    clock.tick(250)

    assert (clock.store_ms, clock.to_tick(5_350)) == (5_350, 250)
