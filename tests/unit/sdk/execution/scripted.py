"""A server that is a dictionary, and passes that are driven against it by hand."""

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, encode_failure
from resonate_sdk.execution.bodies import call_function
from resonate_sdk.execution.effects import (
    CallFunction,
    ChildChanged,
    CloseCoroutine,
    CoroutineMoved,
    CreateChild,
    Done,
    Effect,
    Event,
    FunctionCalled,
    Outcome,
    RunCoroutine,
    SendOutcome,
    SettleChild,
    StartTimer,
    Suspended,
    TimerFired,
)
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.execution import Execution
from resonate_sdk.execution.patience import SUSPEND_GRACE_S
from resonate_sdk.functions.callee import describe
from resonate_sdk.functions.registry import Registry
from resonate_sdk.options import NO_OPTIONS, Options
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import EMPTY, PromiseRecord, PromiseState, SettledState, Value
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.retry import RetryPolicy
from resonate_sdk.worker.coroutines import CoroutineRunner
from tests.unit.sdk import virtual_time

START_MS = 1_767_225_600_000  # the first instant of 2026
HOUR_S = 3_600
RETRIES_MAX = 1_000


class Clock:
    """Shows what it is told to."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


class Server:
    """Promises by id, under the deadline rule of the protocol.

    Attributes:
        promises: everything that exists.
        created: what passes asked to create, in order, whether it existed or not.
        settled: what passes settled, in order: ids and states.
    """

    def __init__(self, clock: Clock, codec: Codec) -> None:
        self.promises: dict[str, PromiseRecord] = {}
        self.created: list[PromiseCreate] = []
        self.settled: list[tuple[str, str]] = []
        self._clock = clock
        self._codec = codec

    def create(self, request: PromiseCreate) -> PromiseRecord:
        self.created.append(request)
        if request.id not in self.promises:
            self.promises[request.id] = PromiseRecord(
                id=request.id,
                state="pending",
                param=request.param,
                value=EMPTY,
                tags=dict(request.tags),
                timeout_at_ms=request.timeout_at_ms,
                created_at_ms=self._clock.now_ms,
            )
        return self.get(request.id)

    def settle(self, id: str, state: SettledState, value: Value = EMPTY) -> PromiseRecord:
        """Settle as a pass does; what is settled stays as it is."""
        self.settled.append((id, state))
        return self.put(id, state, value)

    def put(self, id: str, state: SettledState, value: Value = EMPTY) -> PromiseRecord:
        """Settle as somebody outside does."""
        record = self.get(id)
        if record.state == "pending":
            record = replace(record, state=state, value=value, settled_at_ms=self._clock.now_ms)
            self.promises[id] = record
        return record

    def resolve(self, id: str, value: Any = None) -> PromiseRecord:
        return self.put(id, "resolved", self._codec.encode(value))

    def reject(self, id: str, error: Any = None) -> PromiseRecord:
        if isinstance(error, Exception):
            return self.put(id, "rejected", encode_failure(self._codec, error))
        return self.put(id, "rejected", self._codec.encode(error))

    def get(self, id: str) -> PromiseRecord:
        record = self.promises[id]
        if record.state == "pending" and record.timeout_at_ms <= self._clock.now_ms:
            is_timer = record.tags.get(tag.TIMER) == tag.TRUE
            state: PromiseState = "resolved" if is_timer else "rejected_timedout"
            record = replace(record, state=state, settled_at_ms=record.timeout_at_ms)
            self.promises[id] = record
        return record

    def state(self, id: str) -> PromiseState:
        return self.get(id).state

    def value(self, id: str) -> Any:
        """The value as plain data."""
        return self._codec.decode(self.get(id).value)

    def call(self, id: str) -> Any:
        """The call envelope that a promise was created with, as plain data."""
        return self._codec.decode(self.get(id).param)

    @property
    def ids(self) -> list[str]:
        """What passes asked to create, in order."""
        return [request.id for request in self.created]

    def forget_journal(self) -> None:
        self.created.clear()
        self.settled.clear()


class Stage:
    """Runs the coroutines of passes, on a loop that turns only when it is told to."""

    def __init__(self, loop: Any = None) -> None:
        self.loop: Any = loop  # also their group; there is none before it is needed
        self.moved: list[CoroutineMoved] = []
        self._runners: dict[int, CoroutineRunner] = {}

    def take(self, effect: Effect) -> bool:
        """Carry an effect out, if it is about a coroutine."""
        match effect:
            case RunCoroutine(body=body):
                self.loop = self.loop or asyncio.new_event_loop()
                runner = CoroutineRunner(effect, self.moved.append, self.loop)
                self._runners[body.number] = runner
                runner.start(self.loop)
            case SendOutcome(number=number, ticket=ticket, outcome=outcome):
                self._runners[number].send(ticket, outcome)
            case CloseCoroutine(number=number):
                self._runners.pop(number).close()
            case _:
                return False
        return True

    def turn(self) -> list[CoroutineMoved]:
        """Let the coroutines run until all wait; what they say."""
        if not self._runners:
            return []
        self.loop.run_until_complete(_turns())
        moved = self.moved.copy()
        self.moved.clear()
        return moved

    def clear(self) -> None:
        """A pass is over: cancel its coroutines."""
        for runner in self._runners.values():
            runner.close()
        self.turn()
        self._runners.clear()

    def close(self) -> None:
        self.clear()
        if self.loop is not None:
            self.loop.close()


async def _turns() -> None:
    for _ in range(10):
        await virtual_time.turn()


class World:
    """Everything that a pass meets, under the control of a test.

    Attributes:
        delays: seconds that passes asked to wait before retries.
    """

    def __init__(self, retry_policy: RetryPolicy | None = None) -> None:
        self.clock = Clock()
        self.codec = Codec()
        self.server = Server(self.clock, self.codec)
        self.registry = Registry()
        self.dependencies: dict[str | type, Any] = {}
        self.delays: list[float] = []
        self.stage = Stage()
        self.environment = Environment(
            registry=self.registry,
            dependencies=self.dependencies,
            codec=self.codec,
            default_target="amqp://any@default",
            own_target="amqp://any@default/me",
            retry_policy=retry_policy,
            now_ms=self.clock,
        )

    def register(self, func: Callable[..., Any], **keywords: Any) -> Callable[..., Any]:
        self.registry.add(func, **keywords)
        return func

    def start(
        self,
        func: Callable[..., Any],
        *args: Any,
        id: str = "x",
        timeout_s: float = HOUR_S,
        given: Options = NO_OPTIONS,
        version: int = 1,
        tags: Mapping[str, str] | None = None,
        is_preloaded: bool = True,
        **kwargs: Any,
    ) -> Execution:
        """Begin a pass; the root promise is made with the first one."""
        if id not in self.server.promises:
            own = {tag.TARGET: "amqp://any@default", tag.SCOPE: tag.SCOPE_GLOBAL}
            own |= dict.fromkeys((tag.ORIGIN, tag.BRANCH, tag.PARENT, tag.PREFIX), id)
            self.server.promises[id] = PromiseRecord(
                id=id,
                state="pending",
                param=EMPTY,
                value=EMPTY,
                tags={**own, **(tags or {})},
                timeout_at_ms=self.clock.now_ms + round(timeout_s * 1000),
                created_at_ms=self.clock.now_ms,
            )
        others = [self.server.get(other) for other in self.server.promises if other != id]
        return Execution(
            self.environment,
            self.server.promises[id],
            others if is_preloaded else (),
            describe(func),
            args,
            kwargs,
            given,
            version,
        )

    def drive(self, execution: Execution, events: Iterable[Event] = ()) -> Outcome:
        """Carry out what a pass asks for, in the order of asking, until it ends."""
        asked = deque[Effect]()
        progress = execution.advance(events)
        while progress.outcome is None:
            asked.extend(self.staged(progress.effects))
            happened: list[Event] = [*self.stage.turn()]
            if not happened:
                assert asked or progress.is_ready, "a pass that goes on has asked for something"
                happened = [self.carry_out(asked.popleft())] if asked else []
            progress = execution.advance(happened)
        self.staged(progress.effects)
        if not isinstance(progress.outcome, Done):
            execution.close()
        self.stage.clear()
        return progress.outcome

    def staged(self, effects: Iterable[Effect]) -> list[Effect]:
        """Carry out what is about coroutines; the rest."""
        return [effect for effect in effects if not self.stage.take(effect)]

    def carry_out(self, effect: Effect) -> Event:
        match effect:
            case CreateChild(request=request):
                return ChildChanged(self.server.create(request))
            case SettleChild(id=id, state=state, value=value):
                return ChildChanged(self.server.settle(id, state, value))
            case CallFunction(number=number, call=call):
                return FunctionCalled(number, call_function(call))
            case StartTimer(number=number, delay_s=delay_s) if delay_s == SUSPEND_GRACE_S:
                return TimerFired(number)
            case StartTimer(number=number, delay_s=delay_s):
                self.delays.append(delay_s)
                assert len(self.delays) < RETRIES_MAX, "it is retried for ever"
                self.clock.advance(delay_s)
                return TimerFired(number)
            case RunCoroutine() | SendOutcome() | CloseCoroutine():
                raise AssertionError("the stage does that")

    def carry_out_all(self, effects: Sequence[Effect]) -> list[Event]:
        return [self.carry_out(effect) for effect in effects]

    def run(self, func: Callable[..., Any], *args: Any, **keywords: Any) -> Outcome:
        """One pass, from the first line to its outcome."""
        return self.drive(self.start(func, *args, **keywords))

    def result(self, func: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        """The value of a function that needs one pass, or what it raises."""
        return self.outcome_of(self.run(func, *args, **keywords))

    def outcome_of(self, outcome: Outcome, type: Any = Any) -> Any:
        """The value that a pass settles its root with, or the exception."""
        assert isinstance(outcome, Done), outcome
        if outcome.state == "resolved":
            return self.codec.decode(outcome.value, type)
        record = replace(
            next(iter(self.server.promises.values())), state="rejected", value=outcome.value
        )
        raise decode_failure(self.codec, record)

    def awaited(self, func: Callable[..., Any], *args: Any, **keywords: Any) -> tuple[str, ...]:
        """What a pass that ends suspended waits for."""
        outcome = self.run(func, *args, **keywords)
        assert isinstance(outcome, Suspended), outcome
        return outcome.awaited


def plain(value: Value) -> Any:
    """A stored value as the JSON that it is."""
    return None if not value.data else msgspec.json.decode(base64.b64decode(value.data))
