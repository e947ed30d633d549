"""Many jobs, several workers of one group: who is free takes the next one.

    python -m resonate_sdk.examples.load_balancing [ID] [JOBS]

Start more workers at any time, in other processes or on other machines; kill one, and its jobs go
to the others. Here three run in this program; the last of them takes one job at a time, and so
gets fewer.
"""

import sys
import time
from collections import Counter

from resonate_sdk import Context, Handle, Resonate
from resonate_sdk.examples.services import started_workers

WORKERS = {"quick": 4, "steady": 4, "slow": 1}  # how many jobs each takes at a time


def job(ctx: Context, number: int) -> str:
    """Work, and say which worker has done it."""
    time.sleep(0.01)
    return ctx.get_dependency("worker")


def main(id: str = "jobs-1", jobs: str = "60") -> None:
    """Hand out all jobs at once, and count who has done them."""
    with started_workers("jobs", job, WORKERS) as client:
        pool: Resonate = client.options(target="jobs")
        handles: list[Handle[str]] = [
            pool.begin_rpc(f"{id}-{number}", "job", number) for number in range(int(jobs))
        ]
        done = Counter(handle.result() for handle in handles)
        for worker in WORKERS:
            print(f"{worker}: {'#' * done[worker]}")
        print(f"{done.total()} jobs are done")


if __name__ == "__main__":
    main(*sys.argv[1:])
