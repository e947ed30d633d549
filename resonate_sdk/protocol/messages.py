"""What the server sends unasked: hints for workers and news for listeners.

A hint is never the truth: it says that a task may be acquired at a version. Losing or repeating
one is harmless. What goes to the queue of one process may come as an array. What a decoder raises is
`faults.UNREADABLE`: more than one kind of error.
"""

import msgspec
from msgspec import Struct, field

from resonate_sdk.protocol.records import PromiseRecord, TaskRef


class MessageHead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every message carries.

    Attributes:
        version: protocol version of the sender.
        sent_at_ms: when the server decided it, epoch ms on the clock of the database.
        attempt: how often the hint has been sent before for this wait.
    """

    version: str = ""
    sent_at_ms: int = field(name="sentAt", default=0)
    attempt: int = 0


class HintData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task that is due and, unless its values are large, its promise."""

    task: TaskRef
    promise: PromiseRecord | None = None


class Invoke(Struct, frozen=True, kw_only=True, tag_field="kind", tag="invoke"):
    """Start this execution, or start it again: it has not been suspended since."""

    data: HintData
    head: MessageHead = MessageHead()


class Resume(Struct, frozen=True, kw_only=True, tag_field="kind", tag="resume"):
    """Continue this execution: something it waited for has settled."""

    data: HintData
    head: MessageHead = MessageHead()


class NotifyData(Struct, frozen=True, kw_only=True):
    """A settled promise."""

    promise: PromiseRecord


class Notify(Struct, frozen=True, kw_only=True, tag_field="kind", tag="notify"):
    """A promise that the address listened to has settled."""

    data: NotifyData
    head: MessageHead = MessageHead()


Hint = Invoke | Resume
Message = Invoke | Resume | Notify

_decoder = msgspec.json.Decoder(Message)
_array_decoder = msgspec.json.Decoder(list[Message])
encode = msgspec.json.Encoder().encode


def decode(body: bytes) -> Message:
    """Read a message.

    Raises:
        UNREADABLE: it is not JSON, or has no known form.
    """
    return _decoder.decode(body)


def decode_several(body: bytes) -> list[Message]:
    """Read a message, or an array of them.

    Raises:
        UNREADABLE: as `decode`.
    """
    if body.lstrip()[:1] == b"[":
        return _array_decoder.decode(body)
    return [_decoder.decode(body)]
