"""Where a worker gets its tasks from."""

from msgspec import Struct


class Poller(Struct, frozen=True):
    """Names the broker and the group whose tasks a worker takes.

    Attributes:
        url: `amqp://user:password@host:port/vhost`, the same as that of the store.
        group: the worker group.
    """

    url: str | None = None
    group: str | None = None
