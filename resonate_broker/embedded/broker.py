"""The embedded server: ticks on the threads of its clients, and on its own when time passes."""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from resonate_broker.background import GROUPS, TOP_UP, register_background
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.groups import GroupWatch, Limited
from resonate_broker.background.lease_expiry import LeaseGuard, void_lease
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.tick import tick
from resonate_broker.background.top_up import TopUp
from resonate_broker.background.windows import Windows
from resonate_broker.embedded.aio import ImmediateAIO, complete
from resonate_broker.embedded.exclusive import Exclusive
from resonate_broker.embedded.queues import MessageQueues, Subscriber
from resonate_broker.kernel.chains import Chain
from resonate_broker.kernel.entries import SQE, Completed, Submitted
from resonate_broker.kernel.system import System
from resonate_broker.operations import register_operations
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body, normalize
from resonate_sdk.protocol.messages import Message
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import Answer
from resonate_store.memory import MemoryStore
from resonate_store.sqlite import SqliteStore
from resonate_store.store import StoreError

logger = logging.getLogger(__name__)

VOIDED_PER_READ = 1_000
ALL_HEARD = 0
OVERLOADED = Answer(responses.UNAVAILABLE, "overloaded, ask again")

Answers = dict[int, tuple[str, Answer]]
OnAnswers = Callable[[Sequence[tuple[str, Answer]]], None]


class EmbeddedBroker:
    """A server for the clients of this process, kept in a SQLite file or in memory."""

    def __init__(
        self,
        path: Path | str | None,
        now_ms: Callable[[], int],
        on_breakdown: Callable[[str], None] = lambda reason: None,
        *,
        may_debug: bool = False,
    ) -> None:
        """Open the store; the tasks that a dead owner held are up for dispatch at once.

        Args:
            path: the file; None keeps everything in memory.
            now_ms: the clock, epoch ms.
            on_breakdown: told why, if it carries out nothing any more; must not call back.
            may_debug: whether its clients may ask for `debug.*`.

        Raises:
            UnavailableError: somebody holds the file, or it cannot be opened.
            SchemaError: the file is not ours, or it is damaged.
        """
        self._now_ms = now_ms
        self._may_debug = may_debug
        self._exclusive = Exclusive()
        self._store = MemoryStore(now_ms) if path is None else SqliteStore(path, now_ms)
        self._queues = MessageQueues()
        self._aio = ImmediateAIO(self._store, self._queues)
        windows = Windows()
        self._windows = windows
        self._limited = Limited(())
        dispatch = Dispatch(windows, self._wake_top_up, self._limited)
        self._system = System(self._aio, dispatch, forget_listeners)
        self._top_up = TopUp(windows, dispatch, now_ms)
        register_operations(
            self._system,
            partitions=1,
            on_group=self._greet,
            tick=partial(tick, dispatch),
            is_limited=self._limited.has,
            on_limits=self._limits_changed,
        )
        register_background(
            self._system,
            dispatch,
            LeaseGuard(ALL_HEARD),
            self._top_up,
            groups=GroupWatch(self._limited, self._limits_ready),
        )
        self._timer = _Timer(self.tick, now_ms)
        self._on_breakdown = on_breakdown
        self._breakdown: str | None = None  # why nothing is carried out any more
        try:
            self._limited.know(group.name for group in complete(self._store.groups(None)))
            self._void_leases()
        except StoreError:
            complete(self._store.close())
            raise

    def start(self) -> None:
        """Let time pass by itself: a thread ticks when something is due."""
        self._timer.start()
        self.tick()

    def submit(self, body: bytes, on_answers: OnAnswers) -> None:
        """Carry out the requests of one message.

        Args:
            body: an envelope, or an array of them.
            on_answers: called once, before this returns, with correlation ids and answers.
        """
        items = decode_body(body, may_debug=self._may_debug).items
        answers: Answers = {}
        self._exclusive.take(partial(self._attempt, partial(self._carry_out, items, answers)))
        if self._breakdown is not None:
            answer = Answer(responses.INTERNAL, self._breakdown)
            for index, item in enumerate(items):
                answers.setdefault(index, (_correlation_id(item), answer))
        on_answers([answers[index] for index in range(len(items))])

    def carry_out(self, requests: Sequence[Request]) -> Sequence[Answer]:
        """Carry out requests that were never encoded, in order; nobody changes them any more.

        No more of them than one message may hold.
        """
        assert len(requests) <= limits.ENVELOPES_PER_MESSAGE_MAX, "a message has a limit"
        answers: dict[int, Answer] = {}
        step = partial(self._carry_out_requests, requests, answers)
        self._exclusive.take(partial(self._attempt, step))
        if self._breakdown is not None:
            answer = Answer(responses.INTERNAL, self._breakdown)
            for index in range(len(requests)):
                answers.setdefault(index, answer)
        return [answers[index] for index in range(len(requests))]

    def attach(self, pid: str, group: str | None, deliver: Callable[[Message], None]) -> None:
        """Deliver messages to a process, in place of what was attached under its name.

        Args:
            pid: the process.
            group: the group whose hints it takes as far as it has credit; None for none.
            deliver: called with each message; must not call back.
        """
        self._exclusive.take(partial(self._queues.attach, Subscriber(pid, group, deliver)))

    def detach(self, pid: str) -> None:
        """Deliver nothing more to a process."""
        self._exclusive.take(partial(self._queues.detach, pid))

    def add_credit(self, pid: str, count: int) -> None:
        """A process takes `count` more hints."""
        self._exclusive.take(partial(self._queues.add_credit, pid, count))

    def tick(self) -> None:
        """Do what is due now."""
        self._exclusive.take(partial(self._attempt, self._run))

    def next_due_at_ms(self) -> int | None:
        """When something will be due, epoch ms; None: never, if nobody asks for anything.

        Ticks come more often, to see what other servers have written. Here there is no other.
        """
        return self._exclusive.take(self._next_due_at_ms)

    def close(self) -> None:
        """Stop the clock and let the file go."""
        self._timer.stop()
        self._exclusive.take(self._close)

    def _close(self) -> None:
        self._system.shutdown()
        self._attempt(self._run)
        complete(self._store.close())

    def _next_due_at_ms(self) -> int | None:
        due = complete(self._store.due(1))
        schedules = complete(self._store.due_schedules(1))
        queued = complete(self._store.queued_groups(limits.GROUPS_MAX))
        has_room = self._windows.has_wanted or any(
            self._queues.probe(group).consumers for group in queued if not self._limited.has(group)
        )
        if due.timers or schedules.schedules or has_room:
            return self._system.next_tick_at_ms()
        instants = (due.next_at_ms, schedules.next_at_ms, self._top_up.next_at_ms)
        return min((at_ms for at_ms in instants if at_ms is not None), default=None)

    def _attempt(self, step: Callable[[], None]) -> None:
        """Take a step, unless one has failed: what it left half done must not be built upon.

        What is durable is not lost: whoever opens the file next goes on from there.
        """
        if self._breakdown is not None:
            return
        try:
            step()
        except Exception as error:
            logger.exception("embedded server broke down")
            self._breakdown = (
                "the server inside this process has stopped after a mistake of its own, "
                f"{type(error).__name__}: {error}: start the program again, and report this"
            )
            self._timer.end()
            self._on_breakdown(self._breakdown)

    def _carry_out(self, items: Sequence[Decoded | Malformed], answers: Answers) -> None:
        chains: dict[str, Chain] = {}
        for index, item in enumerate(items):
            match item:
                case Malformed(correlation_id=correlation_id, chain=name, reason=reason):
                    if name is not None:
                        chains.setdefault(name, Chain()).link().fail()
                    answers[index] = (correlation_id, Answer(item.status, reason))
                case Decoded(head=head, request=request):
                    name = head.chain
                    link = None if name is None else chains.setdefault(name, Chain()).link()
                    callback = partial(_collect, answers, index, head.correlation_id)
                    if not self._system.submit(
                        SQE(Submitted(request, link, now_ms=item.now_ms), callback)
                    ):
                        answers[index] = (head.correlation_id, OVERLOADED)
        self._run()
        assert len(answers) == len(items), "every request is answered"

    def _carry_out_requests(self, requests: Sequence[Request], answers: dict[int, Answer]) -> None:
        for index, request in enumerate(requests):
            callback = partial(_collect_answer, answers, index)
            if not self._system.submit(SQE(Submitted(normalize(request), None), callback)):
                answers[index] = OVERLOADED
        self._run()
        assert len(answers) == len(requests), "every request is answered"

    def _run(self) -> None:
        """Tick until nothing can be done before time passes."""
        while True:
            now_ms = self._now_ms()
            self._system.tick(now_ms)
            next_at_ms = self._system.next_tick_at_ms()
            if not self._aio and next_at_ms > now_ms:
                self._timer.set(next_at_ms)
                return

    def _void_leases(self) -> None:
        after = ""
        while ids := complete(self._store.acquired(after, VOIDED_PER_READ)):
            for id in ids:
                self._system.run_once(partial(void_lease, id))
            after = ids[-1]

    def _greet(self, group: str) -> None:
        self._top_up.greet(group)
        self._system.wake(TOP_UP)

    def _limits_changed(self, group: str) -> None:
        self._system.wake(GROUPS)
        self._top_up.look_at(group)
        self._system.wake(TOP_UP)

    def _limits_ready(self) -> None:
        self._top_up.look_at_all()
        self._system.wake(TOP_UP)

    def _wake_top_up(self, at_ms: int) -> None:
        self._system.wake(TOP_UP, at_ms)


