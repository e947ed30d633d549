"""The server's clock, as the answers tell it."""

from resonate_sdk.amqp.server_clock import BEST_MS_MAX, DOUBT_MS, Disagreement, ServerClock


def test_before_the_first_answer_it_is_unknown():
    assert ServerClock().now_ms(0) is None


def test_it_goes_on_as_the_own_clock_does():
    clock = ServerClock()
    clock.learn(1_000_000, 50)

    assert clock.now_ms(57) == 1_000_007


def test_the_answer_that_came_fastest_counts():
    clock = ServerClock()
    clock.learn(1_000_000, 50)
    clock.learn(1_000_010, 90)  # was 30 ms longer under way
    assert clock.now_ms(100) == 1_000_050

    clock.learn(1_000_060, 105)

    assert clock.now_ms(105) == 1_000_060


def test_a_clock_that_was_set_back_is_believed_after_a_while():
    clock = ServerClock()
    clock.learn(1_000_000, 0)
    clock.learn(500_000, BEST_MS_MAX)
    assert clock.now_ms(BEST_MS_MAX) == 1_000_000 + BEST_MS_MAX

    clock.learn(500_001, BEST_MS_MAX + 1)

    assert clock.now_ms(BEST_MS_MAX + 1) == 500_001


LIMIT_MS = 5_000


def test_an_answer_that_was_under_way_for_long_is_no_disagreement_of_clocks():
    clocks = Disagreement(LIMIT_MS)

    assert clocks.compare(1_000_000, 1_006_000, 0) is None  # it lay in a frozen broker
    assert clocks.compare(1_006_000, 1_006_001, 1) is None
    assert clocks.compare(1_030_000, 1_036_000, DOUBT_MS) is None


def test_clocks_disagree_if_each_answer_says_so_for_a_while():
    clocks = Disagreement(LIMIT_MS)
    assert clocks.compare(1_000_000, 1_006_000, 0) is None
    assert clocks.compare(1_003_000, 1_009_000, 3_000) is None

    assert clocks.compare(1_000_000 + DOUBT_MS, 1_006_000 + DOUBT_MS, DOUBT_MS) == 6_000


def test_an_answer_from_the_future_needs_no_second_one():
    assert Disagreement(LIMIT_MS).compare(1_006_000, 1_000_000, 0) == -6_000
