"""The state machine of a pass."""

import logging
from collections import deque
from collections.abc import Iterable
from contextvars import copy_context
from typing import Any

from resonate_sdk.errors import CanceledError, FunctionNotFoundError
from resonate_sdk.execution import mistakes
from resonate_sdk.execution.attempts import retry_delay_s
from resonate_sdk.execution.bodies import (
    CoroutineBody,
    GeneratorBody,
    Raised,
    Returned,
    Yielded,
    call_function,
    called,
)
from resonate_sdk.execution.coroutines import Coroutines
from resonate_sdk.execution.effects import (
    Awaited,
    Begun,
    CallFunction,
    ChildChanged,
    CoroutineMoved,
    Event,
    Failed,
    FunctionCalled,
    Outcome,
    Progress,
    Setback,
    SettleChild,
    StartTimer,
    Suspended,
    TimerFired,
    Woken,
)
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.family import Family
from resonate_sdk.execution.frontier import frontier, stuck
from resonate_sdk.execution.nodes import Activation, Again, Node, Wait
from resonate_sdk.execution.operations import Operations
from resonate_sdk.execution.outbox import Outbox
from resonate_sdk.execution.outcomes import encoded
from resonate_sdk.execution.patience import Patience
from resonate_sdk.execution.story import Story
from resonate_sdk.execution.waiting import Waiting
from resonate_sdk.execution.warnings import warn_of_fewer_steps, warn_of_unused
from resonate_sdk.functions.callee import Callee
from resonate_sdk.functions.context import Context
from resonate_sdk.functions.ops import Blocked
from resonate_sdk.functions.scope import Pass, Scope
from resonate_sdk.options import Options
from resonate_sdk.protocol.records import EMPTY, PromiseRecord

logger = logging.getLogger(__name__)

GENERATOR_TICKET = 0  # a generator waits for one thing at a time
JOIN_TICKET = -1


