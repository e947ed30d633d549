"""The server of the benchmark: migrates an empty database, then serves."""

import asyncio

import uvloop

from resonate_broker.app import serve
from resonate_broker.config import load_config
from resonate_store.postgres.migrate import migrate
from scripts.benchmark.cluster import READY_LINE


async def main() -> None:
    """Serve until SIGTERM."""
    config = load_config({})
    await migrate(config.database_url, config.namespace)
    await serve(config, lambda: print(READY_LINE, flush=True))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
