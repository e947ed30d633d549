"""The parts of a server that somebody may look at."""

from msgspec import Struct

from resonate_broker.aio.messages import MessageSubsystem
from resonate_broker.aio.store import StoreSubsystem
from resonate_broker.api.submission import SubmissionApi
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.windows import Windows
from resonate_broker.driver import Driver
from resonate_broker.kernel.system import System
from resonate_broker.link import Link
from resonate_broker.observation.backlog import BacklogLook


class Subject(Struct, frozen=True, kw_only=True):
    """A server as it is looked at: nothing here is changed by who looks."""

    namespace: str
    system: System
    driver: Driver
    api: SubmissionApi
    link: Link
    rows: StoreSubsystem
    messages: MessageSubsystem
    windows: Windows
    guard: LeaseGuard
    backlog: BacklogLook
