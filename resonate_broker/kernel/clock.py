"""The clock of the store, as the kernel knows it.

Decisions use the instant that the store returned with a batch. Between batches the kernel only
needs to know when to look, and for that translates the store's instants to its own clock.
"""


class StoreClock:
    """How far the clock of the store is from the clock that the ticks come with.

    The store has read an instant after it was asked and before it was heard, and it may have been heard
    late: a look at what is due must not be late for that. So the difference lies in an interval
    for each observation, and what is kept is where they all overlap. If they do not, one of the
    clocks has been set or has drifted, and the last observation alone counts.
    """

    def __init__(self) -> None:
        """Assume that both clocks agree until the store has been heard."""
        self._ahead_min_ms = 0
        self._ahead_max_ms = 0
        self.last_ms = 0

    @property
    def is_known(self) -> bool:
        """Whether the store has been heard; before that its instants are a guess."""
        return self.last_ms > 0

    def observe(self, asked_ms: int, heard_ms: int, store_ms: int) -> None:
        """Note an instant that the store has read in between; `last_ms` never runs backwards."""
        least_ms, most_ms = store_ms - heard_ms, store_ms - asked_ms
        if self.is_known and self._ahead_min_ms <= most_ms and least_ms <= self._ahead_max_ms:
            least_ms = max(least_ms, self._ahead_min_ms)
            most_ms = min(most_ms, self._ahead_max_ms)
        self._ahead_min_ms, self._ahead_max_ms = least_ms, most_ms
        self.last_ms = max(self.last_ms, store_ms)

    def to_tick(self, store_ms: int) -> int:
        """When, by the clock of the ticks, the store's clock will have shown `store_ms`."""
        return store_ms - self._ahead_min_ms

    def to_store(self, tick_ms: int) -> int:
        """What the store's clock has at least reached when the ticks' clock shows `tick_ms`."""
        return tick_ms + self._ahead_min_ms
