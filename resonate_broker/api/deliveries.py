"""One message of requests, from its arrival to its acknowledgement."""

import time
from collections.abc import Sequence

from msgspec import Struct

from resonate_broker.kernel.chains import Chain, Link
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.addresses import ReplyAddress
from resonate_sdk.protocol.envelope import Body, Decoded, Malformed


class Asker(Struct, frozen=True, kw_only=True):
    """Who has published a message that is no envelope.

    Attributes:
        reply_to: where plain answers go; None if nobody waits for them.
        wants_acknowledgement: whether also this is an answer: it is stored.
    """

    reply_to: ReplyAddress | None = None
    wants_acknowledgement: bool = False


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
        arrived_ns: when it came, on a clock that never runs backwards.
        asker: of a plain message; None for envelopes.
    """

    __slots__ = (
        "_chains",
        "arrived_ns",
        "asker",
        "consumer",
        "delivery",
        "is_array",
        "items",
        "next",
        "open",
        "reply_to",
    )

    def __init__(
        self,
        delivery: Delivery,
        consumer: Consumer,
        reply_to: str | None,
        body: Body,
        asker: Asker | None = None,
    ) -> None:
        """A delivery of which nothing has been done."""
        self.arrived_ns = time.monotonic_ns()
        self.asker = asker
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
