"""What a pass knows of each promise it met, and of each function it runs."""

import logging
from collections.abc import Callable, Sequence
from contextvars import Context as Variables
from typing import Any, Literal

from msgspec import Struct

from resonate_sdk.execution.bodies import CoroutineBody, GeneratorBody, Raised, Returned
from resonate_sdk.functions.callee import Callee
from resonate_sdk.functions.context import Context
from resonate_sdk.functions.ops import Command, Op, Until
from resonate_sdk.functions.running import RUNNING, Running
from resonate_sdk.functions.scope import Scope
from resonate_sdk.options import Options
from resonate_sdk.protocol.records import PromiseRecord

logger = logging.getLogger(__name__)


class Node:
    """A promise of the pass.

    Attributes:
        record: the server's record; None while its creation is under way.
        live: how it ended, if the server does not know it.
        command: what made it, if that was a function of this pass.
        given: options of that call.
        parent: the activation that made it.
        activation: runs it, if it is run here.
        waits: what waits for it to settle.
        creation_waits: what waits for it to exist.
        is_joined: whether the function that made it waits for it at its end.
        is_awaited: whether a function has waited for it, and so has seen how it ended.
        result_type: what its value is decoded into.
    """

    __slots__ = (
        "activation",
        "command",
        "creation_waits",
        "given",
        "id",
        "is_awaited",
        "is_joined",
        "live",
        "parent",
        "record",
        "result_type",
        "waits",
    )

    def __init__(self, id: str, result_type: Any, *, is_joined: bool) -> None:
        """A promise whose record is not known yet."""
        self.id = id
        self.result_type = result_type
        self.is_joined = is_joined
        self.is_awaited = False
        self.record: PromiseRecord | None = None
        self.live: Returned | Raised | None = None
        self.command: Command | None = None
        self.given: Options | None = None
        self.parent: Activation | None = None
        self.activation: Activation | None = None
        self.waits: list[Wait] = []
        self.creation_waits: list[Wait] = []

    def take_apart(self) -> None:
        """Forget what refers to it; it is not used any more."""
        self.parent = self.activation = self.live = None
        self.waits.clear()
        self.creation_waits.clear()

    @property
    def is_settled(self) -> bool:
        """Whether it has ended."""
        if self.record is None:
            return self.live is not None
        return self.record.state != "pending"

    @property
    def is_durable(self) -> bool:
        """Whether the server is to know of it."""
        return self.given is None or self.given.durable is not False

    @property
    def is_created(self) -> bool:
        """Whether it exists."""
        return self.record is not None or self.live is not None or self.activation is not None

    @property
    def has_failed(self) -> bool:
        """Whether it is settled without a value."""
        if self.record is None:
            return isinstance(self.live, Raised)
        return self.record.state not in ("pending", "resolved")


Wanted = Literal["result", "creation", "creations", "join", "made"] | Until


class Wait:
    """What an activation waits for.

    Attributes:
        ticket: by which a coroutine names it.
        nodes: what ends it, or is part of what does.
        wanted: what of them.
        then: an operation that begins when the wait is over.
        missing: how many have to come still.
        is_over: it has been answered or given up.
    """

    __slots__ = ("activation", "is_over", "missing", "nodes", "then", "ticket", "wanted")

    def __init__(
        self,
        activation: "Activation",
        ticket: int,
        nodes: Sequence[Node],
        wanted: Wanted,
        then: Op[Any] | None = None,
    ) -> None:
        """Wait for promises."""
        self.activation = activation
        self.ticket = ticket
        self.nodes = nodes
        self.wanted: Wanted = wanted
        self.then = then
        self.missing = len(nodes)
        self.is_over = False

    def is_decided_by(self, node: Node) -> bool:
        """Whether it is over now that one of the promises is there."""
        match self.wanted:
            case "result" | "join" | "made" | "first":
                return True
            case "first_resolved":
                return not node.has_failed
            case "first_failed":
                return node.has_failed
            case "creation" | "creations" | "all":
                return False


class Again(Struct, frozen=True):
    """What had to be there for an operation is there: begin it."""

    ticket: int
    op: Op[Any]


class Refusal:
    """A call that has begun by itself and could not.

    Attributes:
        command: the call.
        raised: why it could not.
        is_told: whether the function has waited for it, and so has been told.
    """

    __slots__ = ("command", "is_told", "raised")

    def __init__(self, command: Command, raised: Raised) -> None:
        """Nobody has been told yet."""
        self.command = command
        self.raised = raised
        self.is_told = False


class Activation:
    """One run of a function: attempts, its body, and the promises it made.

    Attributes:
        node: the promise it will settle.
        owner: on whose behalf it makes promises: itself, or the function that waits for several.
        children: promises that the present attempt has met, in order; settled ones may be gone.
        waits: what its body waits for, by ticket.
        refused: calls that could not be begun, by id.
        is_blocked: whether it waits in `Promise.result()`: its attempt must be begun again.
        outcome: how its body ended, when it has; it may still wait for its children.
        is_given_up: it was canceled: nothing it does has an effect.
        variables: the context variables that it sees.
    """

    __slots__ = (
        "args",
        "attempt",
        "body",
        "callee",
        "children",
        "given",
        "is_blocked",
        "is_given_up",
        "kwargs",
        "node",
        "outcome",
        "owner",
        "refused",
        "scope",
        "variables",
        "version",
        "waits",
    )

    def __init__(
        self,
        node: Node,
        callee: Callee,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Options,
        version: int,
        variables: Variables,
    ) -> None:
        """A run that has not begun."""
        self.node = node
        self.owner = self
        self.callee = callee
        self.args = args
        self.kwargs = kwargs
        self.given = given
        self.version = version
        self.variables = variables
        self.attempt = 0
        self.scope: Scope | None = None
        self.body: GeneratorBody | CoroutineBody | None = None
        self.children: dict[str, Node] = {}
        self.waits: dict[int, Wait] = {}
        self.refused: dict[str, Refusal] = {}
        self.is_blocked = False
        self.outcome: Returned | Raised | None = None
        self.is_given_up = False

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
        self.end_waits()
        self.refused.clear()
        self.is_blocked = False
        self.outcome = None
        context = Context(scope)
        self.variables.run(RUNNING.set, Running(context))
        return lambda: self.variables.run(self.callee.func, context, *self.args, **self.kwargs)

    def take_apart(self) -> None:
        """Forget what refers to it; it is not used any more."""
        self.node.take_apart()
        self.children.clear()
        self.waits.clear()
        self.scope = self.body = self.outcome = None
        del self.owner, self.variables

    @property
    def blocked_by(self) -> str | None:
        """The promise without whose result the attempt cannot go on, whatever it does."""
        return None if self.scope is None else self.scope.blocked_by

    def end_waits(self) -> None:
        """Wait for nothing any more."""
        for wait in self.waits.values():
            wait.is_over = True
        self.waits.clear()

    def unjoined(self) -> Node | None:
        """The last promise that its end must wait for: pending, or let go before it exists."""
        while self.children:
            id, child = self.children.popitem()
            if not (child.is_settled if child.is_joined else child.is_created):
                self.children[id] = child
                return child
            if child.is_joined and child.has_failed and not child.is_awaited:
                logger.warning("a promise that nobody awaited failed promise_id=%s", id)
        return None
