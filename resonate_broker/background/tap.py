"""Records what the batches change as events, which leave the database after the commit.

It stands before the dispatcher only where the tap is on: where it is off there is nothing.
"""

from collections.abc import Callable, Sequence

from resonate_broker import transitions
from resonate_broker.kernel.batch import Dispatcher
from resonate_broker.kernel.submissions import Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_store.state import Event


class Tap:
    """A dispatcher behind which another one does the work."""

    def __init__(self, dispatcher: Dispatcher, on_events: Callable[[], None]) -> None:
        """Record before `dispatcher` sees the changes.

        Args:
            dispatcher: what would stand here without the tap.
            on_events: called when events have become durable.
        """
        self._dispatcher = dispatcher
        self._on_events = on_events
        self._has_events = False

    def decided(self, state: WorkingState) -> None:
        """Record what one coroutine has changed."""
        for id, before in state.changed.items():
            promise = state.promise(id)
            assert promise is not None, f"{id!r} changed and vanished"
            self._record(state, transitions.of_promise(before, promise, state.now_ms))
        for id, before in state.take_changed_schedules().items():
            after = state.schedule(id)
            self._record(state, transitions.of_schedule(id, before, after, state.now_ms))
        self._dispatcher.decided(state)

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        """The batch is durable, and so are its events."""
        self._dispatcher.committed(outgoing)
        if self._has_events:
            self._has_events = False
            self._on_events()

    def _record(self, state: WorkingState, events: Sequence[Event]) -> None:
        if events:
            self._has_events = True
            state.record(events)
