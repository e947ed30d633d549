"""A generator with a state: created, running, suspended, done."""

from collections.abc import Callable, Generator
from typing import Any, Literal

from resonate_sdk.protocol.responses import Answer

Body = Generator[Any, Any, Any]
Operation = Generator[Any, Any, Answer]  # the body of a request's coroutine
CoroutineState = Literal["created", "running", "suspended", "done"]


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
        self.state: CoroutineState = "created"
        self.result: Any = None  # what the body returned, when it is done

    def resume(self, completion: Any = None) -> Any:
        """Run until the next submission, which is returned; None when the body has ended.

        What the body raises comes out, and the coroutine is done.

        Args:
            completion: of the submission it waits for; None for one that was just created.
        """
        assert self.state in ("created", "suspended"), self.state
        self.state = "running"
        try:
            submission = self._body.send(completion)
        except StopIteration as stop:
            self.result = stop.value
            self.state = "done"
            return None
        except BaseException:
            self.state = "done"
            raise
        assert submission is not None, "a coroutine yields submissions"
        self.state = "suspended"
        return submission

    def restart(self) -> None:
        """Start over with a new body; what the old one did is forgotten."""
        self.close()
        self._body = self._make()
        self.state = "created"

    def finish(self, result: Any) -> None:
        """End it with a result that its body did not come to."""
        self.close()
        self.result = result

    def close(self) -> None:
        """Give it up; its body does not run again."""
        self._body.close()
        self.state = "done"

    @property
    def is_done(self) -> bool:
        """Whether the body has ended."""
        return self.state == "done"
