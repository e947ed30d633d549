"""Runs a function against its history, and says where it does something else."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace as changed

from resonate_sdk.client.resonate import Resonate
from resonate_sdk.debug.breaking import break_in
from resonate_sdk.debug.histories import History, history as fetched
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import DecodeError, NondeterminismError, ResonateError, UsageError
from resonate_sdk.execution.effects import Done, Failed, SettleChild, Suspended
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.execution import Execution
from resonate_sdk.functions.call_envelope import decode_call
from resonate_sdk.functions.callee import Callee, describe
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registered, Registry
from resonate_sdk.options import NO_OPTIONS
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import EMPTY, PromiseRecord
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.retry import Never
from resonate_sdk.worker.dry_run import DryRun

Verdict = Literal["agrees", "differs", "untested"]


class Report(Struct, frozen=True, kw_only=True):
    """What came of a replay.

    Attributes:
        id: of the execution.
        func: the function that was run, with its version.
        verdict: whether the code does what is recorded; `untested` if it has nothing to replay.
        reason: what it does else, or how far it went, in a sentence.
        steps: how many recorded calls it has made again.
        where: file and line of the call that differs, if that is known.
    """

    id: str
    func: str
    verdict: Verdict
    reason: str
    steps: int = 0
    where: str = ""

    def check(self) -> "Report":
        """Fail if the code does something else than what is recorded.

        Raises:
            AssertionError: it does; the message says what and where.
        """
        if self.verdict == "differs":
            raise AssertionError(f"{self.id}: {self.reason}")
        return self


def replay(
    source: Resonate | History | Path | str,
    id: str | None = None,
    func: Callable[..., Any] | None = None,
    *,
    registry: Registry | None = None,
    dependencies: Mapping[str | type, Any] | None = None,
    codec: Codec | None = None,
    break_at: str | None = None,
) -> Report:
    """Run a stored execution again, on this thread, to look at it or to test new code with it.

    Recorded calls give what is recorded. Nothing is written, no lease is taken, no step runs: where
    the record ends, the function stops. Generators run on the calling thread, so that a debugger
    stops in them.

    Args:
        source: a client of the server that has the execution, a history, or the file of one.
        id: of the execution; a history knows it.
        func: the function to run, instead of the registered one of the recorded name and version.
        registry: functions, by name; by default those of the client.
        dependencies: what `ctx.get_dependency` finds; by default what it does in the client.
        codec: reads what is stored; by default that of the client.
        break_at: the id of a call; pdb stops in the line that makes it.

    Raises:
        FunctionNotFoundError: nobody knows the function.
        DecodeError: the recorded arguments do not fit it.
        UsageError: the file is no history.

    Example:
        >>> from resonate_sdk.testing import Environment
        >>> def step(ctx, n):
        ...     return n + 1
        >>> def body(ctx):
        ...     return (yield ctx.run(step, 1))
        >>> with Environment() as env:
        ...     _ = env.client().begin_run("id", env.register(body) or "body").result()
        ...     recorded = env.history("id")
        >>> replay(recorded, func=body).verdict
        'agrees'
        >>> def changed(ctx):
        ...     yield ctx.sleep(5)
        >>> replay(recorded, func=changed).verdict
        'differs'
    """
    if isinstance(source, Resonate):
        if id is None:
            raise UsageError("replay(client, id, ...) needs the id of an execution")
        registry, codec = registry or source.registry, codec or source.codec
        dependencies = source.dependencies if dependencies is None else dependencies
        source = fetched(source, id)
    elif not isinstance(source, History):
        source = History.load(source)
    return _Replay(
        source,
        registry or Registry(),
        codec or Codec(),
        dependencies or {},
        None if break_at is None else partial(break_in, break_at),
    ).run(func)


class _Replay:
    def __init__(
        self,
        history: History,
        registry: Registry,
        codec: Codec,
        dependencies: Mapping[str | type, Any],
        on_call: Callable[[str], None] | None,
    ) -> None:
        self._root = history.root
        self._records = {record.id: _as_recorded(record) for record in history.promises}
        self._codec = codec
        self._registry = registry
        self._beyond: PromiseCreate | None = None
        self._environment = Environment(
            registry=registry,
            dependencies=dependencies,
            codec=codec,
            default_target="local://any@replay",
            own_target="local://any@replay",
            retry_policy=Never(),
            now_ms=lambda: history.root.created_at_ms,
            on_nondeterminism="halt",
            on_call=on_call,
        )

    def run(self, func: Callable[..., Any] | None) -> Report:
        call = decode_call(self._codec, self._root.param)
        callee, name = self._callee(func, call.func, call.version)
        if callee.kind == "plain":
            return self._report(name, "untested", "a plain function has no steps to replay")
        args, kwargs = callee.coerce(self._codec, call.args, call.kwargs)
        execution = Execution(
            self._environment,
            changed(self._root, state="pending", value=EMPTY, settled_at_ms=None),
            self._records.values(),
            callee,
            args,
            kwargs,
            NO_OPTIONS,
            call.version,
        )
        outcome = DryRun(self._create, self._settle).run(execution)
        met = execution.family.met()
        match outcome:
            case Failed(cause=NondeterminismError() as error):
                return self._report(name, "differs", str(error), len(met), error.where)
            case Failed(cause=cause):
                raise cause if isinstance(cause, Exception) else ResonateError(repr(cause))
            case Done():
                return self._compare(name, outcome, met)
            case Suspended():
                return self._stopped(name, met)

    def _callee(
        self, func: Callable[..., Any] | None, name: str, version: int
    ) -> tuple[Callee, str]:
        if func is None:
            registered: Registered = self._registry.by_name(name, version)
            return registered.callee, f"{registered.name} version {registered.version}"
        raw: Any = func.func if isinstance(func, Function) else func
        return describe(raw), f"{name} version {version}"

    def _stopped(self, name: str, met: frozenset[str]) -> Report:
        if self._beyond is None:
            return self._report(name, "agrees", "it waits for what it waited for", len(met))
        new = f"{self._beyond.id!r} ({self._beyond.tags.get(tags.FINGERPRINT, '?')})"
        if self._root.state != "pending":
            reason = f"it makes a further call, {new}, where the recorded one had ended"
            return self._report(name, "differs", reason, len(met))
        unmet = self._unmet(met)
        if unmet:
            reason = f"it makes the call {new} and not the recorded {unmet}"
            return self._report(name, "differs", reason, len(met))
        return self._report(name, "agrees", f"it goes on with {new}", len(met))

    def _compare(self, name: str, outcome: Done, met: frozenset[str]) -> Report:
        unmet = self._unmet(met)
        if unmet:
            return self._report(name, "differs", f"it ends without the recorded {unmet}", len(met))
        if self._root.state == "pending":
            return self._report(name, "agrees", "it ends where the record does", len(met))
        if outcome.state != self._root.state or not self._is_same_value(outcome):
            reason = (
                f"it was {self._root.state} with {self._shown(self._root)}, and is now "
                f"{outcome.state} with {self._shown(changed(self._root, value=outcome.value))}"
            )
            return self._report(name, "differs", reason, len(met))
        return self._report(name, "agrees", "it ends as recorded", len(met))

    def _is_same_value(self, outcome: Done) -> bool:
        old, new = (self._codec.decode(v) for v in (self._root.value, outcome.value))
        if outcome.state == "rejected" and isinstance(old, dict) and isinstance(new, dict):
            # Tracebacks differ whenever a line was added.
            return [old.get(key) for key in ("name", "message")] == [  # pyright: ignore[reportUnknownMemberType]
                new.get(key)  # pyright: ignore[reportUnknownMemberType]
                for key in ("name", "message")
            ]
        return bool(old == new)

    def _shown(self, record: PromiseRecord) -> str:
        try:
            return f"{self._codec.decode(record.value)!r:.200}"
        except DecodeError as error:
            return str(error)

    def _unmet(self, met: frozenset[str]) -> str:
        """The first recorded call of the function itself that it has not made."""
        own = [
            record
            for record in self._records.values()
            if record.tags.get(tags.PARENT) == self._root.id and record.id not in met
        ]
        if not own:
            return ""
        first = min(own, key=lambda record: (len(record.id), record.id))
        return f"{first.id!r} ({first.tags.get(tags.FINGERPRINT, '?')})"

    def _create(self, request: PromiseCreate) -> PromiseRecord:
        """The record ends here: the promise stays pending, and nobody works on it."""
        self._beyond = self._beyond or request
        return PromiseRecord(
            id=request.id,
            state="pending",
            param=request.param,
            value=EMPTY,
            tags={**request.tags, tags.SCOPE: tags.SCOPE_GLOBAL},
            timeout_at_ms=request.timeout_at_ms,
            created_at_ms=self._root.created_at_ms,
        )

    def _settle(self, effect: SettleChild) -> PromiseRecord:
        raise AssertionError(f"a replay settles nothing, {effect.id!r} neither")

    def _report(
        self, func: str, verdict: Verdict, reason: str, steps: int = 0, where: str = ""
    ) -> Report:
        return Report(
            id=self._root.id, func=func, verdict=verdict, reason=reason, steps=steps, where=where
        )


def _as_recorded(record: PromiseRecord) -> PromiseRecord:
    """What is pending stays so: it must not be run here."""
    if record.state != "pending":
        return record
    return changed(record, tags={**record.tags, tags.SCOPE: tags.SCOPE_GLOBAL})
