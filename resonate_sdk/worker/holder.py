"""What the holder of a task may ask: everything is fenced by the version it acquired."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from resonate_sdk.ask import ask, refusal
from resonate_sdk.errors import ResonateError
from resonate_sdk.execution.effects import Done
from resonate_sdk.futures import overlook
from resonate_sdk.protocol import limits, responses, tags
from resonate_sdk.protocol.records import PromiseRecord, TaskRef
from resonate_sdk.protocol.requests import (
    CallbackAction,
    CreateAction,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseSearch,
    PromiseSettle,
    Request,
    SettleAction,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import (
    Answer,
    Fenced,
    PromiseData,
    PromisePage,
    Redirected,
    TaskData,
    TaskGranted,
)
from resonate_sdk.transport import Transport


class LeaseLostError(ResonateError):
    """The task is not ours any more: say nothing, another holder goes on."""


class Granted(Struct, frozen=True, kw_only=True):
    """A task that this process has acquired.

    Attributes:
        root: its promise.
        preload: promises that a replay needs, as far as they were told.
        is_complete: whether they were all told: a server finds them by the branch of the root.
        cut_after: the last for which there was room in the message; None if there was for all.
    """

    task: TaskRef
    root: PromiseRecord
    preload: tuple[PromiseRecord, ...]
    is_complete: bool
    cut_after: str | None = None

    @staticmethod
    def by(data: TaskGranted, *, is_preloaded: bool = True) -> "Granted":
        """What an answer grants, to a request that asked for a preload or did not."""
        ref = TaskRef(id=data.task.id, version=data.task.version)
        return Granted(
            task=ref,
            root=data.promise,
            preload=data.preload,
            is_complete=is_preloaded and not data.preload_cut and tags.BRANCH in data.promise.tags,
            cut_after=data.preload[-1].id if data.preload_cut and data.preload else None,
        )


class Holder:
    """Speaks for this process about a task that it holds, or wants to.

    Attributes:
        origin: root of the tree that the task belongs to.
        version: at which it holds the task; 0 while it does not.
        on_wanted: called when something waits for the grant.
    """

    def __init__(self, transport: Transport, id: str, origin: str, pid: str) -> None:
        """Speak about a task.

        Args:
            transport: the way to the server.
            id: of the task.
            origin: root of the tree it belongs to.
            pid: the name of this process.
        """
        self.id = id
        self.version = 0
        self.on_wanted: Callable[[], None] = ignore
        self._is_answered = asyncio.Event()
        self._refusal: ResonateError | None = None
        self._fulfilling: asyncio.Future[Answer] | None = None
        self._transport = transport
        self.origin = origin
        self._pid = pid

    @staticmethod
    def of(transport: Transport, granted: Granted, pid: str) -> "Holder":
        """Speak about a task that was granted."""
        root = granted.root
        holder = Holder(transport, root.id, root.tags.get(tags.ORIGIN, root.id), pid)
        holder.grant(granted.task.version)
        return holder

    @property
    def has_fulfilled_early(self) -> bool:
        """Whether the result has travelled behind the acquisition."""
        return self._fulfilling is not None

    def grant(self, version: int) -> None:
        """The task is ours: let requests go that waited for its version."""
        assert version > 0, "acquiring a task counts its version up"
        self.version = version
        self._is_answered.set()

    def refuse(self, error: ResonateError) -> None:
        """The task is not ours: requests that wait for its version must not go."""
        self._refusal = error
        self._is_answered.set()

    async def acquire(
        self, version: int, lease_ms: int, done: Done | None = None, *, preload: bool = True
    ) -> Granted | None:
        """Acquire the task; None if somebody else has it, or nobody needs it.

        Args:
            version: at which it is pending.
            lease_ms: how long it is ours without a heartbeat.
            done: the result, if it is there already: it travels in the same message, and `fulfill`
                says what became of it.
            preload: whether to tell what a replay needs, unless there is a result.

        Raises:
            ResonateError: no answer came, or the server refuses for another reason.
        """
        request = TaskAcquire(
            id=self.id,
            version=version,
            pid=self._pid,
            lease_ms=lease_ms,
            preload=preload and done is None,  # else nothing is replayed any more
        )
        if done is None:
            answer = await self._ask(request)
        else:
            answer = await self._ask_chained(request, self._fulfill_request(version + 1, done))
        if isinstance(answer.data, TaskGranted):
            return Granted.by(answer.data, is_preloaded=request.preload)
        if answer.status in (responses.CONFLICT, responses.NOT_FOUND):
            return None
        raise refusal(answer)

    async def adopt(self, version: int | None = None) -> Granted | None:
        """Find out whether an earlier try, whose answer was lost, has acquired the task.

        The name of a process is never used twice: who holds it under our name is us.

        Args:
            version: at which that try would have acquired it; None if that is not known.
        """
        answer = await self._ask(TaskGet(id=self.id))
        if not isinstance(answer.data, TaskData):
            return None
        task = answer.data.task
        if task.state != "acquired" or task.pid != self._pid:
            return None
        if version is not None and task.version != version:
            return None
        root = await self._ask(PromiseGet(id=self.id))
        if not isinstance(root.data, PromiseData):
            return None
        ref = TaskRef(id=task.id, version=task.version)
        return Granted(task=ref, root=root.data.promise, preload=(), is_complete=False)

    async def rest(self, granted: Granted, check: Callable[[], None]) -> tuple[PromiseRecord, ...]:
        """What a replay needs, and had no room in the answer that granted the task.

        It is asked for page by page, where a replay would ask at each call. That finds what belongs
        to the same tree, which need not be all: a preload with a rest does not become complete. A
        page without any ends the search, for a large tree may have much else.

        Args:
            granted: the task.
            check: called before each page; what it raises comes out.
        """
        found: list[PromiseRecord] = []
        branch = granted.root.tags.get(tags.BRANCH, self.id)
        remote = {tags.PARENT: self.id, tags.SCOPE: tags.SCOPE_GLOBAL}
        for relation in ({tags.BRANCH: branch}, remote):
            cursor = granted.cut_after
            while cursor is not None:
                check()
                search = PromiseSearch(
                    tags={tags.ORIGIN: self.origin, **relation},
                    limit=limits.SEARCH_PAGE_MAX,
                    cursor=cursor,
                )
                answer = await self._ask(search)
                if not isinstance(answer.data, PromisePage):
                    return tuple(found)  # a strict server has no searches
                found += (record for record in answer.data.promises if record.id != self.id)
                cursor = answer.data.cursor if answer.data.promises else None
        return tuple(found)

    async def fence(self, action: CreateAction | SettleAction) -> PromiseRecord:
        """Create or settle another promise.

        Raises:
            LeaseLostError: the task is not ours any more, or was not granted.
            ResonateError: no answer came, or the action itself was refused.
        """
        await self._be_granted()
        return self.fenced(await self._ask(self.fence_request(action)))

    async def fence_both(
        self, create: CreateAction, settle: SettleAction
    ) -> tuple[PromiseRecord, PromiseRecord]:
        """Create a promise and settle it, in one chain: without the first, the second is refused.

        Raises:
            LeaseLostError: as of `fence`.
            ResonateError: likewise.
        """
        await self._be_granted()
        creating, settling = self._send_chained(
            create.data.id, self.fence_request(create), self.fence_request(settle)
        )
        try:
            created = await creating
            if created.is_ok:
                settled = await settling
                if settled.status not in responses.RETRYABLE:
                    return self.fenced(created), self.fenced(settled)
                return self.fenced(created), await self.fence(settle)
        finally:
            settling.cancel()
        if created.status in responses.RETRYABLE:
            return await self.fence(create), await self.fence(settle)
        self._check_held(created)
        raise refusal(created)

    def fence_request(self, action: CreateAction | SettleAction) -> TaskFence:
        """The request by which `fence` does it."""
        return TaskFence(id=self.id, version=self.version, action=action, preload=False)

    def fenced(self, answer: Answer) -> PromiseRecord:
        """What an answer to it says; errors as of `fence`."""
        self._check_held(answer)
        assert isinstance(answer.data, Fenced), "a fence that held says what became of its action"
        inner = answer.data.action
        if isinstance(inner.data, PromiseData):
            return inner.data.promise
        raise refusal(Answer(inner.head.status, inner.data))

    async def fulfill(self, done: Done) -> PromiseRecord:
        """Settle the promise of the task.

        Raises:
            LeaseLostError: the task is not ours any more.
            ResonateError: no answer came.
        """
        answer = None if self._fulfilling is None else await self._fulfilling
        if answer is None or not answer.is_ok:
            # A chain that was carried out twice is refused the second time, although its first
            # item was granted: whether the task is ours is decided here.
            answer = await self._ask_as_holder(self._fulfill_request(self.version, done))
        assert isinstance(answer.data, PromiseData), "a fulfilled task shows its promise"
        return answer.data.promise

    async def suspend(
        self, awaited: tuple[str, ...], *, settled_since_ms: int | None
    ) -> Redirected | None:
        """Put the task to sleep; if something has settled meanwhile, that is returned instead.

        Args:
            awaited: what wakes it.
            settled_since_ms: then return what else has settled in the branch, then or later.

        Raises:
            LeaseLostError: the task is not ours any more.
            ResonateError: no answer came.
        """
        actions = tuple(
            CallbackAction(data=PromiseRegisterCallback(awaited=id, awaiter=self.id))
            for id in awaited
        )
        answer = await self._ask_as_holder(
            TaskSuspend(
                id=self.id,
                version=self.version,
                actions=actions,
                preload=settled_since_ms is not None,
                settled_since_ms=settled_since_ms,
            )
        )
        return answer.data if isinstance(answer.data, Redirected) else None

    async def halt(self) -> None:
        """Let nobody have the task until somebody continues it.

        Raises:
            ResonateError: no answer came, or it is over already.
        """
        # Asked once: it has no version, and must not come after somebody has continued the task.
        answer = await ask(self._transport, TaskHalt(id=self.id), origin=self.origin)
        if not answer.is_ok:
            raise refusal(answer)

    async def release(self) -> None:
        """Give the task back.

        Raises:
            LeaseLostError: it is not ours any more.
            ResonateError: no answer came.
        """
        await self._ask_as_holder(TaskRelease(id=self.id, version=self.version))

    def _fulfill_request(self, version: int, done: Done) -> TaskFulfill:
        settle = PromiseSettle(id=self.id, state=done.state, value=done.value)
        return TaskFulfill(id=self.id, version=version, action=SettleAction(data=settle))

    async def _ask_chained(self, acquire: TaskAcquire, fulfill: TaskFulfill) -> Answer:
        """Acquire, and fulfill at a version that nobody has granted yet.

        Outside of a chain that would settle the promise also when somebody else has acquired it.
        """
        acquiring, fulfilling = self._send_chained(self.id, acquire, fulfill)
        try:
            answer = await acquiring
        except ResonateError:
            fulfilling.cancel()
            raise
        if answer.is_ok:
            self._fulfilling = fulfilling
            return answer
        fulfilling.cancel()
        return await self._ask(acquire) if answer.status in responses.RETRYABLE else answer

    def _send_chained(
        self, chain: str, first: Request, second: Request
    ) -> "tuple[asyncio.Future[Answer], asyncio.Future[Answer]]":
        """Send two requests, of which the second is carried out only if the first is."""
        answers = [
            self._transport.request(request, origin=self.origin, chain=chain, timeout_s=None)
            for request in (first, second)
        ]
        answers[1].add_done_callback(overlook)
        return answers[0], answers[1]

    async def _be_granted(self) -> None:
        if self.version == 0:
            self.on_wanted()
            await self._is_answered.wait()
        if self._refusal is not None:
            raise self._refusal

    async def _ask_as_holder(self, request: Request) -> Answer:
        assert self.version > 0, "only who was granted a task speaks as its holder"
        answer = await self._ask(request)
        self._check_held(answer)
        return answer

    def _check_held(self, answer: Answer) -> None:
        if answer.status in (responses.OK, responses.REDIRECT):
            return
        if answer.status in (responses.CONFLICT, responses.NOT_FOUND):
            raise LeaseLostError(str(answer.data))
        raise refusal(answer)

    async def _ask(self, request: Request) -> Answer:
        # However long the server is away: the lease does not run out while it cannot hear us.
        return await ask(self._transport, request, origin=self.origin, timeout_s=None)


def ignore() -> None:
    """Nobody wants to know."""
