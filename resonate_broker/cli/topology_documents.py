"""The topology as other tools read it: definitions of RabbitMQ, permissions, AsyncAPI. Pure."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from resonate_broker.integration.plain import (
    ACKNOWLEDGE_HEADER,
    DELAY_HEADER,
    FUNC_HEADER,
    KEY_HEADER,
    PRIORITY_HEADER,
    TARGET_HEADER,
    TIMEOUT_HEADER,
    VERSION_HEADER,
)
from resonate_broker.integration.results import ACCEPTED, REFUSED, RESULT
from resonate_broker.integration.tap_messages import ATTRIBUTES, PREFIX, TYPE_PREFIX
from resonate_broker.transitions import KINDS as TRANSITIONS
from resonate_sdk.protocol.envelope import RequestHead, ResponseHead
from resonate_sdk.protocol.limits import PRIORITY_MAX, VERSION
from resonate_sdk.protocol.messages import Invoke, Notify, Resume
from resonate_sdk.protocol.permissions import Permissions
from resonate_sdk.protocol.requests import KINDS
from resonate_sdk.protocol.topology import (
    HEARTBEAT_KEY,
    Exchange,
    Names,
    Queue,
    Topology,
    events_topology,
    group_topology,
    reply_topology,
    server_topology,
)

ASYNCAPI_VERSION = "3.0.0"
AMQP_BINDING_VERSION = "0.3.0"
SCHEMA_FORMAT = "application/schema+json;version=draft-07"
SCHEMAS = "#/components/schemas/{name}"
PID_PATTERN = "{pid}"


def whole_topology(
    names: Names, partitions: int, groups: Iterable[str], events: Topology | None = None
) -> Topology:
    """What servers declare at their start, for these groups, and for events if they are told."""
    parts = [server_topology(names, partitions), *(group_topology(names, g) for g in groups)]
    if events is not None:
        parts.append(events)
    return Topology(
        exchanges=tuple(each for part in parts for each in part.exchanges),
        queues=tuple(each for part in parts for each in part.queues),
        bindings=tuple(each for part in parts for each in part.bindings),
    )


def definitions(topology: Topology, vhost: str) -> dict[str, Any]:
    """What `rabbitmqctl import_definitions` reads; it has neither users nor passwords."""
    return {
        "vhosts": [{"name": vhost}],
        "exchanges": [
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.type,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": dict(exchange.arguments),
            }
            for exchange in topology.exchanges
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(queue.arguments),
            }
            for queue in topology.queues
        ],
        "bindings": [
            {
                "source": binding.exchange,
                "vhost": vhost,
                "destination": binding.queue,
                "destination_type": "queue",
                "routing_key": binding.key,
                "arguments": {},
            }
            for binding in topology.bindings
        ],
    }


def permission_commands(permissions: Sequence[Permissions], vhost: str, prefix: str) -> list[str]:
    """Commands that give users their permissions; the users must exist."""
    return [
        shlex.join(
            (
                *("rabbitmqctl", "set_permissions", "--vhost", vhost, user_of(each, prefix)),
                *(each.configure, each.write, each.read),
            )
        )
        for each in permissions
    ]


def permission_documents(
    permissions: Sequence[Permissions], vhost: str, prefix: str
) -> list[dict[str, Any]]:
    """The same as the management API and definitions have it."""
    return [
        {
            "user": user_of(each, prefix),
            "vhost": vhost,
            "configure": each.configure,
            "write": each.write,
            "read": each.read,
        }
        for each in permissions
    ]


def user_of(permissions: Permissions, prefix: str) -> str:
    """The name that is proposed for a user."""
    group = "" if permissions.group is None else f"-{permissions.group}"
    return f"{prefix}-{permissions.role}{group}"


def asyncapi(
    names: Names, partitions: int, groups: Sequence[str], url: str, vhost: str
) -> dict[str, Any]:
    """Describe what a server receives and sends, as an AsyncAPI 3 document."""
    server = server_topology(names, partitions)
    submit = next(each for each in server.exchanges if each.name == names.submit)
    components, schemas = _schemas()
    channels: dict[str, dict[str, Any]] = {
        "submit": {
            "address": "{kind}",
            "title": "Requests",
            "description": (
                "One envelope, or an array of envelopes that belong to one partition; the routing "
                "key is the kind, with several partitions p<NN>.<kind>."
            ),
            "parameters": {"kind": {"enum": sorted(set(KINDS) - {"task.heartbeat"})}},
            "messages": _references(kind for kind in KINDS if kind != "task.heartbeat"),
            "bindings": _exchange_binding(submit, vhost),
        },
        "heartbeat": {
            "address": HEARTBEAT_KEY,
            "title": "Heartbeats",
            "messages": _references(("task.heartbeat",)),
            "bindings": _exchange_binding(submit, vhost),
        },
        "invoke": {
            "address": "invoke",
            "title": "Plain invocations",
            "description": "Start an execution without the SDK.",
            "messages": _references(("plain.invocation",)),
            "bindings": _exchange_binding(submit, vhost),
        },
        "replies": {
            "address": names.reply_queue(PID_PATTERN),
            "title": "Answers and news",
            "parameters": {"pid": {"description": "Name of the process that asked."}},
            "messages": _references(("answer", "notify")),
            "bindings": _queue_binding(reply_topology(names, PID_PATTERN).queues[0], vhost),
        },
    }
    (events,) = events_topology(names, log_days=None).exchanges
    channels["events"] = {
        "address": "{transition}",
        "title": "Events",
        "description": (
            "CloudEvents in binary mode, if servers run with [events] enabled: at least once, in "
            "order per partitionkey. The routing key ends with the worker group, if there is one."
        ),
        "parameters": {"transition": {"enum": list(TRANSITIONS)}},
        "messages": _references(TRANSITIONS),
        "bindings": _exchange_binding(events, vhost),
    }
    channels["results"] = {
        "address": None,
        "title": "Acknowledgements and results of plain invocations",
        "description": "Sent to the reply_to of the invocation, with its correlation_id.",
        "messages": _references((ACCEPTED, RESULT, REFUSED)),
    }
    operations = {
        "sendEvent": _operation("send", "events"),
        "sendResult": _operation("send", "results"),
        "receiveRequest": _operation("receive", "submit", reply="replies"),
        "receiveHeartbeat": _operation("receive", "heartbeat", reply="replies"),
        "receiveInvocation": _operation("receive", "invoke", reply="results"),
        "sendAnswer": _operation("send", "replies"),
    }
    for group in groups:
        (queue,) = group_topology(names, group).queues
        channels[f"tasks.{group}"] = {
            "address": queue.name,
            "title": f"Hints for workers of {group}",
            "description": "A hint says that a task may be acquired; the database decides.",
            "messages": _references(("task.invoke", "task.resume")),
            "bindings": _queue_binding(queue, vhost),
        }
        operations[f"sendHint.{group}"] = _operation("send", f"tasks.{group}")
    parts = urlsplit(url)
    address = parts.hostname or "localhost"
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": f"Resonate in namespace {names.namespace}",
            "version": VERSION,
            "description": "Durable promises and tasks over RabbitMQ.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": address if parts.port is None else f"{address}:{parts.port}",
                "protocol": parts.scheme,
                "protocolVersion": "0.9.1",
                "pathname": parts.path or "/",
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": _messages(schemas), "schemas": components},
    }


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of all structs, and of each kind of message the one of its body."""
    structs = {
        **KINDS,
        "task.invoke": Invoke,
        "task.resume": Resume,
        "notify": Notify,
        "request head": RequestHead,
        "answer head": ResponseHead,
    }
    found, components = msgspec.json.schema_components(structs.values(), ref_template=SCHEMAS)
    bare = {name: _without_discriminators(schema) for name, schema in components.items()}
    return bare, dict(zip(structs, found, strict=True))


