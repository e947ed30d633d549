"""Carries out the kernel's submissions beside it, on the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from resonate_broker.aio.calls import CallSubsystem
from resonate_broker.aio.messages import MessageSubsystem
from resonate_broker.aio.store import StoreSubsystem
from resonate_broker.aio.triggers import TriggerSubsystem
from resonate_broker.kernel.entries import CQE, AioCQE, AioSQE
from resonate_broker.kernel.submissions import (
    AioCompletion,
    AioSubmission,
    Begin,
    CreateTrigger,
    Declare,
    EndTrigger,
    Outgoing,
    Probe,
    Publish,
    Published,
    ReadTriggers,
    Write,
)

EFFECTS_MAX = 1_000  # that are under way at a time


class EventLoopAIO:
    """The kernel's way to the database and the broker."""

    def __init__(
        self,
        store: StoreSubsystem,
        messages: MessageSubsystem,
        calls: CallSubsystem,
        triggers: TriggerSubsystem,
    ) -> None:
        """Serve from these subsystems."""
        self._triggers = triggers
        self._calls = calls
        self._store = store
        self._messages = messages
        self._submitted: list[AioSQE] = []
        self._behind: list[AioSQE] = []  # what follows the answers
        self._completed = deque[AioCQE]()
        self._under_way = set[asyncio.Task[None]]()
        self._tasks: asyncio.TaskGroup | None = None
        self._wake: Callable[[], None] | None = None

    def start(self, tasks: asyncio.TaskGroup, wake: Callable[[], None]) -> None:
        """Let `tasks` own the effects, and call `wake` when one of them is done."""
        self._tasks = tasks
        self._wake = wake

    def try_submit(self, sqe: AioSQE) -> bool:
        """Take a submission, unless too many are under way.

        The steps of the one transaction always have room, however many messages wait.
        """
        count = len(self._under_way) + len(self._submitted) + len(self._behind)
        is_full = count >= EFFECTS_MAX
        if is_full and not isinstance(sqe.submission, Begin | Write):
            return False
        self._submitted.append(sqe)
        return True

    def flush(self) -> None:
        """Begin with what was submitted.

        What the next batch waits for is begun at once; messages follow a turn of the loop later,
        behind the answers: a hint without an exchange closes the channel for all that comes after.
        """
        submitted, self._submitted = self._submitted, []
        for sqe in submitted:
            if isinstance(sqe.submission, Begin | Write):
                self._begin(sqe)
            else:
                self._behind.append(sqe)
        if self._behind:
            asyncio.get_running_loop().call_soon(self._begin_behind)

    def _begin_behind(self) -> None:
        behind, self._behind = self._behind, []
        for sqe in behind:
            self._begin(sqe)

    def _begin(self, sqe: AioSQE) -> None:
        assert self._tasks is not None, "the AIO was started"
        task = self._tasks.create_task(self._carry_out(sqe))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def cancel(self) -> None:
        """Give up what is under way."""
        self._behind.clear()
        for task in tuple(self._under_way):
            task.cancel()

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        """Take what is done, oldest first."""
        return [self._completed.popleft() for _ in range(min(count_max, len(self._completed)))]

    async def _carry_out(self, sqe: AioSQE) -> None:
        assert self._wake is not None, "the AIO was started"
        completion = await self._serve(sqe.submission)
        self._completed.append(CQE(completion, sqe.callback))
        self._wake()

    def _serve(self, submission: AioSubmission) -> Coroutine[Any, Any, AioCompletion]:
        match submission:
            case Begin(load=load):
                return self._store.begin(load)
            case Write(changes=changes):
                return self._store.write(changes)
            case Declare(group=group):
                return self._messages.declare(group)
            case Probe(group=group):
                return self._messages.probe(group)
            case Publish(messages=messages):
                return self._publish(messages)
            case CreateTrigger(trigger=trigger):
                return self._triggers.create(trigger)
            case ReadTriggers():
                return self._triggers.read()
            case EndTrigger(id=id):
                return self._triggers.end(id)
            case _:
                return self._store.read(submission)

    async def _publish(self, outgoing: Sequence[Outgoing]) -> Published:
        calls = [message for message in outgoing if message.is_call]
        if not calls:
            return await self._messages.publish(outgoing)
        async with asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(self._calls.publish(calls))
            others = [message for message in outgoing if not message.is_call]
            published = await self._messages.publish(others)
        return Published(published.told + calling.result())
