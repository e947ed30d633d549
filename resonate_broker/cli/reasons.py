"""Why a server cannot be used, in words: what the libraries say is not for people."""

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.settings import shown_url
from resonate_broker.config import Config
from resonate_sdk.amqp.reasons import in_words

CONNECTING = "cannot connect to "


def rabbitmq_failure(config: Config, reason: str) -> CommandError:
    """RabbitMQ cannot be reached, or refuses something."""
    verb = "use"
    if reason.startswith(CONNECTING):
        verb, (_, _, reason) = "reach", reason.partition(": ")
    return CommandError(
        f"cannot {verb} RabbitMQ at {shown_url(config.url)} (namespace {config.namespace!r}): "
        f"{in_words(reason)}",
        ExitCode.UNREACHABLE,
    )


def database_failure(config: Config, reason: str) -> CommandError:
    """PostgreSQL cannot be reached, or refuses service."""
    return CommandError(
        f"cannot use the database at {shown_url(config.database_url)} "
        f"(schema {config.namespace!r}): {in_words(reason)}",
        ExitCode.UNREACHABLE,
    )
