"""Tells the hooks of a program, and its tracer, what a pass does."""

from collections.abc import Mapping
from contextvars import Context as Variables

from resonate_sdk.execution.effects import Done, Failed, Outcome, Suspended
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.nodes import Activation, Node
from resonate_sdk.functions.ops import Command
from resonate_sdk.hooks import Happening, Occasion
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import PromiseRecord, SettledState
from resonate_sdk.tracing import PassSpan


class Story:
    """What is told of one pass. Hooks run on the thread that advances it.

    Attributes:
        raised: what the function ended with, if it did not return.
    """

    def __init__(self, environment: Environment, root: PromiseRecord, func: str) -> None:
        """Begin the story of a pass.

        Args:
            environment: has the hooks, and the clock.
            root: the promise that the pass settles.
            func: the name of its function.
        """
        self._environment = environment
        self._root = root
        self._func = func
        self._is_over = False
        self._span: PassSpan | None = None
        self.raised: BaseException | None = None

    def begins(self, variables: Variables) -> None:
        """The pass begins, or goes on after a suspension.

        Args:
            variables: the context variables that its function sees.
        """
        self._is_over = False
        if self._environment.tracer is not None:
            self._span = self._environment.tracer.begin(self._root, self._func)
            variables.run(self._span.enter)
        self._tell("pass_start", self._root.id, func=self._func)

    def ends(self, outcome: Outcome | None) -> None:
        """The pass has an outcome, or none any more; only the first end counts."""
        if self._is_over:
            return
        self._is_over = True
        match outcome:
            case Suspended(awaited=awaited):
                self._tell("suspend", self._root.id, func=self._func, awaited=awaited)
                state, error = "suspended", None
            case Done():
                state, error = "done", None
            case Failed(cause=cause):
                state, error = "failed", cause
            case None:
                state, error = "given up", None
        if self._span is not None:
            self._span.end(state, error or self.raised)
        self._tell("pass_end", self._root.id, func=self._func, state=state, error=error)

    @property
    def headers(self) -> Mapping[str, str]:
        """What a call carries so that its execution belongs to the trace of this one."""
        return {} if self._span is None else self._span.headers

    def creates(self, id: str, command: Command, parent: str) -> None:
        """A promise is asked for."""
        self._tell("child_create", id, func=command.name, parent_id=parent)

    def settles(self, node: Node, state: SettledState) -> None:
        """A promise is settled."""
        if not self._environment.hooks:
            return
        func = "" if node.command is None else node.command.name
        parent = "" if node.parent is None else node.parent.owner.node.id
        self._tell("child_settle", node.id, func=func, parent_id=parent, state=state)

    def tries_again(self, activation: Activation, error: Exception, delay_s: float) -> None:
        """A function has failed, and will be run again."""
        self._tell(
            "retry",
            activation.node.id,
            func=activation.callee.name,
            attempt=activation.attempt,
            delay_s=delay_s,
            error=error,
        )

    def _tell(
        self,
        occasion: Occasion,
        id: str,
        *,
        func: str,
        parent_id: str = "",
        state: str = "",
        attempt: int = 0,
        delay_s: float = 0.0,
        awaited: tuple[str, ...] = (),
        error: BaseException | None = None,
    ) -> None:
        hooks = self._environment.hooks
        if not hooks:
            return
        hooks.tell(
            Happening(
                occasion=occasion,
                id=id,
                origin_id=self._root.tags.get(tags.ORIGIN, self._root.id),
                parent_id=parent_id,
                func=func,
                at_ms=self._environment.now_ms(),
                state=state,
                attempt=attempt,
                delay_s=delay_s,
                awaited=awaited,
                error=error,
            )
        )
