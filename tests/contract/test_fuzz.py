"""Malformed requests of every kind: answered 400, nothing else, and nothing is changed by them."""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from resonate_broker.embedded import EmbeddedBroker
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.requests import KINDS
from resonate_sdk.protocol.responses import Answer
from tests.unit.protocol.wire import VALID

NOW = 1_000
MESSAGES = 250
ENVELOPES_PER_MESSAGE = 45  # times messages: more than 10,000

MAPS = {"param", "value", "tags", "promiseParam", "promiseTags", "headers"}
NULLABLE = {
    "cursor", "state", "group", "slots", "inFlight", "data", "headers", "corrId", "concurrency",
    "keyRate", "key", "priority",
}  # fmt: skip
FREE = {"sdk", "data", "routingKey"}  # text of which only little is wrong

# Values that a field of no kind can have, by what the field holds.
bad_text = st.sampled_from(
    [None, 0, 1.5, True, [], {}, ["a"], "a\0", "\ud800", "x" * (limits.ID_BYTES_MAX + 1), ""]
)
bad_numbers = st.sampled_from([None, "1", -1, 2**63, 2**64, 1.5, 1e300, True, [], {}, -(2**70)])
bad_maps = st.sampled_from([None, 5, "x", [], {"data": 5, "a": 5}, {"data": "\0", "a": "\0"}])
bad_lists = st.sampled_from([None, 5, "x", {}, [], [None], [5], [{}], [[]]])
bad_objects = st.sampled_from([None, 5, "x", [], {}])
bad_heads = st.sampled_from(
    [None, 5, [], {}, {"version": "x"}, {"version": limits.VERSION, "corrId": 5},
     {"version": limits.VERSION, "chain": []}]
)  # fmt: skip


def paths(kind: str, value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every field of valid data whose value has a type."""
    if isinstance(value, dict) and not (place and place[-1] in MAPS):
        inner = [path for key, child in value.items() for path in paths(kind, child, (*place, key))]
        return ([place] if place else []) + inner
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [place, *paths(kind, value[0], (*place, 0))]
    return [place]


def bad_value(path: tuple[str | int, ...], old: Any) -> st.SearchStrategy[Any]:
    """What cannot stand there."""
    key = path[-1]
    if isinstance(old, str):
        values = bad_text
    elif isinstance(old, int):
        values = bad_numbers
    elif isinstance(old, list):
        values = bad_lists
    elif key in MAPS:
        values = bad_maps
    else:
        values = bad_objects
    return values.filter(lambda value: value is not None or key not in NULLABLE)


@st.composite
def broken(draw: st.DrawFn) -> dict[str, Any]:
    """An envelope with one thing in it that makes it malformed."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    data = json.loads(json.dumps(VALID[kind]))
    request = {"kind": kind, "head": {"corrId": "c", "version": limits.VERSION}, "data": data}
    fields = [path for path in paths(kind, data) if path]
    way = draw(st.sampled_from(["head", "data", "kind", *["field"] * 12])) if fields else "head"
    match way:
        case "head":
            request["head"] = draw(bad_heads)
        case "data":
            request["data"] = draw(st.sampled_from([None, 5, "x", [], True]))
        case "kind":
            request["kind"] = draw(st.sampled_from(["", "x", kind + "x", kind.upper(), 5, None]))
        case _:
            *parents, last = path = draw(st.sampled_from(fields))
            target: Any = data
            for parent in parents:
                target = target[parent]
            old = target[last]
            value = draw(bad_value(path, old))
            if last in FREE and isinstance(value, str):
                value = "a\0"
            target[last] = value
    return request


def carry_out(broker: EmbeddedBroker, requests: list[Any]) -> list[tuple[str, Answer]]:
    answers: list[tuple[str, Answer]] = []
    broker.submit(json.dumps(requests).encode(), answers.extend)
    return answers


def populated() -> EmbeddedBroker:
    """A server with one of everything that the requests are about."""
    broker = EmbeddedBroker(None, lambda: NOW, may_debug=True)
    for kind in ("promise.create", "task.create", "schedule.create"):
        data = json.loads(json.dumps(VALID[kind]))
        if kind == "task.create":
            data["action"]["data"]["id"] = "t"
        head = {"corrId": "c", "version": limits.VERSION}
        ((_, answer),) = carry_out(broker, [{"kind": kind, "head": head, "data": data}])
        assert answer.is_ok, answer
    return broker


def test_ten_thousand_malformed_requests_are_answered_400_and_change_nothing():
    broker = populated()
    before = asyncio.run(broker._store.snapshot())
    count = 0

    @settings(
        max_examples=MESSAGES,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    )
    @given(st.lists(broken(), min_size=ENVELOPES_PER_MESSAGE, max_size=ENVELOPES_PER_MESSAGE))
    def are_refused(requests: list[dict[str, Any]]) -> None:
        nonlocal count
        answers = carry_out(broker, requests)
        count += len(answers)
        for request, (_, answer) in zip(requests, answers, strict=True):
            assert answer.status == 400, (request, answer)
            assert isinstance(answer.data, str), answer
            assert answer.data.isprintable(), answer

    are_refused()

    assert count >= 10_000
    assert asyncio.run(broker._store.snapshot()) == before
    broker.close()
