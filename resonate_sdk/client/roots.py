"""The promise of an execution that a program starts, as its first one is made."""

import logging

from msgspec import UNSET, UnsetType

from resonate_sdk.errors import UsageError
from resonate_sdk.options import Options, deadline_ms
from resonate_sdk.protocol import limits, tags, traces
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseCreate

logger = logging.getLogger(__name__)


def root_request(
    id: str,
    call: Value,
    function: str,
    given: Options,
    *,
    default_target: str,
    now_ms: int,
    listener: str | UnsetType = UNSET,
) -> PromiseCreate:
    """The root of a tree.

    Args:
        id: of the execution.
        call: what it calls, encoded.
        function: what it calls, as a tag.
        given: options of the call and of the function.
        default_target: which group goes on if this process dies.
        now_ms: the instant from which its timeout counts, epoch ms.
        listener: who is told of its result, if not who runs it.
    """
    timeout_at_ms = now_ms + limits.PROMISE_TIMEOUT_MS_DEFAULT
    if given.timeout_s is not None:
        timeout_at_ms = deadline_ms(now_ms, given.timeout_s)
    own = {
        tags.TARGET: given.target or default_target,
        tags.SCOPE: tags.SCOPE_GLOBAL,
        tags.ORIGIN: id,
        tags.BRANCH: id,
        tags.PARENT: id,
        tags.PREFIX: id,
        tags.FUNCTION: function,
    }
    if given.idempotency_key is not None:
        own[tags.IDEMPOTENCY_KEY] = given.idempotency_key
    return PromiseCreate(
        id=id,
        timeout_at_ms=timeout_at_ms,
        param=call,
        tags={**(given.tags or {}), **own},
        listener=listener,
    )


def other_call(request: PromiseCreate, record: PromiseRecord) -> UsageError | None:
    """What is wrong if an id has been used for another call; None if it is the same function."""
    wanted, found = request.tags[tags.FUNCTION], record.tags.get(tags.FUNCTION)
    if found is None or _name(found) == _name(wanted):
        is_plain = (record.param.headers or {}).keys() <= traces.HEADERS
        if record.param.data != request.param.data and is_plain:
            logger.warning(
                "an execution of this id exists with other arguments: its result is given, give "
                "each call an id of its own promise_id=%s func=%s",
                request.id,
                _name(wanted),
            )
        return None
    return UsageError(
        f"the id {request.id!r} belongs to a call of {_name(found)}, not of {_name(wanted)}: "
        "give each call an id of its own"
    )


def _name(function: str) -> str:
    return function.rpartition("@")[0]
