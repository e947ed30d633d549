"""Names and arguments of everything that exists on the broker: topology version 1.

Whoever declares an object uses exactly these arguments; others are refused by the broker.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Literal
from zlib import crc32

from msgspec import Struct

from resonate_sdk.protocol import limits

ArgumentValue = str | int | bool
PARTITIONS_MAX = 100
SUBMIT_QUEUE_LENGTH_MAX = 1_000_000
HEARTBEAT_QUEUE_LENGTH_MAX = 10_000
DELIVERY_LIMIT = 100
DEAD_DELIVERY_LIMIT = 1_000_000  # browsing a dead letter and putting it back counts, too

HEARTBEAT_KEY = "heartbeat"
ANY_KEY = "any"
# Keys without a partition, for publishers that know nothing of partitions.
PLAIN_KEYS = (
    "promise.*",
    "task.*",
    "schedule.*",
    "trigger.*",
    "group.*",
    "debug.*",
    "invoke",
    "hello",
)

NOW_HEADER = "resonate-now"  # of an answer: the instant it was decided at, epoch ms
REASON_HEADER = "resonate-reason"  # of a dead letter: why nobody could carry it out
DIRECT_REPLY_PREFIX = "amq.rabbitmq.reply-to."
ERLANG_PIDS = (b"\x83X", b"\x83g")  # how a process begins in the external format of Erlang


class Exchange(Struct, frozen=True, kw_only=True):
    """An exchange; all of ours are durable."""

    name: str
    type: Literal["topic", "direct", "fanout"]
    arguments: Mapping[str, ArgumentValue] = {}


class Queue(Struct, frozen=True, kw_only=True):
    """A queue: durable, or exclusive and gone with its connection."""

    name: str
    is_exclusive: bool = False
    arguments: Mapping[str, ArgumentValue] = {}


class Binding(Struct, frozen=True, kw_only=True):
    """Messages of an exchange that go to a queue."""

    exchange: str
    queue: str
    key: str = ""


class Topology(Struct, frozen=True, kw_only=True):
    """Objects in the order in which they are declared."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()


class Names(Struct, frozen=True):
    """Names of the objects of one namespace."""

    namespace: str

    @property
    def submit(self) -> str:
        """The exchange that every request goes to."""
        return f"{self.namespace}.submit"

    def submit_queue(self, partition: int) -> str:
        """The submission queue of a partition."""
        return f"{self.submit}.p{partition:02d}"

    @property
    def heartbeat(self) -> str:
        """The queue of heartbeats, which never wait behind work."""
        return f"{self.namespace}.heartbeat"

    def group(self, group: str) -> str:
        """The exchange of a group: to one process of it, or else to any."""
        return f"{self.namespace}.group.{group}"

    def group_any(self, group: str) -> str:
        """The exchange behind it: to any process of the group."""
        return f"{self.group(group)}.any"

    def task_queue(self, group: str) -> str:
        """The queue of a group's hints."""
        return f"{self.namespace}.task.{group}"

    def worker_queue(self, group: str, pid: str) -> str:
        """The queue of hints that prefer one process."""
        return f"{self.namespace}.worker.{group}.{pid}"

    def group_of(self, queue: str) -> str | None:
        """The group whose task queue this is."""
        group = queue.removeprefix(self.task_queue(""))
        return group if group != queue and "." not in group else None

    def worker_of(self, queue: str) -> tuple[str, str] | None:
        """The group and the process whose own queue this is."""
        prefix, *rest = queue.rsplit(".", 2)
        is_ours = prefix == f"{self.namespace}.worker" and len(rest) == 2
        return (rest[0], rest[1]) if is_ours else None

    def reply_queue(self, pid: str) -> str:
        """The queue of answers and news for one process."""
        return f"{self.namespace}.reply.{pid}"

    @property
    def replies(self) -> str:
        """The queue in which the server gets the replies of who knows no protocol."""
        return f"{self.namespace}.replies"

    def trigger_queue(self, trigger: str) -> str:
        """The queue of the events of a trigger."""
        return f"{self.namespace}.trigger.{trigger}"

    def is_trigger_queue(self, queue: str) -> bool:
        """Whether events of a trigger wait in this queue."""
        return queue.startswith(self.trigger_queue(""))

    def is_ours(self, name: str) -> bool:
        """Whether an exchange or a queue belongs to the servers of the namespace."""
        return name.startswith(f"{self.namespace}.")

    @property
    def events(self) -> str:
        """The exchange that tells what has happened, if the tap is on."""
        return f"{self.namespace}.events"

    @property
    def events_log(self) -> str:
        """The stream in which all that it told is kept for a while."""
        return f"{self.events}.log"

    @property
    def dead_exchange(self) -> str:
        """Where messages go that nobody can carry out."""
        return f"{self.namespace}.dlx"

    @property
    def dead_queue(self) -> str:
        """Where they wait for an operator."""
        return f"{self.namespace}.dead"

    def may_reply_to(self, queue: str) -> bool:
        """Whether the server may publish to a queue that a client named for its answers."""
        if queue.startswith(DIRECT_REPLY_PREFIX):
            return _is_direct_reply_token(queue.removeprefix(DIRECT_REPLY_PREFIX))
        return queue.startswith(f"{self.namespace}.reply.")


