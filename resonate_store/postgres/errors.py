"""What the errors of PostgreSQL mean to a store."""

import logging
from collections import Counter

from resonate_store.store import ConflictError, RejectedError, StoreError, UnavailableError


class LostInsertError(ConflictError):
    """Another server has created one of the promises first."""


class LockTimeoutError(ConflictError):
    """Another server has held one of the rows for too long."""


class DeadlockError(ConflictError):
    """PostgreSQL chose this transaction to end a deadlock; the lock discipline rules them out."""


class SerializationError(ConflictError):
    """PostgreSQL could not serialize the transaction, which read committed never asks for."""


logger = logging.getLogger(__name__)

ALREADY_CREATED = "RS001"  # raised by store_v2

_BY_CODE: dict[str, type[StoreError]] = {
    ALREADY_CREATED: LostInsertError,
    "55P03": LockTimeoutError,
    "40P01": DeadlockError,
    "40001": SerializationError,
}

# Trouble of the database or of its set-up: nothing is wrong with what was to be written.
_UNAVAILABLE_CLASSES = frozenset(
    {
        "08",  # connection exception
        "25",  # invalid transaction state: read-only, idle for too long
        "26",  # invalid statement name: a pooler between us has changed the session
        "28",  # invalid authorization
        "3D",  # no such database
        "3F",  # no such schema
        "42",  # a table or function that is missing or not permitted
        "53",  # insufficient resources: disk full, too many connections
        "55",  # object not in prerequisite state: still in recovery
        "57",  # operator intervention: shutdown, statement timeout
        "58",  # system error: I/O
    }
)


def store_error(sqlstate: str | None, message: str) -> StoreError:
    """Translate an error that PostgreSQL reported.

    What is not known to be a conflict or trouble of the database is about the data: the
    transaction is refused for good, and the kernel looks for the request that spoils it.
    """
    code = sqlstate or ""
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = UnavailableError if code[:2] in _UNAVAILABLE_CLASSES else RejectedError
    return kind(f"{message} ({code})" if code else message)


def note_conflict(conflicts: Counter[str], error: StoreError) -> None:
    """Count what was lost against another server, and log it unless that is what happens."""
    if not isinstance(error, ConflictError):
        return
    conflicts[type(error).__name__] += 1
    if not isinstance(error, LostInsertError):
        logger.warning("transaction lost against another one: %s", error)
