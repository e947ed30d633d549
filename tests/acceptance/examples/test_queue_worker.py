"""A consumer of a queue of the user's own, which is killed in the middle."""

import asyncio
import secrets
import sys

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from tests.acceptance.cli.programs import running
from tests.acceptance.seeds.conftest import Place

CONSUMER = [sys.executable, "-m", "resonate_sdk.examples.queue_worker"]
RECORDS = [f"record-{n}" for n in range(5)]
WAIT_S = 60


async def test_each_message_becomes_one_execution_although_the_consumer_is_killed(place: Place):
    queue = f"records-{secrets.token_hex(4)}"
    announcements: dict[str, set[str | None]] = {}
    async with (
        asyncio.timeout(WAIT_S),
        await aio_pika.connect(place["RESONATE_URL"]) as connection,
        await connection.channel() as channel,
    ):
        await channel.declare_queue(queue, durable=True)
        announced = await channel.declare_queue(f"{queue}.deleted", durable=True)
        for record in [*RECORDS, RECORDS[0]]:  # one is sent twice
            message = aio_pika.Message(record.encode(), message_id=f"{queue}-{record}")
            await channel.default_exchange.publish(message, queue)

        async with announced.iterator() as messages:
            with running(queue, env=place, program=CONSUMER):
                note(await anext(messages), announcements)
            with running(queue, env=place, program=CONSUMER):  # the first was killed
                async for message in messages:
                    note(message, announcements)
                    if len(announcements) == len(RECORDS):
                        break

    assert set(announcements) == set(RECORDS)
    assert {len(ids) for ids in announcements.values()} == {1}  # what is told twice has one id


def note(message: AbstractIncomingMessage, announcements: dict[str, set[str | None]]) -> None:
    announcements.setdefault(message.body.decode(), set()).add(message.message_id)
