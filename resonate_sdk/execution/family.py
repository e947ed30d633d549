"""The promises of a pass: those that its functions make, and those that they only know by id."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from resonate_sdk.errors import EncodeError, NondeterminismError
from resonate_sdk.execution import mistakes
from resonate_sdk.execution.bodies import Raised, Returned
from resonate_sdk.execution.children import (
    Lineage,
    child_id,
    child_request,
    fingerprint,
    is_same_call,
    result_type,
    settles_here,
)
from resonate_sdk.execution.effects import CreateChild, Effect
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.nodes import Activation, Node
from resonate_sdk.execution.outcomes import decoded
from resonate_sdk.execution.story import Story
from resonate_sdk.execution.waiting import Waiting
from resonate_sdk.execution.warnings import warn_of_another_place
from resonate_sdk.functions.ops import Blocked, Pending, Promise
from resonate_sdk.functions.scope import Info
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import EMPTY, PromiseRecord
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.tracing import with_headers

logger = logging.getLogger(__name__)


class Family:
    """The promises of a pass, by id."""

    def __init__(
        self,
        environment: Environment,
        root: PromiseRecord,
        preload: Iterable[PromiseRecord],
        waiting: Waiting,
        *,
        is_complete: bool,
        ask: Callable[[Effect], None],
        run_here: Callable[[Node], None],
        fail: Callable[[BaseException], None],
        story: Story,
    ) -> None:
        """Know the root, and what was told with it.

        Args:
            environment: what the pass runs in.
            root: the promise that the pass settles.
            preload: promises that are known already.
            waiting: told what has happened to promises.
            is_complete: whether these are all that there are of this pass.
            ask: takes effects.
            run_here: runs the function of a promise in this pass.
            fail: ends the pass.
            story: is told of promises that are made.
        """
        self._environment = environment
        self._waiting = waiting
        self._ask = ask
        self._run_here = run_here
        self._fail = fail
        self._story = story
        self._cache = {record.id: record for record in preload}
        self._is_complete = is_complete
        self._unsent: dict[str, PromiseCreate] = {}
        node = Node(root.id, Any, is_joined=False)
        node.record = root
        self._nodes = {root.id: node}
        self._lineages = {root.id: Lineage.of_root(root)}

    def knows(self, id: str) -> bool:
        """Whether a promise was there when the pass began."""
        return id in self._cache

    def take_apart(self) -> None:
        """Forget its promises; it is only asked any more what was there when the pass began."""
        for node in self._nodes.values():
            node.take_apart()
        self._nodes.clear()

    def __len__(self) -> int:
        """How many promises the pass has."""
        return len(self._nodes)

    def node(self, id: str) -> Node:
        """A promise of the pass."""
        return self._nodes[id]

    def nodes(self) -> Iterable[Node]:
        """All promises of the pass."""
        return self._nodes.values()

    def lineage(self, id: str) -> Lineage:
        """Where a function of the pass stands in its tree."""
        return self._lineages[id]

    def remember(self, records: Iterable[PromiseRecord]) -> None:
        """Know promises as if they had been there when the pass began; before anything is called."""
        self._cache |= {record.id: record for record in records}

    def met(self) -> frozenset[str]:
        """The promises that functions have called for."""
        return frozenset(node.id for node in self._nodes.values() if node.command is not None)

    def info(self, activation: Activation) -> Info:
        """What a function may know of its execution, in the attempt that is about to begin."""
        record, lineage = activation.node.record, self._lineages[activation.node.id]
        its_tags: Mapping[str, str] = {} if record is None else record.tags
        return Info(
            id=lineage.id,
            parent_id=its_tags.get(tags.PARENT, lineage.id),
            origin_id=lineage.origin,
            branch_id=lineage.branch,
            func=activation.callee.name,
            version=activation.version,
            attempt=activation.attempt + 1,
            timeout=lineage.deadline_ms / 1000,
            tags=dict(its_tags),  # in local mode those of the record are the server's own
            idempotency_key=its_tags.get(tags.IDEMPOTENCY_KEY),
        )

    def records(self) -> dict[str, PromiseRecord]:
        """Every promise that is known by now, for another pass."""
        met = {node.id: node.record for node in self._nodes.values() if node.record is not None}
        return self._cache | met

    def unsent(self) -> tuple[str, ...]:
        """Promises that are to be made when their functions have ended; any thread may ask."""
        return tuple(self._unsent)

    def take_unsent(self, id: str) -> PromiseCreate | None:
        """The creation of such a promise, if nobody has taken it before; any thread may ask."""
        return self._unsent.pop(id, None)

    def put_nothing_off(self) -> None:
        """Create every promise before its function runs; any thread may ask for it."""
        self._is_complete = False

    def send(self, node: Node) -> None:
        """Create a promise now, if that has been put off."""
        if self._unsent:
            request = self.take_unsent(node.id)
            if request is not None:
                self._ask(CreateChild(request))

    def child(
        self, activation: Activation, op: Pending[Any], *, may_wait: bool = False
    ) -> Node | Raised:
        """The promise of a command: known, being made, or to be made now.

        Args:
            activation: makes it.
            op: the command.
            may_wait: nobody needs to know that it exists before its function has ended.
        """
        command, given, owner = op.command, op.given, activation.owner
        refused = activation.refused.get(command.id)
        if refused is not None:
            refused.is_told = True
            return refused.raised
        op.is_begun = True
        if owner.scope is not None:
            owner.scope.unused.pop(command.id, None)
        is_durable = given.durable is not False
        id = child_id(command, given) if is_durable else f"{command.id}*"
        node = self._nodes.get(id)
        if node is not None:
            if not is_same_call(node.command, command):
                return Raised(mistakes.same_id(id, node.command, command))
            owner.children[id] = node
            return node
        record = self._cache.get(id)
        if is_durable and record is None:
            if given.id is None and len(id.encode()) > limits.ID_BYTES_MAX:
                return Raised(mistakes.too_deep(id))
            try:
                request = self._request(op, self._lineages[owner.node.id])
            except (EncodeError, ValueError) as error:
                return Raised(error)
            self._story.creates(id, command, owner.node.id)
            if may_wait and self._may_wait(op, request):
                self._unsent[id] = request
                record = _expected(request, self._environment.now_ms())
            else:
                self._ask(CreateChild(request))
        is_free = command.kind == "detached" or (command.kind == "promise" and given.id is not None)
        is_joined = not is_free and not command.is_for_caller
        node = Node(id, result_type(command, given), is_joined=is_joined)
        node.command, node.given, node.parent = command, given, activation
        self._nodes[id] = node
        owner.children[id] = node
        if not is_durable:
            lineage, now_ms = self._lineages[owner.node.id], self._environment.now_ms()
            self._lineages[id] = lineage.unrecorded(command, given, now_ms)
            self._run_here(node)
        elif record is not None:
            self.learn(node, record)
        return node

    def promise(self, id: str) -> Node:
        """A promise that somebody has only named."""
        node = self._nodes.get(id)
        if node is None:
            node = Node(id, Any, is_joined=False)
            node.record = self._cache.get(id)
            self._nodes[id] = node
        return node

    def learn(self, node: Node, record: PromiseRecord) -> None:
        """Note what the server says about a promise; records only move forward."""
        is_news = node.record is None
        if node.is_settled or not (is_news or record.state != "pending"):
            return
        if is_news and node.command is not None and not self._is_as_recorded(node, record):
            return
        node.record = record
        if is_news:
            self._waiting.created(node)
        if node.is_settled:
            self._waiting.settled(node)
        elif node.activation is None and node.parent is not None and settles_here(record):
            lineage = self._lineages[node.parent.owner.node.id]
            self._lineages[node.id] = lineage.child(record)
            self._run_here(node)

    def wakes(self, records: Iterable[PromiseRecord]) -> None:
        """Note what has happened while the pass slept."""
        for record in records:
            node = self._nodes.get(record.id)
            if node is None:
                self._cache[record.id] = record
            else:
                self.learn(node, record)

    def is_run_here(self, id: str) -> bool:
        """Whether the function of a promise is under way in this pass."""
        node = self._nodes.get(id)
        return node is not None and node.activation is not None and not node.is_settled

    def end(self, node: Node, outcome: Returned | Raised) -> None:
        """Something has ended of which the server knows nothing."""
        node.live = outcome
        self._waiting.created(node)
        self._waiting.settled(node)

    def made(self, nodes: Sequence[Node]) -> list[Promise[Any]]:
        """Promises as functions see them."""
        return [Promise(node.id, _View(self, node)) for node in nodes]

    def result(self, node: Node) -> Returned | Raised:
        """What a settled promise gives to those who wait for it."""
        return decoded(self._environment.codec, node)

    def _request(self, op: Pending[Any], lineage: Lineage) -> PromiseCreate:
        environment = self._environment
        request = child_request(
            op.command,
            op.given,
            lineage,
            environment.codec,
            environment.registry,
            environment.own_target if op.given.execute_here else environment.default_target,
            environment.now_ms(),
        )
        if environment.tracer is None or op.command.kind not in ("rpc", "detached"):
            return request
        return replace(request, param=with_headers(request.param, self._story.headers))

    def _may_wait(self, op: Pending[Any], request: PromiseCreate) -> bool:
        """Whether the promise is sure to be new, so that its creation can travel with its end."""
        return (
            self._is_complete
            and op.command.kind in ("run", "choice")
            and op.given.id is None
            and request.timeout_at_ms > self._environment.now_ms()
        )

    def _is_as_recorded(self, node: Node, record: PromiseRecord) -> bool:
        """Compare a call with what is recorded under its id; False if it cannot be used."""
        command, found = node.command, record.tags.get(tags.FINGERPRINT)
        assert command is not None, "only a call is compared"
        expected = fingerprint(command)
        if found is None or found == expected:
            warn_of_another_place(command, record)
            return True
        if command.id != node.id:  # the id was chosen by the program
            if not (found.startswith("call:") and expected.startswith("call:")):
                return True
            self.end(node, Raised(mistakes.used_id(node.id, found, expected)))
            return False
        error = NondeterminismError(
            node.id, expected=found, found=expected, where=f"{command.file}:{command.line}"
        )
        if self._environment.on_nondeterminism == "warn":
            logger.warning("%s", error)
            return True
        self._fail(error)
        return False


def _expected(request: PromiseCreate, now_ms: int) -> PromiseRecord:
    """What the server is going to say of a promise that is new."""
    return PromiseRecord(
        id=request.id,
        state="pending",
        param=request.param,
        value=EMPTY,
        tags=request.tags,
        timeout_at_ms=request.timeout_at_ms,
        created_at_ms=now_ms,
    )


class _View:
    """A promise as its `result()` and `done()` show it."""

    def __init__(self, family: Family, node: Node) -> None:
        self._family = family
        self._node = node

    @property
    def is_run_here(self) -> bool:
        command, record = self._node.command, self._node.record
        if record is not None:
            return settles_here(record)
        return command is not None and command.kind in ("run", "choice")

    @property
    def is_settled(self) -> bool:
        return self._node.is_settled

    def result(self) -> Any:
        if not self._node.is_settled:
            raise Blocked(self._node.id)
        self._node.is_awaited = True
        match self._family.result(self._node):
            case Returned(value=value):
                return value
            case Raised(error=error):
                raise error
