"""The promise of an execution that a program starts, as its first one is made."""

from resonate_sdk.options import Options
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import PromiseCreate


def root_request(
    id: str, call: Value, given: Options, *, default_target: str, now_ms: int
) -> PromiseCreate:
    """The root of a tree.

    Args:
        id: of the execution.
        call: what it calls, encoded.
        given: options of the call and of the function.
        default_target: which group goes on if this process dies.
        now_ms: the instant from which its timeout counts, epoch ms.
    """
    timeout_ms = limits.PROMISE_TIMEOUT_MS_DEFAULT
    if given.timeout_s is not None:
        timeout_ms = round(given.timeout_s * 1000)
    own = {
        tags.TARGET: given.target or default_target,
        tags.SCOPE: tags.SCOPE_GLOBAL,
        tags.ORIGIN: id,
        tags.BRANCH: id,
        tags.PARENT: id,
        tags.PREFIX: id,
    }
    if given.idempotency_key is not None:
        own[tags.IDEMPOTENCY_KEY] = given.idempotency_key
    return PromiseCreate(
        id=id,
        timeout_at_ms=now_ms + timeout_ms,
        param=call,
        tags={**(given.tags or {}), **own},
    )
