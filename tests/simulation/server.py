"""One server: the real kernel with its operations and background steps, in simulated surroundings."""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from resonate_broker.background import GROUPS, INBOX, RETENTION, TOP_UP, register_background
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.groups import GroupWatch, Limited
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.retention import Retention
from resonate_broker.background.tick import tick
from resonate_broker.background.top_up import TopUp
from resonate_broker.background.windows import Windows
from resonate_broker.integration import register_integration
from resonate_broker.integration.invocation import Invoke
from resonate_broker.kernel.chains import NOT_ATTEMPTED, Chain
from resonate_broker.kernel.entries import SQE, Completed, Submitted
from resonate_broker.kernel.system import Limits
from resonate_broker.operations import register_operations
from resonate_sdk.protocol import envelope, responses
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body
from resonate_sdk.protocol.requests import TaskHeartbeat
from resonate_sdk.protocol.responses import Answer
from resonate_store.store import Store
from tests.simulation.aio import SimulatedAIO
from tests.simulation.broker import Broker, Delivery
from tests.simulation.database import Database
from tests.simulation.faults import Faults
from tests.simulation.observer import ObservedDispatch, ObservedSystem, Observer
from tests.simulation.world import World

UNDECIDED = (responses.INTERNAL, responses.UNAVAILABLE)
STATELESS = (
    "hello",
    "promise.search",
    "task.search",
    "schedule.search",
    "group.list",
)  # what they answer is not decided by a batch
RETENTION_AGE_MS = 100


class _Open:
    """A delivery that a server has not acknowledged."""

    def __init__(self, delivery: Delivery, count: int) -> None:
        self.delivery = delivery
        self.answers: list[bytes] = []
        self.missing = count


