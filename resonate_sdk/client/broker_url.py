"""The URL of the broker: from its parts, and with the credentials that are given beside it."""

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from resonate_sdk.errors import UsageError

SCHEMES = ("amqp://", "amqps://")
FORM = "amqp://user:password@host:5672/"
PORT_DEFAULT = 5672
USER_DEFAULT = "guest"


def check_url(url: str) -> None:
    """Refuse a URL that no transport here understands.

    Raises:
        UsageError: it is not an AMQP URL.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users do
        raise UsageError(f"the URL of the broker is a str, found {url!r}: write {FORM!r}")
    scheme, is_url, _ = url.partition("://")
    if not is_url:  # what it is instead may be a password
        raise UsageError(f"this client speaks AMQP, and was given no URL: write {FORM!r}")
    if not url.startswith(SCHEMES):
        raise UsageError(
            f"this client speaks AMQP, not {scheme!r}: write {FORM!r}, "
            "or leave the URL out to run without a server"
        )
    try:
        _ = urlsplit(url).port
    except ValueError:
        # Not as the cause: it repeats what it could not read.
        raise UsageError(
            f"the URL of the broker has no host and port that can be read: write {FORM!r}, "
            "special characters in the password as %40 and the like"
        ) from None


def url_of(host: str | None, port: int | None) -> str | None:
    """The URL of a machine; None if none is named.

    Raises:
        UsageError: it is named by the URL of something else, or there is only a port.
    """
    if host is None:
        if port is not None:
            raise UsageError(f"port={port} needs host=, or write url='amqp://host:{port}/'")
        return None
    if "://" in host:
        check_url(host)
        host = host.split("://")[1].rstrip("/")
    return f"amqp://{host}:{port or PORT_DEFAULT}/"


def with_credentials(url: str, auth: tuple[str, str] | None, token: str | None) -> str:
    """The URL with a user and a password, or a token, instead of its own.

    RabbitMQ takes tokens of OAuth 2 as passwords, and does not look at the user then.
    """
    if auth is None and token is None:
        return url
    parts = urlsplit(url)
    machine = parts.netloc.rpartition("@")[2]
    user = parts.username or "" if auth is None else quote(auth[0], safe="")
    password = quote(token or "" if auth is None else auth[1], safe="")
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{machine}"))


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"//.*@", "//", url)


def user_of(url: str) -> str:
    """The user that a URL names; without one it is RabbitMQ's own."""
    return unquote(urlsplit(url).username or "") or USER_DEFAULT