def _correlation_id(item: Decoded | Malformed) -> str:
    return item.correlation_id if isinstance(item, Malformed) else item.head.correlation_id


def _collect(answers: Answers, index: int, correlation_id: str, completed: Completed) -> None:
    answers[index] = (correlation_id, completed.answer)


def _collect_answer(answers: dict[int, Answer], index: int, completed: Completed) -> None:
    answers[index] = completed.answer


class _Timer:
    """A thread that calls back when an instant has come."""

    def __init__(self, callback: Callable[[], None], now_ms: Callable[[], int]) -> None:
        self._callback = callback
        self._now_ms = now_ms
        self._changed = threading.Condition()
        self._at_ms = 0
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="resonate-embedded", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def set(self, at_ms: int) -> None:
        """Call back at this instant; the thread is only woken if that is sooner than before."""
        if at_ms == self._at_ms:
            return  # nobody else sets it: this is called by one thread at a time
        with self._changed:
            is_sooner = at_ms < self._at_ms
            self._at_ms = at_ms
            if is_sooner:
                self._changed.notify()

    def end(self) -> None:
        """Call back no more; the thread ends by itself, which may be this one."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    def stop(self) -> None:
        self.end()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_stopped and (wait_ms := self._at_ms - self._now_ms()) > 0:
                    self._changed.wait(wait_ms / 1000)
                if self._is_stopped:
                    return
            self._callback()
