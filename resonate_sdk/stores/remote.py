"""A server reached over the network."""

from msgspec import Struct


class RemoteStore(Struct, frozen=True):
    """Names the broker through which a server is reached.

    Attributes:
        url: `amqp://user:password@host:port/vhost`, or `amqps://`.
    """

    url: str | None = None
