"""A worker on a wire whose other end is the test, in virtual time."""

import asyncio
import threading
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

from msgspec.structs import replace

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import TransportError
from resonate_sdk.execution.environment import Environment
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.functions.registry import Registry
from resonate_sdk.protocol import responses, tags as tag
from resonate_sdk.protocol.messages import HintData, Invoke, MessageHead
from resonate_sdk.protocol.records import TaskRecord, TaskRef
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseGet,
    SettleAction,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import Answer, Nothing, TaskData
from resonate_sdk.retry import Never
from resonate_sdk.transport import Arrival
from resonate_sdk.worker.coroutine_loop import CoroutineLoop
from resonate_sdk.worker.heartbeat import Leases
from resonate_sdk.worker.settings import WorkerSettings
from resonate_sdk.worker.tasks import Tasks
from resonate_sdk.worker.worker import Worker
from tests.unit.sdk import virtual_time
from tests.unit.sdk.wire import Wire, fenced, granted, make_record, promise, refusal

CODEC = Codec()
OK = Answer(responses.OK, Nothing())
UNREACHABLE = TransportError("no answer", may_be_carried_out=True)
LEASE_S = 15.0
NOW_MS = 1_000_000


def make_root(func="main", args=(), id="x", **changes):
    tags = {tag.TARGET: "amqp://any@g", tag.SCOPE: "global"}
    tags |= dict.fromkeys((tag.ORIGIN, tag.BRANCH, tag.PARENT, tag.PREFIX), id)
    changes = {"tags": tags, "param": encode_call(CODEC, func, 1, args, {}), **changes}
    return make_record(id, **changes)


class Server:
    """Answers as a server does to a single worker; single reactions can be overruled.

    Attributes:
        overrules: by kind of request: a reaction, or a list of reactions to be used up.
        promises: the children, by id.
    """

    def __init__(self, root, version=1):
        self.root = root
        self.version = version
        self.overrules = {}
        self.promises = {}

    def __call__(self, request):
        reactions = self.overrules.get(type(request))
        if isinstance(reactions, list):
            reaction = reactions.pop(0) if reactions else self._react(request)
        else:
            reaction = reactions or self._react(request)
        return reaction(request) if callable(reaction) else reaction

    def _react(self, request):
        match request:
            case TaskAcquire():
                self.version = request.version + 1
                return granted(self.root, self.version, self.promises.values())
            case TaskFence(action=CreateAction(data=create)):
                record = make_record(
                    create.id,
                    tags=create.tags,
                    param=create.param,
                    timeout_at_ms=create.timeout_at_ms,
                )
                return fenced(request, self.promises.setdefault(create.id, record))
            case TaskFence(action=SettleAction(data=settle)):
                record = replace(self.promises[settle.id], state=settle.state, value=settle.value)
                self.promises[settle.id] = record
                return fenced(request, record)
            case TaskFulfill(settlement=settle):
                return promise(replace(self.root, state=settle.state, value=settle.value))
            case TaskSuspend() | TaskRelease() | TaskHalt():
                return OK
            case TaskGet():
                return refusal(404)
            case PromiseGet():
                return promise(self.root)
            case _:
                raise AssertionError(request)


class Slot:
    """Takes down what becomes of it."""

    def __init__(self, arrival):
        self.arrival = arrival
        self.events = []
        self.is_left = asyncio.Event()

    def answered(self):
        self.events.append("answered")

    def free(self):
        self.events.append("free")
        self.is_left.set()


class Bench:
    """A worker on a wire, in virtual time.

    Attributes:
        settled: promises that it says are settled.
        suspended: promises of which it says that a pass has ended without that.
    """

    def __init__(self, wire: Any, tasks, registry, overlap, on_nondeterminism, cache_size):
        self.wire = wire
        self.registry = registry
        self.settled = []
        self.suspended = []
        self.leases = Leases(wire, "me", round(LEASE_S * 1000))
        environment = Environment(
            registry=registry,
            dependencies={},
            codec=CODEC,
            default_target="amqp://any@g",
            own_target="amqp://any@g/me",
            retry_policy=Never(),
            now_ms=lambda: 0,
            on_nondeterminism=on_nondeterminism,
        )
        self.worker = Worker(
            wire,
            environment,
            self.leases,
            WorkerSettings(
                lease_ms=round(LEASE_S * 1000),
                threads=2,
                slots=2,
                overlap=overlap,
                cache_size=cache_size,
            ),
            pid="me",
            threads=virtual_time.TimelessThreads(2, "test"),
            coroutines=CoroutineLoop(),
            on_settled=self.settled.append,
            on_suspended=self.suspended.append,
        )
        self.worker.start(tasks)

    def hint(self, id="x", version=0):
        slot = Slot(Arrival())
        data = HintData(task=TaskRef(id=id, version=version))
        self.worker.on_hint(Invoke(data=data), slot)
        return slot

    def fresh_hint(self, root, version=0):
        """A hint that has just been sent for the first time, of a promise that nobody has had."""
        slot = Slot(Arrival(server_now_ms=NOW_MS))
        data = HintData(task=TaskRef(id=root.id, version=version), promise=root)
        self.worker.on_hint(Invoke(data=data, head=MessageHead(sent_at_ms=NOW_MS)), slot)
        return slot

    def kinds(self):
        return [request.kind for request in self.wire.sent]


class NearWire(Wire):
    """A server inside this process: what needs no waiting is answered on the thread that asks.

    Attributes:
        threads: that have asked so.
        near: what they have asked.
    """

    def __init__(self, react):
        super().__init__(react)
        self.threads = set()
        self.near = []

    def answer_at_once(self, requests):
        self.threads.add(threading.current_thread())
        self.near += requests
        self.sent += requests
        return [self.react(request) for request in requests]


@asynccontextmanager
async def make_bench(
    server,
    *functions,
    wire=Wire,
    overlap=True,
    overlaps=True,
    on_nondeterminism="halt",
    cache_size=0,
):
    """A worker; `overlap` is its option, `overlaps` that of its functions."""
    registry = Registry()
    for func in functions:
        registry.add(func, overlap=overlaps)
    async with asyncio.TaskGroup() as group:
        bench = Bench(wire(server), Tasks(group), registry, overlap, on_nondeterminism, cache_size)
        yield bench
        await virtual_time.turn()
        bench.worker._threads.shutdown()


def in_virtual_time(test):
    @wraps(test)
    def run(*args, **kwargs):
        virtual_time.run(test(*args, **kwargs))

    return run


def leaf(ctx, value=None):
    return value


def main(ctx):
    first = yield ctx.run(leaf, 1)
    return first + 1


def waiting(ctx):
    return (yield (yield ctx.promise(id="answer")))


def task(**changes):
    fields: dict[str, Any] = {
        "id": "x",
        "state": "acquired",
        "version": 1,
        "resumes": 0,
        "pid": "me",
    }
    return Answer(responses.OK, TaskData(task=TaskRecord(**{**fields, **changes})))


async def turns():
    """Let everything happen that needs no time."""
    for _ in range(50):
        await virtual_time.turn()
