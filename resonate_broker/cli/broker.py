"""What a command sees of the broker itself: the depth of queues over AMQP, the rest by management."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from resonate_broker.cli.client import GROUP, HEARTBEAT_S
from resonate_broker.cli.logs import log_nothing
from resonate_broker.cli.loops import run_impatiently
from resonate_broker.cli.management import Connection, Consumer, ManagementError, management_of
from resonate_broker.cli.progress import progress
from resonate_broker.cli.reasons import rabbitmq_failure
from resonate_broker.config import Config

if TYPE_CHECKING:  # the client libraries are loaded when they are needed
    from resonate_sdk.amqp.session import Session

T = TypeVar("T")


class Depth(Struct, frozen=True):
    """What waits in a queue, and how many consumers it has, perhaps."""

    ready: int
    consumers: int


class Attendance(Struct, frozen=True):
    """Who consumes, and through which connections."""

    consumers: tuple[Consumer, ...]
    connections: Mapping[str, Connection]

    def connection_of(self, consumer: Consumer) -> Connection | None:
        """The connection of a consumer, if the broker told of it."""
        return self.connections.get(consumer.connection or "")


def attendance(config: Config) -> Attendance:
    """Ask the management API who consumes.

    Raises:
        ManagementError: it is not given, or cannot be used.
    """
    management = management_of(config)
    connections = {connection.name: connection for connection in management.connections()}
    return Attendance(management.consumers(), connections)


def try_attendance(config: Config) -> Attendance | ManagementError:
    """Who consumes, or why that cannot be seen."""
    try:
        return attendance(config)
    except ManagementError as error:
        return error


def count_queues(
    config: Config, queues: Iterable[str], *, has_bar: bool = False
) -> dict[str, Depth | None]:
    """Count what waits in queues, and their consumers; None for a queue that does not exist.

    Args:
        config: says where RabbitMQ is.
        queues: their names.
        has_bar: whether a bar shows how far it is, if they are many.

    Raises:
        CommandError: RabbitMQ cannot be reached.
    """
    wanted = tuple(dict.fromkeys(queues))

    async def count(session: "Session") -> dict[str, Depth | None]:
        found: dict[str, Depth | None] = {}
        with progress("looking into queues", len(wanted) if has_bar else 0) as done:
            for queue in wanted:
                counted = await session.count(queue)
                found[queue] = counted and Depth(counted.ready, counted.consumers)
                done()
        return found

    return in_session(config, count) if wanted else {}


def in_session(config: Config, work: "Callable[[Session], Awaitable[T]]") -> T:
    """Do something with a session of the broker.

    Raises:
        CommandError: RabbitMQ cannot be reached, or refuses it.
    """
    from resonate_sdk.amqp.session import SessionLostError

    log_nothing()
    try:
        return run_impatiently(_in_session(config, work))
    except SessionLostError as error:
        raise rabbitmq_failure(config, str(error)) from error


async def _in_session(config: Config, work: "Callable[[Session], Awaitable[T]]") -> T:
    from resonate_sdk.amqp.session import open_session

    name = f"{GROUP}/{config.namespace}"
    async with open_session(config.url, name=name, heartbeat_s=HEARTBEAT_S) as session:
        return await work(session)
