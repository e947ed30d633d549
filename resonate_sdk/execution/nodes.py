"""What a pass knows of each promise it met, and of each function it runs."""

import logging
from collections.abc import Callable
from typing import Any

from resonate_sdk.execution.bodies import Body, Raised, Returned
from resonate_sdk.functions.callee import Callee
from resonate_sdk.functions.context import Context, Scope
from resonate_sdk.options import Options
from resonate_sdk.protocol.records import PromiseRecord

logger = logging.getLogger(__name__)


class Node:
    """A promise of the pass.

    Attributes:
        record: the server's record; None while its creation is under way.
        activation: runs it, if it is run here.
        waiters: activations that wait for it to settle.
        creation_waiters: activations that wait for it to exist.
        is_joined: whether the function that made it waits for it at its end.
        is_awaited: whether a function has waited for it, and so has seen how it ended.
        result_type: what its value is decoded into.
    """

    __slots__ = (
        "activation",
        "creation_waiters",
        "id",
        "is_awaited",
        "is_joined",
        "record",
        "result_type",
        "waiters",
    )

    def __init__(self, id: str, result_type: Any, *, is_joined: bool) -> None:
        """A promise whose record is not known yet."""
        self.id = id
        self.result_type = result_type
        self.is_joined = is_joined
        self.is_awaited = False
        self.record: PromiseRecord | None = None
        self.activation: Activation | None = None
        self.waiters: list[Activation] = []
        self.creation_waiters: list[Activation] = []

    @property
    def is_settled(self) -> bool:
        """Whether the record says so."""
        return self.record is not None and self.record.state != "pending"

    @property
    def has_failed(self) -> bool:
        """Whether it is settled without a value."""
        return self.record is not None and self.record.state not in ("pending", "resolved")


class Activation:
    """One run of a function: attempts, its body, and the promises it made.

    Attributes:
        node: the promise it will settle.
        children: promises that the present attempt has met, in order; settled ones may be gone.
        awaiting: what its body waits for.
        is_blocked: whether it waits in `Promise.result()`: its attempt must be begun again.
        outcome: how its body ended, when it has; it may still wait for its children.
    """

    __slots__ = (
        "args",
        "attempt",
        "awaiting",
        "body",
        "callee",
        "children",
        "given",
        "is_blocked",
        "kwargs",
        "node",
        "outcome",
        "scope",
        "version",
    )

    def __init__(
        self,
        node: Node,
        callee: Callee,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Options,
        version: int,
    ) -> None:
        """A run that has not begun."""
        self.node = node
        self.callee = callee
        self.args = args
        self.kwargs = kwargs
        self.given = given
        self.version = version
        self.attempt = 0
        self.scope: Scope | None = None
        self.body: Body | None = None
        self.children: dict[str, Node] = {}
        self.awaiting: Node | None = None
        self.is_blocked = False
        self.outcome: Returned | Raised | None = None

    def begin_attempt(self, scope: Scope) -> Callable[[], Any]:
        """Start an attempt: its children are counted from one again."""
        self.attempt += 1
        self.scope = scope
        self.body = None
        # What an earlier attempt began goes on, and is waited for at the end as well.
        self.children = {
            id: child
            for id, child in self.children.items()
            if child.is_joined and not child.is_settled
        }
        self.awaiting = None
        self.is_blocked = False
        self.outcome = None
        context = Context(scope)
        return lambda: self.callee.func(context, *self.args, **self.kwargs)

    def close(self) -> None:
        """Give it up: nothing that its body still does has an effect."""
        if self.scope is not None:
            self.scope.is_closed = True
        if self.body is not None:
            self.body.close()
            self.body = None

    def unjoined(self) -> Node | None:
        """The last promise, of those still pending, that its end must wait for."""
        while self.children:
            id, child = self.children.popitem()
            if child.is_joined and not child.is_settled:
                self.children[id] = child
                return child
            if child.is_joined and child.has_failed and not child.is_awaited:
                logger.warning("a promise that nobody awaited failed promise_id=%s", id)
        return None
