from resonate_broker.kernel.clock import StoreClock


def test_both_clocks_agree_until_the_store_was_heard():
    clock = StoreClock()

    assert (clock.to_tick(5_000), clock.to_store(5_000)) == (5_000, 5_000)
    assert not clock.is_known
    clock.observe(100, 5_000)
    assert clock.is_known


def test_the_last_instant_never_runs_backwards():
    clock = StoreClock()
    last_ms: list[int] = []

    for tick_ms, store_ms in ((100, 5_000), (101, 4_000), (102, 5_001)):
        clock.observe(tick_ms, store_ms)
        last_ms.append(clock.last_ms)

    assert last_ms == [5_000, 5_000, 5_001]


def test_instants_are_translated_by_the_difference_of_the_last_observation():
    clock = StoreClock()
    clock.observe(100, 5_000)
    clock.observe(200, 5_300)

    assert (clock.to_store(250), clock.to_tick(5_350)) == (5_350, 250)
