"""What stands beside the body of a dead letter: why and when it died, and how to send it again."""

from collections.abc import Mapping
from typing import Any

from resonate_sdk.protocol.topology import REASON_HEADER

DIED_AT_HEADER = "resonate-died-at"  # epoch ms
EXCHANGE_HEADER = "resonate-exchange"
ROUTING_KEY_HEADER = "resonate-routing-key"
MESSAGE_ID_HEADER = "resonate-message-id"
USER_ID_HEADER = "resonate-user-id"
REASON_CHARS_MAX = 1_000
KEPT_CHARS_MAX = 32_000  # of the headers that it had; the broker limits those of a message


def headers(
    had: Mapping[str, Any],
    *,
    reason: str,
    died_at_ms: int,
    exchange: str,
    routing_key: str,
    message_id: str | None,
    user_id: str | None,
) -> Mapping[str, Any]:
    """The headers of a dead letter: those that the message had, and what became of it."""
    kept = {name: text for name, text in had.items() if isinstance(text, str | int | bool)}
    if sum(len(name) + len(str(text)) for name, text in kept.items()) > KEPT_CHARS_MAX:
        kept = {}
    ours = {
        REASON_HEADER: reason[:REASON_CHARS_MAX],
        DIED_AT_HEADER: died_at_ms,
        EXCHANGE_HEADER: exchange,
        ROUTING_KEY_HEADER: routing_key,
        MESSAGE_ID_HEADER: message_id,
        USER_ID_HEADER: user_id,
    }
    return kept | {name: text for name, text in ours.items() if text is not None}
