"""Requests from the SDK's point of view: asked again while the server is busy, errors as errors."""

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_delay,
    wait_random_exponential,
)

from resonate_sdk.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    OverloadedError,
    StoreError,
)
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import Answer
from resonate_sdk.transport import Transport

ANSWER_TIMEOUT_S = limits.ANSWER_TIMEOUT_MS / 1000


async def ask(
    transport: Transport,
    request: Request,
    *,
    origin: str | None = None,
    timeout_s: float | None = ANSWER_TIMEOUT_S,
) -> Answer:
    """Send a request; while the server says that it is not ready (503), ask again, with jitter.

    Args:
        transport: the way to the server.
        request: what is asked for.
        origin: root of the tree it belongs to.
        timeout_s: how long to wait for each answer; None until the client stops.

    Raises:
        TransportError: no answer came.
    """
    answer = await transport.request(request, origin=origin, timeout_s=timeout_s)
    if answer.status not in responses.RETRYABLE:
        return answer
    async for attempt in AsyncRetrying(
        retry=retry_if_result(_is_busy),
        stop=stop_after_delay(ANSWER_TIMEOUT_S),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        retry_error_callback=_give_up,
    ):
        with attempt:
            answer = await transport.request(request, origin=origin, timeout_s=timeout_s)
        attempt.retry_state.set_result(answer)
    return answer


def _is_busy(answer: Answer) -> bool:
    return answer.status in responses.RETRYABLE


def _give_up(_: RetryCallState) -> None:
    """The last answer is the answer."""


def refusal(answer: Answer) -> StoreError:
    """The error that an answer stands for."""
    reason = str(answer.data)
    match answer.status:
        case responses.NOT_FOUND:
            return NotFoundError(reason, code=answer.status)
        case responses.CONFLICT:
            return ConflictError(reason, code=answer.status)
        case responses.MALFORMED | responses.UNPROCESSABLE:
            return InvalidError(reason, code=answer.status)
        case responses.UNAVAILABLE:
            return OverloadedError(reason, code=answer.status)
        case _:
            return StoreError(reason, code=answer.status)
