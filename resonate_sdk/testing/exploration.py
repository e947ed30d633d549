"""What becomes of an execution when its process dies: once at every place where that may happen."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.function import Function
from resonate_sdk.options import Seconds, seconds
from resonate_sdk.testing.environment import Environment, Process, Registrable
from resonate_sdk.testing.wire import Side

RUNS_MAX = 10_000
TIME_LIMIT_S = 300.0
SIDES: tuple[Side, ...] = ("before", "after")
GROUP = "default"

Place = tuple[str, Side]


class Ending(Struct, frozen=True):
    """How a run ended.

    Attributes:
        value: what the function returned.
        error: type and text of what it raised.
        seconds: how much time had passed.
    """

    value: Any = None
    error: str | None = None
    seconds: float = 0.0

    def is_like(self, other: "Ending") -> bool:
        """Whether both ended in the same way, at whatever time."""
        return (self.value, self.error) == (other.value, other.error)


class Run(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        crashes: where the process died: at requests as the journal names them, before the server
            had heard of them or after it had carried them out.
        repeated: promises whose functions were run again, since they had ended when the process
            died and nobody knew.
        ending: how it ended.
    """

    crashes: tuple[Place, ...]
    repeated: tuple[str, ...]
    ending: Ending


class Exploration(Struct, frozen=True, kw_only=True):
    """All runs of an exploration.

    Attributes:
        expected: how it ends when nothing dies.
        checkpoints: the places where the process was made to die.
        runs: one per way to die.
    """

    expected: Ending
    checkpoints: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def differing(self) -> tuple[Run, ...]:
        """Runs that ended in another way than that without a crash."""
        return tuple(run for run in self.runs if not run.ending.is_like(self.expected))

    @property
    def repeated(self) -> tuple[str, ...]:
        """Promises whose functions were run twice in some run: what they do must bear that."""
        return tuple(sorted({id for run in self.runs for id in run.repeated}))

    def check(self) -> "Exploration":
        """Fail if a crash has changed the result.

        Raises:
            AssertionError: it has; the message says where the process died.
        """
        if self.differing:
            run = self.differing[0]
            raise AssertionError(
                f"{len(self.differing)} of {len(self.runs)} runs ended differently: "
                f"without a crash {_text(self.expected)}, "
                f"{_crashes(run.crashes)} {_text(run.ending)}"
            )
        return self


def explore(
    func: Registrable | str,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    register: Iterable[Registrable] = (),
    crashes: int = 1,
    id: str = "explored",
    prepare: Callable[[Environment], None] | None = None,
    time_limit: Seconds = TIME_LIMIT_S,
    **keywords: Any,
) -> Exploration:
    """Run a function again and again, and let its process die at another place each time.

    The process is started again at once, and goes on when the lease of the dead one has run out.
    Time is virtual, so that costs none. Fails if a result differs from that without a crash.

    Args:
        func: the function, or its name.
        args: its arguments.
        kwargs: likewise.
        register: further functions it needs, and fakes.
        crashes: how often the process dies in one run; with more than one, in every combination of
            places, which may be many.
        id: of the execution.
        prepare: called with each new environment, to start other workers or create promises.
        time_limit: how long all of it may take, in seconds that really pass.
        keywords: for the process, such as `dependencies`.

    Raises:
        AssertionError: a crash has changed the result.
        TimeoutError: the time is over; the message says how far it came.

    Example:
        >>> def step(ctx, n):
        ...     return n + 1
        >>> def three(ctx):
        ...     n = 0
        ...     for _ in range(3):
        ...         n = yield ctx.run(step, n)
        ...     return n
        >>> exploration = explore(three)
        >>> exploration.expected.value, len(exploration.runs)
        (3, 14)
        >>> exploration.repeated
        ('explored', 'explored.1', 'explored.2', 'explored.3')
    """
    limit = _Limit(seconds(time_limit))

    def run(places: tuple[Place, ...]) -> tuple[Run, Sequence[str]]:
        limit.begin(places)
        with Environment() as env:
            for other in (*register, *(() if isinstance(func, str) else (func,))):
                env.register(other)
            if prepare is not None:
                prepare(env)
            process = env.worker(GROUP, **keywords)
            ending, repeated = _run_once(env, process, places, func, args, kwargs or {}, id, limit)
            steps = [e.what for e in env.journal if e.is_checkpoint and e.pid == process.pid]
            return Run(crashes=places, repeated=tuple(repeated), ending=ending), steps

    whole, checkpoints = run(())
    places = list(_places(checkpoints))
    runs = [
        run(chosen)[0]
        for count in range(1, crashes + 1)
        for chosen in _limited(combinations(places, count))
    ]
    return Exploration(
        expected=whole.ending, checkpoints=tuple(checkpoints), runs=tuple(runs)
    ).check()


def _run_once(
    env: Environment,
    process: Process,
    places: Sequence[Place],
    func: Registrable | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    id: str,
    limit: "_Limit",
) -> tuple[Ending, Sequence[str]]:
    client = env.client("caller").options(target=GROUP)
    repeated: list[str] = []
    called: Any = func.func if isinstance(func, Function) else func
    handle = client.begin_rpc(id, called, *args, **kwargs)
    for what, side in places:
        env.crash(process, at=what, side=side)
        env.run_until(lambda: process.is_dead or handle.done() or limit.is_over())
        limit.check(env.elapsed_s)
        if not process.is_dead:
            break  # this run does not come to that place
        action, _, settled = what.partition(":")
        if action in ("settle", "fulfill") and side == "before":
            repeated.append(settled)
        env.restart(process)
    env.run_until(lambda: handle.done() or limit.is_over())
    limit.check(env.elapsed_s)
    try:
        ending = Ending(value=handle.result(), seconds=env.elapsed_s)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001  # how it ended is what is asked for
        ending = Ending(error=f"{type(error).__name__}: {error}", seconds=env.elapsed_s)
    return ending, repeated


class _Limit:
    """How long an exploration may take."""

    def __init__(self, time_limit_s: float) -> None:
        self._time_limit_s = time_limit_s
        self._ends_at_s = time.monotonic() + time_limit_s
        self._runs = 0
        self._places: tuple[Place, ...] = ()

    def begin(self, places: tuple[Place, ...]) -> None:
        """Another run begins."""
        self._runs += 1
        self._places = places

    def is_over(self) -> bool:
        return time.monotonic() > self._ends_at_s

    def check(self, elapsed_s: float) -> None:
        if self.is_over():
            raise TimeoutError(
                f"the exploration took more than {self._time_limit_s:g} s: its run {self._runs}, "
                f"{_crashes(self._places)}, has not ended after {elapsed_s:g} s of its own time; "
                "if it ends at all, give it a longer time_limit= or fewer crashes="
            )


def _crashes(places: Sequence[Place]) -> str:
    if not places:
        return "without a crash"
    return "with a crash " + ", then ".join(f"{side} {what}" for what, side in places)


def _places(checkpoints: Sequence[str]) -> Iterator[Place]:
    for what in dict.fromkeys(checkpoints):
        for side in SIDES:
            yield what, side


def _limited(ways: Iterator[tuple[Place, ...]]) -> Iterator[tuple[Place, ...]]:
    for count, way in enumerate(ways):
        if count == RUNS_MAX:
            raise UsageError(f"more than {RUNS_MAX} ways to die: explore with fewer crashes")
        yield way


def _text(ending: Ending) -> str:
    return f"raised {ending.error}" if ending.error is not None else f"gave {ending.value!r}"
