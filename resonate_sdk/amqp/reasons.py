"""Why a server cannot be used, in words: what the libraries say is not for people."""

import re

from resonate_sdk.amqp import tls

_REASONS = (
    (r"ACCESS_REFUSED - Login", "wrong user name or password: correct the URL"),
    # aiormq drops what the broker said.
    (r"Connection\.OpenOk", "there is no such virtual host, or this user may not use it"),
    (
        r"Errno 111\b|Connection refused",
        "nothing listens there (connection refused): start it, or correct the URL",
    ),
    (
        r"Errno -[235]\b|Name or service not known",
        "the name of the host is unknown: correct the URL",
    ),
    (r"Errno 1(01|13)\b|unreachable|No route to host", "there is no way to this host"),
    (r"\bnot? answer in time", "it does not answer"),
    (r"bytes expected", "the other side has closed the connection: is it RabbitMQ?"),
)


def in_words(reason: str) -> str:
    """Say what a reason of the libraries means, or repeat it where that is not known."""
    for pattern, meaning in _REASONS:
        if re.search(pattern, reason):
            return meaning
    return tls.in_words(reason) or reason
