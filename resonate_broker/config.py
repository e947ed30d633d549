"""What can be set about a server: defaults, then a file, then the environment, then flags."""

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from resonate_sdk.protocol import limits, topology
from resonate_sdk.protocol.listening import address_of

FILE_DEFAULT = Path("resonate.toml")
PREFIX = "RESONATE_"
SEPARATOR = "__"
SIMILAR = 0.8  # of 1; names that are nearly one another are above it

Positive = Annotated[int, Meta(ge=1)]


class ConfigError(Exception):
    """A setting is unknown or has no possible value; the message names it."""


class KernelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the kernel takes at a time.

    Attributes:
        submissions: requests that wait in it.
        batch: requests that share a transaction.
        prefetch: messages that the broker hands over before they are acknowledged.
        dispatch_window: hints of one group that the broker holds.
    """

    submissions: Positive = 1_000
    batch: Positive = 500
    prefetch: Positive = 64
    dispatch_window: Positive = limits.DISPATCH_WINDOW


class ShutdownConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the server ends.

    Attributes:
        drain_s: seconds in which it finishes what it has begun.
    """

    drain_s: Annotated[float, Meta(ge=0)] = 10.0


class RetentionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what has settled is kept.

    Attributes:
        age_s: seconds after the last settlement of a tree until it is removed; not given, nothing
            is. It is also how long an id protects against running twice.
    """

    age_s: Annotated[float, Meta(ge=1)] | None = None


class HttpConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus and probes ask.

    Attributes:
        listen: `host:port` for `/metrics`, `/health` and `/ready`; empty for nowhere. There is no
            login: who reaches it learns names of groups, and counts.
    """

    listen: str = ""

    def __post_init__(self) -> None:
        _ = self.address

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, if there are any; port 0 is any that is free."""
        try:
            return address_of(self.listen)
        except ValueError as error:
            raise ValueError(f"http.listen {error}") from error


class TracingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether requests of callers that are traced become spans.

    Attributes:
        enabled: needs the extra `otel`; where the spans go is said by the variables of OpenTelemetry,
            `OTEL_EXPORTER_OTLP_ENDPOINT` and the like.
    """

    enabled: bool = False


class DebugConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests that stop the clock, look at everything and delete everything: for tests.

    Attributes:
        enabled: whether they are carried out at all.
        admins: users of RabbitMQ that may ask for them, as the broker has verified them.
    """

    enabled: bool = False
    admins: tuple[str, ...] = ()


class IntegrationConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    r"""What services that do not know the protocol may do.

    Attributes:
        reply_to: further queues to which their results may go, beside direct reply-to and
            `{namespace}.reply.…`: a pattern that fits the whole name. Only the broker makes names
            that begin with `amq.gen-`.
        trigger_exchanges: exchanges whose events triggers may take, as a pattern that fits the
            whole name: who may send requests could otherwise listen to all that the server can read.
    """

    reply_to: str = r"amq\.gen-.+"
    trigger_exchanges: str = ".*"

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            pattern: str = getattr(self, name)
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name} {pattern!r} is no pattern: {error}") from error


class EventsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telling what happens to promises, tasks and schedules.

    Attributes:
        enabled: whether it is told at all; the same on all servers of a namespace.
        log_days: for how long a stream keeps it; not given, there is none.
    """

    enabled: bool = False
    log_days: Annotated[int, Meta(ge=1, le=3650)] | None = None

    def __post_init__(self) -> None:
        if self.log_days is not None and not self.enabled:
            raise ValueError("events.log_days keeps nothing while events.enabled is false")


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set.

    Attributes:
        url: of RabbitMQ, `amqp://user:password@host:port/vhost`.
        database_url: of PostgreSQL, `postgresql://user:password@host:port/database`.
        management_url: of RabbitMQ's management API, `http://host:15672`, with the user of `url`
            unless it names another one. Commands see more with it; servers do without.
        namespace: prefix of all queues, and schema in the database.
        partitions: submission queues; requests of one execution tree go to the same. May be changed
            at any time: queues of a greater number are served for as long as they exist.
        log_level: of the log on standard error.
        log_format: of its lines, `text` or `json`.
        record_history: a file that every decided request is appended to, for checkers of
            histories; empty for none. Schedules do not fire meanwhile, and the inbox waits.
        strict: whether answers have nothing that the protocol does not name, and searches are
            answered 501.
    """

    url: str = "amqp://guest:guest@localhost:5672/"
    database_url: str = "postgresql://localhost:5432/resonate"
    management_url: str | None = None
    namespace: Annotated[str, Meta(pattern=rf"^{limits.NAMESPACE_PATTERN}\Z")] = "resonate"
    partitions: Annotated[int, Meta(ge=1, le=topology.PARTITIONS_MAX)] = 1
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    record_history: str = ""
    strict: bool = False
    kernel: KernelConfig = KernelConfig()
    shutdown: ShutdownConfig = ShutdownConfig()
    debug: DebugConfig = DebugConfig()
    retention: RetentionConfig = RetentionConfig()
    integration: IntegrationConfig = IntegrationConfig()
    http: HttpConfig = HttpConfig()
    tracing: TracingConfig = TracingConfig()
    events: EventsConfig = EventsConfig()

    def __post_init__(self) -> None:
        if self.record_history and self.retention.age_s is not None:
            raise ValueError(
                "record_history and retention.age_s exclude each other: a history does not tell "
                "of promises that were removed"
            )


def load_config(
    flags: Mapping[str, Any],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Put the settings together; flags outrank the environment, which outranks the file.

    Args:
        flags: settings by name; nested ones as mappings; None means not given.
        file: a TOML file that must exist; without it `resonate.toml` is read if it is there.
        environment: `RESONATE_URL`, `RESONATE_KERNEL__BATCH` and so on; `…_FILE` names a file
            that holds the value.

    Raises:
        ConfigError: a key is unknown, or a value is not possible; the message names it.
    """
    settings = _read_file(file)
    _merge(settings, _from_environment(environment))
    _merge(settings, {key: value for key, value in flags.items() if value is not None})
    try:
        # Not strict: the environment has only text, and "8" is a number there.
        return msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_in_words(str(error))) from error


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None and not FILE_DEFAULT.exists():
        return {}
    path = file or FILE_DEFAULT
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or not text:
            continue
        name, value = variable.removeprefix(PREFIX), text
        if name.endswith("_FILE"):
            name, value = name.removesuffix("_FILE"), _secret(variable, text)
        path = name.lower().split(SEPARATOR)
        if len(path) == 1 and path[0] not in Config.__struct_fields__:
            _refuse_misspelt(variable, path[0])
            continue  # of the SDK, or of somebody else: Kubernetes sets some for a service
        section = settings
        for part in path[:-1]:
            section = section.setdefault(part, {})
        section[path[-1]] = value
    return settings


def _refuse_misspelt(variable: str, name: str) -> None:
    """A name that is nearly one of ours is meant to be that.

    Raises:
        ConfigError: it is.
    """
    meant = get_close_matches(name, Config.__struct_fields__, n=1, cutoff=SIMILAR)
    if meant:
        raise ConfigError(
            f"unknown setting {name!r}: if {variable} is to mean {meant[0]!r}, correct its name"
        )


def _secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ConfigError(f"{variable} names {path}, which cannot be read: {error}") from error


def _merge(settings: dict[str, Any], given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            _merge(settings[key], value)  # pyright: ignore[reportUnknownArgumentType]  # of a TOML table
        else:
            settings[key] = value


def _in_words(message: str) -> str:
    """Name the setting as it is written in the file: `kernel.batch`, not `$.kernel.batch`."""
    unknown = re.search(r"unknown field `(\w+)`(?: - at `\$\.?(.*)`)?", message)
    if unknown:
        path = ".".join(part for part in (unknown[2], unknown[1]) if part)
        variable = PREFIX + path.upper().replace(".", SEPARATOR)
        return f"unknown setting {path!r}: correct it in the file of settings, or in {variable}"
    if message.endswith("`$.namespace`"):
        return "setting 'namespace': a namespace is 1 to 32 of a-z, 0-9, _ and -"
    return re.sub(r"^(.*) - at `\$\.(.*)`$", r"setting '\2': \1", message)
