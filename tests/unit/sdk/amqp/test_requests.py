"""Requests on their way: what is sent, what is sent again, and what must not be."""

import asyncio
from itertools import chain

import pytest

from resonate_sdk.amqp.requests import ASK_AGAIN_S, ASK_AGAIN_S_MAX, UNDER_WAY_MAX, Requests
from resonate_sdk.errors import TransportError
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.envelope import decode_responses, encode_answer
from resonate_sdk.protocol.requests import (
    CallbackAction,
    PromiseRegisterCallback,
    TaskAcquire,
    TaskContinue,
    TaskHalt,
    TaskHeartbeat,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import Answer
from tests.unit.sdk.wire import granted, make_record

FIRST = TaskAcquire(id="x", version=0, pid="me", lease_ms=1)
SECOND = TaskRelease(id="x", version=1)
GRANTED = granted(make_record("x")).data


def add_chain(requests):
    return [requests.add(request, "x", "chain", None) for request in (FIRST, SECOND)]


def assert_failed(answer):
    assert isinstance(answer.exception(), TransportError)


def sent(requests):
    return [ready.ticket.kind for ready in requests.take_ready()]


async def test_after_a_lost_connection_a_chain_is_sent_again_as_a_whole():
    requests = Requests()
    add_chain(requests)
    assert sent(requests) == ["task.acquire", "task.release"]

    requests.send_all_again()
    ready = requests.take_ready()

    assert [item.chain for item in ready] == ["chain", "chain"]
    assert [item.ticket.kind for item in ready] == ["task.acquire", "task.release"]


@pytest.mark.parametrize(
    "data",
    [b'{"task":7}', b'"a reason"', b'{"task":{"id":"\xff"}}'],
    ids=["other data", "a reason", "no UTF-8"],
)
async def test_an_answer_that_cannot_be_read_fails_its_request_and_no_other(data: bytes):
    requests = Requests()
    first = requests.add(FIRST, "x", None, None)
    second = requests.add(SECOND, "x", None, None)
    sent(requests)
    good = encode_answer("task.release", "2", Answer(responses.OK, responses.Nothing()))
    head = b'{"corrId":"1","status":200,"version":"2026-04-01"}'
    bad = b'{"kind":"task.acquire","head":' + head + b',"data":' + data + b"}"

    requests.answered(decode_responses(b"[" + bad + b"," + good + b"]"))

    assert_failed(first)
    assert (await second).is_ok


async def test_an_answer_that_nobody_waits_for_any_more_disturbs_no_other():
    requests = Requests()
    given_up = requests.add(SECOND, "x", None, None)
    other = requests.add(SECOND, "x", None, None)
    sent(requests)
    given_up.cancel()

    answer = Answer(responses.OK, responses.Nothing())
    answers = [encode_answer("task.release", id, answer) for id in ("1", "2")]
    requests.answered(decode_responses(b"[" + b",".join(answers) + b"]"))

    assert (await other).is_ok
    assert requests.unanswered == 0


async def test_what_has_no_version_is_not_sent_again_unasked():
    """C13."""
    requests = Requests()
    sent_before = requests.add(TaskHalt(id="x"), "x", None, None)
    requests.take_ready()
    not_sent = requests.add(TaskHalt(id="y"), "y", None, None)

    requests.send_all_again()

    assert [ready.ticket.origin for ready in requests.take_ready()] == ["y"]
    error = sent_before.exception()
    assert isinstance(error, TransportError)
    assert error.may_be_carried_out
    assert not not_sent.done()


async def test_what_no_server_would_take_is_refused_at_once_and_not_sent():
    """It would be answered without a name, and its sender would wait for ever."""
    requests = Requests()
    callbacks = tuple(
        CallbackAction(data=PromiseRegisterCallback(awaited=f"{n}".zfill(1_000), awaiter="x"))
        for n in range(limits.MESSAGE_BYTES_MAX // 1_000)
    )
    answer = requests.add(TaskSuspend(id="x", version=1, actions=callbacks), "x", None, None)
    small = requests.add(SECOND, "x", None, None)

    assert sent(requests) == ["task.release"]
    refused = await answer
    assert refused.status == responses.MALFORMED
    assert str(limits.MESSAGE_BYTES_MAX) in str(refused.data)
    assert not small.done()


async def test_a_chain_that_is_not_answered_is_asked_again_as_a_whole_every_time():
    """C9: its last item alone would be carried out for whoever holds the task by then."""
    requests = Requests()
    add_chain(requests)
    requests.take_ready()
    now_s = asyncio.get_running_loop().time()

    asked: list[list[str]] = []
    for second in range(0, 1_000, 2):
        requests.ask_again(now_s + second)
        if kinds := sent(requests):
            asked.append(kinds)

    assert len(asked) > 2
    assert asked == [["task.acquire", "task.release"]] * len(asked)


async def test_what_relies_on_an_item_that_is_not_sent_is_not_sent_either():
    """C9: at a version that was guessed nothing may travel alone."""
    requests = Requests()
    first, second = add_chain(requests)
    other = requests.add(SECOND, "x", None, None)

    first.cancel()

    assert sent(requests) == ["task.release"]
    assert_failed(second)
    assert not other.done()


async def test_what_follows_an_item_that_was_given_up_is_not_sent_again():
    requests = Requests()
    first = requests.add(FIRST, "x", "chain", timeout_s=0)
    second = requests.add(SECOND, "x", "chain", None)
    sent(requests)
    requests.send_all_again()

    requests.expire(float("inf"), "no reason")

    assert sent(requests) == []
    assert_failed(first)
    assert_failed(second)


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Answer(responses.OK, GRANTED), ["task.release"]),
        (Answer(responses.CONFLICT, "no"), []),
    ],
)
async def test_what_follows_an_item_that_was_answered_is_sent_again_if_that_was_granted(
    answer, again
):
    requests = Requests()
    add_chain(requests)
    (item, _) = requests.take_ready()
    requests.send_all_again()

    encoded = encode_answer("task.acquire", item.ticket.id, answer)
    requests.answered(decode_responses(encoded))

    assert sent(requests) == again


