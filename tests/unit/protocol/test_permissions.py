"""Least privilege: what each kind of user may do, as the broker matches names."""

import re

import pytest

from resonate_sdk.protocol.permissions import (
    Permissions,
    client_permissions,
    operator_permissions,
    publisher_permissions,
    server_permissions,
    subscriber_permissions,
    worker_permissions,
)
from resonate_sdk.protocol.topology import Names, group_topology, server_topology

NAMES = Names("my-ns")
SERVER = server_permissions(NAMES, ["orders"])
WORKER = worker_permissions(NAMES, "billing")
CLIENT = client_permissions(NAMES)
PUBLISHER = publisher_permissions(NAMES)
OPERATOR = operator_permissions(NAMES)
SUBSCRIBER = subscriber_permissions(NAMES)
ALL = (SERVER, WORKER, CLIENT, OPERATOR, PUBLISHER, SUBSCRIBER)


def allowed(permissions: Permissions, name: str) -> str:
    """What may be done with a name: c, w and r."""
    patterns = (permissions.configure, permissions.write, permissions.read)
    return "".join(
        sign for sign, pattern in zip("cwr", patterns, strict=True) if re.search(pattern, name)
    )


def test_a_server_may_do_everything_in_its_namespace():
    own = [*server_topology(NAMES, 3).queues, *group_topology(NAMES, "billing").exchanges]

    assert {allowed(SERVER, each.name) for each in own} == {"cwr"}
    assert allowed(SERVER, "amq.default") == "w"
    assert allowed(SERVER, "orders") == "wr"


@pytest.mark.parametrize(
    ("name", "rights"),
    [
        ("my-ns.worker.billing.p1", "cwr"),
        ("my-ns.reply.p1", "cwr"),
        ("my-ns.submit", "w"),
        ("my-ns.task.billing", "r"),
        ("my-ns.group.billing", "r"),
        ("my-ns.group.billing.any", "w"),
        ("my-ns.worker.mail.p1", ""),
        ("my-ns.task.mail", ""),
        ("my-ns.task.billing2", ""),
        ("my-ns.submit.p00", ""),
        ("my-ns.dead", ""),
        ("amq.default", ""),
    ],
)
def test_a_worker_reaches_its_group_and_nothing_else(name: str, rights: str):
    assert allowed(WORKER, name) == rights


@pytest.mark.parametrize(
    ("name", "client", "publisher"),
    [
        ("my-ns.reply.p1", "cr", ""),
        ("my-ns.submit", "w", "w"),
        ("my-ns.task.billing", "", ""),
        ("my-ns.submit.p00", "", ""),
        ("amq.default", "", ""),
    ],
)
def test_who_only_calls_may_ask_and_hear_answers(name: str, client: str, publisher: str):
    assert (allowed(CLIENT, name), allowed(PUBLISHER, name)) == (client, publisher)


@pytest.mark.parametrize(
    ("name", "operator", "subscriber"),
    [
        ("my-ns.reply.p1", "cr", ""),
        ("my-ns.submit", "w", ""),
        ("my-ns.dead", "r", ""),
        ("amq.default", "w", ""),
        ("my-ns.events", "", "r"),
        ("my-ns.events.log", "", "r"),
        ("my-ns.events.mine", "", ""),
        ("my-ns-events.billing", "", "cwr"),
        ("amq.gen-x", "", "cwr"),
        ("my-ns.task.billing", "", ""),
    ],
)
def test_who_looks_after_it_and_who_listens(name: str, operator: str, subscriber: str):
    assert (allowed(OPERATOR, name), allowed(SUBSCRIBER, name)) == (operator, subscriber)


@pytest.mark.parametrize("permissions", ALL, ids=lambda each: each.role)
@pytest.mark.parametrize("name", ["other.submit", "my-ns2.submit", "xmy-ns.submit", "myxns.submit"])
def test_nobody_reaches_another_namespace(permissions: Permissions, name: str):
    assert allowed(permissions, name) == ""
