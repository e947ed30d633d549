from typing import Any

import pytest

from resonate_sdk.protocol import traces

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (None, {}),
        ({"traceparent": PARENT, "other": "x"}, {"traceparent": PARENT}),
        (
            {"traceparent": PARENT, "tracestate": "a=1,b=2"},
            {"traceparent": PARENT, "tracestate": "a=1,b=2"},
        ),
        ({"tracestate": "a=1"}, {}),
        ({"traceparent": 17}, {}),
        ({"traceparent": PARENT.upper()}, {}),
        ({"traceparent": f"{PARENT}\n"}, {}),
        ({"traceparent": PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)}, {}),
        ({"traceparent": f"ff{PARENT[2:]}"}, {}),
        ({"traceparent": PARENT, "tracestate": "a" * 513}, {"traceparent": PARENT}),
        ({"traceparent": PARENT, "tracestate": "ü"}, {"traceparent": PARENT}),
        ({"traceparent": PARENT, "tracestate": b"a=1"}, {"traceparent": PARENT}),
    ],
)
def test_a_context_is_a_well_formed_parent_and_perhaps_its_state(
    headers: dict[str, Any] | None, found: dict[str, str]
):
    assert traces.of(headers) == found
