"""The servers of the tests: where they come from, and what is said when there is none."""

import aio_pika
import asyncpg
import pytest

from resonate_broker.dev import postgres, rabbitmq
from tests import services

UNREACHABLE = "127.0.0.1:1"


@pytest.fixture
def empty_machine(monkeypatch, tmp_path) -> None:
    """A machine without any server, any program of one, or Docker."""
    for variable in (services.POSTGRES_VARIABLE, services.AMQP_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    for module in (postgres, rabbitmq):
        monkeypatch.setattr(module, "DEBIAN_ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{UNREACHABLE}")


async def tables_of(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    return [row["tablename"] for row in rows]


async def test_each_test_has_an_empty_database(database_url):
    assert await tables_of(database_url) == []


async def test_each_restart_drill_has_an_empty_database(private_database_url):
    assert await tables_of(private_database_url) == []


def test_a_test_without_an_event_loop_has_a_database_too(database_url):
    assert database_url.startswith("postgres")


async def test_the_amqp_server_serves(amqp_server):
    async with await aio_pika.connect(amqp_server) as connection:
        assert not connection.is_closed


@pytest.mark.parametrize(
    ("server", "package"),
    [
        (services.postgres_server, "postgresql"),
        (services.amqp_server, "rabbitmq-server"),
    ],
)
@pytest.mark.usefixtures("empty_machine")
def test_without_any_server_the_test_fails_and_says_why_for_each_way(server, package):
    with pytest.raises(pytest.fail.Exception) as caught, server():
        pass

    lines = str(caught.value).splitlines()
    assert "is not set" in lines[1]
    assert f"apt-get install {package}" in lines[2]
    assert lines[3].startswith("  container: ")


@pytest.mark.parametrize(
    ("server", "variable", "url"),
    [
        (services.postgres_server, services.POSTGRES_VARIABLE, f"postgresql://u:p@{UNREACHABLE}/"),
        (services.amqp_server, services.AMQP_VARIABLE, f"amqp://u:p@{UNREACHABLE}/"),
    ],
)
def test_a_given_server_that_does_not_answer_is_not_replaced(server, variable, url, monkeypatch):
    monkeypatch.setenv(variable, url)

    with pytest.raises(pytest.fail.Exception, match=f"no server where {variable} says"), server():
        pass
