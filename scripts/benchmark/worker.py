"""The worker of the benchmark: functions that do nothing, so that only the system is measured."""

from resonate_sdk import Context, Resonate
from scripts.benchmark.cluster import READY_LINE, WORKER_GROUP


def noop(ctx: Context) -> None:
    """Do nothing."""


def main() -> None:
    """Serve until SIGTERM."""
    resonate = Resonate.remote(group=WORKER_GROUP)
    resonate.register(noop)
    print(READY_LINE, flush=True)
    resonate.serve()


if __name__ == "__main__":
    main()
