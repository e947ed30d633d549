"""A kernel on a store, at the instants of a clock that a test moves."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from resonate_broker.aio.store import read
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.schedules import fire_schedules
from resonate_broker.background.sweep import sweep
from resonate_broker.background.tick import tick
from resonate_broker.background.top_up import send_queued
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.chains import Chain
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.entries import CQE, SQE, AioCQE, AioSQE, Completed, Submitted
from resonate_broker.kernel.submissions import (
    AioCompletion,
    AioSubmission,
    Begin,
    CreateTrigger,
    Declare,
    EndTrigger,
    Outgoing,
    Probe,
    Probed,
    Publish,
    Published,
    ReadDue,
    ReadDueSchedules,
    ReadTriggers,
    StoreFailed,
    Write,
    Written,
)
from resonate_broker.kernel.system import SCHEDULES, SWEEP, System
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.operations import register_operations
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body
from resonate_sdk.protocol.responses import Answer, PromisePage
from resonate_store.state import Changes, Due, Page, Snapshot, Wanted
from resonate_store.store import ConflictError, Store, Transaction
from tests import invariants
from tests.contract.scripts import NOW

NEVER_MS = 1 << 60
ROUNDS_MAX = 30
GROUPS = ("g", "h")


class Clock:
    """The instant at which everything happens until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


