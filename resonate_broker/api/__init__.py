"""Requests in, answers out: the kernel's door to RabbitMQ."""
