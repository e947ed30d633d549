"""Plain messages on their way out."""

from resonate_broker.integration.plain import PlainMessage
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.protocol.addresses import ReplyAddress


def plain_publication(to: ReplyAddress, message: PlainMessage) -> Publication:
    """A message for a queue of somebody else; if that is gone, nobody waits any more."""
    return Publication(
        exchange="",
        routing_key=to.queue,
        body=message.body,
        kind=message.kind,
        correlation_id=to.correlation_id,
        headers=message.headers,
        is_mandatory=False,
    )
