"""What time it is on the server's clock, learned from its answers: decisions only, no I/O."""

BEST_MS_MAX = 10_000  # so long the answer that came fastest says what time it is
DOUBT_MS = 10_000  # so long every answer must say that the own clock is ahead


class ServerClock:
    """An estimate of the server's clock. It is behind by the time that the fastest answer took."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._ahead_ms: int | None = None  # of the own clock
        self._learned_at_ms = 0

    def learn(self, server_now_ms: int, own_now_ms: int) -> None:
        """Take in the instant at which the server has decided an answer.

        Args:
            server_now_ms: that instant, on its clock.
            own_now_ms: now, on a clock that is never set.
        """
        ahead_ms = server_now_ms - own_now_ms
        is_old = own_now_ms - self._learned_at_ms > BEST_MS_MAX
        if self._ahead_ms is None or ahead_ms >= self._ahead_ms or is_old:
            self._ahead_ms = ahead_ms
            self._learned_at_ms = own_now_ms

    def now_ms(self, own_now_ms: int) -> int | None:
        """The server's clock, estimated; None before the first answer."""
        return None if self._ahead_ms is None else own_now_ms + self._ahead_ms


class Disagreement:
    """Whether the own clock is wrong, by the clock of the server.

    An answer that was under way for long looks like a clock that is ahead: only the answers of a
    while, none of which agrees, prove that it is. One that seems to come from the future does.
    """

    def __init__(self, limit_ms: int) -> None:
        """Believe that both agree, up to so much."""
        self._limit_ms = limit_ms
        self._since_ms: int | None = None  # on the clock that is never set

    def compare(self, server_now_ms: int, epoch_ms: int, own_now_ms: int) -> int | None:
        """Take in an answer; by how much the own clock is ahead if it is wrong for certain.

        Args:
            server_now_ms: the instant at which the server has decided it.
            epoch_ms: now, on the clock in doubt.
            own_now_ms: now, on a clock that is never set.
        """
        ahead_ms = epoch_ms - server_now_ms
        if ahead_ms < -self._limit_ms:
            return ahead_ms
        if ahead_ms <= self._limit_ms:
            self._since_ms = None
            return None
        if self._since_ms is None:
            self._since_ms = own_now_ms
        return ahead_ms if own_now_ms - self._since_ms >= DOUBT_MS else None
