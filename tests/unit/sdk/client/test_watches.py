"""Handles that wait: told by news, by asking now and then, and never left alone."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from resonate_sdk.client.host import ThreadHost
from resonate_sdk.client.result import Result
from resonate_sdk.client.watches import LOOKS_AT_A_TIME, Watches
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import encode_failure
from resonate_sdk.errors import (
    ApplicationError,
    DecodeError,
    NotFoundError,
    ShutdownError,
    TransportError,
)
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import PromiseGet, PromiseRegisterListener
from tests.unit.sdk import virtual_time
from tests.unit.sdk.wire import Wire, make_record, promise, refusal

CODEC = Codec()
ADDRESS = "amqp://uni@g/me"
UNREACHABLE = TransportError("no answer", may_be_carried_out=False)


def resolved(value=None, id="p"):
    return make_record(id, "resolved", value=CODEC.encode(value))


def pending(request):
    return promise(make_record(request.awaited))


def watch(watches, id="p", type: Any = Any):
    result = Result(ThreadHost(), partial(CODEC.decode, type=type))
    watches.add(id, result)
    return result


def scenario(react):
    """Runs a coroutine that is given watches on a wire, in virtual time."""

    def decorator(coroutine):
        def test():
            async def main():
                wire = Wire(react)
                await coroutine(Watches(wire, CODEC, ADDRESS), wire)

            virtual_time.run(main())

        test.__name__ = coroutine.__name__
        return test

    return decorator


# News


@scenario(pending)
async def test_news_complete_every_handle_of_a_promise(watches, wire):
    handles = [watch(watches) for _ in range(3)]

    watches.settle(resolved(7))

    assert [handle.result(0) for handle in handles] == [7, 7, 7]
    assert not watches.is_watched("p")


@scenario(pending)
async def test_news_of_other_promises_do_not_matter(watches, wire):
    handle = watch(watches)

    watches.settle(resolved(7, id="q"))
    watches.settle(make_record("p"))

    assert not handle.done()


@scenario(pending)
async def test_news_that_repeat_are_harmless(watches, wire):
    handle = watch(watches)

    watches.settle(resolved(1))
    watches.settle(resolved(2))

    assert handle.result(0) == 1


@scenario(pending)
async def test_each_handle_gets_the_type_it_asked_for(watches, wire):
    plain, typed, wrong = watch(watches), watch(watches, type=set[int]), watch(watches, type=str)

    watches.settle(resolved([1]))

    assert (plain.result(0), typed.result(0)) == ([1], {1})
    with pytest.raises(DecodeError, match=r"^promise 'p': the stored data does not fit: Expected"):
        wrong.result(0)


@pytest.mark.parametrize(
    "value",
    [
        encode_failure(CODEC, ValueError("broken")),
        encode_failure(CODEC, ExceptionGroup("several", [ValueError("a")])),
        CODEC.encode({"reason": 1}),
        Value(data="not base64"),
        Value(data="W" * 40_000),
        CODEC.encode({"__type": "error", "message": "m", "name": "ExceptionGroup", "args": [1]}),
    ],
    ids=["error", "group", "data", "damaged", "nonsense", "impossible class"],
)
def test_a_rejection_of_any_kind_completes_every_handle(value):
    async def main():
        watches = Watches(Wire(pending), CODEC, ADDRESS)
        handles = [watch(watches) for _ in range(2)]

        watches.settle(make_record("p", "rejected", value=value))

        for handle in handles:
            assert handle.done()
            assert isinstance(handle.exception(0), Exception)

    virtual_time.run(main())


@dataclass
class Moody:
    """A type whose own code fails when it is made."""

    value: int

    def __post_init__(self):
        raise LookupError("not in the mood")


@scenario(pending)
async def test_a_value_that_cannot_be_read_completes_every_handle(watches, wire):
    moody, plain = watch(watches, type=Moody), watch(watches)

    watches.settle(resolved({"value": 1}))

    assert plain.result(0) == {"value": 1}
    assert isinstance(moody.exception(0), Exception)


@scenario(pending)
async def test_a_handle_its_user_has_canceled_does_not_disturb_the_others(watches, wire):
    canceled, other = watch(watches), watch(watches)
    canceled.cancel()

    watches.settle(resolved(7))

    assert other.result(0) == 7


# Asking


@scenario(pending)
async def test_a_look_registers_the_address_of_this_process(watches, wire):
    handle = watch(watches)

    await watches.look("p")

    assert wire.sent == [PromiseRegisterListener(awaited="p", address=ADDRESS)]
    assert not handle.done()


@scenario(lambda request: promise(resolved(7)))
async def test_a_look_at_a_settled_promise_completes_the_handle(watches, wire):
    handle = watch(watches)

    await watches.look("p")

    assert handle.result(0) == 7


@scenario(
    lambda request: (
        refusal(422) if isinstance(request, PromiseRegisterListener) else promise(resolved(7))
    )
)
async def test_a_promise_nobody_may_listen_to_is_looked_at(watches, wire):
    handle = watch(watches)

    await watches.look("p")

    assert wire.sent[1] == PromiseGet(id="p")
    assert handle.result(0) == 7


@scenario(lambda request: refusal(404, "no promise"))
async def test_a_promise_that_is_gone_fails_its_handles(watches, wire):
    handle = watch(watches)

    await watches.look("p")

    with pytest.raises(NotFoundError, match="there is no promise 'p'"):
        handle.result(0)
    assert not watches.is_watched("p")


@pytest.mark.parametrize("reaction", [UNREACHABLE, refusal(500), refusal(400), refusal(409)])
def test_trouble_with_the_server_leaves_handles_waiting(reaction):
    async def main():
        watches = Watches(Wire(lambda request: reaction), CODEC, ADDRESS)
        handle = watch(watches)

        await watches.look("p")

        assert not handle.done()
        assert watches.is_watched("p")

    virtual_time.run(main())


@scenario(pending)
async def test_everything_is_looked_at_after_a_reconnect(watches, wire):
    for n in range(450):
        watch(watches, f"p{n}")

    await watches.look_at_all()

    assert sorted(request.awaited for request in wire.sent) == sorted(f"p{n}" for n in range(450))


# Asking again, as a safety net: first after 5 s, then every 30 s


async def for_seconds(watches, seconds):
    looking = asyncio.ensure_future(watches.keep_looking())  # noqa: TID251  # canceled below
    await virtual_time.elapse(seconds)
    looking.cancel()
    await asyncio.wait([looking])


@scenario(pending)
async def test_what_is_waited_for_is_looked_at_after_five_seconds_then_every_thirty(watches, wire):
    watch(watches)

    await for_seconds(watches, 100)

    first, *later = wire.sent_at_s
    assert 5 <= first <= 7
    assert len(later) == 3
    for before, after in zip(wire.sent_at_s, later, strict=False):
        assert 30 <= after - before <= 32


@scenario(pending)
async def test_who_waits_for_very_many_looks_at_each_in_turn_and_at_few_per_second(watches, wire):
    for n in range(9_000):
        watch(watches, f"p{n}")

    await for_seconds(watches, 60)

    assert len(wire.sent) <= 60 * LOOKS_AT_A_TIME
    assert len({request.awaited for request in wire.sent}) == 9_000


@scenario(pending)
async def test_what_has_settled_is_not_looked_at(watches, wire):
    watch(watches)
    watches.settle(resolved())

    await for_seconds(watches, 100)

    assert wire.sent == []


def test_looking_goes_on_after_trouble_of_any_kind():
    reactions = [
        UNREACHABLE,
        refusal(500),
        promise(
            make_record(
                "p", "rejected", value=encode_failure(CODEC, ExceptionGroup("g", [KeyError()]))
            )
        ),
    ]

    async def main():
        wire = Wire(lambda request: reactions.pop(0) if reactions else promise(resolved(7, "q")))
        watches = Watches(wire, CODEC, ADDRESS)
        watch(watches)
        looking = asyncio.ensure_future(watches.keep_looking())  # noqa: TID251  # canceled below
        await virtual_time.elapse(100)
        handle = watch(watches, "q")
        await virtual_time.elapse(100)

        assert not looking.done(), "whoever waits is looked after to the end"
        assert handle.result(0) == 7
        looking.cancel()
        await asyncio.wait([looking])

    virtual_time.run(main())


@scenario(lambda request: None)
async def test_looks_that_are_not_answered_do_not_keep_the_others_from_being_looked_at(
    watches, wire
):
    watch(watches, "p")
    looking = asyncio.ensure_future(watches.keep_looking())  # noqa: TID251  # canceled below
    await virtual_time.elapse(8)
    watch(watches, "q")
    await virtual_time.elapse(60)
    looking.cancel()
    await asyncio.wait([looking])

    assert "q" in {request.awaited for request in wire.sent}


# The end


@scenario(pending)
async def test_at_the_end_everything_that_waits_is_told(watches, wire):
    handles = [watch(watches, id) for id in ("p", "p", "q")]

    watches.fail_all(ShutdownError("stopped"))

    for handle in handles:
        with pytest.raises(ShutdownError):
            handle.result(0)
    assert not watches.is_watched("p")


def test_an_answer_that_comes_after_all_is_harmless(caplog):
    async def main():
        wire = Wire(lambda request: None)
        watches = Watches(wire, CODEC, ADDRESS)
        handle = watch(watches)
        look = asyncio.ensure_future(watches.look("p"))  # noqa: TID251  # awaited below
        await virtual_time.elapse(1)
        watches.fail_all(ShutdownError("stopped"))
        ((_, answering),) = wire.unanswered
        answering.set_result(promise(resolved(7)))
        await look

        assert isinstance(handle.exception(0), ShutdownError)

    with caplog.at_level(logging.WARNING):
        virtual_time.run(main())
    assert caplog.records == []


def test_a_rejection_without_data_is_told():
    async def main():
        watches = Watches(Wire(pending), CODEC, ADDRESS)
        handle = watch(watches)
        watches.settle(make_record("p", "rejected"))
        with pytest.raises(ApplicationError):
            handle.result(0)

    virtual_time.run(main())
