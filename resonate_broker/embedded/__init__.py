"""A whole server inside this process: the same kernel on SQLite, without RabbitMQ."""

from resonate_broker.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
