"""What a body yields or awaits: begun, and waited for."""

from collections.abc import Callable, Iterable
from typing import Any

from resonate_sdk.execution import mistakes
from resonate_sdk.execution.bodies import Raised, Returned
from resonate_sdk.execution.family import Family
from resonate_sdk.execution.nodes import Activation, Node, Refusal, Wanted
from resonate_sdk.execution.outbox import Outbox
from resonate_sdk.execution.waiting import Waiting
from resonate_sdk.functions.context import Context
from resonate_sdk.functions.ops import (
    Begin,
    Call,
    Cancel,
    Detach,
    FirstOf,
    Invocation,
    Op,
    Pending,
    Promise,
)

Answer = Callable[[Activation, int, Returned | Raised], None]


class Operations:
    """Carries out what the bodies of a pass wait for, as far as that is a matter of promises."""

    def __init__(
        self,
        family: Family,
        waiting: Waiting,
        outbox: Outbox,
        *,
        answer: Answer,
        cancel: Callable[[Node], None],
    ) -> None:
        """Work on the promises of a pass.

        Args:
            family: its promises.
            waiting: who waits for them.
            outbox: what the pass asks for.
            answer: gives a body what it waits for, by its ticket.
            cancel: cancels a promise.
        """
        self._family = family
        self._waiting = waiting
        self._outbox = outbox
        self._answer = answer
        self._cancel = cancel

    def wait_for(self, activation: Activation, ticket: int, op: Any) -> None:
        """A body waits for what it has yielded or awaited."""
        found = op
        match op:
            case Call():
                self._begin_all(activation, ticket, [found], "result")
            case Invocation() if self._goes_on(found):
                self._begin_one(activation, ticket, found)
            case Invocation():
                self._begin_all(activation, ticket, [found], "creation")
            case Begin(ops=ops):
                self._begin_all(activation, ticket, ops, "creations")
            case Promise():
                self._waiting.wait(activation, ticket, self._named([found]), "result")
            case FirstOf(promises=promises, until=until):
                self._waiting.wait(activation, ticket, self._named(promises), until)
            case Cancel(promises=promises):
                self._cancel_all(activation, ticket, found, self._named(promises))
            case Detach(promises=promises):
                nodes = self._named(promises)
                for node in nodes:
                    node.is_joined = False
                # Nobody waits for them at the end: they must exist before that.
                self._waiting.wait(activation, ticket, nodes, "creations")
            case list() | tuple():
                self._wait_for_all(activation, ticket, list(op))  # pyright: ignore[reportUnknownArgumentType]  # anything may be yielded
            case _:
                self._answer(activation, ticket, Raised(mistakes.cannot_wait_for(op)))

    def begin(self, activation: Activation, op: Pending[Any]) -> None:
        """A coroutine has made a call, which begins by itself; a refusal is told when it waits."""
        made = self._family.child(activation, op)
        if isinstance(made, Raised):
            activation.refused[op.command.id] = Refusal(op.command, made)

    def _named(self, promises: Iterable[Promise[Any]]) -> list[Node]:
        return [self._family.promise(promise.id) for promise in promises]

    def _goes_on(self, op: Invocation[Any]) -> bool:
        """Whether a body goes on while a promise that it has begun is being created.

        What it does then relies on nothing that is not durable: it gets no result, the end of its
        function waits for the promise, and another attempt begins the same one. So the promises
        of a loop travel together.
        """
        # What runs here must be started by us.
        return op.command.kind == "rpc" and self._outbox.takes_at_once

    def _begin_one(self, activation: Activation, ticket: int, op: Invocation[Any]) -> None:
        mark = self._outbox.mark()
        node = self._family.child(activation, op)
        if isinstance(node, Raised):
            self._answer(activation, ticket, node)
            return
        self._outbox.send_since(mark)
        self._answer(activation, ticket, Returned(self._family.made([node])[0]))

    def _begin_all(
        self, activation: Activation, ticket: int, ops: Iterable[Op[Any]], wanted: Wanted
    ) -> None:
        nodes: list[Node] = []
        for op in ops:
            if isinstance(op, Pending):
                node = self._family.child(activation, op, may_wait=wanted == "result")
            else:
                node = self._family.promise(op.id)
            if isinstance(node, Raised):
                self._answer(activation, ticket, node)
                return
            nodes.append(node)
        self._waiting.wait(activation, ticket, nodes, wanted)

    def _cancel_all(
        self, activation: Activation, ticket: int, op: Cancel, nodes: list[Node]
    ) -> None:
        if not all(node.is_created for node in nodes):
            self._waiting.wait(activation, ticket, nodes, "creations", then=op)
            return
        for node in nodes:
            self._cancel(node)
        self._waiting.wait(activation, ticket, nodes, "all")

    def _wait_for_all(self, activation: Activation, ticket: int, ops: list[Op[Any]]) -> None:
        assert activation.scope is not None, "a body that runs has a context"
        try:
            call = Context(activation.scope).all(ops)
        except Exception as error:  # noqa: BLE001  # it belongs to who has written this
            self._answer(activation, ticket, Raised(error))
            return
        self.wait_for(activation, ticket, call)
