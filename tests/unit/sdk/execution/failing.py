"""Exceptions as the users of the library write them, at module level, where others find them."""

from dataclasses import dataclass


class PaymentDeclinedError(Exception):
    """Made from more than its message."""

    def __init__(self, order, amount):
        super().__init__(f"order {order}: {amount} declined")
        self.order = order
        self.amount = amount


class HardDeclineError(PaymentDeclinedError):
    """A subclass without a constructor of its own."""


class Outer:
    class NestedError(Exception):
        """A class inside a class."""


class ConnectedError(Exception):
    """Has an attribute that JSON cannot express beside one that it can."""

    def __init__(self, host):
        super().__init__(host)
        self.host = host
        self.connection = object()


class ExpensiveError(Exception):
    """Whoever rebuilds it must not run its constructor."""

    constructed = 0

    def __init__(self, *args):
        super().__init__(*args)
        type(self).constructed += 1


class MixedError(KeyError, RuntimeError):
    """Two builtin bases."""


@dataclass(frozen=True)
class FrozenError(Exception):
    """Refuses to have anything set, its notes and its cause included."""

    account: str
