"""Calls of consumers that know no protocol."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec.structs import replace

from resonate_broker.integration import calls, celery
from resonate_broker.integration.plain import NotPlainError
from resonate_broker.integration.tokens import Tokens
from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.amqp.outlets import NotDeliveredError, Outlets
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.protocol import addresses, tags
from resonate_sdk.protocol.addresses import CeleryAddress, ExchangeAddress
from resonate_sdk.protocol.messages import Invoke
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.topology import Names

logger = logging.getLogger(__name__)

CALENDAR_S_MAX = 253_402_214_400  # the end of the year 9999, in every zone


class CallSubsystem:
    """Publishes calls; what could not be delivered is tried again by its row."""

    def __init__(self, names: Names, outlets: Outlets, tokens: Tokens) -> None:
        """Publish through outlets, for replies that carry our tokens."""
        self._names = names
        self._outlets = outlets
        self._tokens = tokens

    async def publish(self, outgoing: Iterable[Outgoing]) -> tuple[Outgoing, ...]:
        """Publish calls; return those that need not be sent again: delivered, or impossible."""
        concluded: list[Outgoing] = []
        async with asyncio.TaskGroup() as tasks:
            for call in outgoing:
                tasks.create_task(self._publish(call, concluded))
        return tuple(concluded)

    async def _publish(self, call: Outgoing, concluded: list[Outgoing]) -> None:
        assert isinstance(call.message, Invoke), "a call asks for a task"
        promise = call.message.data.promise
        assert promise is not None, "a call carries its promise"
        try:
            publication = self._publication(promise)
        except NotPlainError as error:
            concluded.append(replace(call, refusal=calls.rejection(str(error))))
            return
        try:
            await self._outlets.publish(publication)
        except NotDeliveredError as error:
            logger.warning(
                "call was not delivered, it is tried again promise_id=%s target=%s reason=%s",
                promise.id,
                promise.tags[tags.TARGET],
                error,
            )
            return
        concluded.append(call)

    def _publication(self, promise: PromiseRecord) -> Publication:
        target = addresses.parse_target(promise.tags[tags.TARGET])
        assert isinstance(target, ExchangeAddress), "a call goes to an exchange"
        if self._is_ours(target.exchange or target.routing_key):
            raise NotPlainError(f"{target} belongs to the server itself: nobody serves calls there")
        by_celery = isinstance(target, CeleryAddress)
        token = self._tokens.make(promise.id, by_celery=by_celery)
        if by_celery:
            message = celery.call(promise, token, _calendar(promise.timeout_at_ms))
        else:
            message = calls.message(promise)
        return Publication(
            exchange=target.exchange,
            routing_key=target.routing_key,
            body=message.body,
            kind=message.kind,
            correlation_id=token,
            reply_to=self._names.replies,
            headers=message.headers,
        )

    def _is_ours(self, name: str) -> bool:
        return self._names.is_ours(name) or name.startswith("amq.rabbitmq.")


def _calendar(at_ms: int) -> str:
    """An instant as calendars write it; what is behind all of them is their last day."""
    return datetime.fromtimestamp(min(at_ms // 1000, CALENDAR_S_MAX), UTC).isoformat()