class CheckedDispatch:
    """Dispatches, and checks the invariants after each coroutine of a batch (C21)."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.is_internal = False
        self._stored = invariants.Stored.of(Snapshot())
        self._before = self._stored
        self._sent = 0

    def begin(self, stored: Snapshot, now_ms: int) -> None:
        """A batch begins on this."""
        self._stored = invariants.check_snapshot(stored, now_ms, is_lonely=True)
        self._before = self._stored
        self._sent = 0

    def decided(self, state: WorkingState) -> None:
        self.dispatch.decided(state)
        after = self._stored.after(state.changes())
        sent = state.outgoing()
        invariants.check_state(after, state.now_ms)
        invariants.check_transition(
            self._before, after, state.now_ms, sent[self._sent :], is_internal=self.is_internal
        )
        self._before, self._sent = after, len(sent)

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        self.dispatch.committed(outgoing)

    def written(self, changes: Changes, stored: Snapshot) -> None:
        """A batch is durable: the store has what was decided."""
        assert not self._stored.after(changes).differences(invariants.Stored.of(stored))


class StoreAIO:
    """Carries out the effects of a kernel on a store, at the instants of our clock."""

    def __init__(self, store: Store, clock: Clock, checked: CheckedDispatch) -> None:
        self._store = store
        self._clock = clock
        self._checked = checked
        self._submitted = deque[AioSQE]()
        self._completed = deque[AioCQE]()
        self._transaction: Transaction | None = None
        self.published: list[Outgoing] = []

    def try_submit(self, sqe: AioSQE) -> bool:
        self._submitted.append(sqe)
        return True

    def flush(self) -> None:
        pass

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        return [self._completed.popleft() for _ in range(min(count_max, len(self._completed)))]

    async def serve(self) -> bool:
        """Carry out what was submitted; whether there was anything."""
        is_busy = bool(self._submitted)
        while self._submitted:
            sqe = self._submitted.popleft()
            self._completed.append(CQE(await self._carry_out(sqe.submission), sqe.callback))
        return is_busy

    async def _carry_out(self, submission: AioSubmission) -> AioCompletion:
        match submission:
            case Begin(load=load):
                if self._transaction is not None:
                    await self._transaction.rollback()
                self._checked.begin(await self._store.snapshot(), self._clock.now_ms)
                self._transaction = await self._store.begin(load)
                return replace(self._transaction.loaded, now_ms=self._clock.now_ms)
            case Write(changes=changes):
                return await self._write(changes)
            case ReadDue(limit=limit, at_ms=None):
                return await self._due(limit)
            case ReadDueSchedules(limit=limit, at_ms=None):
                return await self._store.due_schedules(limit, self._clock.now_ms)
            case Publish(messages=messages):
                self.published.extend(messages)
                return Published(())
            case Declare() | Probe():
                return None
            case CreateTrigger() | ReadTriggers() | EndTrigger():
                raise AssertionError("triggers need RabbitMQ")
            case _:
                found = await read(self._store, submission)
                is_page = isinstance(found, Page)
                return replace(found, now_ms=self._clock.now_ms) if is_page else found

    async def _write(self, changes: Changes) -> AioCompletion:
        assert self._transaction is not None
        transaction, self._transaction = self._transaction, None
        try:
            await transaction.commit(changes)
        except ConflictError as error:
            return StoreFailed("aborted", str(error))
        self._checked.written(changes, await self._store.snapshot())
        return Written()

    async def _due(self, limit: int) -> Due:
        """The clock of the database is not ours: find what is due by itself."""
        now_ms = self._clock.now_ms
        timers = (await self._store.snapshot()).timers
        due = tuple(timer for timer in timers if timer.due_at_ms <= now_ms)
        return Due(now_ms=now_ms, timers=due[:limit], next_at_ms=None)


class Server:
    """A kernel on a store that ticks when a test says so."""

    def __init__(
        self,
        store: Store,
        window: int,
        tell: Callable[[str], None] = lambda line: None,
        *,
        may_debug: bool = False,
    ) -> None:
        self.clock = Clock()
        self._tell = tell
        self._may_debug = may_debug
        self.store = store
        self.windows = Windows(window)
        self.dispatch = Dispatch(self.windows, lambda at_ms: None)
        self.checked = CheckedDispatch(self.dispatch)
        self.aio = StoreAIO(store, self.clock, self.checked)
        self.system = System(self.aio, self.checked, forget_listeners)
        register_operations(
            self.system,
            partitions=1,
            on_group=lambda group: None,
            tick=partial(tick, self.dispatch),
        )
        self.system.add_background(SWEEP, self._sweep, NEVER_MS)
        self.system.add_background(SCHEDULES, self._fire_schedules, NEVER_MS)

    def _sweep(self) -> Body:
        if self.checked.is_internal:
            yield from sweep(self.dispatch, LeaseGuard(0))

    def _fire_schedules(self) -> Body:
        if self.checked.is_internal:
            return (yield from fire_schedules())
        return None

    async def run(self) -> None:
        """Tick until nothing can be done."""
        for _ in range(10_000):
            self.system.tick(self.clock.now_ms)
            if not await self.aio.serve() and self.system.is_idle:
                return
        raise AssertionError("the kernel ticks for ever")

    async def ask(self, requests: Sequence[dict[str, Any]], *, together: bool) -> list[Answer]:
        """What the requests of one message are answered."""
        self._tell(f"{'together' if together else 'apart'}: {json.dumps(requests)}")
        body = json.dumps(requests).encode()
        items = decode_body(body, may_debug=self._may_debug).items
        answers: dict[int, Answer] = {}
        chains: dict[str, Chain] = {}
        for index, item in enumerate(items):
            name = requests[index]["head"].get("chain")
            link = chains.setdefault(name, Chain()).link() if name else None
            match item:
                case Malformed(reason=reason, status=status):
                    answers[index] = Answer(status, reason)
                    if link is not None:
                        link.fail()
                case Decoded(request=request, now_ms=now_ms):
                    submitted = Submitted(request, link, now_ms=now_ms)
                    sqe = SQE(submitted, partial(_note, answers, index))
                    assert self.system.submit(sqe)
            if not together:
                await self.run()
        await self.run()
        return [answers[index] for index in range(len(items))]

    async def pass_time(self, ms: int, *, is_told: bool) -> None:
        """Let time pass, and take all internal steps that are due then, until none is.

        Args:
            ms: so much time.
            is_told: whether messages for listeners arrived meanwhile.
        """
        self._tell(f"{ms} ms pass")
        self.clock.now_ms += ms
        self.checked.is_internal = True
        told = tuple(outgoing for outgoing in self.aio.published if outgoing.listener is not None)
        self.aio.published.clear()
        if is_told and told:
            self.system.run_once(partial(forget_listeners, told))
            await self.run()
        for group in GROUPS:
            window = self.windows.of(group)
            window.end_probe(Probed(ready=0, consumers=1, unconfirmed=0), self.clock.now_ms)
        await self._sweep_all()
        for group in GROUPS:
            for id in await self.store.queued(group, Wanted(count_max=1_000)):
                self.system.run_once(partial(send_queued, id, self.dispatch))
            await self.run()
            self.windows.of(group).has_queued = bool(
                await self.store.queued(group, Wanted(count_max=1))
            )
        self.checked.is_internal = False

    async def _sweep_all(self) -> None:
        for _ in range(ROUNDS_MAX):
            self.system.wake(SWEEP)
            self.system.wake(SCHEDULES)
            await self.run()
            timers = (await self.store.snapshot()).timers
            if not timers or timers[0].due_at_ms > self.clock.now_ms:
                return
        raise AssertionError("what is due stays due")


def _note(answers: dict[int, Answer], index: int, completed: Completed) -> None:
    assert completed.crash is None, completed
    answer = completed.answer
    if isinstance(answer.data, PromisePage):
        # A search reads when its batch is durable: it may find what was written behind it.
        answer = replace(answer, data=PromisePage(promises=()))
    answers[index] = answer
