"""A state while one request changes it: the deadline rule, settlement, and waking."""

from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from tests.model.state import NOBODY, Json, Promise, State, Task


class Draft:
    """A copy of a state that may be changed.

    The specification leaves open when the awaiters of a settled promise are woken: with the
    settlement, or in steps of their own. So there are two drafts of each request.
    """

    def __init__(self, state: State, now: int, *, is_eager: bool, is_strict: bool = False) -> None:
        self.promises = dict(state.promises)
        self.schedules = dict(state.schedules)
        self.callbacks = dict(state.callbacks)
        self.listeners = dict(state.listeners)
        self.now = now
        self._is_eager = is_eager
        self.is_strict = is_strict

    def state(self) -> State:
        """What the draft has become."""
        return State(
            promises=self.promises,
            schedules=self.schedules,
            callbacks=self.callbacks,
            listeners=self.listeners,
        )

    def look(self, id: str) -> Promise | None:
        """The promise as everybody sees it: its deadline has an effect the moment it has come."""
        promise = self.promises.get(id)
        if promise is None or promise.state != "pending" or promise.timeout_at > self.now:
            return promise
        verdict = "resolved" if promise.is_timer else "rejected_timedout"
        return self._leave_pending(promise, verdict, promise.value, promise.timeout_at)

    def settle(self, promise: Promise, state: str, value: Json) -> Promise:
        """A client settles it."""
        return self._leave_pending(promise, state, value, self.now)

    def _leave_pending(self, promise: Promise, state: str, value: Json, at: int) -> Promise:
        task = promise.task and Task(state="fulfilled", version=promise.task.version)
        settled = replace(promise, state=state, value=value, settled_at=at, task=task)
        self.promises[promise.id] = settled
        if self._is_eager:
            self.discharge(promise.id)
        return settled

    def discharge(self, id: str) -> None:
        """Wake the awaiters of a settled promise, and tell its listeners."""
        for awaiter in sorted(self.callbacks.pop(id, NOBODY)):
            self._wake(awaiter, id)
        self.listeners.pop(id, None)

    def _wake(self, awaiter: str, awaited: str) -> None:
        promise = self.look(awaiter)  # its own deadline wins
        if promise is None or promise.task is None or promise.task.state == "fulfilled":
            return
        state = "pending" if promise.task.state == "suspended" else promise.task.state
        task = replace(promise.task, state=state, resumes=promise.task.resumes | {awaited})
        self.put_task(promise, task)

    def put_task(self, promise: Promise, task: Task) -> Promise:
        """The task of a promise becomes another one."""
        changed = self.promises[promise.id] = replace(promise, task=task)
        return changed

    def await_(self, awaited: str, awaiter: str) -> None:
        """Register a callback."""
        self.callbacks[awaited] = self.callbacks.get(awaited, NOBODY) | {awaiter}

    def listen(self, awaited: str, address: str) -> None:
        """Register a listener."""
        self.listeners[awaited] = self.listeners.get(awaited, NOBODY) | {address}

    def preload(self, root: Promise) -> Json:
        """The branch that a task executes, and what all in it have called elsewhere."""
        branch = root.tags.get("resonate:branch")
        if branch is None:
            return []
        members = {
            id
            for id, promise in self.promises.items()
            if promise.tags.get("resonate:branch") == branch and (self.is_strict or id != branch)
        }
        called = set[str]() if self.is_strict else self._called_by({branch, *members})
        shown: list[Json] = []
        for id in sorted((members | called) - {root.id}):
            promise = self.look(id)
            assert promise is not None, id
            shown.append(promise.shown())
        return shown

    def _called_by(self, parents: AbstractSet[str]) -> set[str]:
        return {
            id
            for id, promise in self.promises.items()
            if promise.tags.get("resonate:branch") == id
            and promise.tags.get("resonate:parent") in parents
            and promise.tags.get("resonate:parent") != id
        }


def rest(state: State, now: int) -> State:
    """The state when all deadlines have been noticed and all obligations met."""
    draft = Draft(state, now, is_eager=True)
    for id in state.promises:
        draft.look(id)
    for id in (*draft.callbacks, *draft.listeners):
        promise = draft.promises.get(id)
        if promise is not None and promise.state != "pending":
            draft.discharge(id)
    return draft.state()
