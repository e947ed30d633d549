"""The coroutines of a pass: which of them run, and which wait for what."""

from collections.abc import Callable
from typing import Any, Literal

from resonate_sdk.execution.bodies import CoroutineBody, Raised, Returned
from resonate_sdk.execution.effects import CloseCoroutine, Effect, RunCoroutine, SendOutcome
from resonate_sdk.execution.nodes import Activation
from resonate_sdk.functions.context import Context


class Coroutines:
    """They run on an event loop; here is kept what it says of them.

    Attributes:
        running: those that run, or are going to.
        foreign: those that wait for something that only their loop knows.
    """

    def __init__(self, ask: Callable[[Effect], None]) -> None:
        """There are none yet.

        Args:
            ask: takes effects.
        """
        self._ask = ask
        self._activations: dict[int, Activation] = {}
        self._count = 0
        self.running = set[int]()
        self.foreign = set[int]()

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._activations)

    def activation(self, number: int) -> Activation | None:
        """Whose body it is; None if it was given up."""
        return self._activations.get(number)

    def start(self, activation: Activation, awaitable: Any) -> None:
        """Run what a function has returned."""
        assert activation.scope is not None, "a function is called with a context"
        self._count += 1
        body = CoroutineBody(self._count, awaitable)
        activation.body = body
        self._activations[body.number] = activation
        self.running.add(body.number)
        context = Context(activation.scope)
        self._ask(RunCoroutine(body, context, activation.scope, activation.variables))

    def send(self, body: CoroutineBody, ticket: int, outcome: Returned | Raised) -> None:
        """Give one of them something that it waits for."""
        body.sent += 1
        self.running.add(body.number)
        self.foreign.discard(body.number)
        self._ask(SendOutcome(body.number, ticket, outcome))

    def moved(self, number: int, received: int, now: Literal["parked", "foreign"]) -> None:
        """One of them has said what it does."""
        body = self._activations[number].body
        assert isinstance(body, CoroutineBody), "it is the body of its function"
        if received < body.sent:
            return  # what it said is out of date: it will say more
        self.running.discard(number)
        self.foreign.discard(number)
        if now == "foreign":
            self.foreign.add(number)

    def close(self, body: CoroutineBody) -> None:
        """Give one up."""
        if body.number in self._activations:
            self.forget(body.number)
            if body.is_taken:
                self._ask(CloseCoroutine(body.number))
            else:
                body.discard()

    def close_all(self) -> None:
        """Give all up; who runs them closes them."""
        for activation in self._activations.values():
            if isinstance(activation.body, CoroutineBody):
                activation.body.discard()
        self._activations.clear()

    def forget(self, number: int) -> None:
        """One of them has ended."""
        del self._activations[number]
        self.running.discard(number)
        self.foreign.discard(number)
