"""Which peers there are, what each needs, and how it is run.

README.md beside this file tells how each is configured, and why.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from resonate_broker.dev.ports import LOOPBACK, free_port
from scripts.benchmark.cluster import Cluster
from scripts.benchmark.peers.environments import python_of

PROGRAMS = Path(__file__).parent / "programs"
CELERY_PROCESSES = 4
RESTATE_SERVER = "node_modules/@restatedev/restate-server-*/bin/restate-server"

Command = tuple[str, list[str], dict[str, str]]
"""A process: its name, its command line, its environment. The last one is the client."""


class Peer(Struct, frozen=True, kw_only=True):
    """Another system.

    Attributes:
        requirements: what pip installs.
        npm_packages: what npm installs.
        workloads: what it is measured with.
        left_out: why it is not measured with the others.
        commands: its processes, in the order in which they start.
        needs_database: whether it gets a database of its own on our PostgreSQL.
    """

    requirements: tuple[str, ...]
    npm_packages: tuple[str, ...] = ()
    workloads: tuple[str, ...]
    left_out: Mapping[str, str] = {}
    commands: Callable[[Path, Path, Cluster, str], Iterator[Command]]
    needs_database: bool = False


def _python(environment: Path, program: str, *arguments: str) -> list[str]:
    return [str(python_of(environment)), str(PROGRAMS / program), *arguments]


def _celery(environment: Path, cluster: Cluster, settings: Mapping[str, str]) -> Iterator[Command]:
    shared = {"BENCH_AMQP_URL": cluster.url, **settings}
    processes = os.environ.get("BENCH_CELERY_PROCESSES", str(CELERY_PROCESSES))
    yield "worker", _python(environment, "celery_worker.py", processes), shared
    yield "client", _python(environment, "celery_client.py"), shared


def _celery_rpc(environment: Path, _: Path, cluster: Cluster, __: str) -> Iterator[Command]:
    return _celery(environment, cluster, {"BENCH_RESULT_BACKEND": "rpc://"})


def _celery_db(environment: Path, _: Path, cluster: Cluster, database: str) -> Iterator[Command]:
    backend = urlsplit(database)._replace(scheme="db+postgresql+psycopg").geturl()
    return _celery(
        environment, cluster, {"BENCH_RESULT_BACKEND": backend, "BENCH_DATABASE_URL": database}
    )


def _dbos(environment: Path, _: Path, __: Cluster, database: str) -> Iterator[Command]:
    settings = {"BENCH_DATABASE_URL": database}
    yield "worker", _python(environment, "dbos_worker.py"), settings
    yield "client", _python(environment, "dbos_client.py"), settings


def _restate(environment: Path, folder: Path, _: Cluster, __: str) -> Iterator[Command]:
    node, ingress, admin, service = (free_port() for _ in range(4))
    program = next(environment.glob(RESTATE_SERVER))
    settings = {
        "RESTATE_BASE_DIR": str(folder / "restate"),
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"{LOOPBACK}:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"{LOOPBACK}:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"{LOOPBACK}:{admin}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "off",
    }
    urls = {
        "BENCH_INGRESS_URL": f"http://{LOOPBACK}:{ingress}",
        "BENCH_ADMIN_URL": f"http://{LOOPBACK}:{admin}",
        "BENCH_SERVICE_URL": f"http://{LOOPBACK}:{service}",
    }
    server = _python(environment, "restate_server.py", str(program))
    yield "server", server, settings | urls
    yield "worker", _python(environment, "restate_service.py", str(service)), urls
    yield "client", _python(environment, "restate_client.py"), urls


def database_name() -> str:
    """A name for the database of a peer."""
    return f"peer_{secrets.token_hex(4)}"


CELERY_LEFT_OUT = {"W4": "its tasks may not wait for other tasks"}

PEERS: dict[str, Peer] = {
    "celery-rpc": Peer(
        requirements=("celery>=5.4", "psycopg[binary]>=3.2"),
        workloads=("W1", "W2", "W3"),
        left_out=CELERY_LEFT_OUT,
        commands=_celery_rpc,
    ),
    "celery-postgres": Peer(
        requirements=("celery[sqlalchemy]>=5.4", "psycopg[binary]>=3.2"),
        workloads=("W1", "W2", "W3"),
        left_out=CELERY_LEFT_OUT,
        commands=_celery_db,
        needs_database=True,
    ),
    "dbos": Peer(
        requirements=("dbos>=3",),
        workloads=("W1", "W2", "W3", "W4"),
        commands=_dbos,
        needs_database=True,
    ),
    "restate": Peer(
        requirements=("restate-sdk>=1.3", "hypercorn>=0.17", "aiohttp>=3.10", "uvloop>=0.21"),
        npm_packages=("@restatedev/restate-server@1",),
        workloads=("W1", "W2", "W3", "W4"),
        commands=_restate,
    ),
}
