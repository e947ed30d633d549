import pamqp.frame
import pytest
from hypothesis import given, strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from resonate_sdk.amqp.splitter import (
    BrokenStreamError,
    Confirm,
    Delivery,
    Event,
    FrameSplitter,
    Return,
)

OURS = 3
THEIRS = 1


def marshal(channel: int, *parts: pamqp.frame.FrameTypes) -> bytes:
    return b"".join(pamqp.frame.marshal(frame, channel) for frame in parts)


def delivery(channel: int, tag: int, *bodies: bytes, redelivered: bool = False) -> bytes:
    size = sum(len(body) for body in bodies)
    return marshal(
        channel,
        commands.Basic.Deliver("ctag", tag, redelivered, "orders", "new"),
        ContentHeader(body_size=size, properties=commands.Basic.Properties(message_type="k")),
        *(ContentBody(body) for body in bodies),
    )


def events(splitter: FrameSplitter) -> list[Event]:
    return [event for channel, event in splitter.take_events() if channel == OURS]


@pytest.fixture
def splitter() -> FrameSplitter:
    splitter = FrameSplitter()
    splitter.take_over(OURS)
    return splitter


def test_a_message_is_put_together(splitter: FrameSplitter) -> None:
    others = splitter.feed(delivery(OURS, 5, b"ab", b"c", redelivered=True))

    assert others == b""
    assert events(splitter) == [
        Delivery(
            tag=5,
            body=b"abc",
            is_redelivered=True,
            exchange="orders",
            routing_key="new",
            kind="k",
            correlation_id=None,
            reply_to=None,
            message_id=None,
            user_id=None,
            headers={},
        )
    ]


def test_a_message_without_a_body_is_one(splitter: FrameSplitter) -> None:
    splitter.feed(delivery(OURS, 1))

    (event,) = events(splitter)
    assert isinstance(event, Delivery)
    assert event.body == b""


def test_a_message_that_came_back_names_itself(splitter: FrameSplitter) -> None:
    splitter.feed(
        marshal(
            OURS,
            commands.Basic.Return(312, "NO_ROUTE", "orders", "new"),
            ContentHeader(body_size=1, properties=commands.Basic.Properties(message_id="m-1")),
            ContentBody(b"x"),
        )
    )

    assert events(splitter) == [Return(exchange="orders", routing_key="new", message_id="m-1")]


def test_confirms_and_refusals_are_told_apart(splitter: FrameSplitter) -> None:
    splitter.feed(
        marshal(OURS, commands.Basic.Ack(4, multiple=True), commands.Basic.Nack(5, multiple=False))
    )

    assert events(splitter) == [
        Confirm(tag=4, multiple=True, is_taken=True),
        Confirm(tag=5, multiple=False, is_taken=False),
    ]


def test_all_else_is_the_librarys(splitter: FrameSplitter) -> None:
    theirs = (
        marshal(0, Heartbeat())
        + marshal(OURS, commands.Basic.ConsumeOk("ctag"))
        + delivery(THEIRS, 1, b"theirs")
        + marshal(OURS, commands.Basic.CancelOk("ctag"), commands.Channel.Close(404, "gone", 0, 0))
        + marshal(THEIRS, commands.Queue.DeclareOk("q", 1, 0))
    )

    assert splitter.feed(theirs) == theirs
    assert events(splitter) == []


def test_what_is_no_amqp_is_the_librarys_too(splitter: FrameSplitter) -> None:
    assert splitter.feed(b"HTTP/1.1 400 Bad") == b"HTTP/1.1 400 Bad"
    assert splitter.feed(b"\x01 Request") == b"\x01 Request"


def test_a_frame_without_an_end_breaks_the_stream(splitter: FrameSplitter) -> None:
    spoiled = delivery(OURS, 1, b"abc")[:-1] + b"\x00"

    with pytest.raises(BrokenStreamError, match="has no end"):
        splitter.feed(spoiled)


def test_a_method_that_is_cut_off_breaks_the_stream(splitter: FrameSplitter) -> None:
    with pytest.raises(BrokenStreamError):
        splitter.feed(b"\x01\x00\x03\x00\x00\x00\x04\x00\x3c\x00\x3c\xce")


def test_properties_that_cannot_be_read_cost_no_message(
    splitter: FrameSplitter, caplog: pytest.LogCaptureFixture
) -> None:
    data = marshal(
        OURS,
        commands.Basic.Deliver("ctag", 1, False, "", "q"),
        ContentHeader(body_size=2, properties=commands.Basic.Properties(reply_to="zz")),
        ContentBody(b"ok"),
    ).replace(b"zz", b"\xff\xfe")

    splitter.feed(data)

    (event,) = events(splitter)
    assert isinstance(event, Delivery)
    assert (event.body, event.reply_to) == (b"ok", None)
    assert "properties of a message could not be read" in caplog.text


def test_a_routing_key_may_have_any_bytes(splitter: FrameSplitter) -> None:
    splitter.feed(delivery(OURS, 1, b"x").replace(b"\x03new", b"\x03n\xffw"))

    (event,) = events(splitter)
    assert isinstance(event, Delivery)
    assert event.routing_key == "n\ufffdw"


@given(cuts=st.lists(st.integers(1, 400), max_size=20))
def test_the_stream_may_come_in_any_pieces(cuts: list[int]) -> None:
    stream = (
        delivery(OURS, 1, b"a" * 100)
        + marshal(0, Heartbeat())
        + delivery(THEIRS, 1, b"theirs")
        + marshal(OURS, commands.Basic.Ack(1))
        + delivery(OURS, 2, b"b", b"c")
    )
    whole = FrameSplitter()
    pieces = FrameSplitter()
    for each in (whole, pieces):
        each.take_over(OURS)
    others, found = b"", list[Event]()
    at = 0
    for cut in (*cuts, len(stream)):
        if stream[at : at + cut]:
            others += pieces.feed(stream[at : at + cut])
            found += events(pieces)
        at += cut

    assert others == whole.feed(stream)
    assert found == events(whole)
    assert len(found) == 3
