"""A broker as the way to a server and as the source of tasks."""

from msgspec import Struct


class Amqp(Struct, frozen=True):
    """Names the broker and the group whose tasks a worker takes: `Resonate(network=Amqp(...))`.

    It stands for a store and a task source at once, since requests and tasks go through one broker.

    Attributes:
        url: `amqp://user:password@host:port/vhost`, or `amqps://`; else `RESONATE_URL`.
        group: the worker group.
        id: the name of this process; never used twice.
        prefetch: how many hints for tasks the broker delivers before the first is acknowledged, at
            most; by default as many as executions may be under way.

    Example:
        >>> Resonate(network=Amqp("amqp://broker/", group="payments"), autostart=False).group
        'payments'
    """

    url: str | None = None
    group: str | None = None
    id: str | None = None
    prefetch: int | None = None
