"""The W3C's headers of traces: those of a promise's parameter, and of AMQP messages about it."""

import re
from collections.abc import Mapping
from typing import Any

PARENT = "traceparent"
STATE = "tracestate"
HEADERS = frozenset({PARENT, STATE})
STATE_CHARS_MAX = 512  # what everybody passes on

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def of(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """The context of a trace among headers; without a well-formed parent there is none."""
    if not headers:
        return {}
    parent, state = headers.get(PARENT), headers.get(STATE)
    if not isinstance(parent, str) or not _PARENT.fullmatch(parent):
        return {}
    if isinstance(state, str) and 0 < len(state) <= STATE_CHARS_MAX and state.isascii():
        return {PARENT: parent, STATE: state}
    return {PARENT: parent}
