"""All parties speak TLS, show certificates, and say what is wrong with those of others."""

import asyncio
import secrets
import ssl
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import pytest

from resonate_broker.dev import PrivateRabbitMQ
from tests.acceptance.cli.programs import environment, run, run_here, serving, working
from tests.integration.tls.conftest import CLIENT, HOST, Authority

SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)


@pytest.fixture
def place(amqps: str, database: str, authority: Authority) -> Mapping[str, str]:
    """The environment of a program that has a certificate."""
    return environment(
        RESONATE_URL=f"{amqps}?{authority.rabbitmq()}",
        RESONATE_DATABASE_URL=f"{database}?{authority.postgres()}",
        RESONATE_NAMESPACE=f"tls-{secrets.token_hex(4)}",
    )


def test_server_worker_and_command_line_work_with_client_certificates(place: Mapping[str, str]):
    assert run_here("migrate", env=place).code == 0
    with serving(place), working("workers", place):
        called = run(
            *("invoke", "a", "--func", "greet", "--arg", "World"),
            *("--target", "workers", "--wait", "--json"),
            env=place,
        )
        dead = run_here("dlq", "list", "--json", env=place)

    assert called.code == 0, called
    assert called.document["value"] == "Hello World"
    assert dead.code == 0


def refused(env: Mapping[str, str], *command: str) -> str:
    """Why a command could not connect: one sentence, and nothing else."""
    result = run_here(*command, "--json", env=env)
    assert result.code == 3, result
    assert result.out == ""
    assert "guest:guest" not in result.err
    sentence: str = result.error["error"]
    assert "Traceback" not in result.err
    assert "\n" not in sentence
    return sentence


GET = ("promises", "get", "a")


def test_a_broker_whose_authority_is_not_trusted_is_refused(
    amqps: str, stranger: Authority, authority: Authority
):
    url = f"{amqps}?cafile={stranger.file}"

    sentence = refused(environment(RESONATE_URL=url), *GET)

    assert "its certificate is not signed by an authority that we trust" in sentence
    assert "cafile" in sentence


def test_a_broker_with_a_certificate_for_another_name_is_refused(amqps: str, authority: Authority):
    url = f"{amqps.replace(HOST, '127.0.0.1')}?{authority.rabbitmq()}"

    assert "its certificate is not for 127.0.0.1" in refused(environment(RESONATE_URL=url), *GET)


def test_a_broker_that_wants_a_certificate_is_told_apart(amqps: str, authority: Authority):
    env = environment(RESONATE_URL=f"{amqps}?{authority.rabbitmq(None)}")

    sentence = refused(env, *GET)

    # The alert and the end of the connection race with each other.
    assert "it wants to see a certificate" in sentence or "closed the connection" in sentence


def test_a_broker_that_does_not_accept_our_certificate_is_told_apart(
    amqps: str, authority: Authority, stranger: Authority
):
    shown = f"certfile={stranger.certificate(CLIENT)}&keyfile={stranger.key(CLIENT)}"
    env = environment(RESONATE_URL=f"{amqps}?cafile={authority.file}&{shown}")

    sentence = refused(env, *GET)

    assert "does not accept our certificate" in sentence or "closed the connection" in sentence


def test_a_port_without_tls_and_a_file_that_is_missing_are_named(
    rabbitmq: PrivateRabbitMQ, authority: Authority
):
    plain = f"amqps://guest:guest@{HOST}:{rabbitmq.port}/?{authority.rabbitmq()}"
    missing = f"amqps://guest:guest@{HOST}:{rabbitmq.tls_port}/?cafile=/nowhere/authority.pem"

    assert "does not speak TLS" in refused(environment(RESONATE_URL=plain), *GET)
    assert "is not there" in refused(environment(RESONATE_URL=missing), *GET)


def migrating(url: str) -> str:
    return refused(environment(RESONATE_DATABASE_URL=url), "migrate")


def test_a_database_is_refused_for_the_same_reasons(
    database: str, authority: Authority, stranger: Authority
):
    parameters = authority.postgres()
    other_authority = f"{database}?sslmode=verify-full&sslrootcert={stranger.file}"

    assert "authority that we trust" in migrating(other_authority)
    assert "its certificate is not for 127.0.0.1" in migrating(
        f"{database.replace(HOST, '127.0.0.1')}?{parameters}"
    )
    assert "it wants to see a certificate" in migrating(f"{database}?{authority.postgres(None)}")
    assert "no encryption" in migrating(f"{database}?sslmode=disable")


@asynccontextmanager
async def expired_server(authority: Authority, *, is_postgres: bool) -> AsyncGenerator[int]:
    """Speaks TLS with a certificate that was good last year; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.expired(HOST))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if is_postgres:
                assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
                writer.write(b"S")
                await writer.start_tls(context)
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client goes away: that is what is tested
        finally:
            writer.close()

    listening = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=None if is_postgres else context
    )
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def test_an_expired_certificate_is_refused(authority: Authority):
    async with (
        expired_server(authority, is_postgres=False) as amqp_port,
        expired_server(authority, is_postgres=True) as postgres_port,
    ):
        broker = f"amqps://guest:guest@{HOST}:{amqp_port}/?cafile={authority.file}"
        database = f"postgresql://u:guest@{HOST}:{postgres_port}/db?{authority.postgres(None)}"
        of_broker = await asyncio.to_thread(refused, environment(RESONATE_URL=broker), *GET)
        of_database = await asyncio.to_thread(migrating, database)

    assert "its certificate has expired" in of_broker
    assert "its certificate has expired" in of_database
