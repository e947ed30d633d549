"""`group.list`: the worker groups that have limits."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadGroups
from resonate_broker.places import group_record
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import GroupList
from resonate_sdk.protocol.responses import Answer, GroupPage
from resonate_store.state import Group


def group_list(request: GroupList) -> Operation:
    """Answer with all of them: they are few. What they have is told by `group.get`.

    It passes through a batch first, so that it finds what its sender set before.
    """
    yield Load()
    yield Commit()
    found: tuple[Group, ...] | Failed = yield ReadGroups()
    if isinstance(found, Failed):
        return rules.refused(responses.UNAVAILABLE, f"cannot list now: {found.reason}")
    records = tuple(group_record(group.name, group) for group in found)
    return Answer(responses.OK, GroupPage(groups=records))
