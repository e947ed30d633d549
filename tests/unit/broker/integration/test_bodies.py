import gzip
import zlib
from typing import Any

import pytest

from resonate_broker.integration import bodies
from resonate_broker.integration.plain import NotPlainError
from resonate_sdk.protocol.limits import MESSAGE_BYTES_MAX

JSON = "application/json"
POT = '"pöt"'.encode()


def gzipped(body: bytes) -> bytes:
    """Compressed, the same each time: the names of tests are made of it."""
    return gzip.compress(body, mtime=0)


@pytest.mark.parametrize(
    ("body", "content_type", "content_encoding", "headers"),
    [
        (POT, None, None, {}),
        (POT, JSON, "UTF-8", {}),
        (POT, JSON, "binary", {"compression": "none"}),
        (POT, "application/json; charset=utf-8", "identity", {"compression": False}),
        (b"\xef\xbb\xbf" + POT, JSON, None, {}),
        (gzipped(POT), JSON, "gzip", {}),
        (zlib.compress(POT), JSON, "Deflate", {}),
        (gzipped(gzipped(POT)), JSON, "gzip, gzip", {}),
        (gzipped(POT), JSON, "gzip:UTF-8", {}),
        (zlib.compress(POT), JSON, "utf-8", {"compression": "application/x-gzip"}),
        ('"pöt"'.encode("latin-1"), JSON, "latin-1", {}),
        (gzipped('"pöt"'.encode("utf-16")), JSON, "utf-16, gzip", {}),
        ('"pöt"'.encode("cp1252"), 'Text/Plain; charset="windows-1252"', None, {}),
    ],
)
def test_a_body_is_what_its_message_says(
    body: bytes, content_type: str | None, content_encoding: str | None, headers: dict[str, Any]
):
    assert bodies.read(body, content_type, content_encoding, headers) == POT


def test_what_is_no_text_has_no_character_set():
    assert bodies.read(b"\xff", "image/png; charset=latin-1", None, {}) == b"\xff"


@pytest.mark.parametrize(
    ("body", "content_type", "content_encoding", "headers", "reason"),
    [
        (POT, JSON, "br", {}, "content_encoding is 'br', which is not supported: compress by gzip"),
        (POT, JSON, "base64", {}, "content_encoding is 'base64', which is not supported"),
        (POT, JSON, "a\0b", {}, "is not supported"),
        (POT, JSON, None, {"compression": "application/x-bz2"}, "header compression is 'appl"),
        (POT, JSON, "gzip", {}, "content_encoding is 'gzip', but the body is not"),
        (gzipped(POT)[:-9], JSON, "gzip", {}, "but the body has no end"),
        (b"\xff", JSON, "utf-16", {}, "is not in the character set 'utf-16'"),
        (POT, "text/plain; charset=klingon", None, {}, "'klingon' is not supported: use utf-8"),
        (
            gzipped(b"0" * (MESSAGE_BYTES_MAX + 1)),
            JSON,
            "gzip",
            {},
            f"more than {MESSAGE_BYTES_MAX} bytes when it is unpacked",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    body: bytes,
    content_type: str,
    content_encoding: str | None,
    headers: dict[str, Any],
    reason: str,
):
    with pytest.raises(NotPlainError) as error:
        bodies.read(body, content_type, content_encoding, headers)

    assert reason in str(error.value)
