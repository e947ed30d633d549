import pytest

from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadGroups
from resonate_broker.operations.group_list import group_list
from resonate_sdk.protocol.records import GroupRecord
from resonate_sdk.protocol.requests import GroupList
from resonate_sdk.protocol.responses import Answer, GroupPage
from resonate_store.state import Group
from tests.unit.broker.builders import make_state


def run(found: tuple[Group, ...] | Failed) -> Answer:
    body = group_list(GroupList())
    assert body.send(None) == Load()
    assert body.send(make_state()) == Commit()
    assert body.send(None) == ReadGroups()
    with pytest.raises(StopIteration) as end:
        body.send(found)
    return end.value.value


def test_all_limited_groups_are_listed():
    answer = run((Group(name="a", concurrency=1), Group(name="b", key_concurrency=2)))

    assert answer.data == GroupPage(
        groups=(GroupRecord(name="a", concurrency=1), GroupRecord(name="b", key_concurrency=2))
    )


def test_a_database_that_is_away_is_told():
    answer = run(Failed("away"))

    assert (answer.status, answer.data) == (503, "cannot list now: away")
