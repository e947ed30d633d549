"""An RPC client as RabbitMQ's tutorials write it, with pika."""

import json
import uuid
from typing import Any

import pika

SECONDS_MAX = 20


class RpcClient:
    """Sends a request, and takes the first message with its correlation id as the answer."""

    def __init__(self, url: str, exchange: str) -> None:
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.exchange = exchange
        self.queue: str = self.channel.queue_declare(queue="", exclusive=True).method.queue
        self.channel.basic_consume(self.queue, self._on_response, auto_ack=True)
        self.replies: dict[str, list[tuple[Any, Any]]] = {}

    def __enter__(self) -> "RpcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def _on_response(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.replies.setdefault(properties.correlation_id, []).append((properties, body))

    def send(
        self, body: bytes, message_id: str | None, headers: dict[str, Any], **properties: Any
    ) -> str:
        """Publish, and return the correlation id."""
        correlation_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.queue}{len(self.replies)}").hex
        self.replies[correlation_id] = []
        self.channel.basic_publish(
            exchange=self.exchange,
            routing_key="invoke",
            properties=pika.BasicProperties(
                reply_to=self.queue,
                correlation_id=correlation_id,
                message_id=message_id,
                headers=headers,
                delivery_mode=2,
                **properties,
            ),
            body=body,
        )
        return correlation_id

    def reply(self, correlation_id: str, count: int = 1) -> tuple[Any, bytes]:
        """The last of so many messages with this correlation id."""
        for _ in range(SECONDS_MAX):
            if len(self.replies[correlation_id]) >= count:
                return self.replies[correlation_id][count - 1]
            self.connection.process_data_events(time_limit=1)
        raise AssertionError(f"{self.replies[correlation_id]} instead of {count} replies")

    def call(self, message_id: str | None, arguments: Any, **headers: Any) -> Any:
        """Call and wait for the result."""
        named = {f"resonate-{name}": text for name, text in headers.items()}
        correlation_id = self.send(json.dumps(arguments).encode(), message_id, named)
        return json.loads(self.reply(correlation_id)[1])
