"""Deployments for drills: on shared servers, or on private ones that the drill restarts."""

from collections.abc import Generator
from pathlib import Path

import pytest

from resonate_broker.dev import PrivateRabbitMQ
from resonate_sdk import RemoteStore, Resonate
from tests.acceptance.recovery.deployment import READY_SECONDS, Deployment


@pytest.fixture
def deployment(
    tmp_path: Path, amqp_server: str, database_url: str, namespace: str
) -> Generator[Deployment]:
    with Deployment(tmp_path, amqp_server, database_url, namespace) as deployment:
        deployment.migrate()
        yield deployment


@pytest.fixture
def fragile_deployment(
    tmp_path: Path, private_rabbitmq: PrivateRabbitMQ, private_database_url: str, namespace: str
) -> Generator[Deployment]:
    """On private servers that the drill may kill."""
    with Deployment(tmp_path, private_rabbitmq.url, private_database_url, namespace) as deployment:
        deployment.migrate()
        yield deployment


def caller(deployment: Deployment) -> Resonate:
    # Who asks while no server runs waits until one has started, however long that takes.
    store = RemoteStore(deployment.url, timeout=READY_SECONDS)
    return Resonate(store=store, namespace=deployment.namespace, group="caller")