def _is_direct_reply_token(token: str) -> bool:
    """Whether it looks like what the broker makes of direct reply-to.

    RabbitMQ 3.10 closes the connection of whoever publishes to a token that it cannot decode.
    """
    try:
        process, _ = (b64decode(part, validate=True) for part in token.split("."))
    except ValueError:
        return False
    return process.startswith(ERLANG_PIDS)


def server_topology(names: Names, partitions: int) -> Topology:
    """What a server declares when it starts."""
    submit_queues = [_submit_queue(names, partition) for partition in range(partitions)]
    return Topology(
        exchanges=(
            Exchange(name=names.dead_exchange, type="topic"),
            Exchange(name=names.submit, type="topic"),
        ),
        queues=(
            Queue(
                name=names.dead_queue,
                arguments={"x-queue-type": "quorum", "x-delivery-limit": DEAD_DELIVERY_LIMIT},
            ),
            Queue(
                name=names.heartbeat,
                arguments={
                    "x-queue-type": "quorum",
                    "x-max-length": HEARTBEAT_QUEUE_LENGTH_MAX,
                    "x-overflow": "drop-head",
                    "x-delivery-limit": DELIVERY_LIMIT,
                },
            ),
            Queue(name=names.replies, arguments=_kept(names, names.replies)),
            *submit_queues,
        ),
        bindings=(
            Binding(exchange=names.dead_exchange, queue=names.dead_queue, key="#"),
            Binding(exchange=names.submit, queue=names.heartbeat, key=HEARTBEAT_KEY),
            *(
                Binding(exchange=names.submit, queue=queue.name, key=f"p{partition:02d}.#")
                for partition, queue in enumerate(submit_queues)
            ),
            *(
                Binding(exchange=names.submit, queue=names.submit_queue(0), key=key)
                for key in PLAIN_KEYS
            ),
        ),
    )


def _submit_queue(names: Names, partition: int) -> Queue:
    name = names.submit_queue(partition)
    # Order and fail-over: further servers stand by. It cannot be added later.
    arguments = {**_kept(names, name), "x-single-active-consumer": True}
    return Queue(name=name, arguments=arguments)


def _kept(names: Names, name: str) -> dict[str, ArgumentValue]:
    """Arguments of a queue of which nothing is lost: what is too much is refused, the rest kept."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": names.dead_exchange,
        "x-dead-letter-routing-key": name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": SUBMIT_QUEUE_LENGTH_MAX,
    }


def group_topology(names: Names, group: str) -> Topology:
    """What a server declares for a worker group when it meets it."""
    queue = names.task_queue(group)
    return Topology(
        exchanges=(
            Exchange(name=names.group_any(group), type="fanout"),
            Exchange(
                name=names.group(group),
                type="direct",
                arguments={"alternate-exchange": names.group_any(group)},
            ),
        ),
        queues=(
            # No dead-letter exchange: a hint that is dropped is sent again from its row.
            Queue(
                name=queue,
                arguments={"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT},
            ),
        ),
        bindings=(Binding(exchange=names.group_any(group), queue=queue),),
    )


def events_topology(names: Names, *, log_days: int | None) -> Topology:
    """What a server declares for events: their exchange, and a stream if they are to be kept."""
    exchange = Exchange(name=names.events, type="topic")
    if log_days is None:
        return Topology(exchanges=(exchange,))
    log = Queue(
        name=names.events_log, arguments={"x-queue-type": "stream", "x-max-age": f"{log_days}D"}
    )
    binding = Binding(exchange=names.events, queue=names.events_log, key="#")
    return Topology(exchanges=(exchange,), queues=(log,), bindings=(binding,))


def trigger_topology(names: Names, trigger: str, exchange: str, routing_key: str) -> Topology:
    """What a server declares for a trigger; the exchange is somebody else's."""
    queue = names.trigger_queue(trigger)
    return Topology(
        queues=(Queue(name=queue, arguments=_kept(names, queue)),),
        bindings=(Binding(exchange=exchange, queue=queue, key=routing_key),),
    )


def worker_topology(names: Names, group: str, pid: str) -> Topology:
    """What a worker declares for the hints that prefer it.

    What it does not take in time, or rejects, goes to any worker of the group.
    """
    queue = names.worker_queue(group, pid)
    arguments: Mapping[str, ArgumentValue] = {
        "x-message-ttl": limits.STICKY_TTL_MS,
        "x-dead-letter-exchange": names.group_any(group),
    }
    return Topology(
        queues=(Queue(name=queue, is_exclusive=True, arguments=arguments),),
        bindings=(Binding(exchange=names.group(group), queue=queue, key=pid),),
    )


def reply_topology(names: Names, pid: str) -> Topology:
    """What a process declares for its answers and news."""
    return Topology(queues=(Queue(name=names.reply_queue(pid), is_exclusive=True),))


def submit_key(kind: str, origin: str, partitions: int) -> str:
    """The routing key of a request."""
    if kind == "task.heartbeat":
        return HEARTBEAT_KEY
    if partitions == 1:
        return kind
    return f"p{crc32(origin.encode()) % partitions:02d}.{kind}"
