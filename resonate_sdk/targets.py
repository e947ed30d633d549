"""Where calls go: worker groups and processes."""

from resonate_sdk.protocol import addresses


def poll(group: str) -> str:
    """Address any worker of a group, in the spelling of the first SDKs."""
    return f"poll://any@{group}"


def amqp(group: str) -> str:
    """Address any worker of a group."""
    return f"amqp://any@{group}"


def resolve(target: str) -> str:
    """Complete a group name to an address, and bring addresses into their stored form.

    Example:
        >>> resolve("payments")
        'amqp://any@payments'

    Raises:
        resonate_sdk.protocol.addresses.AddressError: it is neither.
    """
    return addresses.normalize(target)
