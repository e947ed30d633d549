"""Simulations find bugs: each of those that are planted here, within the first seeds."""

import pytest

from tests.simulation import runner
from tests.simulation.planted import BUGS, Bug

SEEDS_MAX = 100


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug):
    with bug.planted():
        seeds = (*range(bug.seed, SEEDS_MAX), *range(bug.seed))
        found = (runner.run_some([seed]).failures for seed in seeds)

        assert any(found), f"no seed below {SEEDS_MAX} has noticed: {bug.name}"