async def test_what_is_not_answered_is_asked_again_after_a_while_and_then_less_often():
    requests = Requests()
    asked_at_s = asyncio.get_running_loop().time()
    add_chain(requests)
    assert sent(requests) == ["task.acquire", "task.release"]

    requests.ask_again(asked_at_s + ASK_AGAIN_S - 1)
    assert sent(requests) == []
    requests.ask_again(asked_at_s + ASK_AGAIN_S + 1)
    assert sent(requests) == ["task.acquire", "task.release"]
    requests.ask_again(asked_at_s + ASK_AGAIN_S)
    assert sent(requests) == []


async def test_requests_that_wait_together_are_asked_again_apart_and_at_least_every_four_minutes():
    requests = Requests()
    for _ in range(20):
        requests.add(SECOND, "x", None, None)
    tickets = [ready.ticket for ready in requests.take_ready()]
    now_s = asyncio.get_running_loop().time()

    for longest_s in (60, 120, 240, 240, 240):
        now_s += ASK_AGAIN_S_MAX + 1
        requests.ask_again(now_s)
        patience_s = {ticket.patience_s for ticket in tickets}
        assert len(patience_s) > 1
        assert max(patience_s) <= longest_s


async def test_the_first_answer_counts_however_often_was_asked():
    requests = Requests()
    answer = requests.add(FIRST, "x", None, None)
    (item,) = requests.take_ready()
    requests.ask_again(float("inf"))
    encoded = encode_answer("task.acquire", item.ticket.id, Answer(responses.OK, GRANTED))

    requests.answered(decode_responses(encoded))
    requests.answered(decode_responses(encoded))

    assert answer.result().is_ok
    assert sent(requests) == []


@pytest.mark.parametrize("request_", [TaskHalt(id="x"), TaskContinue(id="x")])
async def test_what_may_do_harm_when_it_comes_late_is_asked_once(request_):
    requests = Requests()
    requests.add(request_, "x", None, None)
    sent(requests)

    requests.ask_again(float("inf"))

    assert sent(requests) == []


