"""What the publisher of an invocation is told: plain messages, each with a JSON body."""

from resonate_broker.integration import celery, plain
from resonate_broker.integration.plain import NotPlainError, PlainMessage
from resonate_sdk.protocol.addresses import CeleryReplyAddress, ReplyAddress
from resonate_sdk.protocol.records import PromiseRecord

ACCEPTED = "resonate.accepted"
RESULT = "resonate.result"
REFUSED = "resonate.refused"


def accepted(promise: PromiseRecord) -> PlainMessage:
    """The invocation is stored; the result follows in a message of its own."""
    headers = {plain.PROMISE_HEADER: promise.id, plain.STATE_HEADER: promise.state}
    return PlainMessage(kind=ACCEPTED, body=b"null", headers=headers)


def refused(status: int, reason: str) -> PlainMessage:
    """The invocation was not carried out."""
    headers = {
        plain.STATUS_HEADER: status,
        plain.STATE_HEADER: "refused",
        plain.ERROR_HEADER: reason[: plain.ERROR_CHARS_MAX],
    }
    return PlainMessage(kind=REFUSED, body=plain.failure(reason), headers=headers)


def result(promise: PromiseRecord) -> PlainMessage:
    """What a settled promise holds."""
    headers = {plain.PROMISE_HEADER: promise.id, plain.STATE_HEADER: promise.state}
    if promise.state != "resolved":
        body, reason = _failure(promise)
        headers[plain.ERROR_HEADER] = reason[: plain.ERROR_CHARS_MAX]
        return PlainMessage(kind=RESULT, body=body, headers=headers)
    try:
        body = plain.plain(promise.value)
    except NotPlainError as error:
        method = plain.encryption_of(promise.value)
        if method is None:
            headers[plain.ERROR_HEADER] = str(error)
            body = plain.failure(str(error))
        else:
            headers[plain.ENCRYPTION_HEADER] = method
            body = plain.sealed(promise.value)
    return PlainMessage(kind=RESULT, body=body, headers=headers)


def told(to: ReplyAddress, promise: PromiseRecord) -> PlainMessage:
    """What a settled promise holds, in the form that somebody expects."""
    message = result(promise)
    return celery.result(promise, message) if isinstance(to, CeleryReplyAddress) else message


def _failure(promise: PromiseRecord) -> tuple[bytes, str]:
    """The body of a failure, and what it says."""
    match promise.state:
        case "rejected_canceled":
            reason = f"promise {promise.id!r} was canceled"
            return plain.failure(reason, "CanceledError"), reason
        case "rejected_timedout":
            reason = f"promise {promise.id!r} has timed out"
            return plain.failure(reason, "TimedOutError"), reason
        case _:
            pass
    try:
        body = plain.plain(promise.value)
    except NotPlainError as error:
        reason = f"promise {promise.id!r} was rejected, and {error}"
        return plain.failure(reason), reason
    match plain.read_json(body):
        case {"__type": _, "message": str(message)}:
            return body, message
        case None:
            return plain.failure("rejected"), "rejected"
        case _:
            return body, f"promise {promise.id!r} was rejected with a value"
