"""What becomes of a task that cannot go on here: it is given back, later and later, or halted."""

import logging
from collections.abc import Awaitable, Callable

from resonate_sdk.errors import NondeterminismError, ResonateError, StoreError, TransportError
from resonate_sdk.execution.environment import Environment
from resonate_sdk.hooks import Happening, Occasion
from resonate_sdk.worker.failures import Failures, delay_s
from resonate_sdk.worker.holder import Holder, LeaseLostError
from resonate_sdk.worker.pass_driver import PassDriver, StoppingError
from resonate_sdk.worker.reports import Reports
from resonate_sdk.worker.threads import Threads

logger = logging.getLogger(__name__)


class GivingBack:
    """Sees to the tasks of a worker whose passes fail."""

    def __init__(
        self,
        environment: Environment,
        threads: Threads,
        reports: Callable[[Holder], Reports],
        *,
        poison_attempts: int,
        on_suspended: Callable[[str], None],
    ) -> None:
        """Know of no failure.

        Args:
            environment: what the functions run in.
            threads: run code of the user's.
            reports: tells the server what fails.
            poison_attempts: after so many failures in a row, which are not its function's, a task
                is halted.
            on_suspended: told of each promise whose pass has ended without a settlement.
        """
        self._environment = environment
        self._threads = threads
        self._reports = reports
        self._poison_attempts = poison_attempts
        self._on_suspended = on_suspended
        self._failures = Failures()

    async def run(
        self, holder: Holder, driver: PassDriver, passes: Callable[[], Awaitable[None]]
    ) -> None:
        """Run the passes of a task; if they fail, it is not ours any more in the end."""
        try:
            await passes()
            self._failures.forget(holder.id)
            return
        except LeaseLostError as error:
            self._lost(holder, error)
            return
        except StoppingError as error:
            logger.info("task is given back task_id=%s reason=%s", holder.id, error)
        except Exception as error:  # noqa: BLE001  # the server's trouble, the user's or our own
            try:
                if await self._is_halted(holder, error):
                    return
                await self._delay_release(holder, error, driver)
            except LeaseLostError as lost:
                self._lost(holder, lost)
                return
        await self._release(holder)
        self._on_suspended(holder.id)

    def _lost(self, holder: Holder, error: LeaseLostError) -> None:
        logger.info(
            "lease was lost task_id=%s version=%d reason=%s", holder.id, holder.version, error
        )
        self._tell_hooks("fence_lost", holder, error)
        self._on_suspended(holder.id)

    async def _is_halted(self, holder: Holder, error: Exception) -> bool:
        """Halt a task that cannot go on, however often it is tried; False if it may still."""
        attempts = self._failures.count(holder.id) + 1
        is_of_server = isinstance(error, StoreError | TransportError)
        is_poison = not is_of_server and attempts >= self._poison_attempts
        if not is_poison and not isinstance(error, NondeterminismError):
            return False
        self._reports(holder).tell(error, attempts, None)  # goes first: halted, it is not ours
        try:
            await holder.halt()
        except ResonateError as refused:
            logger.warning("task was not halted task_id=%s reason=%s", holder.id, refused)
            return False
        self._failures.forget(holder.id)
        logger.error(
            "task was halted: mend what is wrong, then continue it task_id=%s reason=%s",
            holder.id,
            error,
        )
        self._tell_hooks("poison", holder, error)
        self._on_suspended(holder.id)
        return True

    async def _delay_release(self, holder: Holder, error: Exception, driver: PassDriver) -> None:
        """Keep the lease a while: a task that is given back is dispatched again at once.

        Raises:
            LeaseLostError: the lease was lost meanwhile.
        """
        attempts = self._failures.add(holder.id)
        exc_info = None if isinstance(error, ResonateError) else error
        logger.log(
            logging.WARNING if exc_info is None else logging.ERROR,
            "task cannot go on here task_id=%s attempt=%d reason=%s",
            holder.id,
            attempts,
            error,
            exc_info=exc_info,
        )
        pause_s = delay_s(holder.id, attempts)
        self._reports(holder).tell(error, attempts, pause_s)
        await driver.pause(pause_s)

    async def _release(self, holder: Holder) -> None:
        try:
            await holder.release()
        except ResonateError as error:
            logger.info("task was not given back task_id=%s reason=%s", holder.id, error)

    def _tell_hooks(self, occasion: Occasion, holder: Holder, error: Exception) -> None:
        """Tell the program; on a thread, since that runs code of the user's."""
        hooks = self._environment.hooks
        if not hooks:
            return
        happening = Happening(
            occasion=occasion,
            id=holder.id,
            origin_id=holder.origin,
            at_ms=self._environment.now_ms(),
            error=error,
        )
        self._threads.call(hooks.tell, happening)  # whose end nobody waits for
