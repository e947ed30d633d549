"""What RabbitMQ does for a server, done in memory: hints wait until a worker can take them."""

from collections import deque
from collections.abc import Callable

from resonate_broker.kernel.submissions import Outgoing, Probed
from resonate_sdk.protocol.messages import Message


class Subscriber:
    """A process that takes messages.

    Attributes:
        pid: its name.
        group: the group whose hints it takes, if it takes any.
        deliver: hands it a message; must not block.
        credit: how many more hints it takes now.
    """

    __slots__ = ("credit", "deliver", "group", "pid")

    def __init__(self, pid: str, group: str | None, deliver: Callable[[Message], None]) -> None:
        """A process that has no room for hints yet."""
        self.pid = pid
        self.group = group
        self.deliver = deliver
        self.credit = 0


class MessageQueues:
    """One queue of hints per group, and a way to each process."""

    def __init__(self) -> None:
        """Without a process, hints only gather."""
        self._subscribers: dict[str, Subscriber] = {}
        self._hints: dict[str, deque[Message]] = {}

    def attach(self, subscriber: Subscriber) -> None:
        """A process has come."""
        self._subscribers[subscriber.pid] = subscriber

    def detach(self, pid: str) -> None:
        """A process has gone."""
        self._subscribers.pop(pid, None)

    def add_credit(self, pid: str, count: int) -> None:
        """A process takes `count` more hints."""
        subscriber = self._subscribers.get(pid)
        if subscriber is None:
            return
        subscriber.credit += count
        if subscriber.group is None:
            return
        hints = self._hints.get(subscriber.group)
        while hints and subscriber.credit > 0:
            subscriber.credit -= 1
            subscriber.deliver(hints.popleft())

    def publish(self, outgoing: Outgoing) -> None:
        """Deliver a message, or keep a hint until somebody takes it."""
        if outgoing.is_exclusive:
            subscriber = self._subscribers.get(outgoing.pid or "")
            if subscriber is not None:
                subscriber.deliver(outgoing.message)
            return
        subscriber = self._free_subscriber(outgoing.group, outgoing.pid)
        if subscriber is None:
            self._hints.setdefault(outgoing.group, deque()).append(outgoing.message)
            return
        subscriber.credit -= 1
        subscriber.deliver(outgoing.message)

    def probe(self, group: str) -> Probed:
        """Count the hints that nobody has taken, and those who could."""
        consumers = sum(1 for s in self._subscribers.values() if s.group == group)
        return Probed(ready=len(self._hints.get(group, ())), consumers=consumers, unconfirmed=0)

    def _free_subscriber(self, group: str, preferred: str | None) -> Subscriber | None:
        subscriber = self._subscribers.get(preferred or "")
        if subscriber is not None and subscriber.group == group and subscriber.credit > 0:
            return subscriber
        free = [s for s in self._subscribers.values() if s.group == group and s.credit > 0]
        return max(free, key=_credit, default=None)


def _credit(subscriber: Subscriber) -> int:
    return subscriber.credit
