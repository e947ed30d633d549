from functools import partial

from resonate_broker.operations.group_workers import group_workers
from resonate_broker.roster import Roster
from resonate_sdk.protocol.requests import GroupWorkers, Hello
from tests.unit.broker.builders import decide


def test_those_who_have_said_hello_are_listed():
    roster = Roster(lambda: 7)
    for group, pid in (("mail", "m2"), ("mail", "m1"), ("billing", "b1")):
        roster.heard(Hello(pid=pid, group=group))
    listing = partial(group_workers, roster=roster)

    everybody = decide(listing, GroupWorkers())
    some = decide(listing, GroupWorkers(group="mail"))

    assert [w.pid for w in everybody.data.workers] == ["b1", "m1", "m2"]
    assert [w.pid for w in some.data.workers] == ["m1", "m2"]
    assert not everybody.is_write
