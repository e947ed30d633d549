"""Tasks of Celery as steps, and executions that a producer of Celery starts.

Messages are those of version 2 of Celery's protocol: `[args, kwargs, embedded]` as the body, all else
in headers. Results are those of its RPC result backend.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from resonate_broker.integration import calls, invocation, plain
from resonate_broker.integration.invocation import Invoke
from resonate_broker.integration.plain import NotPlainError, PlainMessage
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.addresses import ReplyAddress
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseSettle, check_id, check_value
from resonate_sdk.protocol.requests.checks import check_text

TASK_HEADER = "task"
ID_HEADER = "id"
LANGUAGE = "py"
VERSION = 1  # of the functions that producers start
SUCCEEDED = "SUCCESS"
FAILED = ("FAILURE", "REVOKED")
_EMBEDDED = ("callbacks", "errbacks", "chain", "chord")


class _Reply(Struct, frozen=True):
    """What a worker tells about a task."""

    status: str
    result: Raw = Raw(b"null")


def call(promise: PromiseRecord, task_id: str, expires: str) -> PlainMessage:
    """A message that makes a worker of Celery run a task.

    Args:
        promise: what is asked; its id becomes that of the root of the task.
        task_id: of the task. Celery sends a task that it tries again, and then its result, with
            this id as its correlation id, whatever that was before.
        expires: the deadline, behind which no worker should begin.

    Raises:
        NotPlainError: the call has no such form.
    """
    asked = calls.read_call(promise)
    embedded = dict.fromkeys(_EMBEDDED)
    headers: Mapping[str, str | int] = {
        "lang": LANGUAGE,
        TASK_HEADER: asked.func,
        ID_HEADER: task_id,
        "root_id": promise.id,
        "expires": expires,
        "origin": "resonate",
        "ignore_result": False,  # whatever the task says: somebody waits
    }
    body = msgspec.json.encode([asked.args, asked.kwargs, embedded])
    return PlainMessage(kind=calls.CALL, body=body, headers=headers)


def settlement(promise_id: str, body: bytes) -> PromiseSettle | None:
    """What a reply says about a promise; None if the task has not ended."""
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except plain.UNREADABLE as error:
        value = calls.rejection(
            "the result of the task cannot be read: the worker needs result_serializer = 'json' "
            f"({error})"
        )
        return PromiseSettle(id=promise_id, state="rejected", value=value)
    try:
        if reply.status == SUCCEEDED:
            value = plain.stored(bytes(reply.result))
            return PromiseSettle(id=promise_id, state="resolved", value=value)
        if reply.status in FAILED:
            return PromiseSettle(id=promise_id, state="rejected", value=_failure(reply))
    except ValueError as unfit:
        value = calls.rejection(f"the result cannot be stored: {unfit}")
        return PromiseSettle(id=promise_id, state="rejected", value=value)
    return None


def _failure(reply: _Reply) -> Value:
    match msgspec.json.decode(reply.result):
        case {"exc_type": str(name), "exc_message": [*parts]}:
            text = ", ".join(_in_words(part) for part in parts)
            return plain.stored(plain.failure(text[: plain.ERROR_CHARS_MAX] or name, name))
        case {"exc_type": str(name), "exc_message": message}:
            text = _in_words(message)
            return plain.stored(plain.failure(text[: plain.ERROR_CHARS_MAX] or name, name))
        case _:
            return calls.rejection(f"the task has ended as {reply.status}")


def _in_words(part: object) -> str:
    try:
        return str(part)
    except RecursionError:  # it could just be read, and is too deep to be written
        return "…"


def is_task(headers: Mapping[str, Any]) -> bool:
    """Whether a message is one of Celery."""
    return isinstance(headers.get(TASK_HEADER), str) and isinstance(headers.get(ID_HEADER), str)


def read(
    body: bytes,
    headers: Mapping[str, Any],
    reply_to: ReplyAddress | None,
    instant_ms: Callable[[str], int],
) -> Invoke:
    """Read a task that is to be an execution.

    Args:
        body: arguments, and what should follow.
        headers: all else; `resonate-target` and the like may be among them.
        reply_to: who is told the result.
        instant_ms: reads an instant as Celery writes it.

    Raises:
        NotPlainError: something about it is wrong, or is not supported.
    """
    if len(body) > limits.MESSAGE_BYTES_MAX:
        raise NotPlainError(
            f"the body has {len(body)} bytes, the limit is {limits.MESSAGE_BYTES_MAX}"
        )
    invocation.check_headers(headers)
    func, id = headers[TASK_HEADER], headers[ID_HEADER]
    args, kwargs = _arguments(body)
    document = {"func": func, "args": args, "kwargs": kwargs, "version": VERSION}
    value = plain.stored(msgspec.json.encode(document))
    try:
        check_id("the id of the task", id)
        check_text("the name of the task", func)
        check_value("the call", value)
        start_at_ms = _instant_ms(headers, "eta", instant_ms)
        deadline_at_ms = _instant_ms(headers, "expires", instant_ms)
    except ValueError as error:
        raise NotPlainError(str(error)) from error
    if start_at_ms is not None and deadline_at_ms is not None and deadline_at_ms <= start_at_ms:
        raise NotPlainError("the task expires before its eta: it could never run")
    return Invoke(
        id=id,
        func=func,
        version=VERSION,
        call=value,
        target=invocation.read_target(headers),
        timeout_ms=invocation.read_timeout_ms(headers),
        delay_ms=0,
        start_at_ms=start_at_ms,
        deadline_at_ms=deadline_at_ms,
        wishes=invocation.read_wishes(headers),
        reply_to=reply_to,
    )


def result(promise: PromiseRecord, told: PlainMessage) -> PlainMessage:
    """What `AsyncResult.get` of a producer waits for, made of what others are told."""
    if promise.state == "resolved" and plain.ERROR_HEADER not in told.headers:
        return _result(promise.id, SUCCEEDED, Raw(told.body), told)
    match plain.read_json(told.body):
        case {"message": str(message), **rest}:
            name = rest.get("name")
        case _:
            message, name = str(told.headers.get(plain.ERROR_HEADER, promise.state)), None
    error = {"exc_type": name or "ResonateError", "exc_message": [message], "exc_module": None}
    return _result(promise.id, FAILED[0], error, told)


def refused(task_id: str, told: PlainMessage) -> PlainMessage:
    """The task was not carried out."""
    message = told.headers[plain.ERROR_HEADER]
    error = {"exc_type": "Refused", "exc_message": [message], "exc_module": None}
    return _result(task_id, FAILED[0], error, told)


def _result(task_id: str, status: str, found: object, told: PlainMessage) -> PlainMessage:
    document: Mapping[str, object] = {
        "task_id": task_id,
        "status": status,
        "result": found,
        "traceback": None,
        "children": [],
    }
    return PlainMessage(kind=told.kind, body=msgspec.json.encode(document), headers=told.headers)


def _arguments(body: bytes) -> tuple[list[Raw], dict[str, Raw]]:
    try:
        args, kwargs, embedded = msgspec.json.decode(
            body, type=tuple[list[Raw], dict[str, Raw], dict[str, Any] | None]
        )
    except plain.UNREADABLE as error:
        raise NotPlainError(
            "the body is not [args, kwargs, embedded] as JSON, which tasks need: "
            f"set task_serializer = 'json', task_protocol = 2 ({error})"
        ) from error
    follows = [name for name in _EMBEDDED if (embedded or {}).get(name)]
    if follows:
        raise NotPlainError(
            f"the task has {', '.join(follows)}: call what follows from the function itself"
        )
    return args, kwargs


def _instant_ms(
    headers: Mapping[str, Any], name: str, instant_ms: Callable[[str], int]
) -> int | None:
    found = headers.get(name)
    if not found:
        return None
    if not isinstance(found, str):
        raise NotPlainError(f"the header {name} is no instant: {found!r}")
    return max(0, instant_ms(found))
