"""Many coroutines, one transaction.

The loads of all members are merged into one, the members decide one after the other on the same
working state, and what they changed is written at once. A batch that came to nothing starts over
with fresh coroutines and a fresh instant: nothing of it has left the kernel.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from resonate_broker.kernel.chains import NOT_ATTEMPTED, Chain
from resonate_broker.kernel.coroutine import Coroutine
from resonate_broker.kernel.entries import Submitted
from resonate_broker.kernel.submissions import Commit, Load, Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Changes, Loaded, LoadSet

Name = TypeVar("Name", str, int)


class Dispatcher(Protocol):
    """Sees what each coroutine of a batch has changed, and what a batch sends."""

    def decided(self, state: WorkingState) -> None:
        """Add to the working state what follows from the changes of one coroutine."""
        ...

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        """The batch is durable and its messages, if there are any, go out."""
        ...


class Member:
    """A coroutine on its way through a batch."""

    __slots__ = ("answer", "coroutine", "link", "load", "more", "submitted")

    def __init__(self, coroutine: Coroutine, load: Load, submitted: Submitted | None) -> None:
        """Take a coroutine that waits for its load.

        Args:
            coroutine: the work.
            load: what it asked for first.
            submitted: the request that it is about; None for what nobody asked for, which belongs
                to no chain and shares any batch.
        """
        self.coroutine = coroutine
        self.load = load
        self.more: Load | None = None  # what it found it needs as well
        self.submitted = submitted
        self.link = None if submitted is None else submitted.link
        self.answer: Answer | None = None

    @property
    def company(self) -> tuple[int | None, int | None]:
        """Members that share a batch agree in this."""
        solitary = None if self.submitted is None else self.submitted.solitary
        return solitary, self.coroutine.now_ms


class Decided(Struct, frozen=True):
    """Every member has decided."""

    changes: Changes


class Again(Struct, frozen=True):
    """The batch must start over, because a member needs more names."""


class Crashed(Struct, frozen=True):
    """The rule of a member has raised; the batch must start over without it."""

    member: Member
    error: Exception


class Batch:
    """Members of one transaction, in the order of their arrival."""

    def __init__(self, members: Sequence[Member]) -> None:
        """Gather members that wait for their loads."""
        self.members = list(members)
        self.began_at_ms: int | None = None  # when its rows were first to be had, or refused
        self._load: LoadSet | None = None
        self._state: WorkingState | None = None

    def load(self) -> LoadSet:
        """What the members need, in one canonical order."""
        ids: set[str] = set()
        settling: set[str] = set()
        preload: set[str] = set()
        branches: set[str] = set()
        schedules: set[str] = set()
        groups: set[str] = set()
        inbox: set[int] = set()
        troubles: set[str] = set()
        for member in self.members:
            for load in (member.load,) if member.more is None else (member.load, member.more):
                ids.update(load.ids)
                settling.update(load.settling)
                preload.update(load.preload)
                branches.update(load.branches)
                schedules.update(load.schedules)
                groups.update(load.groups)
                inbox.update(load.inbox)
                troubles.update(load.troubles)
        self._load = LoadSet(
            ids=_ordered(ids),
            settling=_ordered(settling),
            preload=_ordered(preload),
            branches=_ordered(branches),
            schedules=_ordered(schedules),
            groups=_ordered(groups),
            inbox=_ordered(inbox),
            troubles=_ordered(troubles),
        )
        return self._load

    def decide(
        self, loaded: Loaded, now_ms: int, dispatcher: Dispatcher, *, is_strict: bool = False
    ) -> Decided | Again | Crashed:
        """Let the members decide, one after the other."""
        assert self._load is not None, "a batch decides on what it has asked for"
        state = WorkingState(self._load, loaded, now_ms, is_strict=is_strict)
        self._state = state
        failed: set[Chain] = set()  # durable only when the batch is
        for member in self.members:
            link = member.link
            if link is not None and (not link.holds or link.chain in failed):
                member.coroutine.finish(NOT_ATTEMPTED)
                continue
            try:
                submission = member.coroutine.resume(state)
            except Exception as error:  # noqa: BLE001  # one crashing rule must not stop the others
                return Crashed(member, error)
            match submission:
                case Commit(answer=answer):
                    member.answer = answer
                case Load():
                    member.more = submission.union(member.more)
                    return Again()
                case _:
                    raise AssertionError(f"{submission!r} where a commit belongs")
            if link is not None and member.answer is not None and not member.answer.is_ok:
                failed.add(link.chain)
            dispatcher.decided(state)
        return Decided(state.changes())

    @property
    def now_ms(self) -> int | None:
        """The instant at which its members decide, if not that of the store."""
        return self.members[0].coroutine.now_ms if self.members else None

    def restart(self) -> None:
        """Start over with fresh coroutines."""
        self._state = None
        for member in self.members:
            member.coroutine.restart()
            submission = member.coroutine.resume()
            assert submission == member.load, "a coroutine asks for the same when it starts over"
            member.answer = None

    def remove(self, member: Member) -> None:
        """Go on without a member."""
        self.members.remove(member)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split in two, to find the member that spoils it."""
        middle = len(self.members) // 2
        assert middle > 0, "a batch of one cannot be split"
        return Batch(self.members[:middle]), Batch(self.members[middle:])

    @property
    def state(self) -> WorkingState:
        """The working state of a batch that has decided."""
        assert self._state is not None, "only a batch that was decided has a state"
        return self._state


def _ordered(names: set[Name]) -> tuple[Name, ...]:
    return tuple(sorted(names)) if names else ()
