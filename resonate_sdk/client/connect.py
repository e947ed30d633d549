"""Which transport a client uses."""

import logging

from resonate_sdk.client.broker_url import user_of, without_password
from resonate_sdk.client.configuration import Configuration
from resonate_sdk.errors import ContradictionError
from resonate_sdk.local import LocalServer, LocalTransport
from resonate_sdk.transport import Transport

logger = logging.getLogger(__name__)


def connect(
    configuration: Configuration,
    network: Transport | None,
    server: LocalServer | None,
    *,
    signs: bool = False,
) -> Transport:
    """Choose the way to a server; nothing is connected yet.

    Args:
        configuration: where to connect, and under which names.
        network: a way that the program has made itself.
        server: a server inside this process that the program has made itself.
        signs: whether messages say which user of the broker publishes them.

    Raises:
        ContradictionError: there are two ways.
    """
    if configuration.url is not None and (network is not None or server is not None):
        other = "server=" if network is None else "network="
        url = without_password(configuration.url)
        raise ContradictionError(f"{other} and url={url!r} are two servers: give one of them")
    if network is not None:
        return network
    if server is None and configuration.url is not None:
        # Local mode must not need the AMQP libraries.
        from resonate_sdk.amqp.transport import AmqpTransport

        return AmqpTransport(
            configuration.url,
            configuration.namespace,
            configuration.group,
            configuration.pid,
            user_id=user_of(configuration.url) if signs else None,
            prefetch_max=configuration.prefetch,
        )
    if server is None:
        logger.warning(
            "no url and no RESONATE_URL: running on a server inside this process, which forgets "
            "everything when it ends"
        )
        server = LocalServer(closes_with_client=True)
    return LocalTransport(server, configuration.group, configuration.pid)
