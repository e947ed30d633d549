"""Ten workers die and go on: every promise has the value of plain recursion, once and for all."""

import os

import pytest

from tests.fleet import fleet
from tests.fleet.fleet import BrokenError, simulate
from tests.fleet.programs import plainly

SEEDS = int(os.environ.get("RESONATE_TEST_FLEETS", "2"))
STEPS = 60
DEATH = 0.01
PROMISES_MIN = 40


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Trouble is what is wanted here."""
    caplog.set_level("CRITICAL", "resonate_sdk")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_everything_ends_as_plain_recursion_does(seed: int):
    outcome = simulate(seed, STEPS, DEATH)

    assert outcome.deaths > 0
    assert outcome.promises > PROMISES_MIN
    assert outcome.states["resolved"] > outcome.states["rejected"] > 0


def test_a_seed_is_carried_out_in_one_way_only():
    first, second, other = (simulate(seed, 20, DEATH) for seed in (7, 7, 8))

    assert first == second
    assert first.requests != other.requests


def test_a_value_that_is_not_that_of_plain_recursion_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fleet, "plainly", lambda program: plainly(program) + 1)

    with pytest.raises(BrokenError, match="plain recursion gives"):
        simulate(0, 10, 0)
