"""The conversation with a server, over a transport that answers at once."""

import asyncio
from typing import Any

import pytest

from resonate_broker.cli import client as client_module
from resonate_broker.cli.client import Client
from resonate_sdk.errors import InvalidError, NotFoundError, OverloadedError, TransportError
from resonate_sdk.protocol.requests import PromiseGet, PromiseRegisterListener, PromiseSearch
from resonate_sdk.protocol.responses import Answer, PromiseData, PromisePage, TaskPage
from tests.unit.broker.cli.builders import make_record, make_task


class Answers:
    """A transport whose answers are known beforehand."""

    def __init__(self, *answers):
        self.requests = []
        self._answers = list(answers)
        self.asked = asyncio.Event()

    def request(self, request, *, origin=None, chain=None, timeout_s=None):
        answering = asyncio.get_running_loop().create_future()
        self.requests.append(request)
        self.asked.set()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            answering.set_exception(answer)
        else:
            answering.set_result(answer)
        return answering


def answering(*answers) -> Any:
    return Answers(*answers)


def found(*records, cursor=None):
    return Answer(200, PromisePage(promises=records, cursor=cursor))


def promise(state: Any = "pending"):
    return Answer(200, PromiseData(promise=make_record(state=state)))


def tasks(*ids: str, cursor=None):
    return Answer(200, TaskPage(tasks=tuple(map(make_task, ids)), cursor=cursor))


async def test_a_server_that_takes_no_requests_says_why():
    transport = answering(Answer(503, "it is about to end"))

    with pytest.raises(OverloadedError, match="it is about to end"):
        await Client(transport, "pid").hello(1)


@pytest.mark.parametrize(("cursor", "is_whole"), [(None, True), ("2", False)])
async def test_tasks_are_found_up_to_a_number_and_it_is_told_whether_these_are_all(
    cursor, is_whole
):
    transport = answering(tasks("a", cursor="1"), tasks("b", cursor=cursor), tasks("c"))

    found = await Client(transport, "pid").tasks("pending", 2)

    assert found == ([make_task("a"), make_task("b")], is_whole)
    assert [request.limit for request in transport.requests] == [2, 1]


async def test_a_search_follows_the_cursor_also_over_empty_pages():
    a, b = make_record("a"), make_record("b")
    transport = answering(found(a, cursor="1"), found(cursor="2"), found(b))

    records, is_whole = await Client(transport, "pid").search({"k": "v"}, "a")

    assert records == [a, b]
    assert is_whole
    assert [request.cursor for request in transport.requests] == [None, "1", "2"]
    assert all(request.tags == {"k": "v"} for request in transport.requests)


async def test_a_search_has_an_end(monkeypatch):
    monkeypatch.setattr(client_module, "PAGES_MAX", 2)
    a, b = make_record("a"), make_record("b")
    transport = answering(found(a, cursor="1"), found(b, cursor="2"), found())

    records, is_whole = await Client(transport, "pid").search({}, "a")

    assert records == [a, b]
    assert not is_whole


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFoundError), (400, InvalidError), (503, OverloadedError)]
)
async def test_a_refusal_is_an_error(status, error, monkeypatch):
    monkeypatch.setattr("resonate_sdk.ask.ANSWER_TIMEOUT_S", 0)
    transport = answering(*[Answer(status, "said no")] * 3)

    with pytest.raises(error, match="said no"):
        await Client(transport, "pid").promise(PromiseGet(id="a"))


async def test_who_waits_gets_what_is_settled_already():
    transport = answering(promise("resolved"))

    record = await Client(transport, "pid").settled("a")

    assert record.state == "resolved"
    assert transport.requests == [
        PromiseRegisterListener(awaited="a", address="amqp://uni@resonate-cli/pid")
    ]


async def test_who_waits_is_told():
    transport = answering(promise())
    client = Client(transport, "pid")
    news = make_record(state="rejected")

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.settled("a"))
        await transport.asked.wait()
        client.on_notify(make_record("another", "resolved"))
        client.on_notify(news)
        client.on_notify(news)

    assert waiting.result() is news


async def test_who_waits_looks_again_since_news_may_get_lost(monkeypatch):
    monkeypatch.setattr(client_module, "LOOK_AGAIN_S", 0)
    transport = answering(promise(), promise(), promise("resolved"))

    record = await Client(transport, "pid").settled("a")

    assert record.state == "resolved"
    assert len(transport.requests) == 3


async def test_a_promise_that_nobody_may_listen_to_is_looked_at(monkeypatch):
    monkeypatch.setattr(client_module, "LOOK_AGAIN_S", 0)
    internal = Answer(422, "internal")
    transport = answering(internal, promise(), internal, promise("resolved"))

    record = await Client(transport, "pid").settled("a")

    assert record.state == "resolved"
    assert isinstance(transport.requests[-1], PromiseGet)


async def test_who_waits_stays_through_a_silence():
    silence = TransportError("no answer", may_be_carried_out=True)
    transport = answering(silence, silence, promise("resolved"))

    record = await Client(transport, "pid").settled("a")

    assert record.state == "resolved"


async def test_who_waits_stays_while_the_server_is_busy(monkeypatch):
    monkeypatch.setattr("resonate_sdk.ask.ANSWER_TIMEOUT_S", 0)
    busy = Answer(503, "the database does not answer")
    transport = answering(busy, busy, promise("resolved"))

    record = await Client(transport, "pid").settled("a")

    assert record.state == "resolved"


async def test_a_silence_begins_with_the_last_answer(monkeypatch):
    monkeypatch.setattr(client_module, "LOOK_AGAIN_S", 0)
    silence = TransportError("no answer", may_be_carried_out=True)
    transport = answering(silence, promise(), silence, promise("resolved"))
    loop = asyncio.get_running_loop()
    time, passed_s = loop.time, (0, 40, 40, 80, 80)
    monkeypatch.setattr(loop, "time", lambda: time() + passed_s[len(transport.requests)])

    record = await Client(transport, "pid").settled("a")

    assert record.state == "resolved"


async def test_a_silence_without_end_is_told(monkeypatch):
    monkeypatch.setattr(client_module, "SILENCE_S_MAX", -1)
    transport = answering(TransportError("no answer", may_be_carried_out=True))

    with pytest.raises(TransportError, match="no answer"):
        await Client(transport, "pid").settled("a")


async def test_a_promise_that_is_not_there_is_not_waited_for():
    transport = answering(Answer(404, "no promise 'a'"))

    with pytest.raises(NotFoundError, match="no promise 'a'"):
        await Client(transport, "pid").settled("a")


async def test_a_search_that_is_refused_is_an_error():
    transport = answering(Answer(501, "not served"))

    with pytest.raises(Exception, match="not served"):
        await Client(transport, "pid").search({}, "a")

    assert isinstance(transport.requests[0], PromiseSearch)


async def test_a_farewell_that_has_no_end_is_cut_short(monkeypatch):
    monkeypatch.setattr(client_module, "FAREWELL_S", 0)
    is_over, cancelled = asyncio.Event(), 0

    async def say_farewell() -> None:
        nonlocal cancelled
        while not is_over.is_set() and cancelled < client_module.FAREWELL_CANCELS_MAX // 2:
            try:
                await is_over.wait()
            except asyncio.CancelledError:
                cancelled += 1

    async with asyncio.TaskGroup() as group:
        running = group.create_task(say_farewell())
        await client_module._end(running)
        was_cut_short = running.done()
        is_over.set()

    assert was_cut_short
