"""An invocation that somebody has published: from its message to a request."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from resonate_broker.durations import parse_duration
from resonate_broker.integration import plain
from resonate_broker.integration.plain import NotPlainError
from resonate_sdk.protocol import addresses, limits, tags, traces
from resonate_sdk.protocol.addresses import ReplyAddress
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import Request, check_id, check_value, priority_fault
from resonate_sdk.protocol.requests.checks import check_tags, check_text

KIND = "invoke"
TARGET_DEFAULT = "default"
HEADER_PREFIX = "resonate-"
HEADERS = frozenset(
    {
        plain.FUNC_HEADER,
        plain.TARGET_HEADER,
        plain.TIMEOUT_HEADER,
        plain.DELAY_HEADER,
        plain.VERSION_HEADER,
        plain.KEY_HEADER,
        plain.PRIORITY_HEADER,
        plain.ACKNOWLEDGE_HEADER,
        plain.FIRST_DIED_AT_HEADER,
    }
)
_ROUTING_KEY = re.compile(rf"(?:p[0-9]{{2}}\.)?{KIND}")
_COUNT = re.compile(r"[0-9]{1,15}")


class Invoke(Request, frozen=True, kw_only=True):
    """Start an execution, and tell somebody its result. The wire has no such kind: see `read`.

    Attributes:
        call: the call envelope as the SDK stores it.
        timeout_ms: from the start of the execution to its deadline.
        delay_ms: from now to its start.
        start_at_ms: its start, if that is an instant.
        deadline_at_ms: its deadline, if that is an instant.
        wishes: tags that the limits of its group look at.
        reply_to: who is told, if somebody is.
    """

    kind: ClassVar[str] = KIND
    id: str
    func: str
    version: int
    call: Value
    target: str
    timeout_ms: int
    delay_ms: int
    start_at_ms: int | None = None
    deadline_at_ms: int | None = None
    wishes: Mapping[str, str] = {}
    reply_to: ReplyAddress | None = None

    def origin(self) -> str:
        return self.id

    def begins_at_ms(self, now_ms: int) -> int:
        """When the execution starts."""
        return max(now_ms + self.delay_ms, self.start_at_ms or 0)

    def ends_at_ms(self, now_ms: int) -> int:
        """Its deadline."""
        if self.deadline_at_ms is not None:
            return self.deadline_at_ms
        return self.begins_at_ms(now_ms) + self.timeout_ms

    def tags(self, now_ms: int) -> Mapping[str, str]:
        """The tags of the promise: those of the root of a tree."""
        start_at_ms = self.begins_at_ms(now_ms)
        delay = {tags.DELAY: str(start_at_ms)} if start_at_ms > now_ms else {}
        return {
            **delay,
            **self.wishes,
            tags.TARGET: self.target,
            tags.SCOPE: tags.SCOPE_GLOBAL,
            tags.ORIGIN: self.id,
            tags.BRANCH: self.id,
            tags.PARENT: self.id,
            tags.PREFIX: self.id,
            tags.FUNCTION: tags.function(self.func, self.version),
        }


def is_invocation(routing_key: str) -> bool:
    """Whether what was published with this key is no envelope but an invocation."""
    return _ROUTING_KEY.fullmatch(routing_key) is not None


def wants_acknowledgement(headers: Mapping[str, Any]) -> bool:
    """Whether the publisher wants a message also when its invocation is stored."""
    return headers.get(plain.ACKNOWLEDGE_HEADER) in (True, "true")


def read(
    body: bytes, message_id: str | None, headers: Mapping[str, Any], reply_to: ReplyAddress | None
) -> Invoke:
    """Read a message.

    Raises:
        NotPlainError: something about it is wrong or missing.
    """
    if len(body) > limits.MESSAGE_BYTES_MAX:
        raise NotPlainError(
            f"the body has {len(body)} bytes, the limit is {limits.MESSAGE_BYTES_MAX}"
        )
    if not message_id:
        raise NotPlainError(
            "the property message_id is missing: it is the id of the execution, and makes it "
            "harmless to publish twice"
        )
    check_headers(headers)
    func = headers.get(plain.FUNC_HEADER)
    if not isinstance(func, str) or not func:
        raise NotPlainError(f"the header {plain.FUNC_HEADER} must name a function, found {func!r}")
    version = _version(headers)
    call = _call(func, version, body or b"[]")
    try:
        check_id("message_id", message_id)
        check_text(plain.FUNC_HEADER, func)
        if context := traces.of(headers):
            call = replace(call, headers={**(call.headers or {}), **context})
        check_value("the call", call)
    except ValueError as error:
        raise NotPlainError(str(error)) from error
    return Invoke(
        id=message_id,
        func=func,
        version=version,
        call=call,
        target=read_target(headers),
        timeout_ms=read_timeout_ms(headers),
        delay_ms=_duration_ms(headers, plain.DELAY_HEADER),
        wishes=read_wishes(headers),
        reply_to=reply_to,
    )


def check_headers(headers: Mapping[str, Any]) -> None:
    """Refuse what may be a slip of the pen: a deadline that nobody reads would be a year away.

    Raises:
        NotPlainError: there is one; it names it.
    """
    for name in headers:
        if name.startswith(HEADER_PREFIX) and name not in HEADERS:
            raise NotPlainError(
                f"the header {name[:100]!r} is not known, those are: {', '.join(sorted(HEADERS))}"
            )
    wish = headers.get(plain.ACKNOWLEDGE_HEADER, False)
    if wish not in (True, False, "true", "false"):
        raise NotPlainError(f"the header {plain.ACKNOWLEDGE_HEADER} is true or false: {wish!r}")


def _call(func: str, version: int, body: bytes) -> Value:
    args: Any = []
    kwargs: Any = {}
    match plain.read_json(body):
        case [*_]:
            args = Raw(body)
        case {}:
            kwargs = Raw(body)
        case _:
            args = [Raw(body)]
    call = {"func": func, "args": args, "kwargs": kwargs, "version": version}
    return plain.stored(msgspec.json.encode(call))


def _version(headers: Mapping[str, Any]) -> int:
    found = headers.get(plain.VERSION_HEADER, 1)
    if isinstance(found, str) and _COUNT.fullmatch(found):
        found = int(found)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise NotPlainError(f"the header {plain.VERSION_HEADER} is a number from 1 on: {found!r}")
    return found


def read_timeout_ms(headers: Mapping[str, Any]) -> int:
    """How long an execution may take.

    Raises:
        NotPlainError: what the headers say is no duration.
    """
    return _duration_ms(headers, plain.TIMEOUT_HEADER) or limits.PROMISE_TIMEOUT_MS_DEFAULT


def read_target(headers: Mapping[str, Any]) -> str:
    """Who runs it, in the stored form.

    Raises:
        NotPlainError: what the headers say is no address.
    """
    found = headers.get(plain.TARGET_HEADER, TARGET_DEFAULT)
    if not isinstance(found, str):
        raise NotPlainError(f"the header {plain.TARGET_HEADER} must be text, found {found!r}")
    try:
        return addresses.normalize(found)
    except addresses.AddressError as error:
        raise NotPlainError(f"the header {plain.TARGET_HEADER}: {error}") from error


def read_wishes(headers: Mapping[str, Any]) -> Mapping[str, str]:
    """The tags that say which limit counts, and whose turn it is.

    Raises:
        NotPlainError: what the headers say is no key, or no priority.
    """
    wishes: dict[str, str] = {}
    key = headers.get(plain.KEY_HEADER)
    if key is not None:
        if not isinstance(key, str):
            raise NotPlainError(f"the header {plain.KEY_HEADER} must be text, found {key!r}")
        wishes[tags.KEY] = key
    priority = headers.get(plain.PRIORITY_HEADER)
    if priority is not None:
        fault = priority_fault(str(priority))
        if fault is not None:
            raise NotPlainError(f"the header {plain.PRIORITY_HEADER}: {fault}")
        wishes[tags.PRIORITY] = str(priority)
    try:
        check_tags(wishes)
    except ValueError as error:
        raise NotPlainError(f"the header {plain.KEY_HEADER}: {error}") from error
    return wishes


def _duration_ms(headers: Mapping[str, Any], name: str) -> int:
    """A duration in whole milliseconds or as people write it; 0 if it is not given."""
    found = headers.get(name)
    if found is None:
        return 0
    if isinstance(found, str) and _COUNT.fullmatch(found):
        found = int(found)
    if isinstance(found, int) and not isinstance(found, bool):
        if not 0 < found <= limits.INSTANT_MS_MAX // 4:
            raise NotPlainError(f"the header {name} is {found}, a duration is positive")
        return found
    if not isinstance(found, str):
        # Seconds in one library, milliseconds in another: who guesses is wrong by a factor of 1,000.
        raise NotPlainError(
            f"the header {name} is no duration: {found!r}; write whole milliseconds, as 90000, or "
            "a text, as '90s'"
        )
    try:
        return parse_duration(found)
    except ValueError as error:
        raise NotPlainError(f"the header {name}: {error}") from error
