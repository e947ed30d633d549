"""Plain AMQP messages of services that do not know the protocol, and what they mean in it.

Translations only, no I/O: messages into requests, promises into messages.
"""

from resonate_broker.integration.invocation import Invoke
from resonate_broker.integration.invoke import invoke
from resonate_broker.kernel.system import System


def register_integration(system: System) -> None:
    """Teach a kernel the requests that only plain messages can make."""
    system.add_on_request(Invoke.kind, invoke)
