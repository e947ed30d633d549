"""Why a server cannot be used, in words: what the libraries say is not for people."""

import re

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.settings import shown_url
from resonate_broker.config import Config
from resonate_sdk.amqp import tls

CONNECTING = "cannot connect to "

_REASONS = (
    (r"ACCESS_REFUSED - Login", "wrong user name or password"),
    (r"Connection\.OpenOk", "there is no such virtual host, or this user may not use it"),
    (
        r"Errno 111\b|Connection refused",
        "nothing listens there (connection refused): start it, or correct the URL",
    ),
    (r"Errno -[235]\b|Name or service not known", "the name of the host is unknown"),
    (r"Errno 1(01|13)\b|unreachable|No route to host", "there is no way to this host"),
    (r"\bnot? answer in time", "it does not answer"),
)


def rabbitmq_failure(config: Config, reason: str) -> CommandError:
    """RabbitMQ cannot be reached, or refuses something."""
    verb = "use"
    if reason.startswith(CONNECTING):
        verb, (_, _, reason) = "reach", reason.partition(": ")
    return CommandError(
        f"cannot {verb} RabbitMQ at {shown_url(config.url)} (namespace {config.namespace!r}): "
        f"{_in_words(reason)}",
        ExitCode.UNREACHABLE,
    )


def database_failure(config: Config, reason: str) -> CommandError:
    """PostgreSQL cannot be reached, or refuses service."""
    return CommandError(
        f"cannot use the database at {shown_url(config.database_url)} "
        f"(schema {config.namespace!r}): {_in_words(reason)}",
        ExitCode.UNREACHABLE,
    )


def _in_words(reason: str) -> str:
    """Say what a reason of the libraries means, or repeat it where that is not known."""
    for pattern, meaning in _REASONS:
        if re.search(pattern, reason):
            return meaning
    return tls.in_words(reason) or reason
