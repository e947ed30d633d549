"""Runs many simulations on all cores."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import islice
from multiprocessing import get_context

from msgspec import Struct

from tests.simulation import stores
from tests.simulation.simulation import FailedError, OpenStores, Outcome, simulate

SEEDS_PER_CHUNK = 10


class Summary(Struct, frozen=True):
    """What some simulations came to together.

    Attributes:
        answers: how often each kind was answered with each status.
        fewest_requests: of one simulation.
        failures: of those seeds that found something.
    """

    seeds: int = 0
    steps: int = 0
    fewest_requests: int = 1 << 30
    answers: Counter[tuple[str, int]] = Counter()
    failures: tuple[FailedError, ...] = ()

    def __add__(self, other: "Summary") -> "Summary":
        """Both together."""
        return Summary(
            self.seeds + other.seeds,
            self.steps + other.steps,
            min(self.fewest_requests, other.fewest_requests),
            self.answers + other.answers,
            self.failures + other.failures,
        )


def run_all(seeds: Sequence[int]) -> Summary:
    """Run the simulations of these seeds on SQLite, on all cores."""
    queue = iter(seeds)
    chunks = list(iter(lambda: tuple(islice(queue, SEEDS_PER_CHUNK)), ()))
    total = Summary()
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as processes:
        for future in as_completed([processes.submit(run_some, chunk) for chunk in chunks]):
            total += future.result()
    return total


def run_some(seeds: Sequence[int], open_stores: OpenStores = stores.sqlite) -> Summary:
    """Run the simulations of these seeds one after the other."""
    logging.disable(logging.CRITICAL)  # servers have much to say about what goes wrong
    try:
        return sum(map(partial(_run, open_stores=open_stores), seeds), Summary())
    finally:
        logging.disable(logging.NOTSET)


def outcomes(seeds: Sequence[int], open_stores: OpenStores = stores.sqlite) -> Iterator[Outcome]:
    """What these seeds come to, one after the other."""
    logging.disable(logging.CRITICAL)
    try:
        for seed in seeds:
            yield simulate(seed, open_stores)
    finally:
        logging.disable(logging.NOTSET)


def _run(seed: int, open_stores: OpenStores) -> Summary:
    try:
        outcome = simulate(seed, open_stores)
    except FailedError as error:
        return Summary(seeds=1, failures=(error,))
    return Summary(1, outcome.steps, outcome.requests, outcome.answers)
