"""What a fresh interpreter loads with our packages: the core must not drag I/O along."""

import subprocess
import sys

import pytest

from tests.repository.sources import ROOT


def modules_after(statement: str) -> set[str]:
    """All modules of an interpreter that did nothing but this."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(finished.stdout.split())


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("resonate_broker.operations", {"aio_pika", "aiormq", "asyncpg", "asyncio", "socket"}),
        ("resonate_broker.background", {"aio_pika", "aiormq", "asyncpg", "asyncio", "socket"}),
        ("resonate_sdk.protocol", {"aio_pika", "aiormq", "asyncpg", "asyncio", "socket"}),
        (
            "resonate_sdk.protocol.envelope",
            {"aio_pika", "aiormq", "asyncpg", "asyncio", "socket", "threading", "ssl", "select"},
        ),
        ("resonate_store.state", {"aio_pika", "asyncpg", "asyncio", "socket", "sqlite3"}),
        ("resonate_sdk", {"aio_pika", "aiormq", "asyncpg", "asyncio", "resonate_broker"}),
        ("resonate_sdk.execution", {"aio_pika", "aiormq", "asyncpg", "resonate_broker"}),
    ],
)
def test_importing_the_core_loads_no_io(module: str, forbidden: set[str]):
    loaded = modules_after(f"import {module}")

    assert module in loaded
    assert loaded & forbidden == set()


def test_the_wire_contract_needs_only_the_standard_library_and_msgspec():
    bare = modules_after("import msgspec")
    loaded = modules_after("import resonate_sdk.protocol.envelope, resonate_sdk.protocol.messages")

    foreign = {
        name.partition(".")[0]
        for name in loaded - bare
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == {"resonate_sdk"}


def test_the_store_does_not_load_the_broker():
    loaded = modules_after("import resonate_store.sqlite")

    assert not any(name.startswith("resonate_broker") for name in loaded)


def test_the_server_in_process_needs_neither_rabbitmq_nor_postgres():
    loaded = modules_after("import resonate_broker.embedded")

    assert loaded & {"aio_pika", "aiormq", "asyncpg"} == set()
