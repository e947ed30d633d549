"""How functions end, as promises keep it and as those see it who wait."""

from functools import partial

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, decode_value, encode_failure
from resonate_sdk.errors import EncodeError
from resonate_sdk.execution.bodies import Raised, Returned
from resonate_sdk.execution.effects import Done
from resonate_sdk.execution.nodes import Node


def encoded(codec: Codec, outcome: Returned | Raised, name: str) -> Done:
    """What the promise of a function is settled with.

    Args:
        codec: encodes it.
        outcome: how the function ended.
        name: of the function, for messages.
    """
    if isinstance(outcome, Raised):
        return Done("rejected", encode_failure(codec, outcome.error))
    try:
        return Done("resolved", codec.encode(outcome.value))
    except EncodeError as error:
        return Done("rejected", encode_failure(codec, error.of("the result", name)))


def decoded(codec: Codec, node: Node) -> Returned | Raised:
    """What a settled promise gives to those who wait for it."""
    record = node.record
    if record is None:
        assert node.live is not None, "only a settled promise has a result"
        return node.live
    if record.state != "resolved":
        return Raised(decode_failure(codec, record))
    function = None if node.command is None else node.command.name
    try:
        return Returned(
            decode_value(partial(codec.decode, type=node.result_type), record, function)
        )
    except Exception as error:  # noqa: BLE001  # data that does not fit is the body's to see
        return Raised(error)
