"""Watches every decision of every server, and checks it the moment it is made.

Transition invariants are checked after each coroutine of each batch, on what the batch would
store; state invariants then and after each commit, when the store must have what was decided.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import Any

from msgspec import Struct

from resonate_broker.background.dispatch import Dispatch
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Outgoing
from resonate_broker.kernel.system import System
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Changes, Group, Listener, Promise, Snapshot, Use
from tests import invariants
from tests.invariants import Step, Stored
from tests.invariants.groups import Pace, Start, starts
from tests.invariants.responses import Seen, answer_faults, refusal_faults
from tests.invariants.troubles import trouble_faults
from tests.model.compare import Comparison
from tests.simulation.inbox import Inbox


class Decision(Struct, frozen=True):
    """A request, and what one run of it came to."""

    request: Request
    answer: Answer


class Observer:
    """Knows what is stored without asking, and which decisions are durable.

    Attributes:
        stored: what the store must have.
        inbox: what applications have left.
        answers: how often a kind was answered with a status.
        steps: how many decisions were checked.
    """

    def __init__(self, inbox: Inbox, seen: Seen) -> None:
        self.stored = Stored.of(Snapshot())
        self.inbox = inbox
        self._seen = seen
        self.answers = Counter[tuple[str, int]]()
        self.steps = 0
        self._durable: dict[int, Answer] = {}
        self._told = set[Listener]()
        self._comparison = Comparison()
        self._pace = Pace()
        self._uses = set[Use]()

    def limited(self, group: Group) -> None:
        """A group has been limited before anything else has happened."""
        self.stored = self.stored.after(Changes(groups_put=(group,)))

    def decided(
        self, decision: Decision | None, step: Step, taken: frozenset[int], refused: frozenset[int]
    ) -> None:
        """A coroutine has decided: look at what it did.

        Args:
            decision: about a request; None for an internal step.
            step: what it would store.
            taken: the calls in the inbox that it has made promises of.
            refused: those that it cannot make promises of.
        """
        self.steps += 1
        invariants.check_state(step.after, step.now_ms)
        # Who decides late, without the locks that he had, may decide about what others have taken.
        calls = [self.inbox.left[number] for number in sorted(taken | refused)]
        created = [call.id for call in calls]
        invariants.check_step(step, is_internal=decision is None, created=created)
        for call in calls:
            self._comparison.check_call(
                call, step.before, step.after, step.now_ms, is_refused=call.number in refused
            )
        if decision is not None:
            faults = [
                *refusal_faults(step, decision.request, decision.answer),
                *answer_faults(step, decision.answer),
                *trouble_faults(step, decision.request, decision.answer),
            ]
            assert not faults, f"{decision}: {faults}"
            self._comparison.check(
                decision.request, decision.answer, step.before, step.after, step.now_ms
            )

    def committed(
        self,
        changes: Changes,
        decisions: Sequence[Decision],
        started: Sequence[Start],
        snapshot: Snapshot | None,
        now_ms: int,
    ) -> None:
        """A batch is durable; the snapshot, if there is one, is what the store has now."""
        untold = set(changes.listeners_told) - self._told
        assert not untold, f"79: forgotten without news: {untold}"
        self.stored = self.stored.after(changes)
        self._uses |= set(changes.uses_added)
        self._pace.check(started, self.stored.groups)
        invariants.check_state(self.stored, now_ms)
        if snapshot is not None:
            self.check_stored(snapshot)
        for decision in decisions:
            self._durable[id(decision.request)] = decision.answer
            self.answers[decision.request.kind, decision.answer.status] += 1

    def members(self, tree: str) -> frozenset[str]:
        """The promises of a tree."""
        return frozenset(id for id, found in self.stored.promises.items() if _tree(found) == tree)

    def removed(self, tree: str, settled_before_ms: int, snapshot: Snapshot) -> None:
        """Retention has removed something; the snapshot is what is left."""
        members, users, before = self.members(tree), self.users(tree), self.stored
        left = Stored.of(snapshot)
        self.stored = before.without(members)
        self.check_stored(snapshot)
        assert not members & left.promises.keys(), f"C22: {tree} has gone in part"
        for id in members:
            promise = before.promises[id]
            assert promise.settled_at_ms is not None, f"C22: {promise} was pending"
            assert promise.settled_at_ms <= settled_before_ms, f"C22: {promise} was young"
            assert not before.awaiters(id), f"C22: somebody waited for {promise}"
            assert not before.addresses(id), f"C22: somebody was to be told of {promise}"
        assert not users, f"C22: {tree} was used by {users}"
        self._uses = {use for use in self._uses if use.origin != tree}
        self._seen.removed(members)

    def users(self, tree: str) -> list[str]:
        """Other trees whose executions rely on a promise of this one."""
        members, trees = self.members(tree), {_tree(p) for p in self.stored.promises.values()}
        return sorted(
            use.origin
            for use in self._uses
            if use.id in members and use.origin != tree and use.origin in trees
        )

    def check_retired(self) -> None:
        """Everything has gone but trees that rely on each other."""
        trees = {_tree(promise) for promise in self.stored.promises.values()}
        left = sorted(tree for tree in trees if not self.users(tree))
        assert not left, f"C22: nothing keeps {left}, and nobody has removed them"

    def check_stored(self, snapshot: Snapshot) -> None:
        """The store must have what was decided."""
        different = self.stored.differences(Stored.of(snapshot))
        assert not different, f"the store has not what was decided: {different}"

    def told(self, outgoing: Sequence[Outgoing]) -> None:
        """The broker has confirmed messages to listeners, or they are gone."""
        self._told |= {each.listener for each in outgoing if each.listener is not None}

    def check_durable(self, request: Request, answer: Answer) -> None:
        """An answer leaves a server: what it says must be durable."""
        assert self._durable.get(id(request)) == answer, f"{answer} to {request} is not durable"


def _tree(promise: Promise) -> str:
    return promise.origin or promise.id


class ObservedDispatch:
    """Dispatches for one server, and shows the observer each step."""

    def __init__(self, observer: Observer, dispatch: Dispatch) -> None:
        self._observer = observer
        self._dispatch = dispatch
        self._base = self._before = observer.stored
        self._sent = 0
        self._taken = self._refused = frozenset[int]()
        self._decision: Decision | None = None
        self.decisions: list[Decision] = []
        self.started: list[Start] = []

    def begin(self) -> None:
        """A transaction has read what is stored now."""
        self._base = self._before = self._observer.stored
        self._sent = 0
        self._taken = self._refused = frozenset[int]()
        self._decision = None
        self.decisions = []
        self.started = []

    def note(self, request: Request, answer: Answer) -> None:
        """The running coroutine wants to answer this."""
        self._decision = Decision(request, answer)

    def decided(self, state: WorkingState) -> None:
        self._dispatch.decided(state)
        decision, self._decision = self._decision, None
        changes = state.changes()
        after = self._base.after(changes)
        sent = state.outgoing()
        step = Step(self._before, after, state.now_ms, sent[self._sent :])
        taken = frozenset(changes.inbox_taken)
        refused = frozenset(refusal.number for refusal in changes.inbox_refused)
        self._observer.decided(decision, step, taken - self._taken, refused - self._refused)
        self._taken, self._refused = taken, refused
        self.started += starts(step)
        self._before, self._sent = after, len(sent)
        if decision is not None:
            self.decisions.append(decision)

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        self._dispatch.committed(outgoing)


class ObservedSystem(System):
    """A kernel whose requests are watched while they are decided."""

    def __init__(self, observed: ObservedDispatch, *rest: Any) -> None:
        aio, *others = rest
        super().__init__(aio, observed, *others)
        self._observed = observed

    def add_on_request(self, kind: str, constructor: Callable[[Any], Body]) -> None:
        def watched(request: Request) -> Generator[Any, Any, Any]:
            body = constructor(request)
            completion: Any = None
            while True:
                try:
                    submission = body.send(completion)
                except StopIteration as stop:
                    return stop.value
                if isinstance(submission, Commit) and submission.answer is not None:
                    self._observed.note(request, submission.answer)
                completion = yield submission

        super().add_on_request(kind, watched)
