"""Requests that are answered with an error: asked again while the server is busy, and not else."""

import asyncio
from types import SimpleNamespace

import pytest
import tenacity

from resonate_sdk.ask import ANSWER_TIMEOUT_S, ask, refusal
from resonate_sdk.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    OverloadedError,
    StoreError,
    TransportError,
)
from resonate_sdk.protocol.requests import PromiseGet
from tests.unit.sdk import virtual_time
from tests.unit.sdk.wire import Wire, make_record, promise, refusal as refused

REQUEST = PromiseGet(id="p")
SETTLED = promise(make_record("p", "resolved"))


def asked(react):
    """The answer, and the wire."""
    wire = Wire(react)

    async def main():
        return await ask(wire, REQUEST)

    return virtual_time.run(main()), wire


def test_a_busy_server_is_asked_again_ever_later_until_it_answers():
    reactions = [refused(503), refused(503), refused(503), SETTLED]

    answer, wire = asked(lambda _: reactions.pop(0))

    assert answer == SETTLED
    assert wire.sent == [REQUEST] * 4
    assert 0 < wire.sent_at_s[-1] < ANSWER_TIMEOUT_S


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 501])
def test_any_other_error_is_the_answer_at_once(status: int):
    answer, wire = asked(lambda _: refused(status, "the reason"))

    assert (answer.status, answer.data) == (status, "the reason")
    assert wire.sent == [REQUEST]


def test_a_server_that_stays_busy_is_given_up(monkeypatch: pytest.MonkeyPatch):
    def now_s() -> float:
        return asyncio.get_running_loop().time()

    monkeypatch.setattr(tenacity, "time", SimpleNamespace(monotonic=now_s))

    answer, wire = asked(lambda _: refused(503, "busy"))

    assert answer.status == 503
    assert ANSWER_TIMEOUT_S <= wire.sent_at_s[-1] <= ANSWER_TIMEOUT_S + 2
    pauses = [b - a for a, b in zip(wire.sent_at_s, wire.sent_at_s[1:], strict=False)]
    assert max(pauses) <= 2


def test_what_was_not_answered_is_for_the_transport_to_ask_again():
    with pytest.raises(TransportError):
        asked(lambda _: None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, InvalidError),
        (503, OverloadedError),
        (500, StoreError),
    ],
)
def test_each_refusal_is_an_error_with_its_reason_and_its_status(
    status: int, error: type[StoreError]
):
    found = refusal(refused(status, "the reason"))

    assert type(found) is error
    assert isinstance(found, StoreError)
    assert (str(found), found.code) == ("the reason", status)
