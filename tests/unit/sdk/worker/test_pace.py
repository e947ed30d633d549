"""How soon a pass that waits for many promises asks again: the cost of a join stays in proportion."""

import pytest

from resonate_sdk.worker.pace import FREE_REDIRECTS, REST_S_MAX, Pace

CHILDREN_PER_S = 1_000


def looks_at(children: int) -> int:
    """Looks of a join, each of which takes in proportion to how many children there are."""
    pace, looks, now_s = Pace(), 0, 0.0
    while now_s * CHILDREN_PER_S < children:
        look_s = children * 20e-6
        now_s += look_s + pace.rest_s()
        pace.redirected(look_s)
        looks += 1
    return looks


def test_the_number_of_looks_does_not_grow_with_the_number_of_children():
    looks = {looks_at(children) for children in (1_000, 10_000, 100_000)}

    assert max(looks) - min(looks) <= 1, looks


def test_the_first_looks_come_at_once():
    pace = Pace()
    for _ in range(FREE_REDIRECTS):
        pace.redirected(0.1)
        assert pace.rest_s() == 0

    pace.redirected(0.1)
    assert pace.rest_s() > 0


@pytest.mark.parametrize("look_s", [0.0, 0.01, 100.0])
def test_rests_are_as_long_as_a_few_looks_and_have_a_limit(look_s):
    pace = Pace()
    for _ in range(1_000):
        pace.redirected(look_s)

    assert pace.rest_s() == pytest.approx(min(3 * look_s, REST_S_MAX))
