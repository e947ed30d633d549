"""What a server says of a database that is there, and cannot be used."""

import asyncio
import logging

import pytest

from resonate_broker.aio.store import StoreSubsystem
from resonate_broker.kernel.meters import Meters
from resonate_store.state import Loaded, LoadSet

LOAD = LoadSet(ids=("x",))
HEARD_SECONDS_MAX = 20


class Lines(logging.Handler):
    """The lines of a log, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self._new = asyncio.Queue[str]()
        self.all: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record.getMessage())
        self._new.put_nowait(record.getMessage())

    async def until(self, part: str) -> None:
        async with asyncio.timeout(HEARD_SECONDS_MAX):
            while part not in await self._new.get():
                pass


@pytest.fixture
def lines():
    handler = Lines()
    loggers = [logging.getLogger(name) for name in ("resonate_broker", "resonate_store")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel("INFO")
        logger.addHandler(handler)
    yield handler
    for logger, level in zip(loggers, before, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


async def test_an_outage_that_goes_on_for_another_reason_is_told_again_and_nothing_else_is(
    store, observer, tables, lines
):
    rows = StoreSubsystem(store, Meters())
    schema = f'"{tables.namespace}"'
    await observer.execute(f"alter schema {schema} rename to away")

    async with asyncio.TaskGroup() as group:
        begun = group.create_task(rows.begin(LOAD))
        await lines.until("function load_v1")
        await observer.execute(  # at once: between the two the database could be used
            f"alter schema away rename to {schema}; alter table {schema}.promises rename to others"
        )
        await lines.until('relation "promises" does not exist')
        await observer.execute(f"alter table {schema}.others rename to promises")
        loaded = await begun

    assert isinstance(loaded, Loaded)
    told = [line.partition(" reason=")[0].partition(" home=")[0] for line in lines.all]
    assert told == [
        f"data path connected namespace={tables.namespace}",
        "database is away, waiting for it",
        "database is away, waiting for it",
        "database is back",
    ]
