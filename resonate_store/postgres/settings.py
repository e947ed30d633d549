"""The settings of our sessions, and why they are what they are."""

import re
from collections.abc import Mapping

from resonate_sdk.protocol import limits
from resonate_store.store import SchemaError

APPLICATION = "resonate"

# Every statement names rows by a key, so there is nothing to choose. A plan that was made while the
# tables were tiny would be kept for ever, and planning anew costs more than most statements.
_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

# A server that is frozen, or cut off, must not hold rows: others can have them within 5 s.
# Transactions are explicit, because these timeouts do not see implicit ones.
_TIMEOUTS = {
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "tcp_user_timeout": "4s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "4",
    "client_connection_check_interval": "1s",
}


def data_path(namespace: str) -> Mapping[str, str]:
    """Settings of the session that runs batches."""
    return {
        "application_name": f"{APPLICATION} {namespace} batches",
        "search_path": quoted(namespace),
        "default_transaction_isolation": "read committed",
        "standard_conforming_strings": "on",  # for `with_text`
        **_PLANS,
        **_TIMEOUTS,
    }


def reads(namespace: str) -> Mapping[str, str]:
    """Settings of the sessions for searches and sweeps, which lock nothing."""
    return {
        "application_name": f"{APPLICATION} {namespace} reads",
        "search_path": quoted(namespace),
        "default_transaction_read_only": "on",
        **_PLANS,
        **_TIMEOUTS,
    }


def notices(namespace: str) -> Mapping[str, str]:
    """Settings of the session that is told when an application has left a call."""
    return {
        **reads(namespace),
        "application_name": f"{APPLICATION} {namespace} notices",
        "idle_session_timeout": "0",
    }


def migration(namespace: str) -> Mapping[str, str]:
    """Settings of a session that changes the tables: it waits for its turn, and takes its time."""
    return {
        "application_name": f"{APPLICATION} {namespace} migration",
        "search_path": quoted(namespace),
        "lock_timeout": "60s",
        "statement_timeout": "0",
    }


def quoted(namespace: str) -> str:
    """The namespace as the name of a schema in SQL.

    Raises:
        SchemaError: no schema can have that name.
    """
    if not re.fullmatch(limits.NAMESPACE_PATTERN, namespace) or namespace.startswith("pg_"):
        raise SchemaError(
            f"{namespace!r} cannot be the name of a schema: it needs 1 to 32 of a-z, 0-9, _ and -, "
            "and must not begin with pg_"
        )
    return f'"{namespace}"'
