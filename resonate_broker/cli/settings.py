"""Where the servers are: options outrank the environment, which outranks the file."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from resonate_broker.config import Config, ConfigError, load_config

HELP_PANEL = "Connection"
AMQP_FORM = "amqp://user:password@host:5672/vhost"
POSTGRES_FORM = "postgresql://user:password@host:5432/database"
MANAGEMENT_FORM = "http://host:15672"
MASK = "***"
_ACCOUNT = re.compile(r"(?<=://)([^/?#:@]*):[^/?#]*@")
_PASSWORD_PARAMETER = re.compile(r"([^&=]*pass[^&=]*=)[^&]*", re.IGNORECASE)

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help=f"RabbitMQ, as {AMQP_FORM}; else RESONATE_URL, else guest on localhost.",
        rich_help_panel=HELP_PANEL,
        show_default=False,
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help=(
            f"PostgreSQL, as {POSTGRES_FORM}; "
            "else RESONATE_DATABASE_URL, else database resonate on localhost."
        ),
        rich_help_panel=HELP_PANEL,
        show_default=False,
    ),
]
ManagementUrl = Annotated[
    str | None,
    typer.Option(
        "--management-url",
        metavar="URL",
        help=(
            f"RabbitMQ's management API, as {MANAGEMENT_FORM}, with the user of --url unless it "
            "names another one; else RESONATE_MANAGEMENT_URL, else it is not asked."
        ),
        rich_help_panel=HELP_PANEL,
        show_default=False,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        metavar="NAME",
        help=(
            "Prefix of all queues and name of the schema in the database; "
            "else RESONATE_NAMESPACE, else resonate."
        ),
        rich_help_panel=HELP_PANEL,
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with settings; else resonate.toml in this folder, if it is there.",
        rich_help_panel=HELP_PANEL,
        show_default=False,
    ),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help=(
            "Answer Prometheus and probes there, at /metrics, /health and /ready; "
            "else RESONATE_HTTP__LISTEN, else nowhere."
        ),
        show_default=False,
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option(
        "--log-format",
        metavar="text|json",
        help="Of the lines of the log; else RESONATE_LOG_FORMAT, else text.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document for programs; errors too, on standard error.",
    ),
]


def client_settings(file: Path | None, url: str | None, namespace: str | None) -> Config:
    """The settings of a command that talks to a server.

    Raises:
        ConfigError: a setting is unknown, or has no possible value; the message names it.
    """
    config = load_config({"url": url, "namespace": namespace}, file=file)
    _check_rabbitmq(config)
    return config


def operator_settings(
    file: Path | None, url: str | None, management_url: str | None, namespace: str | None
) -> Config:
    """The settings of a command that looks at the broker, too; errors as `client_settings`."""
    flags = {"url": url, "management_url": management_url, "namespace": namespace}
    config = load_config(flags, file=file)
    _check_rabbitmq(config)
    if config.management_url is not None:
        check_url("management_url", config.management_url, ("http", "https"), MANAGEMENT_FORM)
    return config


def database_settings(file: Path | None, database_url: str | None, namespace: str | None) -> Config:
    """The settings of a command that talks to the database; errors as `client_settings`."""
    config = load_config({"database_url": database_url, "namespace": namespace}, file=file)
    _check_postgres(config)
    return config


def server_settings(
    file: Path | None,
    url: str | None,
    database_url: str | None,
    namespace: str | None,
    *,
    listen: str | None = None,
    log_format: str | None = None,
) -> Config:
    """The settings of a server; errors as `client_settings`."""
    flags: dict[str, Any] = {
        "url": url,
        "database_url": database_url,
        "namespace": namespace,
        "log_format": log_format,
    }
    if listen is not None:
        flags["http"] = {"listen": listen}
    config = load_config(flags, file=file)
    _check_rabbitmq(config)
    _check_postgres(config)
    return config


def _check_rabbitmq(config: Config) -> None:
    check_url("url", config.url, ("amqp", "amqps"), AMQP_FORM)


def _check_postgres(config: Config) -> None:
    check_url("database_url", config.database_url, ("postgresql", "postgres"), POSTGRES_FORM)


def check_url(setting: str, url: str, schemes: tuple[str, ...], form: str) -> None:
    """Refuse a URL that cannot be read, without repeating what may be a password.

    Raises:
        ConfigError: it has another scheme, or a port that is no number.
    """
    try:
        scheme = urlsplit(url).scheme
        for host in _hosts(url):
            _ = urlsplit(f"//{host}").port
    except ValueError as error:
        raise ConfigError(
            f"setting {setting!r} is no URL with a host and a port: write {form}, "
            "special characters in the password as %40 and the like"
        ) from error
    if scheme not in schemes:
        found = f"begins with {scheme}://" if "://" in url and scheme else "is no URL"
        raise ConfigError(f"setting {setting!r} {found}: write {form}")


def shown_url(url: str) -> str:
    """A URL for people: with a mask where there is a password."""
    head, question_mark, query = _ACCOUNT.sub(rf"\1:{MASK}@", url, count=1).partition("?")
    return head + question_mark + _PASSWORD_PARAMETER.sub(rf"\1{MASK}", query)


def _hosts(url: str) -> list[str]:
    """What follows the account: PostgreSQL knows several hosts in one URL."""
    return urlsplit(url).netloc.rpartition("@")[2].split(",")
