"""Where a client connects and what it is called: arguments first, then the environment."""

import os
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.protocol import limits
from resonate_sdk.stores.remote import RemoteStore
from resonate_sdk.task_sources.poller import Poller

NAMESPACE_DEFAULT = "resonate"
GROUP_DEFAULT = "default"
SCHEMES = ("amqp://", "amqps://")
FORM = "amqp://user:password@host:5672/"


class Configuration(Struct, frozen=True, kw_only=True):
    """The answers.

    Attributes:
        url: of the broker; None for a server inside the process.
        namespace: prefix of all queues.
        group: the worker group.
        pid: the name of this process, never used twice.
        prefix: put before the ids that the program chooses.
    """

    url: str | None
    namespace: str
    group: str
    pid: str
    prefix: str


def configure(
    *,
    url: str | None,
    namespace: str | None,
    group: str | None,
    pid: str | None,
    prefix: str | None,
    store: Any,
    task_source: Any,
    environment: Mapping[str, str] = os.environ,
) -> Configuration:
    """Find out where to connect.

    Raises:
        UsageError: the answers contradict each other, or one is not well formed.
    """
    poller = _expect(task_source, Poller, "task_source")
    remote = _expect(store, RemoteStore, "store")
    urls = {found for found in (url, remote and remote.url, poller and poller.url) if found}
    if len(urls) > 1:
        found = ", ".join(sorted(_without_password(found) for found in urls))
        raise UsageError(f"url, store and task_source must name the same broker, found {found}")
    groups = {found for found in (group, poller and poller.group) if found}
    if len(groups) > 1:
        raise UsageError(f"group and task_source must name the same group, found {groups}")
    found = next(iter(urls), None) or environment.get("RESONATE_URL") or None
    if found is None and (remote is not None or poller is not None):
        raise UsageError("RemoteStore and Poller need url='amqp://...', or RESONATE_URL")
    if found is not None:
        check_url(found)
    name = namespace or environment.get("RESONATE_NAMESPACE") or NAMESPACE_DEFAULT
    if not re.fullmatch(limits.NAMESPACE_PATTERN, name):
        raise UsageError(f"a namespace is 1 to 32 of a-z, 0-9, _ and -, found {name!r}")
    return Configuration(
        url=found,
        namespace=name,
        group=_name(next(iter(groups), None) or environment.get("RESONATE_GROUP"), GROUP_DEFAULT),
        pid=_name(pid or environment.get("RESONATE_PID"), secrets.token_hex(16)),
        prefix=prefix if prefix is not None else environment.get("RESONATE_PREFIX", ""),
    )


def check_url(url: str) -> None:
    """Refuse a URL that no transport here understands.

    Raises:
        UsageError: it is not an AMQP URL.
    """
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


def _without_password(url: str) -> str:
    return re.sub(r"//.*@", "//", url)


def _name(given: str | None, default: str) -> str:
    name = given or default
    if not re.fullmatch(limits.NAME_PATTERN, name):
        raise UsageError(
            f"groups and process ids are 1 to 64 letters, digits, _ and -, found {name!r}"
        )
    return name


def _expect(found: Any, wanted: type[Any], keyword: str) -> Any:
    if found is None or isinstance(found, wanted):
        return found
    raise UsageError(f"{keyword}= takes a {wanted.__name__}, found {type(found).__name__}")


def either(task_source: Poller | None, message_source: Poller | None) -> Poller | None:
    """The one that is given, of two spellings of one argument."""
    if task_source is not None and message_source is not None:
        raise UsageError("task_source and message_source mean the same: give one of them")
    return task_source if task_source is not None else message_source


def environment_for(*, is_url_given: bool) -> Mapping[str, str]:
    """The environment, without its URL if that does not matter."""
    if not is_url_given:
        return os.environ
    return {key: value for key, value in os.environ.items() if key != "RESONATE_URL"}