# Room: so many requests the server may have at a time


def answer_all(requests, ready):
    encoded = [
        encode_answer("task.acquire", item.ticket.id, Answer(responses.OK, GRANTED))
        for item in ready
    ]
    requests.answered(decode_responses(b"[" + b",".join(encoded) + b"]"))


def add_many(requests, count, timeout_s=None):
    return [requests.add(FIRST, f"x{n}", None, timeout_s) for n in range(count)]


async def test_of_very_many_requests_the_server_has_some_at_a_time_and_all_in_the_end_in_order():
    requests = Requests()
    add_many(requests, 2 * UNDER_WAY_MAX + 7)

    rounds: list[list[str]] = []
    while requests.has_ready:
        ready = requests.take_ready()
        assert requests.take_ready() == []
        rounds.append([item.ticket.origin for item in ready])
        answer_all(requests, ready)

    assert [len(origins) for origins in rounds] == [UNDER_WAY_MAX, UNDER_WAY_MAX, 7]
    assert list(chain.from_iterable(rounds)) == [f"x{n}" for n in range(2 * UNDER_WAY_MAX + 7)]


async def test_a_chain_at_the_edge_of_the_room_is_sent_as_a_whole():
    requests = Requests()
    add_many(requests, UNDER_WAY_MAX - 1)
    add_chain(requests)
    requests.add(SECOND, "y", None, None)

    assert sent(requests)[-2:] == ["task.acquire", "task.release"]
    assert sent(requests) == []


async def test_heartbeats_and_repetitions_need_no_room():
    requests = Requests()
    add_many(requests, UNDER_WAY_MAX + 1)
    sent(requests)
    now_s = asyncio.get_running_loop().time()

    requests.add(TaskHeartbeat(pid="me", tasks=()), "x", None, None)
    assert sent(requests) == ["task.heartbeat"]

    requests.ask_again(now_s + ASK_AGAIN_S + 1)
    assert len(sent(requests)) >= UNDER_WAY_MAX, "answers that are lost would keep their room"


async def test_what_waits_for_room_is_not_given_up_while_others_are_answered():
    requests = Requests()
    add_many(requests, UNDER_WAY_MAX)
    waiting = requests.add(FIRST, "y", None, timeout_s=10)
    now_s = asyncio.get_running_loop().time()
    first, *others = requests.take_ready()
    answer_all(requests, [first])

    requests.expire(now_s + 9, "no answer")
    assert not waiting.done()

    requests.expire(now_s + 100, "no answer")
    assert_failed(waiting)
    answer_all(requests, others)
    assert sent(requests) == []


async def test_what_was_sent_late_has_as_long_as_others_for_its_answer():
    requests = Requests()
    add_many(requests, UNDER_WAY_MAX)
    waiting = requests.add(FIRST, "y", None, timeout_s=0.0)
    answer_all(requests, requests.take_ready())
    taken_at_s = asyncio.get_running_loop().time()
    (ready,) = requests.take_ready()

    assert ready.ticket.deadline_s is not None
    assert abs(ready.ticket.deadline_s - taken_at_s) < 1
    assert not waiting.done()


@pytest.mark.parametrize("how", ["connection", "refusal", "deadline", "nobody"])
async def test_what_becomes_of_requests_gives_their_room_back(how):
    requests = Requests()
    answers = add_many(requests, UNDER_WAY_MAX, timeout_s=1)
    tickets = [item.ticket for item in requests.take_ready()]
    requests.add(SECOND, "y", None, None)
    assert not requests.has_ready

    match how:
        case "connection":
            requests.send_all_again()
            assert len(requests.take_ready()) == UNDER_WAY_MAX
            requests.answered(())
            requests.expire(asyncio.get_running_loop().time() + 100, "no answer")
        case "refusal":
            requests.not_published(tickets[:1])
        case "deadline":
            requests.expire(asyncio.get_running_loop().time() + 100, "no answer")
        case _:
            answers[0].cancel()
            requests.ask_again(asyncio.get_running_loop().time() + ASK_AGAIN_S + 1)

    assert "task.release" in sent(requests)
