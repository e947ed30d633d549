"""Servers that tell what happens are killed with SIGKILL; nothing is left out, or out of order."""

import time
from collections import defaultdict
from typing import Any

import pika

from resonate_sdk.protocol.topology import Names
from tests.acceptance.recovery.deployment import Deployment

EXECUTIONS = 200
KILLED_AT = EXECUTIONS // 2
EVENTS_EACH = 4  # created twice, timed out, fulfilled
SECONDS_MAX = 90
CE = "cloudEvents:"
HEADERS = {"resonate-func": "f", "resonate-target": "nobody", "resonate-timeout": "1s"}


def test_a_server_that_is_killed_among_events_leaves_out_none(deployment: Deployment):
    deployment.set("RESONATE_EVENTS__ENABLED", "true")
    server = deployment.start_server()
    names = Names(deployment.namespace)
    told = defaultdict[str, dict[int, str]](dict)
    with pika.BlockingConnection(pika.URLParameters(deployment.url)) as connection:
        channel = connection.channel()
        queue: str = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, names.events, "#")
        for number in range(EXECUTIONS):
            channel.basic_publish(
                names.submit,
                "invoke",
                b"",
                pika.BasicProperties(message_id=f"e-{number}", headers=HEADERS, delivery_mode=2),
            )

        until = time.monotonic() + SECONDS_MAX
        while sum(map(len, told.values())) < EXECUTIONS * EVENTS_EACH:
            assert time.monotonic() < until, dict(told)
            if server.returncode is None and len(told) >= KILLED_AT:
                deployment.kill(server)
                deployment.start_server()
            _, properties, _ = channel.basic_get(queue, auto_ack=True)
            if properties is not None:
                note(told, properties.headers)

    assert told.keys() == {f"e-{number}" for number in range(EXECUTIONS)}


def note(told: dict[str, dict[int, str]], headers: Any) -> None:
    """Note an event, which is a repetition or the next one of its origin."""
    of_origin = told[headers[CE + "partitionkey"]]
    sequence, id = int(headers[CE + "sequence"]), headers[CE + "id"]
    if sequence in of_origin:
        assert of_origin[sequence] == id
    else:
        assert sequence == len(of_origin) + 1, f"{sequence} behind {len(of_origin)}"
        of_origin[sequence] = id
