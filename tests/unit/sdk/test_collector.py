import gc
import weakref
from collections.abc import Iterator

import pytest

from resonate_sdk.collector import ALLOCATIONS, look_seldom


class Knot:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # as the tests began: see tests/conftest.py


def test_the_collector_looks_less_often():
    gc.set_threshold(700, 10, 10)

    look_seldom()

    assert gc.get_threshold() == (ALLOCATIONS, 10, 10)


@pytest.mark.parametrize("thresholds", [(0, 10, 10), (2 * ALLOCATIONS, 5, 5)])
def test_what_the_program_has_chosen_stays(thresholds):
    gc.set_threshold(*thresholds)

    look_seldom()

    assert gc.get_threshold() == thresholds


def test_what_is_there_is_left_alone_and_what_comes_is_not():
    before = Knot()
    look_seldom()
    old, young = weakref.ref(before), weakref.ref(Knot())
    del before

    gc.collect()

    assert old() is not None
    assert young() is None
