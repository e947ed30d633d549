"""Which internal steps a kernel takes."""

import pytest

from resonate_broker.background import register_background
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.top_up import TopUp
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.submissions import ReadDue, ReadDueSchedules, ReadInbox
from resonate_broker.kernel.system import SCHEDULES, System
from tests.unit.broker.builders import NOW
from tests.unit.broker.kernel.fakes import ScriptedAIO


@pytest.mark.parametrize("fires_schedules", [True, False])
def test_schedules_may_be_left_to_other_servers(fires_schedules: bool):
    aio, windows = ScriptedAIO(), Windows()
    dispatch = Dispatch(windows, lambda at_ms: None)
    system = System(aio, dispatch, forget_listeners)
    top_up = TopUp(windows, dispatch, lambda: NOW)

    register_background(system, dispatch, LeaseGuard(), top_up, fires_schedules=fires_schedules)
    system.wake(SCHEDULES, NOW)
    system.tick(NOW)

    assert aio.has(ReadDue)
    assert aio.has(ReadDueSchedules) is fires_schedules


@pytest.mark.parametrize("drains_inbox", [True, False])
def test_only_some_databases_have_an_inbox(drains_inbox: bool):
    aio, windows = ScriptedAIO(), Windows()
    dispatch = Dispatch(windows, lambda at_ms: None)
    system = System(aio, dispatch, forget_listeners)
    top_up = TopUp(windows, dispatch, lambda: NOW)

    register_background(system, dispatch, LeaseGuard(), top_up, drains_inbox=drains_inbox)
    system.tick(NOW)

    assert aio.has(ReadInbox) is drains_inbox
