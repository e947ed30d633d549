"""When a server sends nothing more, since the broker does not keep up; no I/O."""

from resonate_sdk.amqp.under_way import UnderWay
from resonate_sdk.protocol import limits

UNCONFIRMED_MAX = 10_000
UNSENT_BYTES_MAX = 16 * 1024 * 1024
CONFIRM_TIMEOUT_S = limits.PUBLISH_CONFIRM_TIMEOUT_MS / 1000


def is_congested(under_way: UnderWay) -> bool:
    """Whether the broker does not keep up, or has stopped reading because of an alarm."""
    return (
        under_way.messages > UNCONFIRMED_MAX
        or under_way.unsent_bytes > UNSENT_BYTES_MAX
        or under_way.oldest_s > CONFIRM_TIMEOUT_S
    )