def _without_discriminators(schema: Any) -> Any:
    """A schema without what OpenAPI has added; AsyncAPI means something else by this word."""
    if isinstance(schema, list):
        return [_without_discriminators(item) for item in schema]  # pyright: ignore[reportUnknownVariableType]  # JSON
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_discriminators(value)
        for key, value in schema.items()  # pyright: ignore[reportUnknownVariableType]  # JSON
        if key != "discriminator" or not isinstance(value, dict)
    }


def _messages(schemas: dict[str, Any]) -> dict[str, Any]:
    messages = {
        kind: _message(kind, _envelope(kind, schemas["request head"], schemas[kind]), replies=True)
        for kind in KINDS
    }
    for kind in ("task.invoke", "task.resume", "notify"):
        messages[kind] = _message(kind, schemas[kind])
    answer = {
        "type": "object",
        "properties": {"kind": {"type": "string"}, "head": schemas["answer head"], "data": {}},
        "required": ["kind", "head", "data"],
    }
    messages["answer"] = _message("answer", answer)
    messages["plain.invocation"] = {
        **_message("plain.invocation", {"description": "Arguments: a list, an object or a value."}),
        "headers": {
            "type": "object",
            "properties": {
                FUNC_HEADER: {"type": "string", "description": "The function."},
                TARGET_HEADER: {"type": "string", "description": "The group, or an address."},
                TIMEOUT_HEADER: {"type": ["string", "integer"]},
                DELAY_HEADER: {"type": ["string", "integer"]},
                VERSION_HEADER: {"type": "integer"},
                KEY_HEADER: {"type": "string"},
                PRIORITY_HEADER: {"type": "integer", "minimum": 0, "maximum": PRIORITY_MAX},
                ACKNOWLEDGE_HEADER: {"type": "boolean"},
            },
            "required": [FUNC_HEADER],
        },
    }
    replied = {"description": "The result as JSON, null, or what was wrong."}
    for kind in (ACCEPTED, RESULT, REFUSED):
        messages[kind] = {
            **_message(kind, replied),
            "correlationId": {"location": "$message.header#/correlation_id"},
        }
    told = {
        "type": "object",
        "properties": {PREFIX + name: {"type": "string"} for name in ATTRIBUTES},
        "required": [PREFIX + name for name in ATTRIBUTES],
    }
    for kind in TRANSITIONS:
        event = _message(kind, {"type": "object", "required": ["id"]})
        event["bindings"]["amqp"]["messageType"] = TYPE_PREFIX + kind
        messages[kind] = {**event, "headers": told}
    return messages


