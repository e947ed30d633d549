"""The clock of the store, as the kernel knows it.

Decisions use the instant that the store returned with a batch. Between batches the kernel only
needs to know when to look, and for that translates the store's instants to its own clock.
"""


class StoreClock:
    """How far the clock of the store is from the clock that the ticks come with."""

    def __init__(self) -> None:
        """Assume that both clocks agree until the store has been heard."""
        self._ahead_ms = 0
        self.last_ms = 0

    @property
    def is_known(self) -> bool:
        """Whether the store has been heard; before that its instants are a guess."""
        return self.last_ms > 0

    def observe(self, tick_ms: int, store_ms: int) -> None:
        """Note an instant of the store; `last_ms` never runs backwards."""
        self._ahead_ms = store_ms - tick_ms
        self.last_ms = max(self.last_ms, store_ms)

    def to_tick(self, store_ms: int) -> int:
        """When, by the clock of the ticks, the store's clock will show `store_ms`."""
        return store_ms - self._ahead_ms

    def to_store(self, tick_ms: int) -> int:
        """What the store's clock shows when the ticks' clock shows `tick_ms`."""
        return tick_ms + self._ahead_ms
