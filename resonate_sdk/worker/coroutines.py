"""Runs the coroutines of durable functions, on an event loop that is not that of the connections."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, Literal

from resonate_sdk.execution.bodies import Raised, Returned
from resonate_sdk.execution.effects import Awaited, Begun, CoroutineMoved, RunCoroutine
from resonate_sdk.functions.ops import Op, Pending
from resonate_sdk.functions.running import RUNNING, Running

Push = Callable[[CoroutineMoved], None]


class CoroutineRunner:
    """One coroutine: steps it, and tells what it begins and what it waits for.

    Everything but the constructor happens on the loop that the coroutine runs on.
    """

    def __init__(self, effect: RunCoroutine, push: Push, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare to run a coroutine.

        Args:
            effect: the coroutine.
            push: takes what is to be told; any thread may call it.
            loop: where it runs.
        """
        self.loop = loop
        self._number = effect.body.number
        self._awaitable = effect.body.awaitable
        self._scope = effect.scope
        self._context = effect.context
        self._variables = effect.variables
        self._push = push
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tickets = 0
        self._received = 0
        self._moves: list[Begun | Awaited] = []
        self._now: Literal["running", "parked", "foreign"] = "running"
        self._is_flush_due = False
        self._has_run = False
        self._is_over = False
        self.closed = Future[None]()
        effect.body.is_taken = True

    @property
    def is_busy(self) -> bool:
        """Whether it does something of its own, and does not only wait for calls of ours."""
        if self._is_over:
            return False
        return self._now == "running" or (self._now == "foreign" and not self._waiting)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Run it to where it first waits."""
        if self._is_over:
            return
        running = Running(self._context, is_body=True, awaiter=self)
        self._variables.run(RUNNING.set, running)
        self._scope.on_made = self._made
        main = self._main()
        try:
            self._task = group.create_task(main, context=self._variables)
        except RuntimeError:  # the loop is being ended
            main.close()
            self._ends(Raised(asyncio.CancelledError()))
            self._closed()
            return
        self._task.add_done_callback(lambda _: self._closed())

    def send(self, ticket: int, outcome: Returned | Raised) -> None:
        """Something that it waits for has ended."""
        self._received += 1
        waiting = self._waiting.pop(ticket, None)
        if waiting is None or waiting.done():
            self._flush()  # whoever waited has given up: say that this has changed nothing
            return
        match outcome:
            case Returned(value=value):
                waiting.set_result(value)
            case Raised(error=error):
                waiting.set_exception(error)
        if self._now == "foreign":
            self._flush()

    def close(self) -> None:
        """Cancel it: whatever it does about that has no effect any more."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        else:
            self._closed()

    def wait(self, op: Op[Any]) -> Generator[Any, Any, Any]:
        """Wait for an operation on behalf of the coroutine, or of a task that it has started."""
        if self._is_over:
            raise asyncio.CancelledError
        self._tickets += 1
        ticket = self._tickets
        future = self.loop.create_future()
        self._waiting[ticket] = future
        self._moves.append(Awaited(ticket, op))
        self._flush_soon()
        try:
            return (yield from future)
        finally:
            self._waiting.pop(ticket, None)

    def parks(self, waited: Any) -> None:
        """The coroutine waits for a future of the loop, which may be one of ours."""
        is_ours = any(waited is future for future in self._waiting.values())
        self._now = "parked" if is_ours else "foreign"
        self._flush()

    def wakes(self) -> None:
        """The coroutine goes on."""
        self._now = "running"

    def _made(self, op: Op[Any]) -> None:
        assert isinstance(op, Pending), "only commands are made"
        self._moves.append(Begun(op))
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Tell in the next turn of the loop: until then the call may get options."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self.loop.call_soon(self._flush_due)

    def _flush_due(self) -> None:
        self._is_flush_due = False
        if self._moves:
            self._flush()

    def _flush(self) -> None:
        if self._is_over or self._now == "running":
            return  # what runs tells when it waits or ends
        self._tell(self._now)

    def _tell(self, now: Literal["parked", "foreign"] | Returned | Raised) -> None:
        moves, self._moves = tuple(self._moves), []
        self._push(CoroutineMoved(self._number, moves, self._received, now))

    async def _main(self) -> None:
        self._has_run = True
        outcome: Returned | Raised
        try:
            outcome = Returned(await _Watched(self, self._awaitable))
        except asyncio.CancelledError as error:
            self._ends(Raised(error))
            raise
        except BaseException as error:  # noqa: BLE001  # the body's own errors are its outcome
            outcome = Raised(error)
        self._ends(outcome)

    def _ends(self, outcome: Returned | Raised) -> None:
        if not self._is_over:
            self._is_over = True
            self._tell(outcome)

    def _closed(self) -> None:
        if not self._has_run:
            discard(self._awaitable)
        if not self.closed.done():
            self.closed.set_result(None)
            # These know this runner: Python's collector of cycles need not find that out.
            self._task = self._scope.on_made = None
            del self._variables


class _Watched:
    """An awaitable whose waits are seen on their way to the loop."""

    def __init__(self, runner: CoroutineRunner, awaitable: Awaitable[Any]) -> None:
        self._runner = runner
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._awaitable.__await__()
        value, error = None, None
        while True:
            try:
                waited = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                value, error = None, None  # an error knows its frames, and they would know it
            self._runner.parks(waited)
            try:
                value = yield waited
            except BaseException as thrown:  # noqa: BLE001  # it is for the body, CancelledError too
                error = thrown
            self._runner.wakes()


def discard(awaitable: Any) -> None:
    """Drop something that will never be awaited."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
