"""Random clients, faults and several servers: the invariants hold, and in the end all is done."""

import asyncio
import os
import subprocess
import sys

import pytest

from resonate_store.postgres.migrate import migrate
from tests.repository.sources import ROOT
from tests.simulation import coverage, runner, stores
from tests.simulation.simulation import REQUESTS, FailedError, simulate

SEEDS = int(os.environ.get("RESONATE_TEST_SEEDS", "500"))
SEEDS_ON_POSTGRES = 20


@pytest.mark.timeout(1800)  # on two cores that have nothing else to do: three minutes
def test_all_seeds_keep_the_invariants_and_reach_every_status_of_every_kind():
    """The answers and states are also those of the reference model: see the observer."""
    summary = runner.run_all(range(SEEDS))

    assert not summary.failures, "\n".join(str(failure) for failure in summary.failures[:5])
    assert summary.seeds == SEEDS
    assert summary.fewest_requests >= REQUESTS
    assert sorted(coverage.WANTED - summary.answers.keys()) == []


def test_every_kind_has_statuses_that_must_be_reached():
    assert {kind for kind, _ in coverage.WANTED} == coverage.SIMULATED


def test_some_seeds_keep_the_invariants_on_postgres(module_database: str, namespace: str):
    asyncio.run(migrate(module_database, namespace))

    summary = runner.run_some(range(SEEDS_ON_POSTGRES), stores.postgres(module_database, namespace))

    assert not summary.failures, "\n".join(str(failure) for failure in summary.failures[:5])
    assert summary.seeds == SEEDS_ON_POSTGRES


def test_a_seed_is_carried_out_in_one_way_only():
    first, second = (next(runner.outcomes([seed])) for seed in (7, 7))

    assert first.trace == second.trace
    assert first.trace != next(runner.outcomes([8])).trace


def test_the_stores_of_local_mode_lead_to_the_same():
    assert simulate(7, stores.sqlite).trace == simulate(7, stores.memory).trace


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_seed_does_not_depend_on_how_text_is_hashed(number: str):
    program = "from tests.simulation.runner import outcomes; print(next(outcomes([7])).digest)"
    finished = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": number, "PYTHONPATH": str(ROOT)},
    )

    assert finished.stdout.strip() == next(runner.outcomes([7])).digest


def test_a_seed_that_fails_says_how_to_run_it_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.simulation.simulation.REQUESTS", 10**9)
    monkeypatch.setattr("tests.simulation.simulation.RUN_MS_MAX", 1_000)

    with pytest.raises(FailedError, match=r"\./scripts/simulate --seeds 1 --first-seed 5"):
        simulate(5, stores.sqlite)
