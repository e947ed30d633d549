"""Private PostgreSQL and RabbitMQ servers from the machine's packages, for development and tests."""

from resonate_broker.dev import postgres, rabbitmq
from resonate_broker.dev.postgres import PrivatePostgres
from resonate_broker.dev.process import InstanceError
from resonate_broker.dev.programs import MissingProgramError
from resonate_broker.dev.rabbitmq import PrivateRabbitMQ

__all__ = [
    "InstanceError",
    "MissingProgramError",
    "PrivatePostgres",
    "PrivateRabbitMQ",
    "missing_packages",
]


def missing_packages() -> list[str]:
    """Name the Debian packages that private servers still need on this machine."""
    missing: list[str] = []
    for find in (postgres.find_programs, rabbitmq.find_server):
        try:
            find()
        except MissingProgramError as error:
            missing.append(error.package)
    return missing
