"""A private authority, and servers that speak TLS with those who have a certificate of it."""

import datetime
import logging
from collections.abc import Generator
from pathlib import Path

import pytest
import trustme

from resonate_broker.dev import PrivatePostgres, PrivateRabbitMQ
from resonate_broker.dev.tls import Tls
from tests import services

HOST = "localhost"  # the certificates of the servers are for this name, and not for 127.0.0.1
CLIENT = "worker@example.org"
END = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """Signs certificates and keeps them in a folder, under the names of their owners."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def certificate(self, owner: str) -> Path:
        return self._folder / f"{owner}.pem"

    def key(self, owner: str) -> Path:
        return self._folder / f"{owner}.key"

    def issue(self, owner: str) -> None:
        issued = self._authority.issue_cert(owner)
        issued.cert_chain_pems[0].write_to_path(self.certificate(owner))
        issued.private_key_pem.write_to_path(self.key(owner))

    def expired(self, host: str) -> tuple[Path, Path]:
        """A certificate that was good once, and its key."""
        starts_at = END - datetime.timedelta(days=1)
        issued = self._authority.issue_cert(host, not_before=starts_at, not_after=END)
        certificate, key = self.certificate("expired"), self.key("expired")
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def rabbitmq(self, owner: str | None = CLIENT) -> str:
        """The parameters of a URL for RabbitMQ."""
        shown = f"&certfile={self.certificate(owner)}&keyfile={self.key(owner)}" if owner else ""
        return f"cafile={self.file}{shown}"

    def postgres(self, owner: str | None = CLIENT) -> str:
        """The parameters of a URL for PostgreSQL."""
        shown = f"&sslcert={self.certificate(owner)}&sslkey={self.key(owner)}" if owner else ""
        return f"sslmode=verify-full&sslrootcert={self.file}{shown}"


@pytest.fixture(autouse=True)
def _logging() -> Generator[None]:
    """Client commands switch the log off, also those that run inside this process."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def folder() -> Generator[Path]:
    with services.private_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    authority = Authority(folder / "authority")
    authority.issue(HOST)
    authority.issue(CLIENT)
    return authority


@pytest.fixture(scope="session")
def stranger(folder: Path) -> Authority:
    """An authority that nobody trusts."""
    stranger = Authority(folder / "stranger")
    stranger.issue(CLIENT)
    return stranger


@pytest.fixture(scope="session")
def tls(authority: Authority) -> Tls:
    return Tls(
        authority=authority.file,
        certificate=authority.certificate(HOST),
        key=authority.key(HOST),
    )


@pytest.fixture(scope="module")
def rabbitmq(folder: Path, tls: Tls) -> Generator[PrivateRabbitMQ]:
    with PrivateRabbitMQ(folder / "rabbitmq", tls) as server:
        yield server


@pytest.fixture(scope="module")
def postgres(folder: Path, tls: Tls) -> Generator[PrivatePostgres]:
    with PrivatePostgres(folder / "postgres", tls) as server:
        yield server


@pytest.fixture(scope="module")
def amqps(rabbitmq: PrivateRabbitMQ) -> str:
    """The URL of RabbitMQ without its parameters."""
    return f"amqps://guest:guest@{HOST}:{rabbitmq.tls_port}/"


@pytest.fixture
async def database(postgres: PrivatePostgres) -> str:
    """The URL of an empty database without its parameters; nobody gets in without TLS."""
    url = await services.create_database(postgres.url)
    return url.replace("127.0.0.1", HOST)
