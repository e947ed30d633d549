"""Functions by name and version."""

from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct, structs

from resonate_sdk.errors import FunctionNotFoundError, RegistrationError, UsageError
from resonate_sdk.functions.callee import Callee, describe, is_hashable
from resonate_sdk.options import NO_OPTIONS, Options


class Registered(Struct, frozen=True, kw_only=True):
    """A function under its name.

    Attributes:
        options: what its calls begin with.
        overlap: whether it may start while its task is being acquired.
    """

    name: str
    version: int
    callee: Callee
    options: Options = NO_OPTIONS
    overlap: bool = True

    @property
    def remote_options(self) -> Options:
        """What its calls begin with when others run it: they retry as their registration says."""
        if self.options.retry_policy is None and self.options.non_retryable is None:
            return self.options
        return structs.replace(self.options, retry_policy=None, non_retryable=None)


class Registry:
    """What a worker can run. Clients may share one."""

    def __init__(self) -> None:
        """Know no function."""
        self._by_name: dict[str, dict[int, Registered]] = {}
        self._by_func: dict[Hashable, Registered] = {}

    def add(
        self,
        func: Callable[..., Any],
        *,
        name: str | None = None,
        version: int = 1,
        options: Options = NO_OPTIONS,
        overlap: bool = True,
    ) -> Registered:
        """Register a function.

        Raises:
            RegistrationError: the name is missing or taken, or the version is below one.
            UsageError: name or version are of the wrong type, or nothing takes the context.
        """
        _check_types(name, version)
        name = name if name is not None else getattr(func, "__name__", None)
        if not name:
            raise RegistrationError(f"{func!r} has no name: register it with name=...")
        if name == "<lambda>":
            raise RegistrationError("a lambda has no name of its own: register it with name=...")
        if not callable(func):
            raise RegistrationError(f"{func!r} is not a function")
        if version < 1:
            raise RegistrationError(f"version {version} of {name}: versions begin at 1")
        if version in self._by_name.get(name, ()):
            raise RegistrationError(f"function {name} version {version} is registered already")
        registered = Registered(
            name=name, version=version, callee=describe(func), options=options, overlap=overlap
        )
        self._by_name.setdefault(name, {})[version] = registered
        self._by_func[_key(func)] = registered
        return registered

    def stand_in(
        self,
        func: Callable[..., Any],
        name: str,
        version: int,
        original: Callable[..., Any] | None,
    ) -> None:
        """Let a function be found where another one was, or would be; for tests."""
        registered = Registered(name=name, version=version, callee=describe(func))
        if original is not None:
            callee = structs.replace(registered.callee, result_type=describe(original).result_type)
            registered = structs.replace(registered, callee=callee)
            self._by_func[_key(original)] = registered
        self._by_name.setdefault(name, {})[version] = registered
        self._by_func[_key(func)] = registered

    def by_name(self, name: str, version: int = 0) -> Registered:
        """Find a function; version 0 means the latest.

        Raises:
            FunctionNotFoundError: it is not registered here; the message names what is.
        """
        versions = self._by_name.get(name)
        if not versions:
            raise FunctionNotFoundError(f"function {name} is not registered here{self._known()}")
        found = versions.get(version or max(versions))
        if found is None:
            known = ", ".join(str(known) for known in sorted(versions))
            raise FunctionNotFoundError(
                f"function {name} version {version} is not registered here, versions {known} are"
            )
        return found

    def version_for(self, name: str, wanted: int | None) -> int:
        """The version that a call by name means: the wanted one, the latest here, or the first."""
        return wanted or max(self._by_name.get(name, ()), default=1)

    def versions(self, name: str) -> tuple[int, ...]:
        """The versions that are registered here under a name."""
        return tuple(sorted(self._by_name.get(name, ())))

    def by_func(self, func: Callable[..., Any]) -> Registered | None:
        """Find what a function object is registered as."""
        return self._by_func.get(_key(func))

    def _known(self) -> str:
        names = sorted(self._by_name)
        if not names:
            return ": no function is"
        return f", these are: {', '.join(names[:20])}"


def _check_types(name: object, version: object) -> None:
    if name is not None and not isinstance(name, str):
        raise UsageError(f"the name of a function is a string, found {name!r}")
    if not isinstance(version, int) or isinstance(version, bool):
        raise UsageError(f"the version of a function is a whole number, found {version!r}")


def _key(func: Callable[..., Any]) -> Hashable:
    """What a function object is found by."""
    return func if is_hashable(func) else id(func)
