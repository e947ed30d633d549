"""Where a worker gets its tasks from."""

from msgspec import Struct


class Poller(Struct, frozen=True):
    """Names the broker and the group whose tasks a worker takes.

    Attributes:
        url: `amqp://user:password@host:port/vhost`, the same as that of the store.
        group: the worker group.
        id: the name of this process; never used twice.
        host: instead of the URL: the name of the machine.
        port: with `host`; 5672 by default.
    """

    url: str | None = None
    group: str | None = None
    id: str | None = None
    host: str | None = None
    port: int | None = None
