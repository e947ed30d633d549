"""A durable function as an ordinary call: nothing is stored, nothing waits."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from resonate_sdk.clock import now_ms
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, encode_failure
from resonate_sdk.errors import FunctionNotFoundError, UsageError
from resonate_sdk.execution.effects import Done, Failed, SettleChild
from resonate_sdk.execution.environment import Environment
from resonate_sdk.execution.execution import Execution
from resonate_sdk.functions.call_envelope import decode_call
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registered, Registry
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import EMPTY, PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.retry import Never
from resonate_sdk.testing.fakes import Fake
from resonate_sdk.worker.dry_run import DryRun

ROOT = "inline"


def inline(
    func: Callable[..., Any],
    *args: Any,
    answers: Mapping[str, Any] | None = None,
    register: Iterable[Callable[..., Any]] = (),
    dependencies: Mapping[str | type, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Call a durable function and everything it calls, at once and in this process.

    Sleeps last no time and nothing is retried. For unit tests in one line; `Environment` shows what
    becomes of a function over time.

    Args:
        func: a generator function, a coroutine function or a plain one.
        args: its arguments behind the context.
        answers: what functions registered elsewhere return, by name, and what promises that others
            settle give, by id. An exception is raised, a function is called with the arguments.
        register: functions that are called by `ctx.rpc`, and fakes.
        dependencies: what `ctx.get_dependency` finds.
        kwargs: arguments by name.

    Raises:
        UsageError: an answer is missing; the message says which.
        Exception: what the function raises.

    Example:
        >>> def order(ctx, item):
        ...     price = yield ctx.rpc("price", item)
        ...     yield ctx.sleep(86_400)
        ...     return f"{item} for {price}"
        >>> inline(order, "tea", answers={"price": 3})
        'tea for 3'
    """
    interpreter = _Interpreter(answers or {}, dependencies or {})
    for other in register:
        interpreter.register(other)
    registered = interpreter.register(func)
    record = interpreter.call(ROOT, registered, args, kwargs)
    return interpreter.value_of(record, registered.callee.result_type)


class _Interpreter:
    def __init__(self, answers: Mapping[str, Any], dependencies: Mapping[str | type, Any]) -> None:
        self._answers = answers
        self._registry = Registry()
        self._codec = Codec()
        self._promises: dict[str, PromiseRecord] = {}
        self._environment = Environment(
            registry=self._registry,
            dependencies=dependencies,
            codec=self._codec,
            default_target="local://any@inline",
            own_target="local://any@inline",
            retry_policy=Never(),
            now_ms=now_ms,
        )

    def register(self, func: Any) -> Registered:
        if isinstance(func, Fake):
            func.install(self._registry)
            return self._registry.by_name(func.name)
        found = self._registry.by_func(func.func if isinstance(func, Function) else func)
        if found is not None:
            return found
        if isinstance(func, Function):
            raw: Any = func.func
            return self._registry.add(raw, name=func.name, version=func.version)
        name = getattr(func, "__name__", "") or type(func).__name__
        return self._registry.add(func, name="anonymous" if name == "<lambda>" else name)

    def call(self, id: str, registered: Registered, args: Any, kwargs: Any) -> PromiseRecord:
        registered.callee.check_arguments(args, kwargs)
        root = self._record(id, {tags.ORIGIN: id, tags.BRANCH: id, tags.PREFIX: id})
        execution = Execution(
            self._environment,
            root,
            (),
            registered.callee,
            tuple(args),
            dict(kwargs),
            registered.options,
            registered.version,
        )
        outcome = DryRun(self._create, self._settle).run(execution)
        match outcome:
            case Done(state=state, value=value):
                return replace(root, state=state, value=value)
            case Failed(cause=cause):
                raise cause
            case _:
                raise UsageError(f"{registered.name} waits for what nobody answers: {outcome}")

    def value_of(self, record: PromiseRecord, result_type: Any) -> Any:
        if record.state != "resolved":
            raise decode_failure(self._codec, record)
        return self._codec.decode(record.value, result_type)

    def _create(self, request: PromiseCreate) -> PromiseRecord:
        record = self._promises.get(request.id)
        if record is None:
            record = self._promises[request.id] = self._record(request.id, request.tags)
            record = self._promises[request.id] = self._answered(request, record)
        return record

    def _settle(self, effect: SettleChild) -> PromiseRecord:
        record = replace(self._promises[effect.id], state=effect.state, value=effect.value)
        self._promises[effect.id] = record
        return record

    def _answered(self, request: PromiseCreate, record: PromiseRecord) -> PromiseRecord:
        if tags.TARGET in request.tags:
            return self._called(request, record)
        if tags.TIMER in request.tags:
            return replace(record, state="resolved")
        if tags.EXTERNAL in request.tags:
            return self._outcome(record, request.id, ())
        return record  # it is run here

    def _called(self, request: PromiseCreate, record: PromiseRecord) -> PromiseRecord:
        call = decode_call(self._codec, request.param)
        if call.func in self._answers:
            return self._outcome(record, call.func, (*call.args, *call.kwargs.values()))
        try:
            registered = self._registry.by_name(call.func, call.version)
        except FunctionNotFoundError:
            raise self._missing(call.func) from None
        args, kwargs = registered.callee.coerce(self._codec, call.args, call.kwargs)
        return self.call(request.id, registered, args, kwargs)

    def _outcome(self, record: PromiseRecord, name: str, args: tuple[Any, ...]) -> PromiseRecord:
        if name not in self._answers:
            raise self._missing(name)
        answer = self._answers[name]
        try:
            if isinstance(answer, Exception):
                raise answer
            value = answer(*args) if callable(answer) else answer
        except Exception as error:  # noqa: BLE001  # it is the answer
            return replace(record, state="rejected", value=encode_failure(self._codec, error))
        return replace(record, state="resolved", value=self._codec.encode(value))

    def _missing(self, name: str) -> UsageError:
        return UsageError(
            f"nobody answers for {name!r}: inline(..., answers={{{name!r}: ...}}), "
            "or register=[...] the function"
        )

    def _record(self, id: str, its_tags: Mapping[str, str]) -> PromiseRecord:
        return PromiseRecord(
            id=id,
            state="pending",
            param=EMPTY,
            value=Value(),
            tags=its_tags,
            timeout_at_ms=now_ms() + limits.PROMISE_TIMEOUT_MS_DEFAULT,
            created_at_ms=now_ms(),
        )
