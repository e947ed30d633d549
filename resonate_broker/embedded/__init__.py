"""A whole server inside this process: the same kernel on SQLite or in memory, without RabbitMQ."""

from resonate_broker.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
