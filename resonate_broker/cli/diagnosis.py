"""What is wrong with a broker: facts in, findings out. Pure.

The traps are those in which messages are lost, stuck or delivered for ever although every program
does what it should.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from resonate_broker.cli.broker import Depth
from resonate_broker.cli.declared import Declaration
from resonate_broker.cli.management import Channel, Connection, FeatureFlag, Node, QueueStatus
from resonate_broker.cli.traps import Answer, Trap, answers
from resonate_sdk.protocol.topology import Names

OLDEST_VERSION = (3, 10)
OLDEST_AIORMQ = (7,)  # aio-pika 10.2; before, consumers do not come back after a cancellation
MEMBERS_MIN = 3
NEEDED_FLAGS = ("quorum_queue",)
HARMFUL_POLICIES = {
    "message-ttl": "lets messages expire",
    "expires": "deletes the queue when it is idle",
    "max-length": "limits the queue",
    "max-length-bytes": "limits the queue",
    "delivery-limit": "limits how often a message is delivered",
    "overflow": "decides what happens to what is too much",
    "dead-letter-exchange": "sends dead letters elsewhere",
    "ha-mode": "mirrors classic queues, which newer brokers do not know",
}

TRAPS_OF_POLICIES: Mapping[str, Trap] = {"delivery-limit": "limits", "ha-mode": "mirrored"}

Level = Literal["ok", "warning", "error", "unseen"]


class Finding(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        trap: of RabbitMQ, to which it belongs.
    """

    level: Level
    about: str
    sentence: str
    trap: Trap | None = None


class Broker(Struct, frozen=True, kw_only=True):
    """What the management API tells."""

    version: str
    nodes: Sequence[Node] = ()
    queues: Sequence[QueueStatus] = ()
    connections: Sequence[Connection] = ()
    channels: Sequence[Channel] = ()
    flags: Sequence[FeatureFlag] = ()


class Facts(Struct, frozen=True, kw_only=True):
    """All that was found out.

    Attributes:
        declarations: what should be declared, and how it is.
        depths: of queues, by name; None for a queue that does not exist.
        groups: worker groups that were looked at.
        server_trouble: why no server answers; None if one does.
        broker: None without the management API.
        blind: why there is no management API.
    """

    names: Names
    declarations: Sequence[Declaration]
    depths: Mapping[str, Depth | None]
    groups: Sequence[str] = ()
    server_trouble: str | None = None
    broker: Broker | None = None
    blind: str = ""


def diagnose(facts: Facts) -> list[Finding]:
    """Look at everything; what is fine is a finding, too."""
    return [
        *_server(facts),
        *_objects(facts),
        *_depths(facts),
        *(_broker(facts.names, facts.broker) if facts.broker is not None else _unseen(facts)),
    ]


def examine(facts: Facts, findings: Sequence[Finding]) -> list[Answer]:
    """Answer the questions about the traps of RabbitMQ by what was found."""
    trouble = [(each.trap, each.sentence) for each in findings if each.trap is not None]
    return list(answers(trouble, is_blind=facts.broker is None))


def _server(facts: Facts) -> Iterator[Finding]:
    if facts.server_trouble is None:
        yield Finding("ok", "server", "a server answers")
    else:
        yield Finding("error", "server", facts.server_trouble)


def _objects(facts: Facts) -> Iterator[Finding]:
    wrong = [each for each in facts.declarations if each.state in ("missing", "different")]
    for each in wrong:
        if each.state == "missing":
            yield Finding(
                "error",
                "topology",
                f"{each.kind} {each.name} {each.about} is missing: resonate topology apply",
            )
        else:
            yield Finding(
                "error",
                "topology",
                f"{each.kind} {each.name} is declared otherwise ({each.difference}): stop the "
                "servers, delete it when it is empty, and declare it again with resonate topology apply",
            )
    if not wrong:
        count = sum(1 for each in facts.declarations if each.state == "there")
        yield Finding("ok", "topology", f"{count} objects are declared as they should be")
    if any(each.state == "unseen" for each in facts.declarations):
        yield Finding(
            "unseen", "topology", f"arguments and bindings were not compared: {facts.blind}"
        )


def _depths(facts: Facts) -> Iterator[Finding]:
    names = facts.names
    submit = {name: d for name, d in facts.depths.items() if name.startswith(f"{names.submit}.")}
    for queue, depth in submit.items():
        if depth is not None and depth.ready and not depth.consumers:
            yield Finding(
                "error",
                "requests",
                f"nobody takes the requests in {queue}: {depth.ready} wait",
            )
    dead = facts.depths.get(names.dead_queue)
    if dead is not None and dead.ready:
        yield Finding(
            "warning", "dead letters", f"{names.dead_queue} holds {dead.ready}: resonate dlq list"
        )
    for group in facts.groups:
        depth = facts.depths.get(names.task_queue(group))
        if depth is not None and depth.ready and not depth.consumers:
            yield Finding(
                "warning",
                "workers",
                f"group {group} has work and no worker; hints in its queue: {depth.ready}",
            )


