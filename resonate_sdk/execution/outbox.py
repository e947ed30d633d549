"""What a pass has asked for: effects to be carried out, and how many answers are still to come."""

from collections.abc import Callable

from resonate_sdk.execution.effects import CallFunction, Effect

CREATIONS_MAX = 200  # that may be under way while bodies go on


class Outbox:
    """The effects of a pass.

    Attributes:
        at_once: takes an effect while the pass goes on, from its thread; without it, effects wait
            until the pass stands still.
        in_flight: effects that were asked for and are not answered yet.
        has_call: a function that is to be called on another thread should not wait any longer.
    """

    def __init__(self) -> None:
        """Nothing is asked for."""
        self.at_once: Callable[[Effect], None] | None = None
        self.in_flight = 0
        self.has_call = False
        self._effects: list[Effect] = []
        self._numbers = 0

    def number(self) -> int:
        """A name for something that will be answered: a call, or a timer."""
        self._numbers += 1
        return self._numbers

    def ask(self, effect: Effect) -> None:
        """Ask for an effect that is answered once."""
        self.in_flight += 1
        self._effects.append(effect)
        self.has_call = self.has_call or isinstance(effect, CallFunction)

    def tell(self, effect: Effect) -> None:
        """Ask for an effect whose answers are not counted."""
        self._effects.append(effect)

    def answered(self) -> None:
        """One that was asked for is answered."""
        self.in_flight -= 1

    def take(self) -> tuple[Effect, ...]:
        """The effects that somebody has to carry out now."""
        effects, self._effects = tuple(self._effects), []
        self.has_call = False
        return effects

    def take_lone_call(self) -> CallFunction | None:
        """A function that is to be called, if nothing else of the pass is under way."""
        if self.in_flight != 1 or len(self._effects) != 1:
            return None
        effect = self._effects[0]
        if not isinstance(effect, CallFunction):
            return None
        self.take()
        return effect

    @property
    def takes_at_once(self) -> bool:
        """Whether effects may leave while bodies go on."""
        return self.at_once is not None and self.in_flight < CREATIONS_MAX

    def mark(self) -> int:
        """A place, for `send_since`."""
        return len(self._effects)

    def send_since(self, mark: int) -> None:
        """Let what was asked for since then leave at once."""
        effects, self._effects[mark:] = self._effects[mark:], []
        for effect in effects:
            assert self.at_once is not None, "somebody takes effects at once"
            self.at_once(effect)
