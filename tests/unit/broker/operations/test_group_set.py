from functools import partial

import pytest

from resonate_broker.operations.group_set import group_set
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body
from resonate_sdk.protocol.records import GroupRecord, Rate
from resonate_sdk.protocol.requests import GroupSet
from resonate_store.state import Group
from tests.unit.broker.builders import Decision, decide


def run(request: GroupSet, *groups: Group) -> tuple[Decision, list[str]]:
    changed: list[str] = []
    return decide(partial(group_set, on_limits=changed.append), request, groups=groups), changed


def test_a_group_gets_limits():
    decision, changed = run(GroupSet(name="g", concurrency=3))

    assert decision.data.group == GroupRecord(name="g", concurrency=3, running=0)
    assert decision.changes.groups_put == (Group(name="g", concurrency=3),)
    assert changed == ["g"]


def test_limits_are_replaced_and_what_is_used_of_them_stays():
    before = Group(name="g", concurrency=3, held={"a": "k"}, starts={"": 5})
    rate = Rate(count=1, per_ms=10)

    decision, _ = run(GroupSet(name="g", key_concurrency=1, rate=rate), before)

    after = Group(name="g", key_concurrency=1, rate=rate, held={"a": "k"})
    assert decision.changes.groups_put == (after,)


def test_without_limits_the_group_is_let_go():
    decision, changed = run(GroupSet(name="g"), Group(name="g", concurrency=3))

    assert decision.data.group == GroupRecord(name="g")
    assert decision.changes.groups_deleted == ("g",)
    assert changed == ["g"]


def test_to_let_go_what_has_no_limits_writes_nothing():
    assert not run(GroupSet(name="g"))[0].is_write


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        '{"name": "a b"}',
        '{"name": "g", "concurrency": -1}',
        '{"name": "g", "concurrency": 10001}',
        '{"name": "g", "keyConcurrency": true}',
        '{"name": "g", "rate": {"count": 0, "per": 1000}}',
        '{"name": "g", "rate": {"count": 1, "per": 0}}',
        '{"name": "g", "keyRate": 5}',
    ],
)
def test_what_is_no_limit_is_malformed(data: str):
    (item,) = decode_body(
        f'{{"kind": "group.set", "head": {{"version": "2026-04-01"}}, "data": {data}}}'.encode()
    ).items

    assert isinstance(item, Malformed)


def test_limits_as_they_travel():
    (item,) = decode_body(
        b'{"kind": "group.set", "head": {"version": "2026-04-01"}, "data": {"name": "g",'
        b'"concurrency": 0, "keyConcurrency": 1, "keyRate": {"count": 10, "per": 1000}}}'
    ).items

    assert isinstance(item, Decoded)
    assert item.request == GroupSet(
        name="g", concurrency=0, key_concurrency=1, key_rate=Rate(count=10, per_ms=1_000)
    )
