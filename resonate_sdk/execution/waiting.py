"""Who waits for which promises, and when that is over."""

from collections.abc import Callable, Sequence
from typing import Any

from resonate_sdk.execution.nodes import Activation, Node, Wait, Wanted
from resonate_sdk.functions.ops import Op

OnOver = Callable[[Wait, Node | None], None]


class Waiting:
    """The waits of a pass."""

    def __init__(self, on_over: OnOver) -> None:
        """Nobody waits.

        Args:
            on_over: told of a wait that is over, and of the promise that has ended it, if one has.
        """
        self._on_over = on_over

    def wait(
        self,
        activation: Activation,
        ticket: int,
        nodes: Sequence[Node],
        wanted: Wanted,
        then: Op[Any] | None = None,
    ) -> None:
        """Wait for promises; that may be over at once.

        Args:
            activation: whose function waits.
            ticket: by which a coroutine names the wait.
            nodes: the promises.
            wanted: what of them.
            then: an operation that begins then; the function goes on when that is over.
        """
        wait = Wait(activation, ticket, nodes, wanted, then)
        activation.waits[ticket] = wait
        is_for_creation = wanted in ("creation", "creations", "made")
        for node in nodes:
            if is_for_creation:
                is_there, waits = node.is_created, node.creation_waits
            else:
                is_there, waits = node.is_settled, node.waits
                node.is_awaited = node.is_awaited or wanted != "join"
            if not is_there:
                waits.append(wait)
            elif self._count(wait, node):
                return
        if not nodes:
            self._end(wait, None)

    def created(self, node: Node) -> None:
        """A promise exists."""
        waits, node.creation_waits = node.creation_waits, []
        for wait in waits:
            if not wait.is_over:
                self._count(wait, node)

    def settled(self, node: Node) -> None:
        """A promise has settled."""
        waits, node.waits = node.waits, []
        for wait in waits:
            if not wait.is_over:
                self._count(wait, node)

    def _count(self, wait: Wait, node: Node) -> bool:
        """One of the promises that are waited for is there: is that the end of the wait?"""
        wait.missing -= 1
        if wait.is_decided_by(node):
            self._end(wait, node)
        elif wait.missing == 0:
            self._end(wait, None)
        return wait.is_over

    def _end(self, wait: Wait, node: Node | None) -> None:
        wait.is_over = True
        wait.activation.waits.pop(wait.ticket, None)
        self._on_over(wait, node)