def _envelope(kind: str, head: Any, data: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"kind": {"const": kind}, "head": head, "data": data},
        "required": ["kind", "data"],
    }


def _message(kind: str, schema: dict[str, Any], *, replies: bool = False) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": kind,
        "contentType": "application/json",
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": schema},
        "bindings": {"amqp": {"messageType": kind, "bindingVersion": AMQP_BINDING_VERSION}},
    }
    if replies:
        message["correlationId"] = {"location": "$message.payload#/head/corrId"}
    return message


def _references(kinds: Iterable[str]) -> dict[str, Any]:
    return {kind: {"$ref": f"#/components/messages/{kind}"} for kind in sorted(kinds)}


def _operation(action: str, channel: str, *, reply: str | None = None) -> dict[str, Any]:
    operation: dict[str, Any] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    if reply is not None:
        operation["reply"] = {
            "address": {"location": "$message.header#/reply_to"},
            "channel": {"$ref": f"#/channels/{reply}"},
        }
    return operation


def _exchange_binding(exchange: Exchange, vhost: str) -> dict[str, Any]:
    return _binding(
        {
            "is": "routingKey",
            "exchange": {
                "name": exchange.name,
                "type": exchange.type,
                "durable": True,
                "autoDelete": False,
                "vhost": vhost,
            },
        }
    )


def _queue_binding(queue: Queue, vhost: str) -> dict[str, Any]:
    return _binding(
        {
            "is": "queue",
            "queue": {
                "name": queue.name,
                "durable": not queue.is_exclusive,
                "exclusive": queue.is_exclusive,
                "autoDelete": False,
                "vhost": vhost,
            },
        }
    )


def _binding(binding: dict[str, Any]) -> dict[str, Any]:
    return {"amqp": {**binding, "bindingVersion": AMQP_BINDING_VERSION}}
