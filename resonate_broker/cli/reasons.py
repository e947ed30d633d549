"""Why a server cannot be used, in words: what the libraries say is not for people."""

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.settings import shown_url
from resonate_broker.config import Config
from resonate_sdk.amqp.reasons import in_words

CONNECTING = "cannot connect to "

# By what PostgreSQL calls its errors; it says itself what is wrong.
_DATABASE_REMEDIES = {
    "3D000": "create it, or correct the URL",
    "28P01": "correct the URL",
    "28000": "correct the URL, or let the user in",
}


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
    remedies = [words for code, words in _DATABASE_REMEDIES.items() if f"({code})" in reason]
    return CommandError(
        f"cannot use the database at {shown_url(config.database_url)} "
        f"(schema {config.namespace!r}): {': '.join([in_words(reason), *remedies])}",
        ExitCode.UNREACHABLE,
    )
