"""What the server does unasked: one file per internal step; this registry lists them."""

from functools import partial

from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.groups import GroupWatch
from resonate_broker.background.inbox import drain_inbox
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.retention import INTERVAL_MS, Retention
from resonate_broker.background.schedules import fire_schedules
from resonate_broker.background.sweep import sweep
from resonate_broker.background.top_up import TopUp
from resonate_broker.kernel.system import SCHEDULES, SWEEP, System

TOP_UP = "top_up"
RETENTION = "retention"
INBOX = "inbox"
GROUPS = "groups"
SWEEP_INTERVAL_MS = 1_000  # another server may have written an earlier timer
SCHEDULES_INTERVAL_MS = 1_000  # or another schedule
TOP_UP_INTERVAL_MS = 1_000
GROUPS_INTERVAL_MS = 1_000  # another server may have set limits
INBOX_INTERVAL_MS = 1_000  # a notice may have been missed


def register_background(
    system: System,
    dispatch: Dispatch,
    guard: LeaseGuard,
    top_up: TopUp,
    *,
    groups: GroupWatch | None = None,
    fires_schedules: bool = True,
    drains_inbox: bool = False,
    retention: Retention | None = None,
) -> None:
    """Let a kernel take its internal steps; schedules may be left to other servers.

    Only a database that applications share has an inbox.

    Without retention nothing is ever removed.
    """
    system.add_background(SWEEP, partial(sweep, dispatch, guard), SWEEP_INTERVAL_MS)
    if fires_schedules:
        system.add_background(SCHEDULES, fire_schedules, SCHEDULES_INTERVAL_MS)
    system.add_background(TOP_UP, top_up.run, TOP_UP_INTERVAL_MS)
    if groups is not None:
        system.add_background(GROUPS, groups.run, GROUPS_INTERVAL_MS)
    if drains_inbox:
        system.add_background(INBOX, drain_inbox, INBOX_INTERVAL_MS)
    if retention is not None:
        system.add_background(RETENTION, retention.run, INTERVAL_MS)
