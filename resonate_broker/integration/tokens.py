"""Correlation ids of calls: they name a promise, and nobody but a server can make one."""

import hmac
from hashlib import sha256
from urllib.parse import quote, unquote

from resonate_broker.integration.plain import NotPlainError

TOKEN_BYTES_MAX = 255  # of a property in AMQP
SEAL_CHARS = 32
_SAFE = ":@!$'()*,;=+/ "


class Tokens:
    """The correlation ids of a namespace.

    The seal makes them as hard to guess as a random number would, and needs no row to be found by.
    """

    def __init__(self, secret: str) -> None:
        """Seal with a secret that all servers of the namespace share, and nobody else knows."""
        self._secret = secret.encode()

    def make(self, promise_id: str) -> str:
        """The correlation id by which a reply settles the promise.

        Raises:
            NotPlainError: the id is too long to travel in a property.
        """
        token = f"{self._seal(promise_id)}.{quote(promise_id, safe=_SAFE)}"
        if len(token) > TOKEN_BYTES_MAX:
            raise NotPlainError(
                f"the id of the promise has {len(token) - SEAL_CHARS - 1} bytes in a correlation "
                f"id, the limit for calls of exchanges is {TOKEN_BYTES_MAX - SEAL_CHARS - 1}"
            )
        return token

    def read(self, token: str) -> str | None:
        """The promise that a correlation id names; None if none of ours does."""
        seal, dot, quoted = token.partition(".")
        promise_id = unquote(quoted)
        genuine = self._seal(promise_id)
        return promise_id if dot and hmac.compare_digest(seal.encode(), genuine.encode()) else None

    def _seal(self, promise_id: str) -> str:
        return hmac.new(self._secret, promise_id.encode(), sha256).hexdigest()[:SEAL_CHARS]
