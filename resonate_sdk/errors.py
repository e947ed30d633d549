"""What can go wrong, by whose fault it is.

A durable function sees the errors of what it called; it never sees trouble with the server.
"""

from typing import Any


class ResonateError(Exception):
    """Base of every error of this package.

    Attributes:
        message: one sentence: what was wrong, and what to do.
        code: the status of the server's answer, if there was one.
        details: more about it, for programs.
    """

    def __init__(self, message: str = "", *, code: int | None = None, details: Any = None) -> None:
        """Say what was wrong."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details


class UsageError(ResonateError, TypeError):
    """The program uses the library in a way that cannot work; the message says what to write."""


class ContradictionError(UsageError, ValueError):
    """Two arguments say different things; the message says which one to leave out."""


class DependencyNotFoundError(UsageError, LookupError):
    """A function asks for something of a type that its client was given nothing of."""


class RegistrationError(ResonateError, ValueError):
    """A function cannot be registered under this name and version."""


class FunctionNotFoundError(ResonateError, ValueError, LookupError):
    """No function is registered under this name and version here."""


class StoreError(ResonateError):
    """The server refused a request; `code` is the status of its answer."""


class NotFoundError(StoreError, LookupError):
    """No such promise or task."""


class ConflictError(StoreError):
    """The state of the object does not allow it."""


class AlreadyExistsError(StoreError):
    """Something else exists under this id."""


class AlreadySettledError(StoreError):
    """The promise is settled already, and not in the requested state."""


class InvalidError(StoreError, ValueError):
    """The request breaks a rule or a limit; the message names it."""


class OverloadedError(StoreError):
    """The server or the broker refused more work, also after retries."""


class TransportError(ResonateError):
    """No answer: the server or the broker cannot be reached, or the time was over.

    Attributes:
        may_be_carried_out: whether the request may still be, or have been, carried out.
    """

    def __init__(self, message: str, *, may_be_carried_out: bool) -> None:
        """Say what was waited for, and how long."""
        super().__init__(message)
        self.may_be_carried_out = may_be_carried_out


class NondeterminismError(ResonateError):
    """A function did something else than what is recorded of its execution.

    Its body cannot catch it: what it would do next would be built upon sand.

    Attributes:
        id: the promise that both mean.
        expected: what is recorded, as `call:name`, `timer`, `latent` or `choice`.
        found: what the function does now.
        where: file and line of that call.
    """

    def __init__(self, id: str, *, expected: str, found: str, where: str) -> None:
        """Name both."""
        super().__init__(
            f"{id!r} is recorded as {expected}, but the code at {where} makes it {found}: deploy "
            "the code that began this execution, or register the new one under another version"
        )
        self.id = id
        self.expected = expected
        self.found = found
        self.where = where


class ShutdownError(ResonateError):
    """The client was stopped before the result was there; the execution goes on."""


class EncodeError(ResonateError, TypeError):
    """A value cannot be stored as JSON.

    Attributes:
        function: whose argument or result it was, if known.
        path: where in it; `$` is the value itself.
    """

    def __init__(self, message: str, *, function: str | None = None, path: str = "$") -> None:
        """Say what was found, where, and what to do."""
        super().__init__(message)
        self.function = function
        self.path = path

    def of(self, what: str, function: str) -> "EncodeError":
        """The same error, of an argument or a result of a function."""
        error = EncodeError(f"{what} of {function}: {self}", function=function, path=self.path)
        error.__cause__ = self.__cause__
        return error


class DecodeError(ResonateError, ValueError):
    """Stored data is not what was expected.

    Attributes:
        function: whose argument or result it was, if known.
        path: where in it.
    """

    def __init__(self, message: str, *, function: str | None = None, path: str = "") -> None:
        """Say what was found and what was needed."""
        super().__init__(message)
        self.function = function
        self.path = path

    def of(self, what: str, function: str | None = None) -> "DecodeError":
        """The same error, of something that has a name."""
        error = DecodeError(f"{what}: {self}", function=function or self.function, path=self.path)
        error.__cause__ = self.__cause__
        return error


class ApplicationError(ResonateError):
    """A durable function failed with an error whose class is unknown here.

    Attributes:
        name: name of the original class, if it was an exception.
        data: what the promise was rejected with.
        remote_traceback: where it was raised, as text; empty if that is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        data: Any = None,
        remote_traceback: str = "",
    ) -> None:
        """Carry what is known of the original."""
        super().__init__(message)
        self.name = name
        self.data = data
        self.remote_traceback = remote_traceback


class CanceledError(ResonateError):
    """The promise was canceled.

    Attributes:
        promise_id: which one.
    """

    def __init__(self, promise_id: str) -> None:
        """Name the promise."""
        super().__init__(f"promise {promise_id!r} was canceled")
        self.promise_id = promise_id


class TimedOutError(ResonateError, TimeoutError):
    """The promise was still pending at its deadline.

    Attributes:
        promise_id: which one.
        timeout: the deadline, seconds since the epoch.
    """

    def __init__(self, promise_id: str, timeout: float) -> None:
        """Name the promise and its deadline."""
        super().__init__(f"promise {promise_id!r} was not settled before its deadline")
        self.promise_id = promise_id
        self.timeout = timeout


class HandleTimeout(ResonateError, TimeoutError):  # noqa: N818  # a name of the public interface
    """Waiting for a result took too long; the execution goes on and can be waited for again."""


class NonRetryable(Exception):  # noqa: N818  # a name of the public interface
    """Raised by a durable function: do not try again, whatever the retry policy says."""


class RetryAfter(Exception):  # noqa: N818  # a name of the public interface
    """Raised by a durable function: try again after this delay.

    Attributes:
        delay: seconds until the next attempt.
    """

    def __init__(self, delay: float, cause: Exception | None = None) -> None:
        """Ask for a delay in seconds, because of `cause`."""
        super().__init__(f"try again after {delay} s")
        self.delay = delay
        self.__cause__ = cause


ResonateStoreError = StoreError
ResonateCanceledError = CanceledError
ResonateTimedoutError = TimedOutError
ResonateShutdownError = ShutdownError
