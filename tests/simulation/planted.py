"""Bugs that are planted, from outside, to see that simulations find them.

Each replaces functions of the product for as long as its context is open.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec import Struct
from msgspec.structs import replace

from resonate_broker import places, rules
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.kernel.chains import Link
from resonate_broker.kernel.submissions import Outgoing, StoreFailed, Written
from resonate_broker.kernel.transactions import Transactions
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.requests import TaskSuspend
from resonate_sdk.protocol.responses import Answer
from resonate_store.sqlite import SqliteStore
from resonate_store.state import InboxRow, Promise, Schedule, Task, TaskTrouble
from tests.simulation.database import Database

# Packages have functions of the same names, which hide these modules from an import statement.
_operations = import_module("resonate_broker.operations")
_heartbeat = import_module("resonate_broker.operations.task_heartbeat")
_inbox = import_module("resonate_broker.background.inbox")
_sweep = import_module("resonate_broker.background.sweep")
_schedules = import_module("resonate_broker.background.schedules")

# What the product has in the places where the bugs go.
_acquired = rules.acquired
_check_held = rules.check_held
_discharge = rules.discharge
_settle = rules.settle
_next_look_ms = rules.next_look_ms
_tell = rules._tell
_beat = _heartbeat._beat
_expire_lease = _sweep.expire_lease
_task_suspend = _operations.task_suspend
_plan = _schedules.plan
_retry = Dispatch.retry
_written = Transactions._written
_put_trouble = WorkingState.put_trouble
_send = WorkingState.send
_try_begin = Database.try_begin


def _at_the_same_version(task: Task, *rest: Any) -> Task:
    return replace(_acquired(task, *rest), version=max(1, task.version))


def _at_any_version(promise: Promise | None, id: str, version: int) -> Answer | None:
    if promise is not None and promise.task is not None:
        version = promise.task.version
    return _check_held(promise, id, version)


def _late(promise: Promise, now_ms: int) -> bool:
    return promise.state == "pending" and promise.timeout_at_ms < now_ms


def _to_one(state: WorkingState, promise: Promise) -> None:
    for awaiter in state.callbacks(promise.id)[1:]:
        state.consume_callback(promise.id, awaiter)
    _discharge(state, promise)


def _before_it_is_sent(state: WorkingState, promise: Promise, address: str) -> None:
    _tell(state, promise, address)
    state.forget(state.outgoing()[-1:])


def _without_its_task(state: WorkingState, promise: Promise, *rest: Any) -> Promise:
    settled = _settle(state, promise, *rest)
    if promise.task is not None and promise.task.state == "pending":
        state.put(replace(settled, task=promise.task))
    return settled


def _of_anybody(state: WorkingState, ref: Any, pid: str) -> bool:
    promise = state.promise(ref.id)
    holder = None if promise is None or promise.task is None else promise.task.pid
    return _beat(state, ref, holder or pid)


def _and_counts(state: WorkingState, promise: Promise, *rest: Any) -> Promise:
    given_back = _expire_lease(state, promise, *rest)
    if given_back is promise or given_back.task is None:
        return given_back
    task = replace(given_back.task, version=given_back.task.version + 1)
    given_back = replace(given_back, task=task)
    state.put(given_back)
    return given_back


def _for_certain(transactions: Transactions, completion: Any) -> None:
    is_unknown = isinstance(completion, StoreFailed) and completion.outcome == "unknown"
    _written(transactions, Written() if is_unknown else completion)


def _never(dispatch: Dispatch, state: WorkingState, promise: Promise) -> Promise:
    task = promise.task
    if task is not None and task.state == "pending" and task.hint_at_ms is not None:
        return promise
    return _retry(dispatch, state, promise)


def _of_tasks_only(state: WorkingState, promise: Promise) -> int | None:
    if promise.state == "pending" and promise.task is None:
        return None
    return _next_look_ms(state, promise)


def _at_the_first(request: TaskSuspend) -> Any:
    return _task_suspend(replace(request, actions=request.actions[:1]))


def _of_nothing(database: Database, *rest: Any) -> Any:
    begun = _try_begin(database, *rest)
    if begun is not None:
        begun[0].ids = frozenset()
    return begun


def _astray(state: WorkingState, outgoing: Outgoing) -> None:
    _send(state, outgoing if outgoing.listener is not None else replace(outgoing, group="h"))


def _nobody(state: WorkingState, id: str) -> bool:
    return False


def _no_start(task: Task) -> bool:
    return False


def _if_old(store: SqliteStore, promise: Promise, tree: str, settled_before_ms: int) -> bool:
    return promise.settled_at_ms is None or promise.settled_at_ms > settled_before_ms


def _without_its_promise(state: WorkingState, row: InboxRow) -> str | None:
    return None


def _and_stays(state: WorkingState, row: InboxRow) -> None:
    pass


def _what_was_there(state: WorkingState, row: TaskTrouble) -> None:
    _put_trouble(state, state.trouble(row.task) or row)


def _the_latest_only(schedule: Schedule, now_ms: int) -> Any:
    return _plan(replace(schedule, missed="latest"), now_ms)


class Bug(Struct, frozen=True):
    """One bug.

    Attributes:
        name: what goes wrong, as a sentence.
        substitutes: what to put in place of which attribute of which object.
        seed: one that has found it, to begin with: the others cost time.
    """

    name: str
    substitutes: Mapping[tuple[Any, str], Any]
    seed: int = 0

    @contextmanager
    def planted(self) -> Generator[None]:
        """While this is open, the product has the bug."""
        with ExitStack() as stack:
            for (owner, attribute), substitute in self.substitutes.items():
                stack.enter_context(patch.object(owner, attribute, substitute))
            yield


BUGS: Sequence[Bug] = (
    Bug(
        "an acquisition does not count the version up", {(rules, "acquired"): _at_the_same_version}
    ),
    Bug("a holder is believed at any version", {(rules, "check_held"): _at_any_version}),
    Bug("a deadline comes a millisecond late", {(rules, "is_due"): _late}),
    Bug("a settlement wakes only one awaiter", {(rules, "discharge"): _to_one}, seed=11),
    Bug("a settlement forgets the task", {(rules, "settle"): _without_its_task}),
    Bug("a listener is forgotten before it is told", {(rules, "_tell"): _before_it_is_sent}),
    Bug("internal deadlines have no timer", {(rules, "next_look_ms"): _of_tasks_only}),
    Bug("anybody's heartbeat prolongs a lease", {(_heartbeat, "_beat"): _of_anybody}),
    Bug("a lost lease counts the version up", {(_sweep, "expire_lease"): _and_counts}),
    Bug("a suspension looks at the first awaited", {(_operations, "task_suspend"): _at_the_first}),
    Bug("a lost hint is never sent again", {(Dispatch, "retry"): _never}),
    Bug("hints go to another group", {(WorkingState, "send"): _astray}),
    Bug("a commit of unknown fate counts as durable", {(Transactions, "_written"): _for_certain}),
    Bug("a chain goes on after a refusal", {(Link, "holds"): property(lambda link: True)}),
    Bug(
        "missed instants of a schedule are forgotten",
        {(_schedules, "plan"): _the_latest_only},
        seed=3,
    ),
    Bug("places of a group that are taken do not count", {(places, "_is_live"): _nobody}),
    Bug("executions of a group start at any rate", {(places, "_is_start"): _no_start}),
    Bug("retention removes what others use", {(SqliteStore, "_is_needed"): _if_old}),
    Bug("a call in the inbox is dropped", {(_inbox, "_create"): _without_its_promise}),
    Bug("a call stays in the inbox when it is taken", {(WorkingState, "take"): _and_stays}),
    Bug(
        "what a holder tells does not replace what was told before",
        {(WorkingState, "put_trouble"): _what_was_there},
        seed=17,
    ),
    Bug("two servers lock nothing", {(Database, "try_begin"): _of_nothing}),
)
