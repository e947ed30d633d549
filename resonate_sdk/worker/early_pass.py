"""The first pass of an execution, begun while its task is being acquired."""

import asyncio
from collections.abc import Callable

from resonate_sdk.execution.effects import Done, Outcome
from resonate_sdk.execution.execution import Execution
from resonate_sdk.futures import overlook
from resonate_sdk.worker.holder import Granted, Holder, LeaseLostError, ignore
from resonate_sdk.worker.pass_driver import PassDriver

HOLD_BACK_S = 0.001  # so long an acquisition waits for a result that can travel with it


class Departure:
    """Acquisitions that leave in one message: when all their passes are ready, or after a moment."""

    def __init__(self) -> None:
        """Wait for passes, from now on."""
        self.has_left = asyncio.Event()
        self._missing = 0
        # The passes are handed to their threads in the next two turns: the moment begins then. In
        # two more turns after it a busy loop notices which passes have ended in time.
        _in_two_turns(self._begin)

    def _begin(self) -> None:
        asyncio.get_running_loop().call_later(HOLD_BACK_S, _in_two_turns, self.has_left.set)

    def expect(self) -> None:
        """One more pass is going to call `ready`."""
        self._missing += 1

    def ready(self) -> None:
        """A pass has ended, or waits for its grant."""
        self._missing -= 1
        if self._missing == 0:
            self.has_left.set()


class MustWaitError(Exception):
    """The function was registered to run only when its task is acquired."""


class EarlyPass:
    """Nothing of it reaches the server before the grant, but a result behind the acquisition.

    Attributes:
        holder: asks for the task; what the pass wants to write waits in it.
        driver: drives the pass.
        is_taken: whether it was let go on with a grant.
    """

    def __init__(
        self, assumed: Granted, holder: Holder, driver: PassDriver, departure: Departure
    ) -> None:
        """Prepare a pass.

        Args:
            assumed: what a grant is going to say if nobody else has had the task.
            holder: of the task, as soon as it is granted.
            driver: of the pass.
            departure: of the acquisition.
        """
        self.holder = holder
        self.driver = driver
        holder.on_wanted = self._ready
        departure.expect()
        self._departure = departure
        self._is_ready = False
        self._assumed = assumed
        self._is_given_up = False
        self.is_taken = False
        self._ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._ended.add_done_callback(overlook)

    async def run(self, prepare: Callable[[], Execution | Done]) -> None:
        """Run the pass to its outcome."""
        try:
            self._ended.set_result(await self.driver.drive(prepare))
        except Exception as error:  # noqa: BLE001  # it belongs to who waits for the outcome
            self._is_given_up |= isinstance(error, MustWaitError)
            self._ended.set_exception(error)
        finally:
            self._ended.cancel()  # without effect unless this task was cancelled
            self._ready()

    async def hold_back(self) -> Done | None:
        """Wait until the pass needs the grant, for a moment at most.

        Returns:
            The result of the pass, if it has one already.
        """
        await self._departure.has_left.wait()
        if not self._ended.done() or self._ended.cancelled() or self._ended.exception():
            return None
        outcome = self._ended.result()
        return outcome if isinstance(outcome, Done) else None

    @property
    def has_fulfilled(self) -> bool:
        """Whether the result has travelled behind the acquisition: nothing can change it then."""
        return self.holder.has_fulfilled_early

    def take(self, granted: Granted) -> bool:
        """Let the pass go on with a grant, if that says what was assumed; else give it up."""
        is_as_assumed = granted.root == self._assumed.root and not granted.preload
        if self._is_given_up or not (is_as_assumed or self.has_fulfilled):
            self.give_up()
            return False
        self.holder.grant(granted.task.version)
        self.is_taken = True
        return True

    def give_up(self) -> None:
        """Unless it was taken, let nothing of the pass have an effect: it ends with its functions."""
        if self.is_taken:
            return
        self._is_given_up = True
        error = LeaseLostError("the task was not granted as it was assumed")
        self.driver.abandon(error)
        self.holder.refuse(error)

    async def outcome(self) -> Outcome | None:
        """Wait until the pass has ended, and its bodies are closed unless it sleeps.

        Returns:
            As `PassDriver.drive`; None if the pass was given up.

        Raises:
            StoppingError: as `PassDriver.drive`.
            ResonateError: likewise.
        """
        if not self._ended.done():
            await asyncio.wait((self._ended,))
        return None if self._is_given_up else self._ended.result()

    async def end(self) -> None:
        """Give it up, unless it has ended, and wait until its bodies are closed."""
        if not self._ended.done():
            self.give_up()
            await asyncio.wait((self._ended,))

    def _ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self.holder.on_wanted = ignore
            self._departure.ready()


def _in_two_turns(call: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: loop.call_soon(call))
