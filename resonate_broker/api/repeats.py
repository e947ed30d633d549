"""Requests that must not be carried out twice, long after somebody has done it once (C13).

Most requests are harmless to repeat: they are absorbed, or refused for the version they name. These
have no version. What came after the first time they would undo: who was continued would be halted
again, and a schedule deleted that has been made anew.
"""

from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.requests import UNVERSIONED, Request
from resonate_sdk.protocol.responses import Answer

REDELIVERED = Answer(
    responses.CONFLICT,
    "redelivered: it may have been carried out some time ago; look, and ask again if it was not",
)


def is_too_late(request: Request, delivery: Delivery, now_ms: int | None) -> bool:
    """Whether a request may have been carried out so long ago that it is not carried out now.

    Args:
        request: what is asked for.
        delivery: that it came with; how old that is, only its sender can tell.
        now_ms: the instant, epoch ms; None if that is not known, and so neither how long ago it was.
    """
    return (
        request.kind in UNVERSIONED
        and delivery.is_redelivered
        and delivery.sent_at_s is not None
        and (now_ms is None or now_ms - delivery.sent_at_s * 1000 > limits.REPEAT_MS_MAX)
    )
