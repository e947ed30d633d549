"""Whether anybody may ask a process how it is."""

from collections.abc import Callable, Mapping
from typing import Protocol

from resonate_sdk.hooks import Hooks
from resonate_sdk.transport import ObservableTransport, Transport


class Probes(Protocol):
    """A port for Prometheus and probes."""

    async def serve(self) -> None:
        """Answer until cancelled; if nobody can listen there, say so and leave it at that."""
        ...

    def stops(self) -> None:
        """The process takes no more work."""
        ...


def probes_of(
    listen: tuple[str, int] | None,
    labels: Mapping[str, str],
    hooks: Hooks,
    transport: Transport,
    held: Callable[[], int],
) -> Probes | None:
    """The port of a process, if it is to have one.

    Args:
        listen: where it is.
        labels: which process this is.
        hooks: tell what happens to executions.
        transport: the way to the server.
        held: how many tasks the process holds.
    """
    if listen is None:
        return None
    # Without a port nobody needs the libraries.
    from resonate_sdk.probes.worker import CONNECTED, ProbedWorker

    condition = (
        transport.condition if isinstance(transport, ObservableTransport) else lambda: CONNECTED
    )
    return ProbedWorker(listen, labels, hooks, condition, held)
