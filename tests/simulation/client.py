"""A process that asks: at random while a simulation runs, and honestly when it ends."""

from collections.abc import Callable, Sequence

import msgspec

from resonate_sdk.protocol import envelope, limits
from resonate_sdk.protocol.envelope import Decoded, decode_body
from resonate_sdk.protocol.messages import Invoke, Message, Notify, Resume
from resonate_sdk.protocol.requests import (
    Request,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import (
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    MALFORMED,
    NOT_FOUND,
    OK,
    UNAVAILABLE,
    Answer,
    Fenced,
    PromiseData,
    PromisePage,
    ScheduleData,
    TaskData,
    TaskGranted,
    TaskPage,
)
from tests.invariants.responses import Seen
from tests.simulation.broker import Broker
from tests.simulation.faults import Faults
from tests.simulation.requests import Data, Knowledge, Requests
from tests.simulation.services import services_of
from tests.simulation.world import World

LEASE_MS = 15_000
AGAIN_MS = 2_000
BESIDE = (
    "hello",
    "promise.search",
    "task.search",
    "schedule.search",
    "group.list",
)  # what they answer comes from beside the batches
_encode = msgspec.json.encode


class Client:
    """A client, and a worker of a group if it has one.

    Attributes:
        is_honest: whether it does nothing but the work that it gets.
        sent: how many requests it has made.
    """

    def __init__(
        self,
        world: World,
        faults: Callable[[], Faults],
        broker: Broker,
        seen: Seen,
        generation: Callable[[], int],
        pid: str,
        group: str | None,
        limited: Sequence[str],
    ) -> None:
        self.pid = pid
        self.group = group
        self.is_honest = False
        self.sent = 0
        self._world = world
        self._faults = faults
        self._broker = broker
        self._seen = seen
        self._known = Knowledge(pid, world.store_now_ms)
        self._requests = Requests(
            world.random, self._known, generation, limited, services_of(world)
        )
        self._number = 0
        self._life = 0  # what was meant for an earlier one is not heard
        broker.attach(self)

    def act(self) -> None:
        """Send a message of random requests, or die and come back without memory."""
        random = self._world.random
        if self._world.happens(self._faults().client_crash):
            self._world.note(f"client {self.pid} forgets everything")
            self._life += 1
            self._known.forget()
            return
        if self._world.happens(0.02):
            self.ask(self._requests.replace_schedule())
            return
        count = random.choice((1, 1, 1, 2, 3, 8))
        chain = random.choice((None, None, "c"))
        self._send([(*self._requests.make(), chain) for _ in range(count)])

    def ask(self, requests: Sequence[tuple[str, Data]]) -> None:
        """Send these requests."""
        self._send([(kind, data, None) for kind, data in requests])

    def receive(self, message: Message) -> None:
        """A hint or news have come."""
        self._world.note(f"client {self.pid} gets {message}")
        match message:
            case Invoke(data=data) | Resume(data=data):
                self._known.hinted[data.task.id] = data.task.version
                if self.is_honest or self._world.happens(0.5):
                    self._acquire(data.task.id, data.task.version)
            case Notify(data=news):
                self._known.promises[news.promise.id] = news.promise

    def _acquire(self, id: str, version: int) -> None:
        data = {"id": id, "version": version, "pid": self.pid, "ttl": LEASE_MS}
        self._send([("task.acquire", data, None)])

    def _send(self, items: Sequence[tuple[str, Data, str | None]]) -> None:
        body: list[bytes] = []
        for kind, data, chain in items:
            self._number += 1
            head: Data = {"corrId": f"{self.pid}-{self._number}", "version": limits.VERSION}
            if chain is not None:
                head["chain"] = chain
            body.append(_encode({"kind": kind, "head": head, "data": data}))
        self.sent += len(items)
        message, life, asked_at = envelope.join(body), self._life, self._seen.asked()
        self._world.note(f"client {self.pid} asks {message.decode()}")
        asked = {
            item.head.correlation_id: item.request
            for item in decode_body(message).items
            if isinstance(item, Decoded)
        }
        is_heard = False

        chains = [chain for _, _, chain in items]

        def answered(answers: bytes) -> None:
            nonlocal is_heard
            is_heard = True
            if life == self._life:
                _check_chain(chains, answers)
                self._hear(asked_at, asked, answers)

        self._broker.submit(message, answered)
        if self._world.happens(0.7):
            again = lambda: None if is_heard else self._broker.submit(message, answered)  # noqa: E731
            self._world.after(AGAIN_MS, again)

    def _hear(self, asked_at: int, asked: dict[str, Request], answers: bytes) -> None:
        for response in envelope.decode_responses(answers):
            request = asked.get(response.head.correlation_id)
            if request is None:
                continue
            answer = envelope.decode_answer(response)
            self._seen.answered(asked_at, request, answer)
            self._learn(request, answer)

    def _learn(self, request: Request, answer: Answer) -> None:
        match answer.data:
            case PromiseData(promise=promise):
                self._known.promises[promise.id] = promise
                if promise.state != "pending":
                    self._known.held.pop(promise.id, None)
            case PromisePage(promises=promises):
                self._known.promises |= {promise.id: promise for promise in promises}
            case ScheduleData(schedule=schedule):
                self._known.schedules[schedule.id] = None
            case TaskPage(tasks=tasks):
                self._known.tasks |= {task.id: task for task in tasks}
            case TaskData(task=task):
                self._known.tasks[task.id] = task
            case Fenced(action=action):
                if isinstance(action.data, PromiseData):
                    promise = action.data.promise
                    self._known.promises[promise.id] = promise
            case TaskGranted(task=task, promise=promise):
                self._known.tasks[task.id] = task
                self._known.promises[promise.id] = promise
                self._known.hinted.pop(task.id, None)
                if task.state == "acquired" and isinstance(request, TaskAcquire | TaskCreate):
                    self._known.held[task.id] = task.version
                    if self.is_honest:
                        self._fulfill(task.id, task.version)
                    elif self._world.happens(0.5):
                        steps = self._requests.advance(task.id, task.version)
                        self._send([(kind, data, "pass") for kind, data in steps])
            case _:
                self._unlearn(request, answer)

    def _unlearn(self, request: Request, answer: Answer) -> None:
        """What was refused because it is not so any more is forgotten, mostly."""
        if answer.status in (NOT_FOUND, CONFLICT) and self._world.happens(0.8):
            match request:
                case TaskAcquire(id=id):
                    self._known.hinted.pop(id, None)
                case (
                    TaskFence(id=id) | TaskSuspend(id=id) | TaskFulfill(id=id) | TaskRelease(id=id)
                ):
                    self._known.held.pop(id, None)
                case _:
                    pass

    def _fulfill(self, id: str, version: int) -> None:
        settle = {"id": id, "state": "resolved", "value": {}}
        action = {"kind": "promise.settle", "data": settle}
        self._send([("task.fulfill", {"id": id, "version": version, "action": action}, None)])


def _check_chain(chains: Sequence[str | None], answers: bytes) -> None:
    """After the first item of a chain that is not answered 200, the rest is not attempted."""
    received = envelope.decode_responses(answers)
    received.sort(key=lambda response: int(response.head.correlation_id.rpartition("-")[2]))
    is_broken = False
    for chain, response in zip(chains, received, strict=True):
        status = response.head.status
        if chain is None or response.kind in BESIDE:
            continue
        is_untried = status in (CONFLICT, MALFORMED, FORBIDDEN, INTERNAL, UNAVAILABLE)
        assert is_untried or not is_broken, f"{response} after a refusal: {answers.decode()}"
        is_broken = is_broken or status != OK
