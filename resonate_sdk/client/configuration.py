"""Where a client connects and what it is called: arguments first, then the environment."""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, structs

from resonate_sdk.ask import ANSWER_TIMEOUT_S
from resonate_sdk.client.broker_url import check_url, url_of, with_credentials, without_password
from resonate_sdk.errors import ContradictionError, UsageError
from resonate_sdk.options import Seconds, seconds
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.listening import address_of
from resonate_sdk.stores.remote import RemoteStore
from resonate_sdk.task_sources.amqp import Amqp
from resonate_sdk.task_sources.poller import Poller
from resonate_sdk.worker.settings import WorkerSettings

T = TypeVar("T")

NAMESPACE_DEFAULT = "resonate"
GROUP_DEFAULT = "default"
LEASE_S_MIN = 1.0
LEASE_S_MAX = limits.LEASE_MS_MAX / 1000
WORKERS_MAX = 32
WORKERS_BESIDE_CPUS = 4


class Configuration(Struct, frozen=True, kw_only=True):
    """The answers.

    Attributes:
        url: of the broker; None for a server inside the process.
        namespace: prefix of all queues.
        group: the worker group.
        pid: the name of this process, never used twice.
        prefix: put before the ids that the program chooses.
        listen: host and port for Prometheus and probes; None for nowhere.
        prefetch: how many hints the broker delivers at a time, at most.
        answer_timeout_s: how long a request of the program waits for its answer.
    """

    url: str | None
    namespace: str
    group: str
    pid: str
    prefix: str
    prefetch: int | None
    answer_timeout_s: float
    listen: tuple[str, int] | None = None


