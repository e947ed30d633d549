"""The topology for other tools."""

import json
from collections.abc import Iterator
from typing import Any

from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from resonate_broker import transitions
from resonate_broker.cli.topology_documents import (
    asyncapi,
    definitions,
    permission_commands,
    permission_documents,
    whole_topology,
)
from resonate_broker.integration import results, tap_messages
from resonate_sdk.protocol.permissions import client_permissions, worker_permissions
from resonate_sdk.protocol.requests import KINDS
from resonate_sdk.protocol.topology import Names, events_topology
from resonate_store.state import Event, NumberedEvent

NAMES = Names("ns")
EVENT = Event(origin="a", kind="promise.resolved", subject="a", group="", at_ms=1, data="{}")
DOCUMENT = asyncapi(NAMES, 2, ("billing",), "amqps://me:s3cret@rabbit:5671/shop", "shop")


def references(part: Any) -> Iterator[str]:
    """All that a document refers to inside itself."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_definitions_have_all_objects_and_no_users():
    document = definitions(whole_topology(NAMES, 2, ("billing",)), "shop")

    assert document.keys() == {"vhosts", "exchanges", "queues", "bindings"}
    assert document["vhosts"] == [{"name": "shop"}]
    queues = {queue["name"]: queue for queue in document["queues"]}
    assert {"ns.submit.p00", "ns.submit.p01", "ns.task.billing", "ns.dead"} < queues.keys()
    assert queues["ns.submit.p01"]["arguments"]["x-single-active-consumer"] is True
    assert all(queue["vhost"] == "shop" and queue["durable"] for queue in queues.values())


def test_where_events_are_told_their_exchange_and_their_stream_belong_to_it():
    whole = whole_topology(NAMES, 1, (), events_topology(NAMES, log_days=7))

    document = definitions(whole, "/")

    assert "ns.events" in {exchange["name"] for exchange in document["exchanges"]}
    assert "ns.events.log" in {queue["name"] for queue in document["queues"]}


def test_permissions_are_commands_for_a_shell_and_documents_for_programs():
    users = [worker_permissions(NAMES, "billing"), client_permissions(NAMES)]

    worker, client = permission_commands(users, "/", "app")
    document, _ = permission_documents(users, "/", "app")

    assert worker.startswith("rabbitmqctl set_permissions --vhost / app-worker-billing '^(ns")
    assert client == (
        "rabbitmqctl set_permissions --vhost / app-client '^ns\\.reply\\.' '^ns\\.submit$' "
        "'^ns\\.reply\\.'"
    )
    assert document["user"] == "app-worker-billing"
    assert document["read"] == users[0].read


def test_the_asyncapi_document_is_one():
    ApplicationSchema.model_validate(DOCUMENT)

    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(KINDS) < DOCUMENT["components"]["messages"].keys()
    assert DOCUMENT["channels"]["tasks.billing"]["address"] == "ns.task.billing"


def test_events_and_results_are_in_the_asyncapi_document():
    messages = DOCUMENT["components"]["messages"]
    event = tap_messages.headers(NumberedEvent(position=1, sequence=1, event=EVENT), "/s", "t")

    assert DOCUMENT["channels"]["events"]["bindings"]["amqp"]["exchange"]["name"] == "ns.events"
    assert set(DOCUMENT["channels"]["events"]["messages"]) == set(transitions.KINDS)
    assert set(messages["promise.resolved"]["headers"]["required"]) == event.keys()
    assert DOCUMENT["operations"]["receiveInvocation"]["reply"]["channel"] == {
        "$ref": "#/channels/results"
    }
    assert {results.ACCEPTED, results.RESULT, results.REFUSED} <= messages.keys()


def test_whatever_the_asyncapi_document_refers_to_is_in_it():
    found = set(references(DOCUMENT))

    assert len(found) > len(KINDS)
    for reference in found:
        part = DOCUMENT
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]


def test_no_account_is_in_the_asyncapi_document():
    assert DOCUMENT["servers"]["broker"]["host"] == "rabbit:5671"
    assert "s3cret" not in json.dumps(DOCUMENT)
