from resonate_broker.operations.group_get import group_get
from resonate_sdk.protocol.records import GroupRecord, Rate
from resonate_sdk.protocol.requests import GroupGet
from resonate_store.state import Group
from tests.unit.broker.builders import decide


def test_a_group_that_nobody_has_limited_has_no_limits():
    decision = decide(group_get, GroupGet(name="g"))

    assert decision.status == 200
    assert decision.data.group == GroupRecord(name="g")
    assert not decision.is_write


def test_limits_are_told_with_what_is_used_of_them():
    group = Group(name="g", concurrency=3, rate=Rate(count=5, per_ms=9), held={"a": "", "b": "k"})

    decision = decide(group_get, GroupGet(name="g"), groups=[group])

    rate = Rate(count=5, per_ms=9)
    assert decision.data.group == GroupRecord(name="g", concurrency=3, rate=rate, running=2)
    assert not decision.is_write
