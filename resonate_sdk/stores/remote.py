"""A server reached over the network."""

from msgspec import Struct

from resonate_sdk.options import Seconds


class RemoteStore(Struct, frozen=True):
    """Names the broker through which a server is reached.

    Attributes:
        url: `amqp://user:password@host:port/vhost`, or `amqps://`.
        host: instead of the URL: the name of the machine.
        port: with `host`; 5672 by default.
        auth: user and password, instead of those in the URL.
        token: a token for a broker with OAuth 2, instead of a password.
        timeout: how long a request of the program waits for its answer; 10 s by default.
    """

    url: str | None = None
    host: str | None = None
    port: int | None = None
    auth: tuple[str, str] | None = None
    token: str | None = None
    timeout: Seconds | None = None
