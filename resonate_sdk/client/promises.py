"""Promises as such: created, looked at and settled from outside of any execution."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Generic, TypeVar, overload

from resonate_sdk.ask import refusal
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, decode_value, encode_failure
from resonate_sdk.errors import AlreadySettledError, UsageError
from resonate_sdk.options import Seconds, deadline_ms, make_options, seconds
from resonate_sdk.protocol import limits, records, tags as tag
from resonate_sdk.protocol.records import EMPTY, PromiseState, SettleState, TaskRecord, Value
from resonate_sdk.protocol.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSearch,
    PromiseSettle,
    Request,
    TaskGet,
)
from resonate_sdk.protocol.responses import Answer, PromiseData, PromisePage, TaskData

logger = logging.getLogger(__name__)

T = TypeVar("T")

RELATIVE_LOOKING_MS_MAX = 10**10  # an instant below this lies in 1970: it was meant as a duration


class PromiseRecord(Generic[T]):
    """A promise as the server showed it.

    Attributes:
        id: its name.
        state: `pending`, `resolved`, `rejected`, `rejected_canceled` or `rejected_timedout`.
        tags: its tags.
        timeout_at: its deadline, epoch ms.
        created_at: epoch ms.
        settled_at: epoch ms; None while it is pending.
    """

    def __init__(self, record: records.PromiseRecord, codec: Codec, type: Any = Any) -> None:
        """Wrap a record of the wire; its value is decoded into `type`."""
        self.id = record.id
        self.state: PromiseState = record.state
        self.tags: Mapping[str, str] = dict(
            record.tags
        )  # in local mode those of the record are the server's own
        self.timeout_at = record.timeout_at_ms
        self.created_at = record.created_at_ms
        self.settled_at = record.settled_at_ms
        self._record = record
        self._codec = codec
        self._type = type

    @property
    def pending(self) -> bool:
        """Whether it is not settled."""
        return self.state == "pending"

    @property
    def completed(self) -> bool:
        """Whether it is settled."""
        return not self.pending

    @property
    def resolved(self) -> bool:
        """Whether it has a value."""
        return self.state == "resolved"

    @property
    def rejected(self) -> bool:
        """Whether somebody rejected it."""
        return self.state == "rejected"

    @property
    def canceled(self) -> bool:
        """Whether somebody canceled it."""
        return self.state == "rejected_canceled"

    @property
    def timedout(self) -> bool:
        """Whether its deadline passed."""
        return self.state == "rejected_timedout"

    @property
    def param(self) -> Any:
        """What it was created with, decoded as plain data."""
        return self._codec.decode(self._record.param)

    @property
    def value(self) -> Any:
        """What it was settled with, decoded as plain data; None while it is pending."""
        return self._codec.decode(self._record.value)

    def result(self) -> T:
        """The value.

        Raises:
            UsageError: it is pending.
            Exception: what it was rejected with.
        """
        if self.pending:
            raise UsageError(f"promise {self.id!r} is pending: it has no result yet")
        if not self.resolved:
            raise decode_failure(self._codec, self._record)
        return decode_value(partial(self._codec.decode, type=self._type), self._record)

    @property
    def stored(self) -> records.PromiseRecord:
        """It as the server told it, nothing decoded."""
        return self._record

    def __repr__(self) -> str:
        """Show id and state."""
        return f"<PromiseRecord {self.id!r} {self.state}>"


class Promises:
    """Promises outside of executions, for instance those that a person will settle.

    Example:
        >>> resonate = Resonate.local()
        >>> resonate.promises.create("approval-7", expires_in=3_600).state
        'pending'
        >>> resonate.promises.resolve("approval-7", {"approved": True}).value
        {'approved': True}
        >>> resonate.promises.reject("approval-7").state  # the first one counts
        'resolved'
        >>> resonate.stop()
    """

    def __init__(
        self, call: Callable[[Request], Answer], codec: Codec, now_ms: Callable[[], int]
    ) -> None:
        """Made by the client.

        Args:
            call: sends a request and waits for the answer.
            codec: encodes and decodes values.
            now_ms: the clock, epoch ms.
        """
        self._call = call
        self._codec = codec
        self._now_ms = now_ms

    def create(
        self,
        id: str,
        timeout: int | datetime | None = None,
        *,
        expires_in: Seconds | None = None,
        param: Any = None,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        ikey: str | None = None,
        strict: bool = False,
    ) -> PromiseRecord[Any]:
        """Create a promise; one that exists is returned as it is.

        Args:
            id: its name.
            timeout: its deadline: epoch ms, or an aware instant. One year from now by default.
            expires_in: the deadline as a duration from now, instead of `timeout`.
            param: what it tells about itself.
            data: the same, as JSON text that is stored as it is.
            headers: headers of the param.
            tags: its tags.
            ikey: informative; the id makes creation idempotent.
            strict: refuse if it exists and is settled.

        Raises:
            InvalidError: a rule or limit is broken.
            AlreadySettledError: `strict`, and it is settled.
        """
        given = make_options(tags=tags, idempotency_key=ikey)
        own = {tag.SCOPE: tag.SCOPE_GLOBAL, tag.EXTERNAL: tag.TRUE}
        if ikey is not None:
            own[tag.IDEMPOTENCY_KEY] = ikey
        request = PromiseCreate(
            id=id,
            timeout_at_ms=_deadline_ms(id, timeout, expires_in, self._now_ms()),
            param=self._value(param, data, headers),
            tags={**(given.tags or {}), **own},
        )
        record = self._one(request)
        if strict and record.completed:
            raise AlreadySettledError(f"promise {id!r} is {record.state} already")
        return record

    @overload
    def get(self, id: str, *, type: type[T]) -> PromiseRecord[T]: ...
    @overload
    def get(self, id: str, *, type: Any = ...) -> PromiseRecord[Any]: ...
    def get(self, id: str, *, type: Any = Any) -> PromiseRecord[Any]:
        """Look at a promise.

        Args:
            id: its name.
            type: what `result` decodes its value into.

        Raises:
            NotFoundError: there is none.
        """
        return self._one(PromiseGet(id=id), type)

    def resolve(
        self,
        id: str,
        value: Any = None,
        *,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
        ikey: str | None = None,
        strict: bool = False,
    ) -> PromiseRecord[Any]:
        """Give a promise its value; one that is settled stays as it is.

        Args:
            id: its name.
            value: the value.
            data: the same, as JSON text that is stored as it is.
            headers: headers of the value.
            ikey: has no effect; a promise is settled once.
            strict: refuse if it is settled in another state.

        Raises:
            NotFoundError: there is none.
            AlreadySettledError: `strict`, and it is settled in another state.
        """
        return self._settle(id, "resolved", self._value(value, data, headers), strict=strict)

    def reject(
        self,
        id: str,
        error: Any = None,
        *,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
        ikey: str | None = None,
        strict: bool = False,
    ) -> PromiseRecord[Any]:
        """Reject a promise with an exception or other data; args and errors as `resolve`."""
        if isinstance(error, Exception):
            value = _with_headers(encode_failure(self._codec, error), headers)
        else:
            value = self._value(error, data, headers)
        return self._settle(id, "rejected", value, strict=strict)

    def cancel(
        self, id: str, value: Any = None, *, strict: bool = False, tree: bool = False
    ) -> PromiseRecord[Any]:
        """Cancel a promise: whoever waits for it gets `CanceledError`.

        Args:
            id: its name.
            value: what it tells about that.
            strict: refuse if it is settled in another state.
            tree: cancel also everything pending that was called for it, and for that in turn.

        Raises:
            NotFoundError: there is none.
            AlreadySettledError: `strict`, and it is settled in another state.
        """
        encoded = self._codec.encode(value)
        record = self._settle(id, "rejected_canceled", encoded, strict=strict)
        if tree:
            for descendant in self._descendants(record):
                self._settle(descendant, "rejected_canceled", EMPTY, strict=False)
        return record

    def _descendants(self, record: PromiseRecord[Any]) -> Iterator[str]:
        """Pending promises that were made for a promise, nearest first."""
        origin = record.tags.get(tag.ORIGIN, record.id)
        children: dict[str, list[str]] = {}
        for other in self.search(state="pending", tags={tag.ORIGIN: origin}):
            children.setdefault(other.tags.get(tag.PARENT, ""), []).append(other.id)
        parents, seen = [record.id], {record.id}
        for parent in parents:
            # Calls with ids of their own begin trees of their own: they are found by their caller.
            own = (found.id for found in self.search(state="pending", tags={tag.PARENT: parent}))
            for child in dict.fromkeys((*children.get(parent, ()), *own)):
                if child not in seen:
                    seen.add(child)
                    parents.append(child)
                    yield child

    def search(
        self,
        *,
        id: str = "*",
        state: PromiseState | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int = limits.SEARCH_PAGE_DEFAULT,
    ) -> Iterator[PromiseRecord[Any]]:
        """Find promises by tags, ascending by id.

        Args:
            id: only those whose ids match this pattern of `*` and `?`.
            state: only those in this state.
            tags: only those that have all these tags.
            limit: how many are fetched at a time.
        """
        cursor = None
        while True:
            request = PromiseSearch(state=state, tags=tags or {}, limit=limit, cursor=cursor)
            answer = self._call(request)
            if not isinstance(answer.data, PromisePage):
                raise refusal(answer)
            for record in answer.data.promises:
                if fnmatchcase(record.id, id):
                    yield PromiseRecord(record, self._codec)
            cursor = answer.data.cursor
            if cursor is None:
                return

    def task(self, id: str) -> TaskRecord | None:
        """Look at the task of a promise, and at what the server knows of it; None if it has none."""
        answer = self._call(TaskGet(id=id, details=True))
        return answer.data.task if isinstance(answer.data, TaskData) else None

    def count_versions(self, name: str, known: Iterable[int]) -> dict[int, int]:
        """Count the pending calls of a function by version, those without any included."""
        counts = dict.fromkeys(known, 0)
        for record in self.search(state="pending"):
            called, _, version = record.tags.get(tag.FUNCTION, "").rpartition("@")
            if called == name and version.isdecimal():
                counts[int(version)] = counts.get(int(version), 0) + 1
        return counts

    def _settle(
        self, id: str, state: SettleState, value: Value, *, strict: bool
    ) -> PromiseRecord[Any]:
        record = self._one(PromiseSettle(id=id, state=state, value=value))
        if strict and record.state != state:
            raise AlreadySettledError(f"promise {id!r} is {record.state}, not {state}")
        return record

    def _one(self, request: Request, type: Any = Any) -> PromiseRecord[Any]:
        answer = self._call(request)
        if not isinstance(answer.data, PromiseData):
            raise refusal(answer)
        return PromiseRecord(answer.data.promise, self._codec, type)

    def _value(self, value: Any, data: str | None, headers: Mapping[str, str] | None) -> Value:
        if data is None:
            encoded = self._codec.encode(value)
        elif value is None:
            encoded = self._codec.encode_json(data)
        else:
            raise UsageError("value and data= mean the same: give one of them")
        return _with_headers(encoded, headers)


def _with_headers(value: Value, headers: Mapping[str, str] | None) -> Value:
    if not headers:
        return value
    return Value(headers={**headers, **(value.headers or {})}, data=value.data)


def _deadline_ms(
    id: str, timeout: int | datetime | None, expires_in: Seconds | None, now_ms: int
) -> int:
    if timeout is not None and expires_in is not None:
        raise UsageError("timeout= and expires_in= mean the same: give one of them")
    if expires_in is not None:
        return deadline_ms(now_ms, seconds(expires_in))
    if timeout is None:
        return now_ms + limits.PROMISE_TIMEOUT_MS_DEFAULT
    if isinstance(timeout, datetime):
        if timeout.tzinfo is None:
            raise UsageError("timeout= needs an instant with a time zone")
        return round(timeout.timestamp() * 1000)
    if timeout < RELATIVE_LOOKING_MS_MAX:
        logger.warning(
            "promise is created past its deadline: timeout= is an instant in epoch ms, "
            "expires_in= a duration in seconds promise_id=%s timeout=%d",
            id,
            timeout,
        )
    return timeout
