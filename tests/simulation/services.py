"""Services that know no protocol: they are called by plain messages, and may reply."""

import json
from collections.abc import Callable

from msgspec.structs import replace

from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.messages import Invoke
from resonate_sdk.protocol.records import Value
from tests.simulation.world import World

QUOTES, SILENT, IMPOSSIBLE = (
    "amqp-exchange://shop/quotes", "amqp-exchange:///silent", "amqp-exchange://shop/impossible",
)  # fmt: skip
SERVICES = (QUOTES, SILENT, IMPOSSIBLE)
REFUSAL = Value(data="cannot be called")
SEEDS_WITH = 4  # one of so many seeds has services


def services_of(world: World) -> tuple[str, ...]:
    """Those that a simulation has: drawing them would make another one of every seed."""
    return SERVICES if world.seed % SEEDS_WITH == SEEDS_WITH - 1 else ()


class Services:
    """Takes calls, and sends what they reply."""

    def __init__(self, world: World, submit: Callable[[bytes], None]) -> None:
        self._world = world
        self._submit = submit

    def refused(self, call: Outgoing) -> Outgoing | None:
        """The call with the reason why it can never be made, if it cannot."""
        return replace(call, refusal=REFUSAL) if _target(call) == IMPOSSIBLE else None

    def take(self, call: Outgoing) -> None:
        """A call arrives."""
        assert isinstance(call.message, Invoke), "a call asks for a task"
        id = call.message.data.task.id
        self._world.note(f"{_target(call)} is called for {id}")
        if _target(call) == SILENT or self._world.happens(0.2):
            return
        state = self._world.random.choice(("resolved", "rejected"))
        data = {"id": id, "state": state, "value": {"data": "reply"}}
        head = {"corrId": f"reply to {id}", "version": limits.VERSION}
        self._submit(json.dumps({"kind": "promise.settle", "head": head, "data": data}).encode())


def _target(call: Outgoing) -> str:
    assert isinstance(call.message, Invoke), "a call asks for a task"
    assert call.message.data.promise is not None, "a call carries its promise"
    return call.message.data.promise.tags[tags.TARGET]
