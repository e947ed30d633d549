"""A generator with a state: created, running, suspended, done."""

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any

from resonate_sdk.protocol.responses import Answer

Body = Generator[Any, Any, Any]
Operation = Generator[Any, Any, Answer]  # the body of a request's coroutine


class CoroutineState(Enum):
    """Where a coroutine is in its life."""

    CREATED = "created"
    RUNNING = "running"
    SUSPENDED = "suspended"
    DONE = "done"


class Coroutine:
    """One piece of work of the kernel: yields submissions and is resumed with completions."""

    __slots__ = ("_body", "_make", "is_urgent", "now_ms", "on_end", "result", "state")

    def __init__(
        self,
        make: Callable[[], Body],
        on_end: Callable[["Coroutine", Exception | None], None],
        *,
        is_urgent: bool = False,
        now_ms: int | None = None,
    ) -> None:
        """Prepare a coroutine.

        Args:
            make: makes its body; called again when the work must start over.
            on_end: called when it has ended, with what its body raised, if it did.
            is_urgent: it goes into the next batch, before all that is not urgent.
            now_ms: the instant at which it decides, if not that of the store.
        """
        self.now_ms = now_ms
        self.is_urgent = is_urgent
        self._make = make
        self._body = make()
        self.on_end = on_end
        self.state = CoroutineState.CREATED
        self.result: Any = None  # what the body returned, when it is done

    def resume(self, completion: Any = None) -> Any:
        """Run until the next submission, which is returned; None when the body has ended.

        What the body raises comes out, and the coroutine is done.

        Args:
            completion: of the submission it waits for; None for one that was just created.
        """
        assert self.state in (CoroutineState.CREATED, CoroutineState.SUSPENDED), self.state
        self.state = CoroutineState.RUNNING
        try:
            submission = self._body.send(completion)
        except StopIteration as stop:
            self.result = stop.value
            self.state = CoroutineState.DONE
            return None
        except BaseException:
            self.state = CoroutineState.DONE
            raise
        assert submission is not None, "a coroutine yields submissions"
        self.state = CoroutineState.SUSPENDED
        return submission

    def restart(self) -> None:
        """Start over with a new body; what the old one did is forgotten."""
        self.close()
        self._body = self._make()
        self.state = CoroutineState.CREATED

    def finish(self, result: Any) -> None:
        """End it with a result that its body did not come to."""
        self.close()
        self.result = result

    def close(self) -> None:
        """Give it up; its body does not run again."""
        self._body.close()
        self.state = CoroutineState.DONE

    @property
    def is_done(self) -> bool:
        """Whether the body has ended."""
        return self.state is CoroutineState.DONE
