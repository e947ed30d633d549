"""Where the servers are: the options that say so, and what becomes of them."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import typer

from resonate_broker.config import Config, ConfigError, load_config

HELP_PANEL = "Connection"
AMQP_FORM = "amqp://user:password@host:5672/vhost"
POSTGRES_FORM = "postgresql://user:password@host:5432/database"
MASK = "***"

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
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document for programs; errors too, on standard error.",
    ),
]


def load_settings(
    file: Path | None,
    *,
    url: str | None = None,
    database_url: str | None = None,
    namespace: str | None = None,
) -> Config:
    """Put the settings together: options outrank the environment, which outranks the file.

    Raises:
        ConfigError: a setting is unknown, or has no possible value; the message names it.
    """
    flags = {"url": url, "database_url": database_url, "namespace": namespace}
    config = load_config(flags, file=file)
    check_url("url", config.url, ("amqp", "amqps"), AMQP_FORM)
    check_url("database_url", config.database_url, ("postgresql", "postgres"), POSTGRES_FORM)
    return config


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
    """A URL for people: with a mask instead of the password."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    query = [(key, MASK if "pass" in key else text) for key, text in parse_qsl(parts.query)]
    masked = parts._replace(
        netloc=f"{user}{colon and f':{MASK}'}{at}{hosts}",
        query=urlencode(query, quote_via=_quote_except_mask),
    )
    return masked.geturl()


def _hosts(url: str) -> list[str]:
    """What follows the account: PostgreSQL knows several hosts in one URL."""
    return urlsplit(url).netloc.rpartition("@")[2].split(",")


def _quote_except_mask(text: str, safe: Any = "", *_: Any) -> str:
    return quote(text, safe="*/")
