"""The whole server in this process: what it answers, delivers and keeps, at instants we choose."""

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest

from resonate_broker.embedded.aio import complete
from resonate_broker.embedded.broker import EmbeddedBroker
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.messages import Invoke, Message, Notify, Resume
from resonate_sdk.protocol.responses import Answer
from resonate_store.sqlite import SqliteStore
from resonate_store.state import LoadSet, Snapshot
from resonate_store.store import SchemaError

NOW = 1_000_000
CALLS_MAX = 10_000


class Clock:
    """An instant that only moves when a test says so, and that nobody may ask for for ever.

    Attributes:
        step_ms: how much passes whenever somebody asks.
    """

    def __init__(self) -> None:
        self.now_ms = NOW
        self.step_ms = 0
        self.calls_left = CALLS_MAX

    def __call__(self) -> int:
        self.calls_left -= 1
        assert self.calls_left > 0, "the broker ticks for ever"
        self.now_ms += self.step_ms
        return self.now_ms


class Server:
    """An embedded broker on its own clock."""

    def __init__(self, path: Path | str | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.broker = EmbeddedBroker(path, self.clock)

    def ask(self, *requests: dict[str, Any]) -> list[Any]:
        """What each request of one message is answered."""
        self.clock.calls_left = CALLS_MAX
        answers: list[tuple[str, Answer]] = []
        self.broker.submit(json.dumps(requests).encode(), answers.extend)
        assert [corr_id for corr_id, _ in answers] == [r["head"]["corrId"] for r in requests]
        return [answer for _, answer in answers]

    def statuses(self, *requests: dict[str, Any]) -> list[int]:
        return [answer.status for answer in self.ask(*requests)]

    def attach(self, pid: str, group: str | None = "g", credit: int = 0) -> list[Any]:
        """What a process is delivered from now on."""
        messages: list[Message] = []
        self.broker.attach(pid, group, messages.append)
        self.broker.add_credit(pid, credit)
        return messages

    def advance(self, ms: int) -> None:
        self.clock.now_ms += ms
        self.clock.calls_left = CALLS_MAX
        self.broker.tick()

    @property
    def connection(self) -> sqlite3.Connection:
        store = self.broker._store
        assert isinstance(store, SqliteStore)
        return store._connection

    def snapshot(self) -> Snapshot:
        return complete(self.broker._store.snapshot())


def request(kind: str, chain: str | None = None, **data: Any) -> dict[str, Any]:
    head = {"corrId": f"{kind} {data.get('id', '')}", "version": limits.VERSION}
    return {"kind": kind, "head": head | ({"chain": chain} if chain else {}), "data": data}


def create(id: str, chain: str | None = None, timeout_ms: int = 60_000, **tag: str):
    names = {f"resonate:{name}": value for name, value in tag.items()}
    return request("promise.create", chain, id=id, timeoutAt=NOW + timeout_ms, tags=names)


def settle(id: str, chain: str | None = None):
    return request("promise.settle", chain, id=id, state="resolved")


def start(id: str, **tag: str):
    action = create(id, target="g", timeout_ms=3_600_000, **tag)
    return request("task.create", pid="w1", ttl=15_000, action=action) | {
        "head": {"corrId": f"start {id}", "version": limits.VERSION}
    }


def suspend(id: str, awaited: str):
    callback = {"kind": "promise.register_callback", "data": {"awaited": awaited, "awaiter": id}}
    return request("task.suspend", id=id, version=1, actions=[callback])


def get_task(id: str):
    return request("task.get", id=id)


def test_the_requests_of_a_message_are_answered_in_their_order():
    server = Server()

    statuses = server.statuses(
        settle("a"), create("a"), settle("a"), request("no.such.kind"), create("b")
    )

    assert statuses == [404, 200, 200, 400, 200]


def test_the_items_of_a_chain_behind_a_refusal_are_not_attempted():
    server = Server()

    statuses = server.statuses(create("a", "c"), settle("missing", "c"), create("b", "c"))

    assert statuses == [200, 404, 409]
    assert server.statuses(request("promise.get", id="b")) == [404]


@pytest.mark.parametrize(
    "malformed",
    [
        request("promise.create", "c", id="", timeoutAt=NOW),
        request("promise.create", "c", id="x", timeoutAt=-1),
        request("no.such.kind", "c"),
        create("x", "c", delay="5"),
        create("x", "c", target="not an address"),
    ],
    ids=["empty id", "negative", "kind", "delay", "target"],
)
def test_the_items_of_a_chain_behind_a_malformed_one_are_not_attempted(malformed: dict[str, Any]):
    server = Server()

    statuses = server.statuses(create("a", "c"), malformed, create("b", "c"))

    assert statuses == [200, 400, 409]


def test_chains_of_different_messages_are_different_though_their_names_are_equal():
    server = Server()
    server.ask(settle("missing", "c"))

    assert server.statuses(create("a", "c")) == [200]


def test_a_task_is_offered_to_a_worker_that_has_room():
    server = Server()
    messages = server.attach("w1", credit=1)

    server.ask(create("t", target="g"), create("u", target="g"))
    before = [message.data.task.id for message in messages]
    server.broker.add_credit("w1", 1)

    assert before == ["t"]
    assert [message.data.task.id for message in messages] == ["t", "u"]
    assert all(isinstance(message, Invoke) for message in messages)


def test_a_listener_is_told_and_forgotten():
    server = Server()
    messages = server.attach("c1", group=None)
    server.ask(
        create("p"),
        request("promise.register_listener", awaited="p", address="amqp://uni@clients/c1"),
    )

    server.ask(settle("p"))
    server.advance(1_000)

    (news,) = messages
    assert isinstance(news, Notify)
    assert (news.data.promise.id, news.data.promise.state) == ("p", "resolved")
    assert server.snapshot().listeners == ()
    assert server.snapshot().timers == ()


def test_a_sleep_wakes_its_awaiter_when_its_deadline_has_come():
    server = Server()
    messages = server.attach("w1", credit=5)
    server.ask(start("t"), create("nap", timer="true", timeout_ms=500), suspend("t", "nap"))

    server.advance(499)
    early = list(messages)
    server.advance(1)

    (hint,) = messages
    assert early == []
    assert isinstance(hint, Resume)
    assert (hint.data.task.id, hint.data.task.version) == ("t", 1)


def test_a_task_whose_holder_is_silent_is_offered_again():
    server = Server()
    messages = server.attach("w2", credit=5)
    server.ask(start("t"))

    server.advance(14_999)
    early = list(messages)
    server.advance(1)

    assert early == []
    assert [message.data.task.version for message in messages] == [1]
    assert server.ask(get_task("t"))[0].data.task.state == "pending"


def test_a_holder_that_is_heard_keeps_its_task():
    server = Server()
    server.ask(start("t"))
    server.advance(10_000)
    server.ask(request("task.heartbeat", pid="w1", tasks=[{"id": "t", "version": 1}]))

    server.advance(14_999)

    assert server.ask(get_task("t"))[0].data.task.state == "acquired"


def test_a_hint_that_nobody_acts_on_is_sent_again():
    server = Server()
    messages = server.attach("w1", credit=5)
    server.ask(request("hello", pid="w1", group="g"), create("t", target="g"))

    server.advance(2_000)
    server.advance(100)

    assert [message.head.attempt for message in messages] == [0, 1]


def test_tasks_without_a_worker_wait_and_are_offered_when_one_says_hello():
    server = Server()
    server.ask(*(create(f"t{number}", target="g", timeout_ms=9_000_000) for number in range(3)))
    for _ in range(10):
        server.advance(60_000)
    messages = server.attach("w1", credit=50)

    server.ask(request("hello", pid="w1", group="g"))

    assert {message.data.task.id for message in messages} == {"t0", "t1", "t2"}


def test_everything_that_awaits_a_promise_wakes_when_it_settles():
    """C2: what one batch cannot wake is woken by the drain, however much it is."""
    server = Server()
    count = 1_100
    server.ask(create("p"))
    for first in range(0, count, 100):
        ids = [f"w{number}" for number in range(first, first + 100)]
        assert set(server.statuses(*(start(id) for id in ids))) == {200}
        assert set(server.statuses(*(suspend(id, "p") for id in ids))) == {200}

    server.ask(settle("p"))
    for _ in range(10):
        server.advance(100)

    states = Counter(p.task.state for p in server.snapshot().promises if p.task is not None)
    assert states == {"pending": count}


def test_a_root_is_granted_with_the_children_that_were_there_before_it():
    server = Server()
    server.ask(create("t.1", branch="t"))

    (granted,) = server.ask(start("t", branch="t"))

    assert [promise.id for promise in granted.data.preload] == ["t.1"]


def test_a_task_is_granted_while_the_promises_of_its_branch_time_out_one_after_the_other():
    server = Server()
    server.ask(start("t", branch="t"), request("task.release", id="t", version=1))
    server.ask(*(create(f"t.{n}", branch="t", timeout_ms=1_000 + n) for n in range(20)))
    server.clock.now_ms += 1_000
    server.clock.step_ms = 1

    (granted,) = server.ask(request("task.acquire", id="t", version=1, pid="w2", ttl=15_000))

    assert granted.status == 200
    assert len(granted.data.preload) == 20


@pytest.mark.parametrize(
    "question",
    [
        create("p"),
        settle("p"),
        request("promise.get", id="p"),
        start("t"),
        get_task("t"),
        request("promise.register_listener", awaited="p", address="g"),
        request("promise.register_callback", awaited="p", awaiter="t"),
    ],
    ids=lambda question: question["kind"],
)
def test_asking_about_what_is_settled_writes_nothing(question: dict[str, Any], tmp_path: Path):
    server = Server(tmp_path / "store.db")
    server.ask(create("p"), create("t", target="g"), settle("p"), settle("t"))
    before = server.connection.total_changes

    server.ask(question)

    assert server.connection.total_changes == before
    server.broker.close()


def test_tasks_that_a_dead_process_held_are_offered_at_once(tmp_path: Path):
    clock = Clock()
    first = Server(tmp_path / "store.db", clock)
    first.ask(start("t"))
    first.broker._timer.stop()
    complete(first.broker._store.close())

    second = Server(tmp_path / "store.db", clock)
    messages = second.attach("w2", credit=1)
    second.advance(0)
    second.broker.close()

    (hint,) = messages
    assert isinstance(hint, Invoke)
    assert hint.data.task.version == 1


def test_what_was_answered_is_there_after_a_restart(tmp_path: Path):
    clock = Clock()
    first = Server(tmp_path / "store.db", clock)
    first.ask(create("p"), settle("p"))
    before = first.snapshot()
    complete(first.broker._store.close())

    second = Server(tmp_path / "store.db", clock)

    assert second.snapshot() == before
    second.broker.close()


def test_a_broker_that_was_never_used_can_be_closed():
    server = Server()

    server.broker.close()

    assert server.broker._system.is_done


def test_a_broker_can_be_closed_when_a_background_step_is_due():
    server = Server()
    server.advance(0)
    server.clock.now_ms += 60_000

    server.broker.close()

    assert server.broker._system.is_done


def test_a_broker_that_shuts_down_answers_503():
    server = Server()
    server.advance(0)
    server.broker._system.shutdown()
    server.clock.now_ms += 60_000

    assert server.statuses(create("p")) == [503]


def test_at_its_close_nothing_is_under_way():
    server = Server()
    server.attach("w1", credit=5)
    server.ask(create("t", target="g"))

    server.broker.close()

    assert server.broker._system.is_done


# When the file cannot be used


def test_requests_that_cannot_be_read_for_are_answered_and_the_next_ones_carried_out(
    tmp_path: Path,
):
    server = Server(tmp_path / "store.db")
    connection = server.connection
    connection.set_progress_handler(lambda: 1, 1)

    answers = server.ask(create("a"), create("b"), request("promise.search", tags={}))
    server.advance(60_000)
    connection.set_progress_handler(None, 1)

    assert [answer.status >= 500 for answer in answers] == [True, True, True]
    assert all("cannot be used: interrupted" in answer.data for answer in answers)
    assert server.statuses(create("a")) == [200]
    server.broker.close()


def test_a_file_that_turns_out_to_be_damaged_is_let_go(tmp_path: Path):
    path = tmp_path / "store.db"
    Server(path).broker.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    for _ in range(2):
        with pytest.raises(SchemaError, match="is damaged"):
            Server(path)


# When we have made a mistake


class MistakeError(Exception):
    pass


def break_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next transaction runs into a mistake of ours."""

    def begin(load: LoadSet) -> NoReturn:
        raise MistakeError("the first one")

    monkeypatch.setattr(server.broker._store, "begin", begin)


def test_after_a_mistake_of_ours_every_request_is_answered_with_a_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    server = Server()
    server.ask(create("a"))
    with monkeypatch.context() as patch:
        break_on(server, patch)
        first = server.ask(create("b"), request("no.such.kind"))

    later = server.ask(create("c"), request("promise.get", id="a"))

    assert [answer.status for answer in first] == [500, 400]
    assert [answer.status for answer in later] == [500, 500]
    assert len({answer.data for answer in (first[0], *later)}) == 1
    assert "MistakeError: the first one" in later[0].data
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert record.exc_info[0] is MistakeError


def test_a_broken_broker_neither_ticks_nor_prevents_its_clients_from_leaving(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    server = Server(tmp_path / "store.db")
    messages = server.attach("w1", credit=1)
    with monkeypatch.context() as patch:
        break_on(server, patch)
        server.ask(create("t", target="g"))

    server.advance(60_000)
    server.broker.add_credit("w1", 1)
    server.broker.detach("w1")
    server.broker.close()

    assert messages == []
    Server(tmp_path / "store.db").broker.close()


def test_a_mistake_while_time_passes_ends_the_thread_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    server = Server()
    server.broker.start()
    thread = server.broker._timer._thread

    def due(limit: int, at_ms: int | None) -> NoReturn:
        raise MistakeError("the first one")

    monkeypatch.setattr(server.broker._store, "due", due)
    server.clock.now_ms += 60_000
    server.broker._timer.set(0)
    thread.join(10)

    assert not thread.is_alive()
    assert server.statuses(create("a")) == [500]
    assert "MistakeError: the first one" in caplog.text
    server.broker.close()
