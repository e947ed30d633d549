"""A server that takes events is killed with SIGKILL; each event starts one execution all the same."""

import asyncpg
import pika

from resonate_sdk.protocol.topology import Names
from resonate_store.postgres import settings
from tests.acceptance.recovery.deployment import Deployment
from tests.processes import wait_until

EVENTS = 400
TIMES = 2


async def test_a_server_that_is_killed_among_events_loses_and_doubles_none(
    deployment: Deployment, database_url: str
):
    exchange, queue = f"shop-{deployment.namespace}", Names(deployment.namespace).trigger_queue("t")
    search_path = {"search_path": settings.quoted(deployment.namespace)}
    rows = await asyncpg.connect(database_url, server_settings=search_path)
    server = deployment.start_server()
    with pika.BlockingConnection(pika.URLParameters(deployment.url)) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange, "fanout", auto_delete=True)
        deployment.command(
            "triggers", "create", "t", "--exchange", exchange, "--routing-key", "",
            "--func", "f", "--target", "nobody",
        )  # fmt: skip
        channel.confirm_delivery()
        for number in range(EVENTS * TIMES):
            properties = pika.BasicProperties(message_id=f"m-{number % EVENTS}", delivery_mode=2)
            channel.basic_publish(exchange, "", b"1", properties, mandatory=True)
            if number == EVENTS // 2:
                while await rows.fetchval("select count(*) from promises") == 0:
                    pass  # the server is at it
                deployment.kill(server)

        deployment.start_server()
        assert wait_until(
            lambda: channel.queue_declare(queue, passive=True).method.message_count == 0,
            seconds=60,
        )
        while await rows.fetchval("select count(*) from promises") < EVENTS:
            pass  # the last ones are under way
    ids = {row["id"] for row in await rows.fetch("select id from promises")}
    await rows.close()

    assert ids == {f"t:m-{number}" for number in range(EVENTS)}