class SimulatedServer:
    """A process that takes requests until it dies."""

    def __init__(
        self,
        world: World,
        faults: Callable[[], Faults],
        database: Database,
        store: Store,
        broker: Broker,
        observer: Observer,
        *,
        number: int,
        window: int,
        batch: int,
        clock_ahead_ms: int,
        retires: Callable[[], bool],
    ) -> None:
        self.number = number
        self.store = store
        self._world = world
        self._broker = broker
        self._observer = observer
        self._clock_ahead_ms = clock_ahead_ms  # only the store's clock decides anything
        self._open: dict[int, _Open] = {}
        self._next = 0
        self._is_dead = False
        self._frozen_until_ms = 0
        self._has_tick_at_ms: int | None = None
        self._aio = SimulatedAIO(world, faults, database, store, broker, observer, self._wake)
        windows = Windows(window)
        limited = Limited()
        dispatch = Dispatch(windows, lambda at_ms: self._system.wake(TOP_UP, at_ms), limited)
        observed = self._aio.observed = ObservedDispatch(observer, dispatch)
        self._system = ObservedSystem(
            observed, self._aio, forget_listeners, Limits(submissions=200, batch=batch)
        )
        self._guard = LeaseGuard()
        self._top_up = TopUp(windows, dispatch, lambda: self._system.store_now_ms)
        register_operations(
            self._system,
            partitions=1,
            on_group=self._greet,
            tick=partial(tick, dispatch),
            is_limited=limited.has,
            on_limits=self._limits_changed,
        )
        register_integration(self._system)
        watch = GroupWatch(limited, self._look_at_all)
        age_ms = RETENTION_AGE_MS
        retention = Retention(age_ms, lambda: self._system.store_now_ms if retires() else 0)
        register_background(
            self._system,
            dispatch,
            self._guard,
            self._top_up,
            groups=watch,
            drains_inbox=True,
            retention=retention,
        )
        self.hear()
        broker.connect(number, self)
        self._wake()

    def deliver(self, delivery: Delivery) -> None:
        """A message of requests has come."""
        self._next += 1
        if delivery.invocation is not None:
            self._invoke(self._next, delivery, delivery.invocation)
            return
        items = decode_body(delivery.body).items
        open_ = self._open[self._next] = _Open(delivery, len(items))
        chains: dict[str, Chain] = {}
        for item in items:
            self._take(self._next, open_, item, chains)
        self._wake()

    def _invoke(self, number: int, delivery: Delivery, invocation: Invoke) -> None:
        self._open[number] = _Open(delivery, 1)
        request = replace(invocation)  # each delivery is a request of its own
        solitary = number if delivery.is_redelivered else None

        def completed(completed: Completed) -> None:
            self._world.note(f"server {self.number} has invoked {invocation.id} {completed.answer}")
            if completed.answer.status not in UNDECIDED:
                self._observer.check_durable(request, completed.answer)
            del self._open[number]

        if not self._system.submit(SQE(Submitted(request, None, solitary), completed)):
            del self._open[number]
        self._wake()

    def die(self) -> None:
        """The process is killed: what it has not acknowledged goes to another one."""
        self._world.note(f"server {self.number} dies")
        self._is_dead = True
        self._aio.die()
        self._broker.disconnect(self.number, [open_.delivery for open_ in self._open.values()])

    def freeze(self, ms: int) -> None:
        """The process stands still."""
        self._world.note(f"server {self.number} stands still for {ms} ms")
        self._frozen_until_ms = self._world.now_ms + ms

    def deafen(self) -> None:
        """Heartbeats cannot be heard."""
        self._guard.heard_since_ms = None

    def hear(self) -> None:
        """Heartbeats are heard from now on."""
        if self._guard.heard_since_ms is None:
            self._guard.heard_since_ms = self._world.store_now_ms()

    def notice(self) -> None:
        """An application has committed."""
        self._system.wake(INBOX)
        self._wake()

    def retire(self) -> None:
        """Look for what is old sooner than the server does by itself."""
        self._system.wake(RETENTION)
        self._wake()

    def _greet(self, group: str) -> None:
        self._top_up.greet(group)
        self._system.wake(TOP_UP)

    def _look_at_all(self) -> None:
        self._top_up.look_at_all()
        self._system.wake(TOP_UP)

    def _limits_changed(self, group: str) -> None:
        self._system.wake(GROUPS)
        self._top_up.look_at(group)
        self._system.wake(TOP_UP)

    def _take(
        self, number: int, open_: _Open, item: Decoded | Malformed, chains: dict[str, Chain]
    ) -> None:
        chain = item.chain if isinstance(item, Malformed) else item.head.chain
        link = None if chain is None else chains.setdefault(chain, Chain()).link()
        match item:
            case Malformed(reason=reason, status=status):
                if link is not None:
                    link.fail()
                self._observer.answers[item.kind, status] += 1
                self._answer(number, open_, item, Answer(status, reason))
            case Decoded(request=request):
                solitary = number if open_.delivery.is_redelivered else None
                callback = partial(self._completed, number, open_, item)
                sqe = SQE(Submitted(request, link, solitary), callback)
                is_urgent = isinstance(request, TaskHeartbeat) and link is None
                if not self._system.submit(sqe, urgent=is_urgent):
                    answer = Answer(responses.UNAVAILABLE, "overloaded, ask again")
                    self._answer(number, open_, item, answer)

    def _completed(self, number: int, open_: _Open, item: Decoded, completed: Completed) -> None:
        answer = completed.answer
        is_decided = answer.status not in UNDECIDED and answer != NOT_ATTEMPTED
        if is_decided and answer.status != responses.MALFORMED and item.kind not in STATELESS:
            self._observer.check_durable(item.request, answer)
        elif answer != NOT_ATTEMPTED:
            self._observer.answers[item.kind, answer.status] += 1
        self._answer(number, open_, item, answer)

    def _answer(self, number: int, open_: _Open, item: Decoded | Malformed, answer: Answer) -> None:
        correlation_id = (
            item.correlation_id if isinstance(item, Malformed) else item.head.correlation_id
        )
        self._world.note(f"server {self.number} answers {correlation_id} {answer}")
        open_.answers.append(envelope.encode_answer(item.kind, correlation_id, answer))
        open_.missing -= 1
        if open_.missing == 0:
            del self._open[number]
            self._broker.answer(open_.delivery, envelope.join(open_.answers))

    def _clock_ms(self) -> int:
        return self._world.now_ms + self._clock_ahead_ms

    def _wake(self, delay_ms: int = 0) -> None:
        at_ms = max(self._world.now_ms + delay_ms, self._frozen_until_ms)
        if self._has_tick_at_ms is None or at_ms < self._has_tick_at_ms:
            self._has_tick_at_ms = at_ms
            self._world.after(at_ms - self._world.now_ms, partial(self._tick, at_ms))

    def _tick(self, at_ms: int) -> None:
        if self._is_dead or at_ms != self._has_tick_at_ms:
            return
        self._has_tick_at_ms = None
        if self._world.now_ms < self._frozen_until_ms:
            self._wake()
            return
        now_ms = self._clock_ms()
        self._system.tick(now_ms)
        delay_ms = 0 if self._aio else max(0, self._system.next_tick_at_ms() - now_ms)
        self._wake(delay_ms)
