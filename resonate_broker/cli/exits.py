"""How a command ends: its exit codes, and which error stands for which of them."""

from enum import IntEnum

from resonate_broker.cli.management import ManagementError
from resonate_broker.config import ConfigError
from resonate_broker.dev.process import InstanceError
from resonate_sdk import errors as sdk
from resonate_sdk.protocol import responses
from resonate_store import store


class ExitCode(IntEnum):
    """What a script can rely on."""

    DONE = 0
    REFUSED = 1  # the server, the database or the called function said no
    USAGE = 2  # of the command line or a setting
    UNREACHABLE = 3  # RabbitMQ, a server or the database: try again later
    NOT_FOUND = 4  # no promise, schedule or trigger has this id
    OTHER_STATE = 5  # it is in another state than asked for
    INTERRUPTED = 130  # by Ctrl-C


class CommandError(Exception):
    """A command ends without having done what it was asked for.

    Attributes:
        code: its exit code.
    """

    def __init__(self, message: str, code: ExitCode) -> None:
        """Say in one sentence why."""
        super().__init__(message)
        self.code = code


def failure_of(error: Exception) -> CommandError | None:
    """Give an error its exit code; None if it is a bug, whose traceback somebody must see."""
    code = _code_of(error)
    if code is None:
        return None
    text = str(error)
    if isinstance(error, sdk.TransportError) and error.may_be_carried_out:
        text += ", and giving the command again is harmless"
    return CommandError(text, code)


def _code_of(error: Exception) -> ExitCode | None:
    match error:
        case CommandError():
            return error.code
        case ConfigError() | sdk.EncodeError() | sdk.UsageError():
            return ExitCode.USAGE
        case sdk.NotFoundError():
            return ExitCode.NOT_FOUND
        case sdk.TransportError() | sdk.OverloadedError():
            return ExitCode.UNREACHABLE
        case sdk.StoreError(code=responses.INTERNAL):
            return ExitCode.UNREACHABLE  # nobody knows what became of it: worth another try
        case sdk.StoreError():
            return ExitCode.REFUSED
        case store.SchemaError() | store.RejectedError():
            return ExitCode.REFUSED
        case store.StoreError() | InstanceError() | ManagementError():
            return ExitCode.UNREACHABLE
        case _:
            return None
