"""RabbitMQ's management API: what AMQP does not tell. The only module that speaks HTTP.

Everything is read, nothing changed. An answer that cannot be had is a sentence, which commands show
beside what they know without it.
"""

import http.client
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from resonate_broker.cli.settings import shown_url
from resonate_broker.config import Config

TIMEOUT_S = 5.0
BYTES_MAX = 64 * 1024 * 1024
PORTS = {"http": 15672, "https": 15671}
GUEST = "guest"
QUEUE_COLUMNS = (
    "name,type,arguments,durable,exclusive,auto_delete,state,messages_ready,consumers,policy,"
    "operator_policy,effective_policy_definition,members,online"
)

T = TypeVar("T")


class ManagementError(Exception):
    """The management API does not answer, or not to us; the message says why."""


class QueueName(Struct, frozen=True, kw_only=True):
    """The queue of a consumer."""

    name: str


class ChannelDetails(Struct, frozen=True, kw_only=True):
    """Where a consumer is."""

    name: str
    connection_name: str
    user: str = ""
    peer_host: str | None = None


class Consumer(Struct, frozen=True, kw_only=True):
    """Somebody who takes from a queue.

    Attributes:
        channel_details: a list without items if the channel is going just now.
        active: whether it gets messages; of single active consumers the others stand by.
    """

    queue: QueueName
    consumer_tag: str
    channel_details: ChannelDetails | list[Any] = msgspec.field(default_factory=list[Any])
    prefetch_count: int = 0
    active: bool = True

    @property
    def connection(self) -> str | None:
        """The name that the broker gave to its connection."""
        details = self.channel_details
        return details.connection_name if isinstance(details, ChannelDetails) else None


