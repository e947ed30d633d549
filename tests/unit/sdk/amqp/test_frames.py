"""Frames are compared with those of pamqp, which knows all of AMQP."""

import datetime
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given, strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from resonate_sdk.amqp import frames
from resonate_sdk.amqp.frames import Properties

FRAME_BYTES_MAX = 4096
SENT_AT_S = 1_767_312_000
texts = st.text(min_size=1, max_size=60)
names = st.text("abc-", min_size=1, max_size=60)  # of headers, which AMQP bounds to 128 bytes


def publish(properties: Properties, body: bytes) -> bytes:
    return frames.publish_frames(
        7,
        exchange="orders",
        routing_key="new",
        is_mandatory=True,
        is_persistent=True,
        properties=properties,
        body=body,
        frame_bytes_max=FRAME_BYTES_MAX,
    )


def unmarshal(data: bytes) -> list[Any]:
    found: list[Any] = []
    while data:
        consumed, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        found.append(frame)
        data = data[consumed:]
    return found


def header_payload(properties: commands.Basic.Properties) -> bytes:
    header = ContentHeader(body_size=3, properties=properties)
    return pamqp.frame.marshal(header, 7)[frames.FRAME_HEAD.size : -1]


@given(
    properties=st.builds(
        Properties,
        content_type=st.none() | texts,
        content_encoding=st.none() | texts,
        kind=st.none() | texts,
        correlation_id=st.none() | texts,
        reply_to=st.none() | texts,
        message_id=st.none() | texts,
        sent_at_s=st.none() | st.just(SENT_AT_S),
        user_id=st.none() | texts,
        app_id=st.none() | texts,
        headers=st.dictionaries(names, st.integers(0, 2**62) | texts, max_size=3),
    )
)
def test_a_library_reads_what_we_write(properties: Properties) -> None:
    method, header, body = unmarshal(publish(properties, b"abc"))

    assert (method.exchange, method.routing_key, method.mandatory) == ("orders", "new", True)
    assert header.body_size == 3
    found = header.properties
    assert found.delivery_mode == 2
    expected = properties.content_type
    assert found.content_type == ("application/json" if expected is None else expected)
    assert (found.content_encoding or None) == (properties.content_encoding or None)
    assert found.message_type == properties.kind
    assert found.correlation_id == properties.correlation_id
    assert found.reply_to == properties.reply_to
    assert found.message_id == properties.message_id
    assert (found.timestamp and found.timestamp.timestamp()) == properties.sent_at_s
    assert found.user_id == properties.user_id
    assert found.app_id == properties.app_id
    assert (found.headers or {}) == properties.headers
    assert body.value == b"abc"


@given(
    has=st.sets(
        st.sampled_from(
            (
                "content_type",
                "content_encoding",
                "headers",
                "delivery_mode",
                "priority",
                "correlation_id",
                "reply_to",
                "expiration",
                "message_id",
                "timestamp",
                "message_type",
                "user_id",
                "app_id",
            )
        )
    )
)
def test_we_read_what_a_library_writes(has: set[str]) -> None:
    values: dict[str, Any] = {name: f"some {name}" for name in has}
    if "headers" in has:
        values["headers"] = {"x-day": 1, "at": "noon"}
    if "delivery_mode" in has:
        values["delivery_mode"] = 2
    if "priority" in has:
        values["priority"] = 3
    if "timestamp" in has:
        values["timestamp"] = datetime.datetime.fromtimestamp(SENT_AT_S, datetime.UTC)

    found = frames.read_properties(header_payload(commands.Basic.Properties(**values)))

    assert found == Properties(
        content_type=values.get("content_type"),
        content_encoding=values.get("content_encoding"),
        kind=values.get("message_type"),
        correlation_id=values.get("correlation_id"),
        reply_to=values.get("reply_to"),
        message_id=values.get("message_id"),
        sent_at_s=SENT_AT_S if "timestamp" in has else None,
        user_id=values.get("user_id"),
        app_id=values.get("app_id"),
        headers=values.get("headers", {}),
    )


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES_MAX - 8, FRAME_BYTES_MAX - 7, 20_000])
def test_a_body_is_cut_into_frames_that_the_broker_takes(size: int) -> None:
    data = publish(Properties(), b"x" * size)

    _, header, *bodies = unmarshal(data)

    assert header.body_size == size
    assert all(isinstance(body, ContentBody) for body in bodies)
    assert b"".join(body.value for body in bodies) == b"x" * size
    assert all(len(body.value) + frames.FRAME_OVERHEAD_BYTES <= FRAME_BYTES_MAX for body in bodies)


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="has 300 bytes, 255 are possible"):
        publish(Properties(reply_to="q" * 300), b"")


def test_an_acknowledgement_is_one() -> None:
    (one,) = unmarshal(frames.ack_frame(7, 2**40, multiple=False))
    (several,) = unmarshal(frames.ack_frame(7, 3, multiple=True))

    assert (one.name, one.delivery_tag, one.multiple) == ("Basic.Ack", 2**40, False)
    assert several.multiple


@pytest.mark.parametrize("requeue", [True, False])
def test_a_rejection_is_one(requeue: bool) -> None:
    (frame,) = unmarshal(frames.reject_frame(7, 3, requeue=requeue))

    assert (frame.name, frame.delivery_tag, frame.requeue) == ("Basic.Reject", 3, requeue)


def test_a_text_that_is_no_utf8_cannot_be_read() -> None:
    header = header_payload(commands.Basic.Properties(correlation_id="zz"))

    with pytest.raises(frames.UNREADABLE):
        frames.read_properties(header.replace(b"zz", b"\xff\xfe"))
