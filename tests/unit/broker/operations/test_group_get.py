from resonate_broker.operations.group_get import group_get
from resonate_sdk.protocol.records import GroupRecord, Rate
from resonate_sdk.protocol.requests import GroupGet
from resonate_store.state import Group
from tests.unit.broker.builders import NOW, decide


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


def test_of_a_key_it_is_told_what_is_used_and_when_more_may_start():
    slow = Rate(count=1, per_ms=60_000)
    starts = {"": (NOW + 7) * 1_000, "k": (NOW + 9) * 1_000, "old": 5}
    held = {"a": "k", "b": "other", "c": "k"}
    group = Group(name="g", key_concurrency=2, rate=slow, key_rate=slow, held=held, starts=starts)

    whole = decide(group_get, GroupGet(name="g"), groups=[group]).data.group
    of_key = decide(group_get, GroupGet(name="g", key="k"), groups=[group]).data.group
    of_old = decide(group_get, GroupGet(name="g", key="old"), groups=[group]).data.group

    assert (whole.running, whole.next_start_at_ms) == (3, NOW + 7)
    assert (whole.key_running, whole.key_next_start_at_ms) == (None, None)
    assert (of_key.key_running, of_key.key_next_start_at_ms) == (2, NOW + 9)
    assert (of_old.key_running, of_old.key_next_start_at_ms) == (0, None)