def _unseen(facts: Facts) -> Iterator[Finding]:
    yield Finding(
        "unseen",
        "broker",
        "version, alarms, policies, members of queues and connections were not looked at: "
        f"{facts.blind}",
    )


def _broker(names: Names, broker: Broker) -> Iterator[Finding]:
    yield from _version(broker.version)
    yield from _alarms(broker.nodes)
    own = [queue for queue in broker.queues if queue.name.startswith(f"{names.namespace}.")]
    yield from _queues(names, own, len(broker.nodes))
    yield from _connections(broker.connections)
    if any(channel.global_prefetch_count for channel in broker.channels):
        yield Finding(
            "warning",
            "clients",
            "a channel uses a prefetch that consumers share (global QoS), which quorum queues refuse",
            "prefetch",
        )
    for flag in broker.flags:
        if flag.name in NEEDED_FLAGS and flag.state != "enabled":
            yield Finding(
                "error",
                "broker",
                f"feature flag {flag.name} is {flag.state}: rabbitmqctl enable_feature_flag {flag.name}",
                "flags",
            )


def _version(version: str) -> Iterator[Finding]:
    found = version_of(version)
    if found < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        yield Finding("error", "broker", f"RabbitMQ {version} is older than {oldest}")
    else:
        yield Finding("ok", "broker", f"RabbitMQ {version}")


def _alarms(nodes: Sequence[Node]) -> Iterator[Finding]:
    for node in nodes:
        if not node.running:
            yield Finding("error", "broker", f"node {node.name} is down")
        for is_on, what in ((node.mem_alarm, "memory"), (node.disk_free_alarm, "disk")):
            if is_on:
                yield Finding(
                    "error",
                    "broker",
                    f"node {node.name} has run out of {what}: publishers wait, nothing is lost",
                    "alarms",
                )


def _queues(names: Names, queues: Sequence[QueueStatus], nodes: int) -> Iterator[Finding]:
    for queue in queues:
        if queue.state not in ("running", "idle", "flow"):
            yield Finding("error", "queues", f"{queue.name} is {queue.state}")
        yield from _policies(names, queue)
        if not queue.durable and not queue.exclusive:
            yield Finding(
                "error",
                "queues",
                f"{queue.name} is transient and not exclusive, which RabbitMQ 4.3 refuses",
                "transient",
            )
        if queue.type != "quorum":
            continue
        online = len(queue.online)
        if queue.members and online * 2 <= len(queue.members):
            yield Finding(
                "error",
                "queues",
                f"{queue.name} has lost its majority: {online} of {len(queue.members)} members",
                "majority",
            )
        elif 0 < len(queue.members) < min(nodes, MEMBERS_MIN):
            yield Finding(
                "warning",
                "queues",
                f"{queue.name} has {len(queue.members)} member on {nodes} nodes: "
                f"rabbitmq-queues grow <node> all --queue-pattern '^{queue.name}$'",
                "majority",
            )


def _policies(names: Names, queue: QueueStatus) -> Iterator[Finding]:
    definition = queue.effective_policy_definition
    if not isinstance(definition, Mapping):
        return
    policy = " and ".join(filter(None, (queue.policy, queue.operator_policy)))
    for key in sorted(definition.keys() & HARMFUL_POLICIES.keys()):
        if _is_of_worker(names, queue) and key != "ha-mode":
            continue  # their hints are sent again, whatever becomes of the queue
        is_deadly = key in ("message-ttl", "expires", "ha-mode") or _is_deadly(key, definition)
        yield Finding(
            "error" if is_deadly else "warning",
            "policies",
            f"policy {policy} sets {key} = {definition[key]} on {queue.name}: it "
            f"{HARMFUL_POLICIES[key]}; leave our queues out of it",
            TRAPS_OF_POLICIES.get(key, "expiry"),
        )


def _is_deadly(key: str, definition: Mapping[str, Any]) -> bool:
    # -1 means without a limit on RabbitMQ 4, and "dead at the first return" on 3.10.
    return key == "delivery-limit" and definition[key] in (-1, 0)


def _is_of_worker(names: Names, queue: QueueStatus) -> bool:
    return names.worker_of(queue.name) is not None


def _connections(connections: Sequence[Connection]) -> Iterator[Finding]:
    for connection in connections:
        if not connection.title.startswith("resonate"):
            continue
        if connection.state in ("blocked", "blocking"):
            yield Finding(
                "warning", "clients", f"{connection.title} is {connection.state} by an alarm"
            )
        properties = connection.client_properties
        if not isinstance(properties, Mapping) or properties.get("product") != "aiormq":
            continue
        version = str(properties.get("version", ""))
        if version_of(version) < OLDEST_AIORMQ:
            yield Finding(
                "error",
                "clients",
                f"{connection.title} uses aiormq {version}, whose consumers stay away after the "
                "broker has cancelled them: install aio-pika 10.2 or newer there",
                "clients",
            )


def version_of(text: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
