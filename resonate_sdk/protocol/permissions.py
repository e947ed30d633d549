"""What each kind of process must be allowed on the broker, and nothing more."""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from resonate_sdk.protocol.topology import Names

NOTHING = "^$"
DEFAULT_EXCHANGE = "amq\\.default"

Role = Literal["server", "worker", "client", "operator", "publisher", "subscriber"]


class Permissions(Struct, frozen=True, kw_only=True):
    """Regular expressions of the names that a user may use.

    Attributes:
        role: who is meant.
        group: of a worker.
        configure: may be declared.
        write: may be published to, and bound.
        read: may be consumed, and bound to.
    """

    role: Role
    group: str | None = None
    configure: str
    write: str
    read: str


def server_permissions(names: Names, exchanges: Sequence[str] = ()) -> Permissions:
    """A server: all of the namespace, answers through the default exchange.

    Args:
        names: of the namespace.
        exchanges: those of services that it calls, or whose events are triggers.
    """
    own = f"{re.escape(names.namespace)}\\."
    foreign = [f"{re.escape(exchange)}$" for exchange in exchanges]
    return Permissions(
        role="server",
        configure=f"^{own}",
        write=_any_of(own, f"{DEFAULT_EXCHANGE}$", *foreign),
        read=_any_of(own, *foreign),
    )


def worker_permissions(names: Names, group: str) -> Permissions:
    """A worker of one group, which may also call other functions.

    It must be able to write to the exchange of its group that its own queue dead-letters to. So it can
    forge hints for its group, which is harmless: a hint has to be claimed in the database.
    """
    own = re.escape(names.worker_queue(group, ""))
    replies = re.escape(names.reply_queue(""))
    exchange, fallback = names.group(group), names.group_any(group)
    return Permissions(
        role="worker",
        group=group,
        configure=_any_of(own, replies),
        write=_any_of(own, replies, _name(names.submit), _name(fallback)),
        read=_any_of(own, replies, _name(names.task_queue(group)), _name(exchange)),
    )


def client_permissions(names: Names) -> Permissions:
    """A process that calls functions through the SDK, or the command line without dead letters."""
    replies = re.escape(names.reply_queue(""))
    return Permissions(
        role="client",
        configure=f"^{replies}",
        write=f"^{_name(names.submit)}",
        read=f"^{replies}",
    )


def publisher_permissions(names: Names) -> Permissions:
    """A service that publishes plain messages; direct reply-to needs no permission."""
    return Permissions(
        role="publisher", configure=NOTHING, write=f"^{_name(names.submit)}", read=NOTHING
    )


def operator_permissions(names: Names) -> Permissions:
    """The command line with dead letters, which are sent again to wherever they came from."""
    replies = re.escape(names.reply_queue(""))
    return Permissions(
        role="operator",
        configure=f"^{replies}",
        write=_any_of(_name(names.submit), f"{DEFAULT_EXCHANGE}$"),
        read=_any_of(replies, _name(names.dead_queue)),
    )


def subscriber_permissions(names: Names) -> Permissions:
    """A service that listens to events, through queues that the broker or `{namespace}-events.` names.

    It can read events and forge none.
    """
    own = ("amq\\.gen-", f"{re.escape(names.namespace)}-events\\.")
    return Permissions(
        role="subscriber",
        configure=_any_of(*own),
        write=_any_of(*own),
        read=_any_of(*own, _name(names.events), _name(names.events_log)),
    )


def _name(name: str) -> str:
    return f"{re.escape(name)}$"


def _any_of(pattern: str, *others: str) -> str:
    return f"^({'|'.join((pattern, *others))})" if others else f"^{pattern}"
