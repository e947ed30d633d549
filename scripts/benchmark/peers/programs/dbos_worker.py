"""The application of DBOS: takes workflows from a queue until it is ended."""

import os
import threading

from dbos import DBOS, DBOSConfig
from loops import ready

QUEUE = "bench"
POLL_S = 0.02
CONFIG: DBOSConfig = {
    "name": "bench",
    "system_database_url": os.environ["BENCH_DATABASE_URL"],
    "log_level": "ERROR",
    "executor_id": "worker",
    "application_version": "1",
    "max_executor_threads": 512,  # workflows that wait for others keep their threads
    "sys_db_pool_size": 20,
}

DBOS(config=CONFIG)


@DBOS.workflow()
def noop() -> None:
    """Do nothing."""


@DBOS.workflow()
def child() -> int:
    """Do as good as nothing."""
    return 1


@DBOS.step()
def step() -> int:
    """Do as good as nothing, in the process of the workflow."""
    return 1


@DBOS.workflow()
def steps(count: int) -> int:
    """Take steps, one after the other."""
    return sum(step() for _ in range(count))


@DBOS.workflow()
def fan_out(count: int) -> int:
    """Enqueue as many children, and join them."""
    handles = [DBOS.enqueue_workflow(QUEUE, child) for _ in range(count)]
    return sum(handle.get_result(polling_interval_sec=POLL_S) for handle in handles)


@DBOS.workflow()
def fibonacci(n: int) -> int:
    """Enqueue itself, twice."""
    if n < 2:
        return n
    one = DBOS.enqueue_workflow(QUEUE, fibonacci, n - 1)
    other = DBOS.enqueue_workflow(QUEUE, fibonacci, n - 2)
    return one.get_result(polling_interval_sec=POLL_S) + other.get_result(
        polling_interval_sec=POLL_S
    )


if __name__ == "__main__":
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=POLL_S)
    ready()
    threading.Event().wait()
