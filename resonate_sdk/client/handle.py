"""The result of an execution, to be waited for."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future, TimeoutError as FutureTimeoutError
from shlex import quote
from typing import Any, Generic, TypeVar

from resonate_sdk.errors import HandleTimeout, UsageError
from resonate_sdk.functions.running import is_in_coroutine, is_in_workflow
from resonate_sdk.futures import overlook
from resonate_sdk.options import Seconds, seconds

T = TypeVar("T")


class Handle(Generic[T]):
    """Waits for one promise.

    Attributes:
        id: of the promise.
        future: gets the value, or the exception that the promise was rejected with.

    Example:
        >>> resonate = Resonate.local()
        >>> @resonate.register
        ... def double(ctx, n):
        ...     return 2 * n
        >>> handle = double.begin_run("double-4", 4)
        >>> handle.result(timeout=60), handle.done(), handle.id
        (8, True, 'double-4')
        >>> resonate.stop()
    """

    def __init__(
        self,
        id: str,
        future: "Future[T]",
        created: "Future[None]",
        cancel: Callable[[bool], None] | None = None,
    ) -> None:
        """Made by the client.

        Args:
            id: of the promise.
            future: is completed when the promise settles.
            created: is completed when the promise exists, or could not be made.
            cancel: cancels it, with its descendants or alone.
        """
        self._cancel = cancel
        self.id = id
        self.future = future
        self._created = created

    def result(self, timeout: Seconds | None = None) -> T:
        """Wait for the value.

        Args:
            timeout: how long to wait; the execution goes on when it is over.

        Raises:
            HandleTimeout: the wait was over; `result` may be called again.
            CanceledError: the promise was canceled.
            TimedOutError: its deadline passed.
            Exception: what the function raised.
        """
        refuse_blocking(self.id)
        try:
            return self.future.result(None if timeout is None else seconds(timeout))
        except FutureTimeoutError as error:
            if self.future.done():
                raise error.with_traceback(None)  # noqa: B904  # it is that one itself
            raise HandleTimeout(
                f"promise {self.id!r} was not settled within {timeout} s of waiting; it goes on, and "
                f"`resonate why {quote(self.id)}` or resonate_sdk.debug.explain(resonate, {self.id!r}) tell "
                "what it waits for"
            ) from None
        except Exception as error:  # noqa: BLE001  # it goes on, without lines of ours
            raise error.with_traceback(None)  # noqa: B904  # it is that one itself

    def done(self) -> bool:
        """Whether the promise is settled, as far as this process has heard."""
        return self.future.done()

    def created(self, timeout: Seconds | None = None) -> "Handle[T]":
        """Wait until the promise exists.

        Raises:
            HandleTimeout: the wait was over.
            ResonateError: it could not be created.
        """
        refuse_blocking(self.id)
        try:
            self._created.result(None if timeout is None else seconds(timeout))
        except FutureTimeoutError:
            if self._created.done():
                raise
            raise HandleTimeout(
                f"promise {self.id!r} was not created within {timeout} s of waiting"
            ) from None
        return self

    def cancel(self, *, tree: bool = True) -> None:
        """Cancel the promise: `result` raises `CanceledError` if it was not settled before.

        Args:
            tree: cancel also everything pending that was called for it.
        """
        assert self._cancel is not None, "the client has made this handle"
        self.created()
        self._cancel(tree)

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait without blocking the event loop."""
        waited = asyncio.wrap_future(self.future)
        waited.add_done_callback(overlook)
        # Shielded, since a coroutine that gives up waiting must not cancel what others wait for.
        return asyncio.shield(waited).__await__()

    def __repr__(self) -> str:
        """Show the id and whether it is done."""
        return f"<Handle {self.id!r} {'done' if self.done() else 'waiting'}>"


def refuse_blocking(
    what: str, instead: str = "`await function.begin_run(...)`, or `await handle` instead"
) -> None:
    """Refuse a blocking wait where it would stop everything else that runs on this thread.

    Args:
        what: is waited for: the id of a promise, or a kind of request.
        instead: what to write on the thread of an event loop.

    Raises:
        UsageError: it is the thread of an event loop, or the body of a durable function.
    """
    if is_in_workflow():
        keyword = "await" if is_in_coroutine() else "yield"
        raise UsageError(
            f"waiting for {what!r} would block a durable function: write `{keyword} ctx.run(...)`, "
            f"`{keyword} ctx.rpc(...)` or `{keyword} ctx.promise(...)`"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(f"waiting for {what!r} would block the running event loop: write {instead}")
