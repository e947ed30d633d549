"""Makes the commands of a context: numbered in the order of its calls, with the options of a view."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeVar

from msgspec.structs import replace

from resonate_sdk.errors import FunctionNotFoundError
from resonate_sdk.functions.callee import Callee, describe, instant
from resonate_sdk.functions.function import given_to, raw, registered_as
from resonate_sdk.functions.ops import Call, Command, CommandKind, Invocation, OfVersion
from resonate_sdk.functions.scope import Scope, call_site
from resonate_sdk.options import NO_OPTIONS, Options, make_options
from resonate_sdk.protocol import addresses

PendingT = TypeVar("PendingT", Call[Any], Invocation[Any])


class Commands:
    """The commands of one view of a context.

    Attributes:
        given: options that its calls begin with.
    """

    __slots__ = ("_scope", "given")

    def __init__(self, scope: Scope, given: Options) -> None:
        """Make commands for one attempt at a function."""
        self._scope = scope
        self.given = given

    def local(
        self, kind: CommandKind, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Command, Options, OfVersion | None]:
        """A call of a function in this process; by its name, another version may be chosen later.

        Raises:
            FunctionNotFoundError: it is a name that is not registered here.
            UsageError: it is no function, or the arguments do not fit.
        """
        of_version = None
        if isinstance(func, str):
            registered = self._scope.registry.by_name(func, self.given.version or 0)
            of_version = self._of_version
        else:
            registered = registered_as(self._scope.registry, func, f"ctx.{kind}")
        if registered is None:
            callee, given = describe(raw(func, f"ctx.{kind}")), self.given
            name, version = callee.name, 1
        else:
            callee, given = registered.callee, self._merged(registered.options, func)
            name, version = registered.name, registered.version
        callee.check_arguments(args, kwargs)
        command = self.command(
            kind, name=name, version=version, callee=callee, args=args, kwargs=kwargs
        )
        return command, given, of_version

    def remote(
        self, kind: CommandKind, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Command, Options]:
        """A call of a function in a worker of some group.

        Raises:
            FunctionNotFoundError: it is a function that is not registered here.
            UsageError: it is no function, or the arguments do not fit.
            AddressError: the address of a service among the arguments is misspelt.
        """
        if isinstance(func, str):
            kwargs, given = _aimed(kwargs, self.given)
            command = self.command(kind, name=func, version=0, args=args, kwargs=kwargs)
            return command, given
        registered = registered_as(self._scope.registry, func, f"ctx.{kind}")
        if registered is None:
            name = getattr(func, "__name__", repr(func))
            raise FunctionNotFoundError(
                f"function {name} is not registered here: register it, or call it by the name "
                f"under which it is registered elsewhere"
            )
        registered.callee.check_arguments(args, kwargs)
        command = self.command(
            kind,
            name=registered.name,
            version=registered.version,
            callee=registered.callee,
            args=args,
            kwargs=kwargs,
        )
        return command, self._merged(registered.remote_options, func)

    def record(self, name: str, draw: Callable[[], Any], type: Any) -> Call[Any]:
        """A call that records a value which is there at once."""
        callee = instant(name, draw, type)
        return self.made(Call(self.command("run", name=name, callee=callee), NO_OPTIONS))

    def command(
        self,
        kind: CommandKind,
        *,
        name: str = "",
        version: int = 1,
        callee: Callee | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        until: float | None = None,
        data: Any = None,
        is_for_caller: bool = False,
        id: str | None = None,
    ) -> Command:
        """A command with the next number, if it is not given an id; see there for the arguments.

        Raises:
            UsageError: the function has ended.
        """
        scope = self._scope
        if id is None:
            id = scope.next_id()
        if kind == "detached":
            # Named after the first root, so that a chain of them does not grow ids.
            id = f"{scope.prefix}.d{blake2b(id.encode(), digest_size=8).hexdigest()}"
        if scope.of_pass.on_call is not None:
            scope.of_pass.on_call(id)
        file, line = call_site()
        return Command(
            kind=kind,
            id=id,
            name=name,
            version=version,
            callee=callee,
            args=args,
            kwargs=kwargs or {},
            seconds=seconds,
            until=until,
            data=data,
            is_for_caller=is_for_caller,
            file=file,
            line=line,
        )

    def made(self, op: PendingT) -> PendingT:
        """Take note of a call: somebody must yield it, or it begins by itself."""
        scope = self._scope
        scope.unused[op.command.id] = op.command
        if scope.on_made is not None:
            scope.on_made(op)
        return op

    def _of_version(self, command: Command, version: int) -> tuple[Command, Options]:
        registered = self._scope.registry.by_name(command.name, version)
        registered.callee.check_arguments(command.args, command.kwargs)
        changed = replace(command, version=registered.version, callee=registered.callee)
        return changed, registered.options.merged(self.given)

    def _merged(self, registered: Options, func: Any) -> Options:
        return registered.merged(self.given).merged(given_to(func))


def _aimed(kwargs: dict[str, Any], given: Options) -> tuple[dict[str, Any], Options]:
    """Take the address of a service out of the arguments: it says where a call goes.

    No function of this SDK is behind such an address that could have a parameter `target`.
    """
    target = kwargs.get("target")
    if not isinstance(target, str) or not addresses.is_of_service(target):
        return kwargs, given
    others = {name: value for name, value in kwargs.items() if name != "target"}
    return others, given.merged(make_options(target=target))
