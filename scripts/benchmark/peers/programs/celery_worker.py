"""A worker of Celery: processes, as many as its argument says."""

import os
import sys

from celery.signals import worker_ready
from celery_tasks import app
from loops import ready


@worker_ready.connect
def say_ready(**_: object) -> None:
    """Tell the benchmark."""
    ready()


if __name__ == "__main__":
    pool = os.environ.get("BENCH_POOL", "prefork")
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--loglevel=ERROR",
            f"--pool={pool}",
            f"--concurrency={sys.argv[1]}",
            "--without-gossip",
            "--without-mingle",
        ]
    )
