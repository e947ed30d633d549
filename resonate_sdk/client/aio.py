"""The client for coroutines: the same names, and nothing of it blocks the event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from resonate_sdk.client.handle import Handle
from resonate_sdk.client.promises import PromiseRecord, Promises
from resonate_sdk.client.schedules import Schedule, ScheduleDefinition, Schedules
from resonate_sdk.functions.function import Function
from resonate_sdk.options import Seconds
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import PromiseState

if TYPE_CHECKING:
    from resonate_sdk.client.resonate import Resonate

P = ParamSpec("P")
T = TypeVar("T")


class AsyncResonate:
    """A view of a client: `await resonate.aio.run("id", function, 1)`.

    Attributes:
        promises: promises outside of executions.
        schedules: promises at the instants of a calendar.

    Example:
        >>> import asyncio
        >>> resonate = Resonate.local()
        >>> @resonate.register
        ... def double(ctx, n):
        ...     return 2 * n
        >>> async def main():
        ...     return await resonate.aio.run("double-4", double, 4)
        >>> asyncio.run(main())
        8
        >>> resonate.stop()
    """

    def __init__(self, client: "Resonate") -> None:
        """Made by the client."""
        self._client = client
        self.promises = AsyncPromises(client.promises)
        self.schedules = AsyncSchedules(client.schedules)

    @overload
    async def run(
        self, id: str, /, func: Function[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def run(
        self, id: str, /, func: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def run(self, id: str, /, func: str, *args: Any, **kwargs: Any) -> Any: ...
    async def run(self, id: str, /, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a function in this process as the execution `id`, and wait for its result."""
        return await self._client.begin_run(id, func, *args, **kwargs)

    @overload
    async def rpc(
        self, id: str, /, func: Function[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def rpc(
        self, id: str, /, func: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def rpc(self, id: str, /, func: str, *args: Any, **kwargs: Any) -> Any: ...
    async def rpc(self, id: str, /, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a function in any worker of the target's group, and wait for its result."""
        return await self._client.begin_rpc(id, func, *args, **kwargs)

    @overload
    async def get(self, id: str, *, type: type[T]) -> Handle[T]: ...
    @overload
    async def get(self, id: str, *, type: Any = ...) -> Handle[Any]: ...
    async def get(self, id: str, *, type: Any = Any) -> Handle[Any]:
        """Wait for a promise that exists; args and errors are those of the client's method."""
        return await _in_thread(self._client.get)(id, type=type)

    async def cancel(self, id: str, *, tree: bool = True) -> None:
        """Cancel an execution; args and errors are those of the client's method."""
        await _in_thread(self._client.cancel)(id, tree=tree)

    async def schedule(
        self,
        id: str,
        cron: str,
        func: Callable[Concatenate[Any, ...], Any] | str,
        *args: Any,
        **kwargs: Any,
    ) -> "AsyncSchedule":
        """Call a function at the instants of a calendar; see the client's method."""
        schedule = await _in_thread(self._client.schedule)(id, cron, func, *args, **kwargs)
        return AsyncSchedule(schedule)

    async def pending_versions(self, name: str) -> dict[int, int]:
        """Count the pending executions of a function by version."""
        return await _in_thread(self._client.pending_versions)(name)

    async def stop(self, timeout: Seconds = 30.0) -> None:  # noqa: ASYNC109  # it is handed on
        """Stop the client; args are those of the client's method."""
        await _in_thread(self._client.stop)(timeout)


class AsyncPromises:
    """Promises outside of executions; args and errors are those of the client's methods."""

    def __init__(self, promises: Promises) -> None:
        """Made by the client."""
        self.create = _in_thread(promises.create)
        self.resolve = _in_thread(promises.resolve)
        self.reject = _in_thread(promises.reject)
        self.cancel = _in_thread(promises.cancel)
        self._promises = promises

    @overload
    async def get(self, id: str, *, type: type[T]) -> PromiseRecord[T]: ...
    @overload
    async def get(self, id: str, *, type: Any = ...) -> PromiseRecord[Any]: ...
    async def get(self, id: str, *, type: Any = Any) -> PromiseRecord[Any]:
        """Look at a promise."""
        return await _in_thread(self._promises.get)(id, type=type)

    async def search(
        self,
        *,
        id: str = "*",
        state: PromiseState | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int = limits.SEARCH_PAGE_DEFAULT,
    ) -> Sequence[PromiseRecord[Any]]:
        """Find promises by tags; all of them are fetched, `limit` at a time."""
        return await _in_thread(
            lambda: list(self._promises.search(id=id, state=state, tags=tags, limit=limit))
        )()


class AsyncSchedule:
    """A schedule as the server showed it; attributes are those of `Schedule`."""

    def __init__(self, schedule: Schedule) -> None:
        """Wrap one."""
        self.id = schedule.id
        self.cron = schedule.cron
        self.timezone = schedule.timezone
        self.next_run = schedule.next_run
        self.last_run = schedule.last_run
        self._schedule = schedule

    async def delete(self) -> None:
        """End it; what it has created stays."""
        await _in_thread(self._schedule.delete)()

    async def runs(self) -> Sequence[PromiseRecord[Any]]:
        """The promises that it has created; all of them are fetched."""
        return await _in_thread(lambda: list(self._schedule.runs()))()

    def __repr__(self) -> str:
        """Show id and calendar."""
        return repr(self._schedule)


class AsyncSchedules:
    """Schedules of a server; args and errors are those of the client's methods."""

    def __init__(self, schedules: Schedules) -> None:
        """Made by the client."""
        self._schedules = schedules
        self.delete = _in_thread(schedules.delete)

    async def create(
        self, id: str, cron: str, **definition: Unpack[ScheduleDefinition]
    ) -> AsyncSchedule:
        """Create a schedule; doing it again with the same definition does nothing."""
        return AsyncSchedule(await _in_thread(self._schedules.create)(id, cron, **definition))

    async def get(self, id: str) -> AsyncSchedule:
        """Look at a schedule."""
        return AsyncSchedule(await _in_thread(self._schedules.get)(id))

    async def search(
        self, *, tags: Mapping[str, str] | None = None, limit: int = limits.SCHEDULE_PAGE_DEFAULT
    ) -> Sequence[AsyncSchedule]:
        """Find schedules by the tags of their promises; all are fetched, `limit` at a time."""
        found = await _in_thread(lambda: list(self._schedules.search(tags=tags, limit=limit)))()
        return [AsyncSchedule(schedule) for schedule in found]


def _in_thread(method: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, *args, **kwargs)

    return call
