"""The clock of the store, as the kernel knows it.

Decisions use the instant that the store returned with a batch. Between batches the kernel only
needs to know when to look, and for that translates the store's instants to its own clock.
"""


class StoreClock:
    """How far the clock of the store is from the clock that the ticks come with.

    Attributes:
        tick_ms: the instant of this tick, on the clock of the ticks.
        last_ms: the last instant of the store that was heard of; it never runs backwards.
    """

    def __init__(self) -> None:
        """Assume that both clocks agree until the store has been heard."""
        self.tick_ms = 0
        self.last_ms = 0
        self._ahead_ms = 0

    @property
    def is_known(self) -> bool:
        """Whether the store has been heard; before that its instants are a guess."""
        return self.last_ms > 0

    @property
    def store_ms(self) -> int:
        """What the store's clock shows at this tick."""
        return self.tick_ms + self._ahead_ms

    def tick(self, now_ms: int) -> None:
        """Another tick has come; its instant is not before that of the last one."""
        self.tick_ms = max(self.tick_ms, now_ms)

    def observe(self, store_ms: int) -> None:
        """Note an instant of the store that was heard of in this tick."""
        self._ahead_ms = store_ms - self.tick_ms
        self.last_ms = max(self.last_ms, store_ms)

    def to_tick(self, store_ms: int) -> int:
        """When, by the clock of the ticks, the store's clock will show `store_ms`."""
        return store_ms - self._ahead_ms