class Connection(Struct, frozen=True, kw_only=True):
    """A connection to the broker.

    Attributes:
        name: the broker's; `client_properties` may have the client's.
        state: `running`, `blocked`, `flow` and others.
    """

    name: str
    state: str = "running"
    user: str = ""
    peer_host: str | None = None
    connected_at: int | None = None
    client_properties: Mapping[str, Any] | list[Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def title(self) -> str:
        """What the client calls itself."""
        properties = self.client_properties
        name = properties.get("connection_name") if isinstance(properties, Mapping) else None
        return name if isinstance(name, str) else self.name


class Channel(Struct, frozen=True, kw_only=True):
    """A channel of a connection."""

    name: str
    global_prefetch_count: int = 0


class ObjectArguments(Struct, frozen=True, kw_only=True):
    """An exchange as it is declared."""

    name: str
    type: str
    durable: bool = True
    arguments: Mapping[str, Any] | list[Any] = msgspec.field(default_factory=dict[str, Any])


class QueueStatus(Struct, frozen=True, kw_only=True):
    """A queue as it is declared, and how it fares.

    Attributes:
        messages_ready: as of some seconds ago; missing while the queue is being made.
        effective_policy_definition: what policies add to its arguments.
    """

    name: str
    type: str = "classic"
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    state: str = "running"
    arguments: Mapping[str, Any] | list[Any] = msgspec.field(default_factory=dict[str, Any])
    messages_ready: int | None = None
    consumers: int | None = None
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy_definition: Mapping[str, Any] | list[Any] | None = None
    members: tuple[str, ...] = ()
    online: tuple[str, ...] = ()


class BindingStatus(Struct, frozen=True, kw_only=True):
    """A binding as it is declared."""

    source: str
    destination: str
    destination_type: str
    routing_key: str


class Node(Struct, frozen=True, kw_only=True):
    """A node of the broker; a node that is down has no alarms."""

    name: str
    running: bool = True
    mem_alarm: bool = False
    disk_free_alarm: bool = False


class FeatureFlag(Struct, frozen=True, kw_only=True):
    """Something that a broker can do, if all its nodes can."""

    name: str
    state: str


class Overview(Struct, frozen=True, kw_only=True):
    """What the broker is."""

    rabbitmq_version: str
    product_name: str = "RabbitMQ"


class Management:
    """The management API of one broker, for the virtual host of ours."""

    def __init__(self, url: str, user: str, password: str, vhost: str) -> None:
        """Remember where it is; each question is a connection of its own."""
        self._parts = urlsplit(url)
        self._shown = shown_url(url)
        self._authorization = b64encode(f"{user}:{password}".encode()).decode()
        self._vhost = quote(vhost, safe="")

    def overview(self) -> Overview:
        """What the broker is."""
        return self._get("overview", Overview)

    def consumers(self) -> tuple[Consumer, ...]:
        """Who takes from the queues."""
        return self._get(f"consumers/{self._vhost}", tuple[Consumer, ...])

    def connections(self) -> tuple[Connection, ...]:
        """Who is connected."""
        return self._get(f"vhosts/{self._vhost}/connections", tuple[Connection, ...])

    def channels(self) -> tuple[Channel, ...]:
        """All channels."""
        path = f"vhosts/{self._vhost}/channels?columns=name,global_prefetch_count"
        return self._get(path, tuple[Channel, ...])

    def queues(self) -> tuple[QueueStatus, ...]:
        """All queues."""
        path = f"queues/{self._vhost}?columns={QUEUE_COLUMNS}"
        return self._get(path, tuple[QueueStatus, ...])

    def exchanges(self) -> tuple[ObjectArguments, ...]:
        """All exchanges."""
        return self._get(f"exchanges/{self._vhost}", tuple[ObjectArguments, ...])

    def bindings(self) -> tuple[BindingStatus, ...]:
        """All bindings."""
        return self._get(f"bindings/{self._vhost}", tuple[BindingStatus, ...])

    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the broker and their alarms."""
        path = "nodes?columns=name,running,mem_alarm,disk_free_alarm"
        return self._get(path, tuple[Node, ...])

    def feature_flags(self) -> tuple[FeatureFlag, ...]:
        """What the broker can do."""
        return self._get("feature-flags", tuple[FeatureFlag, ...])

    def _get(self, path: str, kind: type[T]) -> T:
        body = self._fetch(f"{self._parts.path.rstrip('/')}/api/{path}")
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise self._failure(f"its answer to {path} is not understood: {error}") from error

    def _fetch(self, path: str) -> bytes:
        connection = self._connection()
        try:
            connection.request(
                "GET", path, headers={"Authorization": f"Basic {self._authorization}"}
            )
            with connection.getresponse() as answer:
                body = answer.read(BYTES_MAX + 1)
        except TimeoutError as error:
            raise self._failure("it does not answer") from error
        except ConnectionRefusedError as error:
            raise self._failure(
                "nothing listens there: is the plugin rabbitmq_management enabled?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        match answer.status:
            case 200 if len(body) <= BYTES_MAX:
                return body
            case 200:
                raise self._failure(f"its answer has more than {BYTES_MAX} bytes")
            case 401 | 403:
                raise self._failure(
                    "it refuses this user: the password is wrong, or the tag `monitoring` missing"
                )
            case status:
                raise self._failure(f"it answers {status} {answer.reason}")

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port or PORTS[self._parts.scheme]
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def _failure(self, reason: str) -> ManagementError:
        return ManagementError(f"the management API at {self._shown} cannot be used: {reason}")


def management_of(config: Config) -> Management:
    """The management API that the settings name.

    Raises:
        ManagementError: they name none.
    """
    if config.management_url is None:
        raise ManagementError("no management API is given (--management-url)")
    given, amqp = urlsplit(config.management_url), urlsplit(config.url)
    account = given if given.username else amqp
    return Management(
        config.management_url,
        unquote(account.username or GUEST),
        unquote(account.password or GUEST),
        unquote(amqp.path.removeprefix("/")) or "/",
    )