class Execution:
    """One pass. Used by one thread at a time, not always the same one.

    Attributes:
        family: its promises.
        outbox: what it has asked for.
    """

    def __init__(
        self,
        environment: Environment,
        root: PromiseRecord,
        preload: Iterable[PromiseRecord],
        callee: Callee,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Options,
        version: int,
        *,
        is_preload_complete: bool = False,
    ) -> None:
        """Prepare to run a function from its first line.

        Args:
            environment: what it runs in.
            root: the promise it will settle; pending.
            preload: promises that are known already.
            callee: the function.
            args: its arguments, decoded.
            kwargs: likewise.
            given: options it was registered with.
            version: under which it was registered.
            is_preload_complete: whether the preload is all that there is of this pass.
        """
        self._environment = environment
        self.outbox = Outbox()
        self._patience = Patience(self.outbox)
        self._story = Story(environment, root, callee.name)
        self._ready = deque[tuple[Activation, Returned | Raised | Again | None]]()
        self._activations: list[Activation] = []
        self._calls: dict[int, Activation] = {}
        self._timers: dict[int, Activation] = {}
        self._coroutines = Coroutines(self.outbox.tell)
        self._outcome: Outcome | None = None

        self._waiting = Waiting(self._over)
        self.family = Family(
            environment,
            root,
            preload,
            self._waiting,
            is_complete=is_preload_complete,
            ask=self.outbox.ask,
            run_here=self._run_here,
            fail=self._fail,
            story=self._story,
        )
        self._operations = Operations(
            self.family, self._waiting, self.outbox, answer=self._answer, cancel=self._cancel
        )
        self._pass = Pass(self.family.knows, on_call=environment.on_call)
        node = self.family.node(root.id)
        self._root = Activation(node, callee, args, kwargs, given, version, copy_context())
        node.activation = self._root
        self._activations.append(self._root)
        self._story.begins(self._root.variables)
        self._begin(self._root)

    # What the driver calls

    def advance(self, events: Iterable[Event] = ()) -> Progress:
        """Take events in and run until everything waits.

        User code runs in here: bodies from yield to yield, and a function that nothing else waits
        beside.
        """
        for event in events:
            self._take(event)
        while self._outcome is None:
            if self._ready:
                if self.outbox.has_call:
                    break
                self._resume(*self._ready.popleft())
            elif not self._call_alone():
                if self.outbox.in_flight or self._coroutines.running or not self._may_stand_still():
                    break
                self._stand_still()
        if self._outcome is not None:
            self._story.ends(self._outcome)
        is_ready = self._outcome is None and bool(self._ready)
        return Progress(self.outbox.take(), self._outcome, is_ready)

    @property
    def may_sleep(self) -> bool:
        """Whether it can be woken: everything in it waits for promises, and for nothing else."""
        return isinstance(self._outcome, Suspended) and not self._coroutines.foreign

    @property
    def runs_children(self) -> bool:
        """Whether another function than that of its root is under way in it."""
        others = self._activations[1:]
        return any(self.family.is_run_here(activation.node.id) for activation in others)

    def may_wake_with(self, records: Iterable[PromiseRecord]) -> bool:
        """Whether it can go on with what has changed.

        Not if somebody has settled a promise whose function is under way in here: in a pass that
        begins anew such a function is not run, with all that it does.
        """
        return not any(
            record.state != "pending" and self.family.is_run_here(record.id) for record in records
        )

    def give_up(self) -> None:
        """Tell functions that still run that nobody wants their results; any thread may call."""
        self._pass.is_over = True

    def drop_coroutines(self) -> None:
        """Give up what was not run yet: Python would complain of coroutines otherwise."""
        self._coroutines.close_all()

    def close(self) -> None:
        """Give the pass up: nothing that bodies still do has an effect.

        Generators are closed here, coroutines by who runs them.
        """
        self.give_up()
        self._story.ends(self._outcome)
        for activation in self._activations:
            if activation.scope is not None:
                activation.scope.is_closed = True
            if isinstance(activation.body, GeneratorBody):
                activation.body.close()
        self._coroutines.close_all()
        for activation in self._activations:
            activation.body = None

    def take_apart(self) -> None:
        """Let its parts forget each other; nothing of it is used any more.

        They know each other in circles. Left like that, each pass would leave sixty objects to
        Python's collector of cycles, which takes longer to find them than the pass has taken.
        """
        for activation in self._activations:
            activation.take_apart()
        self.family.take_apart()
        vars(self).clear()

    # Events

    def _take(self, event: Event) -> None:
        if self._patience.ends_by(event):
            return
        match event:
            case ChildChanged(record=record):
                self.outbox.answered()
                self.family.learn(self.family.node(record.id), record)
            case FunctionCalled(number=number, outcome=outcome):
                self.outbox.answered()
                self._called(self._calls.pop(number), outcome)
            case TimerFired(number=number):
                self.outbox.answered()
                activation = self._timers.pop(number)
                if not activation.is_given_up:
                    self._begin(activation)
            case CoroutineMoved():
                self._moved(event)
            case Woken(records=records):
                assert self.may_sleep, "only what sleeps is woken"
                self._outcome = None
                self._patience.wakes()
                self._story.begins(self._root.variables)
                self.family.wakes(records)

    def _moved(self, event: CoroutineMoved) -> None:
        activation = self._coroutines.activation(event.number)
        if activation is None:
            return  # it was given up
        for move in event.moves:
            match move:
                case Begun(op=op):
                    self._operations.begin(activation, op)
                case Awaited(ticket=ticket, op=op):
                    self._operations.wait_for(activation, ticket, op)
        if isinstance(event.now, Returned | Raised):
            self._coroutines.forget(event.number)
            self._ended(activation, event.now)
        elif activation.blocked_by is not None:
            self._block(activation, activation.blocked_by)
        else:
            self._coroutines.moved(event.number, event.received, event.now)

    def _call_alone(self) -> bool:
        """Call a function right here if nothing else of this pass is under way."""
        effect = None if self._coroutines else self.outbox.take_lone_call()
        if effect is None:
            return False
        self._take(FunctionCalled(effect.number, call_function(effect.call)))
        return True

    # Functions: begun, resumed, ended

    def _begin(self, activation: Activation) -> None:
        call = activation.begin_attempt(self._scope(activation))
        if activation.callee.kind != "plain":
            self._called(activation, call_function(call))  # it runs none of the user's lines yet
            return
        number = self.outbox.number()
        self._calls[number] = activation
        self.outbox.ask(CallFunction(number, call))

    def _scope(self, activation: Activation) -> Scope:
        lineage, environment = self.family.lineage(activation.node.id), self._environment
        info = self.family.info(activation)
        return Scope(
            info, lineage.prefix, environment.registry, environment.dependencies, self._pass
        )

    def _called(self, activation: Activation, outcome: Returned | Raised) -> None:
        if activation.is_given_up:
            return
        if isinstance(outcome, Raised):
            self._ended(activation, outcome)
            return
        assert activation.scope is not None, "a function is called with a context"
        context = Context(activation.scope)
        body = called(outcome.value, context, activation.variables)
        match body:
            case GeneratorBody():
                activation.body = body
                self._ready.append((activation, None))
            case Returned():
                self._ended(activation, body)
            case None:
                self.family.send(activation.node)
                self._coroutines.start(activation, outcome.value)

    def _resume(self, activation: Activation, outcome: Returned | Raised | Again | None) -> None:
        if activation.is_given_up:
            return
        if isinstance(outcome, Again):
            if activation.body is not None:
                self._operations.wait_for(activation, outcome.ticket, outcome.op)
            return
        body = activation.body
        assert isinstance(body, GeneratorBody), "only a generator is resumed here"
        step = body.resume(outcome)
        if isinstance(step, Yielded) and activation.blocked_by is not None:
            self._block(activation, activation.blocked_by)
        elif isinstance(step, Yielded):
            self.family.send(activation.node)
            self._operations.wait_for(activation, GENERATOR_TICKET, step.op)
        else:
            self._ended(activation, step)

    def _answer(self, activation: Activation, ticket: int, outcome: Returned | Raised) -> None:
        """Give a body what it waits for."""
        if isinstance(activation.body, CoroutineBody):
            self._coroutines.send(activation.body, ticket, outcome)
        else:
            self._ready.append((activation, outcome))

    def _ended(self, activation: Activation, outcome: Returned | Raised) -> None:
        """A body has ended: try again, wait for its children, or settle its promise."""
        activation.end_waits()
        blocked_by = activation.blocked_by
        if isinstance(outcome, Raised) and isinstance(outcome.error, Blocked):
            outcome.error.with_traceback(None)  # whose frames lead back to it, in a circle
            blocked_by = outcome.error.promise_id
        if blocked_by is not None:
            self._block(activation, blocked_by)
            return
        if isinstance(outcome, Raised):
            if not isinstance(outcome.error, Exception):
                self._fail(outcome.error)
                return
            if self._begins_again(activation, outcome.error):
                return
        elif (mistake := mistakes.returned_op(activation.callee, outcome.value)) is not None:
            outcome = Raised(mistake)
        activation.outcome = outcome
        self._close(activation)
        warn_of_unused(activation)
        self._join(activation)

    def _begins_again(self, activation: Activation, error: Exception) -> bool:
        environment = self._environment
        delay_s = retry_delay_s(
            error,
            activation,
            environment.retry_policy,
            now_ms=environment.now_ms(),
            deadline_ms=self.family.lineage(activation.node.id).deadline_ms,
        )
        if delay_s is None:
            return False
        logger.warning(
            "function failed, trying again func=%s promise_id=%s attempt=%d delay_s=%.1f reason=%r",
            activation.callee.name,
            activation.node.id,
            activation.attempt,
            delay_s,
            error,
        )
        self._story.tries_again(activation, error, delay_s)
        self._close(activation)
        self.family.send(activation.node)
        number = self.outbox.number()
        self._timers[number] = activation
        setback = Setback(activation.node.id, error, activation.attempt)
        self.outbox.ask(StartTimer(number, delay_s, setback))
        return True

    def _block(self, activation: Activation, id: str) -> None:
        """An attempt cannot go on without a result: begin it again when that is there."""
        self.family.send(activation.node)
        self._close(activation)
        activation.is_blocked = True
        self._waiting.wait(activation, JOIN_TICKET, [self.family.promise(id)], "result")

    def _begin_anew(self, activation: Activation) -> None:
        activation.attempt -= 1  # it is the same attempt, come to the same place again
        self._begin(activation)

    def _close(self, activation: Activation) -> None:
        """Close a body; nothing it still does has an effect."""
        if activation.scope is not None:
            activation.scope.is_closed = True
        activation.end_waits()
        body, activation.body = activation.body, None
        if isinstance(body, GeneratorBody):
            body.close()
        elif body is not None:
            self._coroutines.close(body)

    def _join(self, activation: Activation) -> None:
        """Settle the promise once all that the function started is settled, or made if detached."""
        child = activation.unjoined()
        if child is not None:
            wanted = "join" if child.is_joined else "made"
            self._waiting.wait(activation, JOIN_TICKET, [child], wanted)
            return
        node, outcome, codec = activation.node, activation.outcome, self._environment.codec
        assert outcome is not None, "only a function that ended has an outcome"
        if activation is self._root:
            warn_of_fewer_steps(activation)
            if isinstance(outcome, Raised):
                self._story.raised = outcome.error
            self._outcome = encoded(codec, outcome, activation.callee.name)
        elif not node.is_durable:
            self.family.end(node, outcome)
        else:
            done = encoded(codec, outcome, activation.callee.name)
            self.family.send(node)
            self._story.settles(node, done.state)
            self.outbox.ask(SettleChild(node.id, done.state, done.value))

    # Promises: run here, canceled

    def _run_here(self, node: Node) -> None:
        """Run the function of a promise in this pass."""
        command, given, parent = node.command, node.given, node.parent
        assert command is not None, "what is run was called"
        assert given is not None, "what is run was called"
        assert parent is not None, "who made a command is known"
        callee = command.callee
        if callee is None:
            try:
                callee = self._environment.registry.by_name(command.name, command.version).callee
            except FunctionNotFoundError as error:
                self._fail(error)
                return
        node.activation = Activation(
            node,
            callee,
            tuple(command.args),
            dict(command.kwargs),
            given,
            command.version,
            parent.variables.copy(),
        )
        if command.is_for_caller:
            node.activation.owner = parent.owner
        self._activations.append(node.activation)
        self._begin(node.activation)

    def _cancel(self, node: Node) -> None:
        """Cancel a pending promise, with everything that runs here for it."""
        if node.is_settled:
            return
        activation = node.activation
        if activation is not None and not activation.is_given_up:
            activation.is_given_up = True
            self._close(activation)
            for child in tuple(activation.children.values()):
                if child.is_joined:
                    self._cancel(child)
        if node.is_durable:
            self.family.send(node)
            self._story.settles(node, "rejected_canceled")
            self.outbox.ask(SettleChild(node.id, "rejected_canceled", EMPTY))
        else:
            self.family.end(node, Raised(CanceledError(node.id)))

    def _fail(self, cause: BaseException) -> None:
        self._outcome = Failed(cause)

    # Waiting

    def _over(self, wait: Wait, node: Node | None) -> None:
        """What an activation has waited for is there."""
        activation = wait.activation
        if wait.then is not None:
            self._ready.append((activation, Again(wait.ticket, wait.then)))
            return
        match wait.wanted:
            case "join" | "made":
                self._join(activation)
            case "result":
                assert node is not None, "one promise is waited for"
                if activation.is_blocked:
                    self._begin_anew(activation)
                else:
                    self._answer(activation, wait.ticket, self.family.result(node))
            case "creation":
                self._answer(activation, wait.ticket, Returned(self.family.made(wait.nodes)[0]))
            case "creations":
                self._answer(activation, wait.ticket, Returned(self.family.made(wait.nodes)))
            case "first" | "first_resolved" | "first_failed" | "all":
                place = None if node is None else wait.nodes.index(node)
                self._answer(activation, wait.ticket, Returned(place))

    # Standing still

    def _may_stand_still(self) -> bool:
        """Whether nothing will move by itself: what only an event loop knows is given a grace."""
        if not self._coroutines.foreign or self._patience.is_over:
            return True
        if not self._patience.is_asked and frontier(self._activations) is not None:
            self._patience.ask()
        return False

    def _stand_still(self) -> None:
        """Nothing can go on here: suspend, or tell a function that it waits for what waits for it."""
        suspended = frontier(self._activations, self.family.nodes())
        if suspended is not None:
            self._outcome = suspended
            return
        wait, awaited = stuck(self._activations)
        wait.is_over = True
        activation = wait.activation
        activation.waits.pop(wait.ticket, None)
        error = Raised(mistakes.waits_for_itself(activation.node.id, awaited.id))
        if activation.body is None:
            self._ended(activation, error)
        else:
            self._answer(activation, wait.ticket, error)
