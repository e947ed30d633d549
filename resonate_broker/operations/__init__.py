"""One file per request kind; this registry is the only list of them."""

from collections.abc import Callable
from functools import partial

from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.system import System
from resonate_broker.operations.debug_reset import debug_reset
from resonate_broker.operations.debug_snap import debug_snap
from resonate_broker.operations.debug_start import debug_start
from resonate_broker.operations.debug_stop import debug_stop
from resonate_broker.operations.debug_tick import debug_tick
from resonate_broker.operations.group_get import group_get
from resonate_broker.operations.group_list import group_list
from resonate_broker.operations.group_set import group_set
from resonate_broker.operations.group_workers import group_workers
from resonate_broker.operations.hello import hello
from resonate_broker.operations.promise_create import promise_create
from resonate_broker.operations.promise_get import promise_get
from resonate_broker.operations.promise_register_callback import promise_register_callback
from resonate_broker.operations.promise_register_listener import promise_register_listener
from resonate_broker.operations.promise_search import promise_search
from resonate_broker.operations.promise_settle import promise_settle
from resonate_broker.operations.schedule_create import schedule_create
from resonate_broker.operations.schedule_delete import schedule_delete
from resonate_broker.operations.schedule_get import schedule_get
from resonate_broker.operations.schedule_search import schedule_search
from resonate_broker.operations.task_acquire import task_acquire
from resonate_broker.operations.task_continue import task_continue
from resonate_broker.operations.task_create import task_create
from resonate_broker.operations.task_fence import task_fence
from resonate_broker.operations.task_fulfill import task_fulfill
from resonate_broker.operations.task_get import task_get
from resonate_broker.operations.task_halt import task_halt
from resonate_broker.operations.task_heartbeat import task_heartbeat
from resonate_broker.operations.task_release import task_release
from resonate_broker.operations.task_report import task_report
from resonate_broker.operations.task_search import task_search
from resonate_broker.operations.task_suspend import task_suspend
from resonate_broker.operations.trigger_create import trigger_create
from resonate_broker.operations.trigger_delete import trigger_delete
from resonate_broker.operations.trigger_get import trigger_get
from resonate_broker.operations.trigger_search import trigger_search
from resonate_broker.roster import Roster


def register_operations(
    system: System,
    *,
    partitions: int,
    on_group: Callable[[str], None],
    tick: Callable[[int], Body],
    is_limited: Callable[[str], bool] = lambda group: False,
    on_limits: Callable[[str], None] = lambda group: None,
) -> None:
    """Teach a kernel every request kind.

    Args:
        system: the kernel.
        partitions: how many submission queues there are.
        on_group: told when a worker of a group says hello.
        tick: takes the internal steps that are due at an instant.
        is_limited: whether a group has limits, or may have some.
        on_limits: told when those of a group have changed.
    """
    roster = Roster(lambda: system.known_now_ms)
    system.add_on_request("promise.get", promise_get)
    system.add_on_request("promise.create", promise_create)
    system.add_on_request("promise.settle", promise_settle)
    system.add_on_request("promise.register_callback", promise_register_callback)
    system.add_on_request("promise.register_listener", promise_register_listener)
    system.add_on_request("promise.search", promise_search)
    system.add_on_request("task.get", task_get)
    system.add_on_request("task.create", partial(task_create, is_limited=is_limited))
    system.add_on_request("task.acquire", partial(task_acquire, is_limited=is_limited))
    system.add_on_request("task.release", task_release)
    system.add_on_request("task.report", task_report)
    system.add_on_request("task.fulfill", task_fulfill)
    system.add_on_request("task.suspend", task_suspend)
    system.add_on_request("task.fence", task_fence)
    system.add_on_request("task.heartbeat", task_heartbeat)
    system.add_on_request("task.halt", task_halt)
    system.add_on_request("task.continue", task_continue)
    system.add_on_request("task.search", task_search)
    system.add_on_request("schedule.get", schedule_get)
    system.add_on_request("schedule.create", schedule_create)
    system.add_on_request("schedule.delete", schedule_delete)
    system.add_on_request("schedule.search", schedule_search)
    system.add_on_request("trigger.get", trigger_get)
    system.add_on_request("trigger.create", trigger_create)
    system.add_on_request("trigger.delete", trigger_delete)
    system.add_on_request("trigger.search", trigger_search)
    system.add_on_request("group.get", group_get)
    system.add_on_request("group.set", partial(group_set, on_limits=on_limits))
    system.add_on_request("group.list", group_list)
    system.add_on_request("debug.start", partial(debug_start, system=system))
    system.add_on_request("debug.stop", partial(debug_stop, system=system))
    system.add_on_request("debug.reset", debug_reset)
    system.add_on_request("debug.tick", partial(debug_tick, tick=tick))
    system.add_on_request("debug.snap", debug_snap)
    system.add_on_request("group.workers", partial(group_workers, roster=roster))
    greet = partial(hello, partitions=partitions, on_group=on_group, roster=roster)
    system.add_on_request("hello", greet)