def configure(
    *,
    url: str | None,
    namespace: str | None,
    group: str | None,
    pid: str | None,
    prefix: str | None,
    store: Any,
    task_source: Any,
    auth: tuple[str, str] | None = None,
    token: str | None = None,
    listen: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Configuration:
    """Find out where to connect.

    Raises:
        UsageError: one of the answers is not well formed.
        ContradictionError: they contradict each other.
    """
    source: Poller | Amqp | None = _expect(task_source, (Poller, Amqp), "task_source")
    remote: RemoteStore | None = _expect(store, (RemoteStore,), "store")
    if url is not None and remote is not None:
        raise ContradictionError("url= and store= mean the same: give one of them")
    urls = (url, *_urls_of(remote), *_urls_of(source))
    found = _one_of(urls, "url, store and task_source", "broker") or _url_from(environment)
    given = source or remote
    if found is None and given is not None:
        raise UsageError(f"{type(given).__name__} needs url='amqp://...', or RESONATE_URL")
    groups = (group, source and source.group)
    named = _one_of(groups, "group and task_source", "group") or environment.get("RESONATE_GROUP")
    pids = (pid, source and source.id)
    known = _one_of(pids, "pid and task_source", "process") or environment.get("RESONATE_PID")
    found = _as_whom(found, auth or (remote and remote.auth), token or (remote and remote.token))
    timeout: Seconds | None = remote and remote.timeout
    name = namespace or environment.get("RESONATE_NAMESPACE") or NAMESPACE_DEFAULT
    if not re.fullmatch(limits.NAMESPACE_PATTERN, name):
        raise UsageError(f"a namespace is 1 to 32 of a-z, 0-9, _ and -, found {name!r}")
    return Configuration(
        url=found,
        namespace=name,
        group=_name(named, GROUP_DEFAULT),
        pid=_name(known, secrets.token_hex(16)),
        prefix=prefix if prefix is not None else environment.get("RESONATE_PREFIX", ""),
        listen=_address(listen, environment.get("RESONATE_LISTEN", "")),
        prefetch=_prefetch(source),
        answer_timeout_s=ANSWER_TIMEOUT_S if timeout is None else seconds(timeout),
    )


def _one_of(spellings: Sequence[str | None], names: str, what: str) -> str | None:
    """What all spellings that are given say."""
    found = sorted({spelling for spelling in spellings if spelling})
    if len(found) > 1:
        shown = ", ".join(without_password(one) for one in found)
        raise ContradictionError(f"{names} must name the same {what}, found {shown}")
    return found[0] if found else None


def _as_whom(url: str | None, auth: tuple[str, str] | None, token: str | None) -> str | None:
    """The URL with what the program says of who it is."""
    if auth is not None and token is not None:
        raise ContradictionError("auth= and token= both say who you are: give one of them")
    if url is not None:
        check_url(url)
        return with_credentials(url, auth, token)
    if auth is not None or token is not None:
        raise UsageError("auth= and token= are for a broker: give url='amqp://...', too")
    return None


def _address(given: str | None, default: str) -> tuple[str, int] | None:
    try:
        return address_of(default if given is None else given)
    except ValueError as error:
        raise UsageError(f"listen= or RESONATE_LISTEN: {error}") from error


def in_child(configuration: Configuration) -> Configuration:
    """The same after a fork: a name belongs to one process, and so does a port."""
    return structs.replace(configuration, pid=secrets.token_hex(16), listen=None)


def _url_from(environment: Mapping[str, str]) -> str | None:
    """What the environment says, itself or by naming a file: passwords are better kept there."""
    path = environment.get("RESONATE_URL_FILE")
    if environment.get("RESONATE_URL") or not path:
        return environment.get("RESONATE_URL") or None
    try:
        return Path(path).read_text().strip() or None
    except OSError as error:
        raise UsageError(f"RESONATE_URL_FILE names no readable file: {error}") from error


def _name(given: str | None, default: str) -> str:
    name = given or default
    if not re.fullmatch(limits.NAME_PATTERN, name):
        raise UsageError(
            f"groups and process ids are 1 to 64 letters, digits, _ and -, found {name!r}"
        )
    return name


def _urls_of(named: RemoteStore | Poller | Amqp | None) -> Sequence[str | None]:
    match named:
        case None:
            return ()
        case Amqp(url=url):
            return (url,)
        case RemoteStore(url=url, host=host, port=port) | Poller(url=url, host=host, port=port):
            return (url, url_of(host, port))


def _prefetch(source: Poller | Amqp | None) -> int | None:
    prefetch = source.prefetch if isinstance(source, Amqp) else None
    if prefetch is not None and prefetch < 1:
        raise UsageError(f"Amqp(prefetch=...) is 1 or more, found {prefetch}")
    return prefetch


def _expect(found: Any, wanted: tuple[type[Any], ...], keyword: str) -> Any:
    if found is None or isinstance(found, wanted):
        return found
    names = " or ".join(kind.__name__ for kind in wanted)
    raise UsageError(f"{keyword}= takes {names}, found {type(found).__name__}")


def either(first: T | None, second: T | None, names: str) -> T | None:
    """The one that is given, of two spellings of one argument.

    Raises:
        ContradictionError: both are, and differ.
    """
    if first is not None and second is not None and first != second:
        raise ContradictionError(f"{names} mean the same: give one of them")
    return first if first is not None else second


def environment_for(*, is_url_given: bool) -> Mapping[str, str]:
    """The environment, without its URL if that does not matter."""
    if not is_url_given:
        return os.environ
    return {k: v for k, v in os.environ.items() if k not in ("RESONATE_URL", "RESONATE_URL_FILE")}


def settings_of(
    *,
    ttl: Seconds,
    workers: int | None,
    max_concurrent_tasks: int,
    overlap: bool,
    poison_attempts: int,
    cache_size: int,
) -> WorkerSettings:
    """How executions are run.

    Raises:
        UsageError: one of the numbers is none, too small or too large.
    """
    lease_s = seconds(ttl)
    if not LEASE_S_MIN <= lease_s <= LEASE_S_MAX:
        raise UsageError(
            f"a lease (ttl) lasts {LEASE_S_MIN} s or more, at most {LEASE_S_MAX}, found {lease_s}"
        )
    _check_count("workers", 1 if workers is None else workers, least=1)
    _check_count("max_concurrent_tasks", max_concurrent_tasks, least=1)
    _check_count("poison_attempts", poison_attempts, least=1)
    _check_count("cache_size", cache_size, least=0)
    return WorkerSettings(
        lease_ms=round(lease_s * 1000),
        threads=workers or min(WORKERS_MAX, (os.cpu_count() or 1) + WORKERS_BESIDE_CPUS),
        slots=max_concurrent_tasks,
        overlap=overlap,
        poison_attempts=poison_attempts,
        cache_size=cache_size,
    )


def _check_count(option: str, found: object, *, least: int) -> None:
    if not isinstance(found, int) or found < least:
        raise UsageError(f"{option}= is a whole number, {least} or more, found {found!r}")
