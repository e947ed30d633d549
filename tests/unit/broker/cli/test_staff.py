"""Who works for which group, from what the broker and the server tell."""

from msgspec.structs import replace

from resonate_broker.cli.broker import Attendance, Depth
from resonate_broker.cli.management import ChannelDetails, Connection, Consumer, QueueName
from resonate_broker.cli.staff import Load, groups_of, summary_of, workers_of
from resonate_sdk.protocol.records import TaskDetails, WorkerRecord
from resonate_sdk.protocol.topology import Names
from tests.unit.broker.cli.builders import make_task

NAMES = Names("ns")


def consumer(queue: str, connection: str) -> Consumer:
    details = ChannelDetails(name=f"{connection} (1)", connection_name=connection)
    return Consumer(queue=QueueName(name=queue), consumer_tag="c", channel_details=details)


def attendance(*consumers: Consumer, **titles: str) -> Attendance:
    connections = {
        name: Connection(name=name, client_properties={"connection_name": title})
        for name, title in titles.items()
    }
    return Attendance(consumers, connections)


def of_group(id: str, group: str, state: str, pid: str | None = None):
    return replace(make_task(id, state, pid=pid), details=TaskDetails(group=group))


ATTENDED = attendance(
    consumer("ns.worker.mail.m1", "one"),
    consumer("ns.task.mail", "one"),
    consumer("ns.worker.mail.m2", "two"),
    consumer("ns.reply.m1", "one"),
    consumer("other.worker.mail.m9", "two"),
    one="resonate/sdk/mail/m1/consume",
)


def test_a_worker_is_who_has_a_queue_of_its_own_also_without_consuming_the_shared_one():
    first, second = workers_of(NAMES, ATTENDED, Load())

    assert (first.pid, first.group, first.running, first.is_connected) == ("m1", "mail", 0, True)
    assert first.connection is ATTENDED.connections["one"]
    assert (second.pid, second.connection, second.is_connected) == ("m2", None, True)


def test_who_holds_tasks_is_shown_also_if_it_is_not_connected():
    load = Load(acquired=(of_group("a", "mail", "acquired", "m3"),) * 2)

    *_, gone = workers_of(NAMES, ATTENDED, load)

    assert (gone.pid, gone.running, gone.is_connected) == ("m3", 2, False)


def test_a_stranger_on_the_queue_of_a_group_is_named_after_its_connection():
    attended = attendance(consumer("ns.task.mail", "three"), three="nosy")

    (stranger,) = workers_of(NAMES, attended, Load())

    assert (stranger.pid, stranger.group, stranger.is_connected) == ("nosy", "mail", True)


def test_without_the_management_api_only_holders_of_tasks_are_known():
    load = Load(acquired=(of_group("a", "mail", "acquired", "m1"),))

    (holder,) = workers_of(NAMES, None, load)

    assert (holder.pid, holder.running, holder.is_connected) == ("m1", 1, None)


def test_without_a_server_nobody_knows_what_runs():
    first, _ = workers_of(NAMES, ATTENDED, None)

    assert first.running is None


def test_groups_are_those_of_workers_and_of_tasks():
    load = Load(pending=(of_group("a", "orders", "pending"), make_task("b")))

    assert groups_of(NAMES, ATTENDED, load) == ["mail", "orders"]
    assert groups_of(NAMES, None, None) == []


def test_a_group_with_work_and_no_worker_is_stuck():
    load = Load(pending=(of_group("a", "orders", "pending"),))
    counts = {"ns.task.orders": Depth(ready=1, consumers=0)}

    group = summary_of(NAMES, "orders", (), load, counts)

    assert (group.workers, group.running, group.pending, group.hints) == (0, 0, 1, 1)
    assert group.is_stuck


def test_the_workers_of_a_group_are_counted_by_who_knows_best():
    load = Load(acquired=(of_group("a", "mail", "acquired", "m1"),))
    counts = {"ns.task.mail": Depth(ready=0, consumers=5)}

    attended = summary_of(NAMES, "mail", workers_of(NAMES, ATTENDED, load), load, counts)
    blind = summary_of(NAMES, "mail", workers_of(NAMES, None, load), load, counts)
    without_server = summary_of(NAMES, "mail", workers_of(NAMES, None, None), None, counts)

    assert (attended.workers, blind.workers, without_server.workers) == (2, 5, 5)
    assert (attended.running, attended.pending) == (1, 0)
    assert (without_server.running, without_server.pending) == (None, None)
    assert not attended.is_stuck


def test_who_has_said_hello_is_shown_with_what_it_said():
    told = WorkerRecord(pid="m7", group="mail", slots=16, first_seen_at_ms=1, seen_at_ms=2)
    load = Load(workers=(told,))

    (alone,) = workers_of(NAMES, None, load)
    *_, gone = workers_of(NAMES, ATTENDED, load)

    assert (alone.pid, alone.told, alone.is_connected) == ("m7", told, None)
    assert (gone.pid, gone.told, gone.is_connected) == ("m7", told, False)
    assert groups_of(NAMES, None, load) == ["mail"]


def test_the_queues_of_a_worker_are_those_of_its_connection():
    first, second = workers_of(NAMES, ATTENDED, None)

    assert first.queues == ("ns.reply.m1", "ns.task.mail", "ns.worker.mail.m1")
    assert second.queues == ()
