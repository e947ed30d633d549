"""The promises that a function makes: their ids, tags, deadlines and parameters."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.functions.ops import Command
from resonate_sdk.functions.registry import Registry
from resonate_sdk.options import Options, deadline_ms
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import EMPTY, PromiseRecord
from resonate_sdk.protocol.requests import PromiseCreate

_CATEGORIES: Mapping[str, str] = {
    "run": "call",
    "rpc": "call",
    "detached": "call",
    "sleep": "timer",
    "promise": "latent",
    "choice": "choice",
}


class Lineage(Struct, frozen=True):
    """Where an execution stands in its tree.

    Attributes:
        id: of the invocation that makes the child.
        origin: root of the tree.
        branch: the promise whose task executes it.
        prefix: id of the very first root.
        deadline_ms: its own; epoch ms.
    """

    id: str
    origin: str
    branch: str
    prefix: str
    deadline_ms: int

    @staticmethod
    def of_root(root: PromiseRecord) -> "Lineage":
        """The lineage of a task's promise, whoever made it."""
        return Lineage(
            id=root.id,
            origin=root.tags.get(tags.ORIGIN, root.id),
            branch=root.tags.get(tags.BRANCH, root.id),
            prefix=root.tags.get(tags.PREFIX, root.id),
            deadline_ms=root.timeout_at_ms,
        )

    def child(self, record: PromiseRecord) -> "Lineage":
        """The lineage of a function that runs inside this one's task."""
        return Lineage(
            id=record.id,
            origin=record.tags.get(tags.ORIGIN, self.origin),
            branch=self.branch,
            prefix=self.prefix,
            deadline_ms=record.timeout_at_ms,
        )

    def unrecorded(self, command: Command, given: Options, now_ms: int) -> "Lineage":
        """The lineage of a function that runs inside this one, without a promise."""
        deadline_ms = _deadline_ms(command, given, self, now_ms)
        return structs.replace(self, id=command.id, deadline_ms=deadline_ms)


def fingerprint(command: Command) -> str:
    """What kind of call it is, to be compared at a replay."""
    category = _CATEGORIES[command.kind]
    text = f"{category}:{command.name}" if command.name else category
    return text[: limits.TAG_VALUE_BYTES_MAX]


def is_same_call(known: Command | None, command: Command) -> bool:
    """Whether two commands of one pass with one id may mean the same promise."""
    if known is None or not known.name or not command.name:
        return True
    return known.name == command.name


def child_id(command: Command, given: Options) -> str:
    """The id of the promise that a command makes."""
    return command.id if given.id is None else given.id


def child_request(
    command: Command,
    given: Options,
    lineage: Lineage,
    codec: Codec,
    registry: Registry,
    default_target: str,
    now_ms: int,
) -> PromiseCreate:
    """The promise that a command makes.

    Raises:
        EncodeError: an argument of a remote call cannot be stored.
    """
    id = child_id(command, given)
    param, own = EMPTY, _tags(command, given, lineage, id, default_target)
    match command.kind:
        case "rpc" | "detached":
            version = command.version or registry.version_for(command.name, given.version)
            param = encode_call(codec, command.name, version, command.args, command.kwargs, given)
            own[tags.FUNCTION] = tags.function(command.name, version)
        case "promise":
            param = codec.encode(command.data)
        case "run" | "sleep" | "choice":
            pass
    return PromiseCreate(
        id=id,
        timeout_at_ms=_deadline_ms(command, given, lineage, now_ms),
        param=param,
        tags={**(given.tags or {}), **own},
    )


def _tags(
    command: Command, given: Options, lineage: Lineage, id: str, default_target: str
) -> dict[str, str]:
    origin = lineage.origin if given.id is None else id
    branch = lineage.branch if given.id is None else id
    common = {tags.PARENT: lineage.id, tags.FINGERPRINT: fingerprint(command)}
    if given.idempotency_key is not None:
        common[tags.IDEMPOTENCY_KEY] = given.idempotency_key
    if command.kind in ("run", "choice"):
        return {
            **common,
            tags.SCOPE: tags.SCOPE_LOCAL,
            tags.ORIGIN: origin,
            tags.BRANCH: branch,
        }
    common |= {tags.SCOPE: tags.SCOPE_GLOBAL, tags.PREFIX: lineage.prefix}
    match command.kind:
        case "rpc":
            target = given.target or default_target
            return {**common, tags.ORIGIN: origin, tags.BRANCH: id, tags.TARGET: target}
        case "detached":
            target = given.target or default_target
            return {**common, tags.ORIGIN: id, tags.BRANCH: id, tags.TARGET: target}
        case "sleep":
            return {**common, tags.ORIGIN: origin, tags.BRANCH: branch, tags.TIMER: tags.TRUE}
        case "promise":
            return {**common, tags.ORIGIN: origin, tags.BRANCH: branch, tags.EXTERNAL: tags.TRUE}


def _deadline_ms(command: Command, given: Options, lineage: Lineage, now_ms: int) -> int:
    match command.kind:
        case "sleep" | "promise":  # their own arguments say when, an option does not
            wanted_ms = _after_ms(now_ms, command.seconds)
            if command.until is not None:
                wanted_ms = round(command.until * 1000)
        case "run" | "rpc" | "choice":
            wanted_ms = _after_ms(now_ms, given.timeout_s)
        case "detached":
            wanted_ms = _after_ms(now_ms, given.timeout_s)
            return now_ms + limits.PROMISE_TIMEOUT_MS_DEFAULT if wanted_ms is None else wanted_ms
    return lineage.deadline_ms if wanted_ms is None else max(0, min(wanted_ms, lineage.deadline_ms))


def _after_ms(now_ms: int, seconds: float | None) -> int | None:
    return None if seconds is None else deadline_ms(now_ms, seconds)


def settles_here(record: PromiseRecord) -> bool:
    """Whether a pending promise is to be settled by running its function in this pass."""
    return tags.TARGET not in record.tags and record.tags.get(tags.SCOPE) == tags.SCOPE_LOCAL


def result_type(command: Command, given: Options) -> Any:
    """What the value of a command is decoded into."""
    if given.type is not None:
        return given.type
    if command.callee is not None:
        return command.callee.result_type
    return Any
