"""A server as Prometheus and probes see it."""

from collections.abc import Mapping

from prometheus_client.registry import Collector

from resonate_broker.observation import health
from resonate_broker.observation.metrics import ServerCollector
from resonate_broker.observation.subject import Subject


class ProbedServer:
    """Answers out of the parts of a server."""

    def __init__(self, subject: Subject) -> None:
        """Look at a server."""
        self._subject = subject
        self.collector: Collector = ServerCollector(subject)

    @property
    def is_alive(self) -> bool:
        """Whether the kernel ticks."""
        return health.is_alive(self._subject)

    async def look(self) -> None:
        """Count what waits in the database, unless that was done just now."""
        await self._subject.backlog.look()

    def problems(self) -> Mapping[str, str]:
        """What stands between the server and its work."""
        return health.problems(self._subject)
