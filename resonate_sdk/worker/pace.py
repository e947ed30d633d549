"""How soon a pass that waits for many promises asks again which of them have settled."""

FREE_REDIRECTS = 3  # without a rest: what takes no longer than that is over soon
RESTS_MAX = 3
REST_S_MAX = 10.0


class Pace:
    """The rests of one pass after another, while each finds that something has settled.

    A look costs as much as there are promises, since the body runs again from its first line. Looks one
    after the other would each find the few that have settled meanwhile, and the cost of a join would be that of its
    children times their number. With rests that are longer than the looks, looks have a
    share of the time, whatever their number.
    """

    def __init__(self) -> None:
        """Nothing has been found so far."""
        self._redirects = 0
        self._look_s = 0.0

    def redirected(self, look_s: float) -> None:
        """A look has found something, and took so long with the run of the body before it."""
        self._redirects += 1
        self._look_s = look_s

    def rest_s(self) -> float:
        """How long to wait before the next look."""
        rests = min(max(0, self._redirects - FREE_REDIRECTS), RESTS_MAX)
        return min(rests * self._look_s, REST_S_MAX)
