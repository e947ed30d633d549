import pytest

from resonate_broker.background.windows import Window, Windows
from resonate_broker.kernel.submissions import Probed
from resonate_sdk.protocol import limits
from tests.unit.broker.builders import NOW


def test_a_window_counts_what_it_was_told_and_what_was_sent_since():
    window = Window()
    for _ in range(3):
        window.hand_over()
    window.begin_probe()
    window.hand_over()
    while_counting = window.room(10)

    window.end_probe(Probed(ready=2, consumers=1, unconfirmed=1), NOW)

    assert while_counting == 6
    assert window.room(10) == 6


def test_a_count_that_never_came_leaves_the_window_careful():
    window = Window()
    window.hand_over()

    window.begin_probe()
    window.begin_probe()

    assert window.room(10) == 9


def test_a_window_has_never_less_than_no_room():
    window = Window()

    window.end_probe(Probed(ready=50, consumers=1, unconfirmed=0), NOW)

    assert window.room(10) == 0


def test_of_too_many_groups_those_are_forgotten_that_were_not_used_for_longest(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(limits, "GROUPS_MAX", 2)
    windows = Windows(size=1)
    windows.of("a").hand_over()
    windows.of("b").hand_over()

    windows.of("a")
    windows.of("c")

    assert [windows.of(group).room(1) for group in "ab"] == [0, 1]


def test_groups_are_looked_at_in_the_order_in_which_they_were_wanted():
    windows = Windows()
    for group in "cabca":
        windows.want(group)

    assert (windows.take_wanted(2), windows.take_wanted(2)) == (("c", "a"), ("b",))


def test_of_the_groups_with_queued_tasks_those_are_wanted_that_were_looked_at_longest_ago():
    windows = Windows()
    for group, at_ms in (("a", 30), ("b", 10), ("c", 20), ("d", 5)):
        window = windows.of(group)
        window.has_queued = group != "d"
        window.end_probe(Probed(ready=0, consumers=0, unconfirmed=0), at_ms)

    windows.want_queued(2)

    assert windows.take_wanted(9) == ("b", "c")
