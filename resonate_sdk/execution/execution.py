"""The state machine of a pass."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, encode_failure
from resonate_sdk.errors import EncodeError, FunctionNotFoundError
from resonate_sdk.execution.attempts import retry_delay_s
from resonate_sdk.execution.bodies import Raised, Returned, Yielded, called
from resonate_sdk.execution.children import (
    Lineage,
    child_id,
    child_request,
    result_type,
    settles_here,
)
from resonate_sdk.execution.effects import (
    CallFunction,
    ChildChanged,
    CreateChild,
    Done,
    Effect,
    Event,
    Failed,
    FunctionCalled,
    Outcome,
    Progress,
    SettleChild,
    StartTimer,
    Suspended,
    TimerFired,
)
from resonate_sdk.execution.mistakes import cannot_wait_for, returned_op, waits_for_itself
from resonate_sdk.execution.nodes import Activation, Node
from resonate_sdk.functions.callee import Callee
from resonate_sdk.functions.context import Info, Scope
from resonate_sdk.functions.ops import Blocked, Call, Command, Invocation, Promise
from resonate_sdk.functions.registry import Registry
from resonate_sdk.options import Options
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.retry import RetryPolicy

logger = logging.getLogger(__name__)


class Environment(Struct, frozen=True, kw_only=True):
    """What the passes of one client share.

    Attributes:
        default_target: where remote calls go that name no target.
        retry_policy: for functions that were given none; None: by their kind.
        now_ms: the clock, epoch ms.
    """

    registry: Registry
    dependencies: Mapping[str | type, Any]
    codec: Codec
    default_target: str
    retry_policy: RetryPolicy | None
    now_ms: Callable[[], int]


class Execution:
    """One pass. Used by one thread at a time, not always the same one."""

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
        """
        self._environment = environment
        self._cache = {record.id: record for record in preload}
        self._nodes: dict[str, Node] = {}
        self._ready = deque[tuple[Activation, Returned | Raised | None]]()
        self._activations: list[Activation] = []
        self._lineages: dict[str, Lineage] = {}
        self._made_by: dict[str, tuple[Activation, Command, Options]] = {}
        self._in_flight = 0
        self._calls: dict[int, Activation] = {}
        self._timers: dict[int, Activation] = {}
        self._numbers = 0
        self._effects: list[Effect] = []
        self._has_begun_call = False
        self._outcome: Outcome | None = None

        node = Node(root.id, Any, is_joined=False)
        node.record = root
        self._nodes[root.id] = node
        self._root = Activation(node, callee, args, kwargs, given, version)
        node.activation = self._root
        self._lineages[root.id] = Lineage.of_root(root)
        self._begin(self._root)

    def advance(self, events: Iterable[Event] = ()) -> Progress:
        """Take events in and run until everything waits.

        User code runs in here: bodies from yield to yield, and a function that nothing else waits
        beside.
        """
        for event in events:
            self._in_flight -= 1
            self._take(event)
        while self._outcome is None:
            if self._ready:
                if self._has_begun_call:
                    break
                self._resume(*self._ready.popleft())
            elif not self._call_alone():
                if self._in_flight:
                    break
                self._stand_still()
        effects, self._effects = tuple(self._effects), []
        self._has_begun_call = False
        return Progress(effects, self._outcome, self._outcome is None and bool(self._ready))

    def records(self) -> dict[str, PromiseRecord]:
        """Every promise that is known by now, for another pass."""
        met = {node.id: node.record for node in self._nodes.values() if node.record is not None}
        return self._cache | met

    def close(self) -> None:
        """Give the pass up: close every body; nothing they still do has an effect."""
        for activation in self._activations:
            activation.close()

    def _call_alone(self) -> bool:
        """Call a function right here if nothing else of this pass is under way."""
        if self._in_flight != 1 or len(self._effects) != 1:
            return False
        effect = self._effects[0]
        if not isinstance(effect, CallFunction):
            return False
        self._effects.clear()
        self._has_begun_call = False
        self._in_flight -= 1
        self._take(FunctionCalled(effect.number, call_function(effect.call)))
        return True

    def _ask(self, effect: Effect) -> None:
        self._in_flight += 1
        self._effects.append(effect)

    def _take(self, event: Event) -> None:
        match event:
            case ChildChanged(record=record):
                self._learn(self._nodes[record.id], record)
            case FunctionCalled(number=number, outcome=outcome):
                self._called(self._calls.pop(number), outcome)
            case TimerFired(number=number):
                self._begin(self._timers.pop(number))

    def _begin(self, activation: Activation) -> None:
        """Start the first or another attempt."""
        if activation.attempt == 0:
            self._activations.append(activation)
        call = activation.begin_attempt(self._scope(activation))
        if activation.callee.is_generator:
            self._called(activation, call_function(call))  # runs none of its lines yet
            return
        self._numbers += 1
        self._calls[self._numbers] = activation
        self._ask(CallFunction(self._numbers, call))
        self._has_begun_call = True

    def _scope(self, activation: Activation) -> Scope:
        record = activation.node.record
        assert record is not None, "a function runs for a promise that exists"
        lineage = self._lineages[record.id]
        info = Info(
            id=record.id,
            parent_id=record.tags.get(tags.PARENT, record.id),
            origin_id=lineage.origin,
            branch_id=lineage.branch,
            func=activation.callee.name,
            version=activation.version,
            attempt=activation.attempt + 1,
            timeout=record.timeout_at_ms / 1000,
            tags=record.tags,
            idempotency_key=record.tags.get(tags.IDEMPOTENCY_KEY),
        )
        environment = self._environment
        return Scope(info, lineage.prefix, environment.registry, environment.dependencies)

    def _called(self, activation: Activation, outcome: Returned | Raised) -> None:
        if isinstance(outcome, Raised):
            self._ended(activation, outcome)
            return
        body = called(outcome.value, activation.callee.name)
        if isinstance(body, Returned | Raised):
            self._ended(activation, body)
        else:
            activation.body = body
            self._ready.append((activation, None))

    def _resume(self, activation: Activation, outcome: Returned | Raised | None) -> None:
        assert activation.body is not None, "only a body can be resumed"
        activation.awaiting = None
        step = activation.body.resume(outcome)
        if not isinstance(step, Yielded):
            self._ended(activation, step)
            return
        op: Any = step.op
        match op:
            case Call():
                self._await(activation, self._child(activation, op.command, op.given))
            case Invocation():
                self._await_creation(activation, self._child(activation, op.command, op.given))
            case Promise():
                self._await(activation, self._promise(op.id))
            case _:
                self._ready.append((activation, Raised(cannot_wait_for(op))))

    def _child(self, activation: Activation, command: Command, given: Options) -> Node | Raised:
        """The promise of a command: known, being made, or to be made now."""
        lineage = self._lineages[activation.node.id]
        if activation.scope is not None:
            activation.scope.unused.pop(command.id, None)
        id = child_id(command, given)
        node = self._nodes.get(id)
        if node is not None:
            activation.children[id] = node
            return node
        is_free = command.kind == "detached" or (command.kind == "promise" and given.id is not None)
        node = Node(id, result_type(command, given), is_joined=not is_free)
        record = self._cache.get(id)
        if record is None:
            try:
                create = CreateChild(self._request(command, given, lineage))
            except (EncodeError, ValueError) as error:
                return Raised(error)
            self._ask(create)
        self._nodes[id] = node
        activation.children[id] = node
        self._made_by[id] = activation, command, given
        if record is not None:
            self._learn(node, record)
        return node

    def _request(self, command: Command, given: Options, lineage: Lineage) -> PromiseCreate:
        environment = self._environment
        return child_request(
            command,
            given,
            lineage,
            environment.codec,
            environment.registry,
            environment.default_target,
            environment.now_ms(),
        )

    def _promise(self, id: str) -> Node:
        node = self._nodes.get(id)
        if node is None:
            node = Node(id, Any, is_joined=False)
            node.record = self._cache.get(id)
            self._nodes[id] = node
        return node

    def _await_creation(self, activation: Activation, node: Node | Raised) -> None:
        if isinstance(node, Raised):
            self._ready.append((activation, node))
        elif node.record is None:
            node.creation_waiters.append(activation)
        else:
            self._ready.append((activation, Returned(self._made(node))))

    def _made(self, node: Node) -> Promise[Any]:
        return Promise(node.id, _View(self, node))

    def _await(self, activation: Activation, node: Node | Raised) -> None:
        if isinstance(node, Raised):
            self._ready.append((activation, node))
            return
        node.is_awaited = True
        if node.is_settled:
            self._ready.append((activation, self.result(node)))
        else:
            activation.awaiting = node
            node.waiters.append(activation)

    def _learn(self, node: Node, record: PromiseRecord) -> None:
        """Note what the server says about a promise; records only move forward."""
        is_news = node.record is None
        if node.is_settled or not (is_news or record.state != "pending"):
            return
        node.record = record
        if is_news:
            for activation in node.creation_waiters:
                self._ready.append((activation, Returned(self._made(node))))
            node.creation_waiters.clear()
        if node.is_settled:
            waiters, node.waiters = node.waiters, []
            for activation in waiters:
                self._continue(activation, node)
        elif settles_here(record):
            self._run_here(node, record)

    def _continue(self, activation: Activation, node: Node) -> None:
        if activation.is_blocked:
            activation.attempt -= 1  # it is the same attempt, come to the same place again
            self._begin(activation)
        elif activation.outcome is None:
            self._ready.append((activation, self.result(node)))
        else:
            self._join(activation)

    def _run_here(self, node: Node, record: PromiseRecord) -> None:
        parent, command, given = self._made_by[node.id]
        self._lineages[node.id] = self._lineages[parent.node.id].child(record)
        callee = command.callee
        if callee is None:
            try:
                callee = self._environment.registry.by_name(command.name, command.version).callee
            except FunctionNotFoundError as error:
                self._outcome = Failed(error)
                return
        node.activation = Activation(
            node, callee, tuple(command.args), dict(command.kwargs), given, command.version
        )
        self._begin(node.activation)

    def result(self, node: Node) -> Returned | Raised:
        """What a settled promise gives to those who wait for it."""
        record = node.record
        assert record is not None, "only a settled promise has a result"
        codec = self._environment.codec
        if record.state != "resolved":
            return Raised(decode_failure(codec, record))
        try:
            return Returned(codec.decode(record.value, node.result_type))
        except Exception as error:  # noqa: BLE001  # data that does not fit is the body's to see
            return Raised(error)

    def _ended(self, activation: Activation, outcome: Returned | Raised) -> None:
        """A body has ended: try again, wait for its children, or settle its promise."""
        if isinstance(outcome, Raised):
            if isinstance(outcome.error, Blocked):
                self._block(activation, self._promise(outcome.error.promise_id))
                return
            if not isinstance(outcome.error, Exception):
                self._outcome = Failed(outcome.error)
                return
            environment = self._environment
            delay_s = retry_delay_s(
                outcome.error,
                activation,
                environment.retry_policy,
                now_ms=environment.now_ms(),
                deadline_ms=self._lineages[activation.node.id].deadline_ms,
            )
            if delay_s is not None:
                logger.warning(
                    "function failed, trying again func=%s promise_id=%s attempt=%d delay_s=%.1f "
                    "reason=%r",
                    activation.callee.name,
                    activation.node.id,
                    activation.attempt,
                    delay_s,
                    outcome.error,
                )
                activation.close()
                self._numbers += 1
                self._timers[self._numbers] = activation
                self._ask(StartTimer(self._numbers, delay_s))
                return
        elif (mistake := returned_op(activation.callee.name, outcome.value)) is not None:
            outcome = Raised(mistake)
        activation.outcome = outcome
        activation.close()
        self._warn_of_unused(activation)
        self._join(activation)

    def _block(self, activation: Activation, node: Node) -> None:
        """An attempt cannot go on without a result: begin it again when that is there."""
        activation.close()
        activation.is_blocked = True
        self._await(activation, node)
        if node.is_settled:  # meanwhile, while a plain function was looking
            self._ready.pop()
            self._continue(activation, node)

    def _warn_of_unused(self, activation: Activation) -> None:
        assert activation.scope is not None, "a function that ended had a context"
        for unused in activation.scope.unused.values():
            name = unused.command.name or unused.command.id
            logger.warning(
                "%s was never started: forgotten `yield`? promise_id=%s at=%s:%d",
                f"{unused.command.kind} {name}",
                activation.node.id,
                unused.file,
                unused.line,
            )
        activation.scope.unused.clear()

    def _join(self, activation: Activation) -> None:
        """Settle the promise once every promise that the function started is settled."""
        child = activation.unjoined()
        if child is not None:
            activation.awaiting = child
            child.waiters.append(activation)
            return
        activation.awaiting = None
        done = self._done(activation)
        if activation is self._root:
            self._outcome = done
        else:
            self._ask(SettleChild(activation.node.id, done.state, done.value))

    def _done(self, activation: Activation) -> Done:
        codec, outcome = self._environment.codec, activation.outcome
        assert outcome is not None, "only a function that ended has an outcome"
        if isinstance(outcome, Raised):
            return Done("rejected", encode_failure(codec, outcome.error))
        try:
            return Done("resolved", codec.encode(outcome.value))
        except EncodeError as error:
            of_result = error.of("the result", activation.callee.name)
            return Done("rejected", encode_failure(codec, of_result))

    def _stand_still(self) -> None:
        """Nothing can go on here: suspend, or tell a function that it waits for what waits for it."""
        frontier = dict.fromkeys(
            activation.awaiting.id
            for activation in self._activations
            if activation.awaiting is not None
            and not activation.awaiting.is_settled
            and activation.awaiting.activation is None
        )
        if frontier:
            # The rest is awaited when one of these has settled.
            awaited = tuple(islice(frontier, limits.AWAITED_PER_SUSPEND_MAX))
            is_more_begun = any(
                node.activation is None and not node.is_settled and node.id not in frontier
                for node in self._nodes.values()
            )
            self._outcome = Suspended(awaited, is_more_begun)
            return
        for activation in reversed(self._activations):
            awaited = activation.awaiting
            if awaited is not None and activation.outcome is None:
                awaited.waiters.remove(activation)
                error = Raised(waits_for_itself(activation.node.id, awaited.id))
                if activation.body is None:
                    self._ended(activation, error)
                else:
                    self._ready.append((activation, error))
                return
        raise AssertionError("a pass that is neither done nor waiting for anything is stuck")


class _View:
    """A promise as its `result()` and `done()` show it."""

    def __init__(self, execution: Execution, node: Node) -> None:
        self._execution = execution
        self._node = node

    @property
    def is_settled(self) -> bool:
        return self._node.is_settled

    def result(self) -> Any:
        if not self._node.is_settled:
            raise Blocked(self._node.id)
        self._node.is_awaited = True
        match self._execution.result(self._node):
            case Returned(value=value):
                return value
            case Raised(error=error):
                raise error


def call_function(call: Callable[[], Any]) -> Returned | Raised:
    """Call a user's function; whatever it raises is its outcome."""
    try:
        return Returned(call())
    except BaseException as error:  # noqa: BLE001  # the function's own errors are its outcome
        return Raised(error)
