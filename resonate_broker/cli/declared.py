"""What is declared on the broker, held against what should be. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from resonate_broker.cli.management import BindingStatus, ObjectArguments, QueueStatus
from resonate_sdk.protocol.topology import Topology

Kind = Literal["exchange", "queue", "binding"]
State = Literal["there", "missing", "different", "unseen"]


class Declared(Struct, frozen=True, kw_only=True):
    """What the broker has.

    Attributes:
        exchanges, queues: the names of those that exist.
        exchange_details, queue_details, bindings: what the management API tells; None without it.
    """

    exchanges: frozenset[str]
    queues: frozenset[str]
    exchange_details: Mapping[str, ObjectArguments] | None = None
    queue_details: Mapping[str, QueueStatus] | None = None
    bindings: frozenset[tuple[str, str, str]] | None = None


class Declaration(Struct, frozen=True, kw_only=True):
    """An object that should be there.

    Attributes:
        about: its type or its routing key.
        difference: how it is declared instead.
    """

    kind: Kind
    name: str
    about: str
    state: State
    difference: str = ""


def compare(wanted: Topology, found: Declared) -> list[Declaration]:
    """Hold each object against what is there."""
    declarations: list[Declaration] = []
    for exchange in wanted.exchanges:
        details = (found.exchange_details or {}).get(exchange.name)
        difference = ""
        if details is not None:
            difference = _difference(
                {"type": exchange.type, "durable": True, **exchange.arguments},
                {"type": details.type, "durable": details.durable, **arguments_of(details)},
            )
        state = _state(exchange.name in found.exchanges, difference)
        declarations.append(
            Declaration(
                kind="exchange",
                name=exchange.name,
                about=exchange.type,
                state=state,
                difference=difference,
            )
        )
    for queue in wanted.queues:
        status = (found.queue_details or {}).get(queue.name)
        difference = ""
        if status is not None:
            difference = _difference(
                {"durable": True, **queue.arguments},
                {"durable": status.durable, **arguments_of(status)},
            )
        declarations.append(
            Declaration(
                kind="queue",
                name=queue.name,
                about=str(queue.arguments.get("x-queue-type", "classic")),
                state=_state(queue.name in found.queues, difference),
                difference=difference,
            )
        )
    for binding in wanted.bindings:
        key = (binding.exchange, binding.queue, binding.key)
        state: State = "unseen"
        if found.bindings is not None:
            state = "there" if key in found.bindings else "missing"
        declarations.append(
            Declaration(
                kind="binding",
                name=f"{binding.exchange} -> {binding.queue}",
                about=binding.key,
                state=state,
            )
        )
    return declarations


def binding_keys(bindings: tuple[BindingStatus, ...]) -> frozenset[tuple[str, str, str]]:
    """Bindings of queues to exchanges, as they are compared."""
    return frozenset(
        (binding.source, binding.destination, binding.routing_key)
        for binding in bindings
        if binding.destination_type == "queue"
    )


def arguments_of(details: ObjectArguments | QueueStatus) -> Mapping[str, Any]:
    """The arguments of an object; the broker writes none as an empty list."""
    return details.arguments if isinstance(details.arguments, Mapping) else {}


def _state(exists: bool, difference: str) -> State:
    if not exists:
        return "missing"
    return "different" if difference else "there"


def _difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    return "; ".join(_deviation(name, wanted, found) for name in names)


def _deviation(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if name not in found:
        return f"{name} is not set and should be {wanted[name]}"
    if name not in wanted:
        return f"{name} is {found[name]} and should not be set"
    return f"{name} is {found[name]}, not {wanted[name]}"
