"""The client of DBOS: enqueues workflows and asks for their results."""

import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from dbos import DBOSClient
from loops import Round, serve, with_threads

POLL_S = 0.005
POLL_SHARE = 0.1  # of the calls under way that ask at the same instant; more only queue up
CONNECTIONS = 20

WORKLOADS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "W1": ("noop", ()),
    "W2": ("steps", (10,)),
    "W3": ("fan_out", (100,)),
    "W4": ("fibonacci", (10,)),
}


def measuring(client: DBOSClient) -> Callable[[str, int, float], Round]:
    """Measure rounds with a client."""

    def measure(workload: str, in_flight: int, seconds: float) -> Round:
        name, args = WORKLOADS[workload]
        poll_s = max(POLL_S, POLL_S * POLL_SHARE * in_flight)

        def call() -> None:
            handle = client.enqueue(
                {"queue_name": "bench", "workflow_name": name, "app_version": "1"}, *args
            )
            handle.get_result(polling_interval_sec=poll_s)

        return with_threads(call, in_flight, seconds)

    return measure


if __name__ == "__main__":
    serve(
        f"DBOS {version('dbos')}",
        measuring(
            DBOSClient(
                system_database_url=os.environ["BENCH_DATABASE_URL"],
                system_database_pool_size=CONNECTIONS,
                application_name="bench",
            )
        ),
    )
