"""Correlation ids of calls: they name a promise, and nobody but a server can make one."""

import hmac
from hashlib import sha256
from urllib.parse import quote, unquote

from msgspec import Struct

from resonate_broker.integration.plain import NotPlainError

TOKEN_BYTES_MAX = 255  # of a property in AMQP
SEAL_CHARS = 32
_SAFE = ":@!$'()*,;=+/ "
_DIALECTS = (b"", b"celery\0")  # what is sealed begins with one of them


class Called(Struct, frozen=True, kw_only=True):
    """Who has been called, as its correlation id says.

    Attributes:
        by_celery: whether it was a worker of Celery, which replies in a way of its own.
    """

    promise_id: str
    by_celery: bool


class Tokens:
    """The correlation ids of a namespace.

    The seal makes them as hard to guess as a random number would, and needs no row to be found by.
    """

    def __init__(self, secret: str) -> None:
        """Seal with a secret that all servers of the namespace share, and nobody else knows."""
        self._secret = secret.encode()

    def make(self, promise_id: str, *, by_celery: bool = False) -> str:
        """The correlation id by which a reply settles the promise.

        Raises:
            NotPlainError: the id is too long to travel in a property.
        """
        seal = self._seal(promise_id, _DIALECTS[by_celery])
        token = f"{seal}.{quote(promise_id, safe=_SAFE)}"
        if len(token) > TOKEN_BYTES_MAX:
            raise NotPlainError(
                f"the id of the promise has {len(token) - SEAL_CHARS - 1} bytes in a correlation "
                f"id, the limit for calls of exchanges is {TOKEN_BYTES_MAX - SEAL_CHARS - 1}"
            )
        return token

    def read(self, token: str) -> Called | None:
        """The call that a correlation id names; None if none of ours does."""
        seal, _, quoted = token.partition(".")
        promise_id = unquote(quoted)
        for by_celery, dialect in enumerate(_DIALECTS):
            genuine = self._seal(promise_id, dialect)
            if hmac.compare_digest(seal.encode(), genuine.encode()):
                return Called(promise_id=promise_id, by_celery=bool(by_celery))
        return None

    def _seal(self, promise_id: str, dialect: bytes) -> str:
        sealed = dialect + promise_id.encode()
        return hmac.new(self._secret, sealed, sha256).hexdigest()[:SEAL_CHARS]
