"""One message of requests, from its arrival to its acknowledgement."""

from collections.abc import Sequence

from resonate_broker.kernel.batch import Chain, Link
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.envelope import Body, Decoded, Malformed


class Incoming:
    """A delivery and what is still to be done about it.

    Attributes:
        delivery: what arrived.
        consumer: through which it is acknowledged.
        reply_to: where its answers go; None if nobody waits for them.
        is_array: whether its answers travel as an array.
        items: its requests, well formed or not.
        next: the first one that has not been handed to the kernel.
        open: how many have no answer yet.
    """

    __slots__ = ("_chains", "consumer", "delivery", "is_array", "items", "next", "open", "reply_to")

    def __init__(
        self, delivery: Delivery, consumer: Consumer, reply_to: str | None, body: Body
    ) -> None:
        """A delivery of which nothing has been done."""
        self.delivery = delivery
        self.consumer = consumer
        self.reply_to = reply_to
        self.is_array = body.is_array
        self.items: Sequence[Decoded | Malformed] = body.items
        self.next = 0
        self.open = len(body.items)
        self._chains: dict[str, Chain] = {}

    def link(self, chain: str | None) -> Link | None:
        """The next place in the chain of this name in this message."""
        return None if chain is None else self._chains.setdefault(chain, Chain()).link()


class Acknowledger:
    """Acknowledges the deliveries of one consumer, many at a time."""

    def __init__(self, consumer: Consumer) -> None:
        """Nothing has arrived."""
        self._consumer = consumer
        self._open: dict[int, bool] = {}  # by tag, oldest first: whether it is done with

    def arrived(self, tag: int) -> None:
        """A delivery is to be acknowledged later."""
        self._open[tag] = False

    def done(self, tag: int) -> None:
        """A delivery can be acknowledged."""
        if tag in self._open:
            self._open[tag] = True

    def rejected(self, tag: int) -> None:
        """A delivery cannot be acknowledged: the broker dead-letters it itself."""
        if self._open.pop(tag, None) is not None:
            self._consumer.reject(tag, requeue=False)

    def flush(self) -> None:
        """Acknowledge what is done: all before the first that is not in one go."""
        last = 0
        while self._open:
            tag = next(iter(self._open))
            if not self._open[tag]:
                break
            del self._open[tag]
            last = tag
        if last:
            self._consumer.ack(last, multiple=True)
        for tag in [tag for tag, is_done in self._open.items() if is_done]:
            del self._open[tag]
            self._consumer.ack(tag)
