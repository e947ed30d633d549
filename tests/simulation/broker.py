"""What RabbitMQ does: keeps messages until somebody takes them, except when something goes wrong."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from resonate_broker.integration.invocation import Invoke
from resonate_broker.kernel.submissions import Outgoing, Probed
from resonate_sdk.protocol.messages import Message
from tests.simulation.faults import Faults
from tests.simulation.services import Services
from tests.simulation.world import World


class Delivery(Struct, frozen=True):
    """A message of requests on its way.

    Attributes:
        answered: takes the answers; nobody hears a second time that the message is done with.
        invocation: what the message says if it is a plain one, whose result goes elsewhere.
        is_redelivered: whether a server has had it before.
    """

    number: int
    body: bytes
    answered: Callable[[bytes], None]
    is_redelivered: bool = False
    invocation: Invoke | None = None


class Consumer(Protocol):
    """A server that takes requests."""

    def deliver(self, delivery: Delivery) -> None: ...


class Subscriber(Protocol):
    """A process that takes messages."""

    pid: str
    group: str | None

    def receive(self, message: Message) -> None: ...


class Broker:
    """Queues, and what is lost on the way to them and from them."""

    def __init__(self, world: World, faults: Callable[[], Faults]) -> None:
        self._world = world
        self._faults = faults
        self._consumers: dict[int, Consumer] = {}
        self._requests = deque[Delivery]()
        self._subscribers: dict[str, Subscriber] = {}
        self._hints: dict[str, deque[Message]] = {}
        self._number = 0
        self._services = Services(world, lambda body: self.submit(body, lambda answers: None))

    def submit(self, body: bytes, answered: Callable[[bytes], None]) -> None:
        """A client sends requests."""
        for _ in range(self._copies(self._faults().request_lost, self._faults().request_repeated)):
            self._send(Delivery(self._next_number(), body, answered))

    def invoke(self, invocation: Invoke) -> None:
        """A service that knows no protocol publishes an invocation."""
        for _ in range(self._copies(self._faults().request_lost, self._faults().request_repeated)):
            number = self._next_number()
            self._send(Delivery(number, b"", lambda answers: None, invocation=invocation))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _send(self, delivery: Delivery) -> None:
        self._travel(lambda: self._enqueue(delivery))

    def connect(self, number: int, consumer: Consumer) -> None:
        """A server has come."""
        self._consumers[number] = consumer
        while self._requests:
            self._hand_over(self._requests.popleft())

    def disconnect(self, number: int, unacknowledged: list[Delivery]) -> None:
        """A server has gone; what it had not acknowledged comes again, marked."""
        del self._consumers[number]
        for delivery in unacknowledged:
            self._send(replace(delivery, is_redelivered=True))

    def answer(self, delivery: Delivery, body: bytes) -> None:
        """A server answers."""
        if not self._world.happens(self._faults().answer_lost):
            self._travel(lambda: delivery.answered(body))

    def attach(self, subscriber: Subscriber) -> None:
        """A process has come."""
        self._subscribers[subscriber.pid] = subscriber
        if subscriber.group is not None:
            for message in self._hints.pop(subscriber.group, ()):
                self._offer(subscriber.group, None, message)

    def detach(self, pid: str) -> None:
        """A process has gone."""
        self._subscribers.pop(pid, None)

    def publish(self, outgoing: Outgoing) -> Outgoing | None:
        """Take a message; return it, or the reason against it, if it need not be sent again."""
        if self._world.happens(self._faults().message_refused):
            return None
        if outgoing.is_call:
            return self._call(outgoing)
        if outgoing.is_exclusive:
            subscriber = self._subscribers.get(outgoing.pid or "")
            if subscriber is not None:
                self._travel(lambda: self._receive(outgoing.pid, outgoing.message))
            return outgoing  # it has been delivered, or the process is gone and so is its queue
        for _ in range(self._copies(self._faults().hint_lost, self._faults().message_repeated)):
            self._travel(lambda: self._offer(outgoing.group, outgoing.pid, outgoing.message))
        return outgoing

    def _call(self, call: Outgoing) -> Outgoing:
        refused = self._services.refused(call)
        if refused is not None:
            return refused
        for _ in range(self._copies(self._faults().hint_lost, self._faults().message_repeated)):
            self._travel(lambda: self._services.take(call))
        return call

    def probe(self, group: str) -> Probed:
        """Count what waits for a group."""
        consumers = sum(1 for s in self._subscribers.values() if s.group == group)
        return Probed(ready=len(self._hints.get(group, ())), consumers=consumers, unconfirmed=0)

    def _copies(self, lost: float, repeated: float) -> int:
        if self._world.happens(lost):
            return 0
        return 2 if self._world.happens(repeated) else 1

    def _travel(self, arrive: Callable[[], None]) -> None:
        self._world.after(1 + self._world.delay(self._faults().travel_ms), arrive)

    def _enqueue(self, delivery: Delivery) -> None:
        if self._consumers:
            self._hand_over(delivery)
        else:
            self._requests.append(delivery)

    def _hand_over(self, delivery: Delivery) -> None:
        number = self._world.random.choice(list(self._consumers))
        self._consumers[number].deliver(delivery)

    def _offer(self, group: str, preferred: str | None, message: Message) -> None:
        pids = [pid for pid, one in self._subscribers.items() if one.group == group]
        if not pids:
            self._hints.setdefault(group, deque()).append(message)
            return
        pid = preferred if preferred in pids else self._world.random.choice(pids)
        self._receive(pid, message)

    def _receive(self, pid: str | None, message: Message) -> None:
        subscriber = self._subscribers.get(pid or "")
        if subscriber is not None:
            subscriber.receive(message)
