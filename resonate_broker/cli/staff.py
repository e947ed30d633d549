"""Which workers there are and what they have to do, put together from who told what. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from resonate_broker.cli.broker import Attendance, Depth
from resonate_broker.cli.management import Connection
from resonate_sdk.protocol.records import TaskRecord, WorkerRecord
from resonate_sdk.protocol.topology import Names


class Load(Struct, frozen=True):
    """What the server knows of the tasks that are not done.

    Attributes:
        workers: that have said hello lately.
        is_whole: whether these are all tasks of these states.
    """

    acquired: tuple[TaskRecord, ...] = ()
    pending: tuple[TaskRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
    is_whole: bool = True


class Worker(Struct, frozen=True, kw_only=True):
    """A process that runs tasks of a group, or had some when it was seen last.

    Attributes:
        running: tasks that it holds; None if no server told.
        connection: how it is connected; None if it is not, or nobody knows.
        is_connected: None if nobody knows.
        told: what it has said of itself; None if that is long ago, or the server is new.
        queues: from which it takes messages; empty if nobody knows.
    """

    pid: str
    group: str
    running: int | None
    connection: Connection | None = None
    is_connected: bool | None = None
    told: WorkerRecord | None = None
    queues: tuple[str, ...] = ()


class Group(Struct, frozen=True, kw_only=True):
    """A worker group.

    Attributes:
        workers: how many consume, perhaps; None if nobody knows.
        running: tasks that are held; None if no server told.
        pending: tasks that nobody holds; None if no server told.
        hints: messages that wait in its queue; None if there is no queue.
    """

    name: str
    workers: int | None
    running: int | None
    pending: int | None
    hints: int | None

    @property
    def is_stuck(self) -> bool:
        """Whether there is work and nobody to do it."""
        return self.workers == 0 and bool(self.pending or self.hints)


def groups_of(names: Names, attendance: Attendance | None, load: Load | None) -> list[str]:
    """All groups of which somebody has heard."""
    found = {group for group, _ in _places(names, attendance)}
    if load is not None:
        tasks = (*load.acquired, *load.pending)
        found |= {task.details.group for task in tasks if task.details is not None}
        found |= {worker.group for worker in load.workers}
    return sorted(found - {""})


def workers_of(names: Names, attendance: Attendance | None, load: Load | None) -> list[Worker]:
    """All workers, group by group: those that are connected, and those that hold tasks."""
    places = _places(names, attendance)
    held = Counter[tuple[str, str]]()
    for task in load.acquired if load is not None else ():
        if task.details is not None and task.pid is not None:
            held[task.details.group, task.pid] += 1
    told = {(w.group, w.pid): w for w in (load.workers if load is not None else ())}
    return [
        Worker(
            group=group,
            pid=pid,
            running=None if load is None else held[group, pid],
            connection=places.get((group, pid)),
            is_connected=None if attendance is None else (group, pid) in places,
            told=told.get((group, pid)),
            queues=_queues(attendance, places.get((group, pid))),
        )
        for group, pid in sorted({*places, *held, *told})
    ]


def _queues(attendance: Attendance | None, connection: Connection | None) -> tuple[str, ...]:
    """The queues that are consumed through a connection."""
    if attendance is None or connection is None:
        return ()
    consumers = attendance.consumers
    return tuple(
        sorted(
            consumer.queue.name
            for consumer in consumers
            if attendance.connection_of(consumer) is connection
        )
    )


def summary_of(
    names: Names,
    group: str,
    workers: Iterable[Worker],
    load: Load | None,
    counts: Mapping[str, Depth | None],
) -> Group:
    """A group as a whole."""
    own = [worker for worker in workers if worker.group == group]
    count = counts.get(names.task_queue(group))
    connected = sum(1 for worker in own if worker.is_connected)
    is_seen = all(worker.is_connected is not None for worker in own)
    pending: int | None = None
    if load is not None:
        groups = [task.details.group for task in load.pending if task.details is not None]
        pending = groups.count(group)
    return Group(
        name=group,
        workers=connected if own and is_seen else (0 if count is None else count.consumers),
        running=None if load is None else sum(worker.running or 0 for worker in own),
        pending=pending,
        hints=None if count is None else count.ready,
    )


def _places(
    names: Names, attendance: Attendance | None
) -> dict[tuple[str, str], Connection | None]:
    """Group and process of whoever consumes hints, and the connection.

    Workers have a queue of their own, also while they take nothing from that of the group. What
    else takes from the queue of a group stands there under the name of its connection.
    """
    found: dict[tuple[str, str], Connection | None] = {}
    if attendance is None:
        return found
    strangers: dict[tuple[str, str], Connection | None] = {}
    for consumer in attendance.consumers:
        connection = attendance.connection_of(consumer)
        place = names.worker_of(consumer.queue.name)
        if place is not None:
            found[place] = connection
        group = names.group_of(consumer.queue.name)
        if group is not None:
            title = consumer.connection or "" if connection is None else connection.title
            strangers[group, title] = connection
    connected = {connection.name for connection in found.values() if connection is not None}
    return found | {
        place: connection
        for place, connection in strangers.items()
        if connection is None or connection.name not in connected
    }
