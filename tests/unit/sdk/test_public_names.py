"""What programs may import, from where, and what it takes: whoever changes this breaks them."""

import inspect
import subprocess
import sys
from importlib import import_module
from typing import Any, get_type_hints

import pytest

import resonate_sdk
from resonate_sdk.functions.recorded import RandomOps, TimeOps
from resonate_sdk.options import ClientOptions, ContextOptions, TypedCommandOptions

POLICIES = "Constant Exponential Linear Never RetryPolicy"
ERRORS = (
    "ResonateError UsageError RegistrationError FunctionNotFoundError DependencyNotFoundError "
    "StoreError NotFoundError AlreadyExistsError AlreadySettledError ConflictError InvalidError TransportError "
    "OverloadedError EncodeError DecodeError NondeterminismError ShutdownError ApplicationError "
    "CanceledError TimedOutError HandleTimeout NonRetryable RetryAfter "
    "ResonateStoreError ResonateCanceledError ResonateTimedoutError ResonateShutdownError"
)
NAMES = {
    "resonate_sdk": (
        "Resonate Context Promise Handle Function Call Invocation Workflow Yieldable Op Info "
        "Settled Won poll current current_or_none RemoteStore Poller Amqp LocalServer Registry "
        f"Codec Encryptor exception {POLICIES} {ERRORS}"
    ),
    "resonate_sdk.resonate": "Resonate",
    "resonate_sdk.stores.remote": "RemoteStore",
    "resonate_sdk.stores.local": "LocalStore LocalServer",
    "resonate_sdk.task_sources.poller": "Poller",
    "resonate_sdk.task_sources.amqp": "Amqp",
    "resonate_sdk.targets": "poll amqp resolve",
    "resonate_sdk.transport": "Transport",
    "resonate_sdk.retry": f"{POLICIES}",
    "resonate_sdk.errors": ERRORS,
    "resonate_sdk.codec": "Codec Encryptor Encoder",
    "resonate_sdk.context": "Context Info current current_or_none",
    "resonate_sdk.promises": "Promises PromiseRecord",
    "resonate_sdk.schedules": "Schedules Schedule",
    "resonate_sdk.testing": "Environment FakeClock explore inline fake",
    "resonate_sdk.testing.plugin": "env",
    "resonate_sdk.debug": "History history replay explain tree check",
}
TAKES = {
    "Resonate": "url namespace group pid store task_source message_source network ttl workers "
    "max_concurrent_tasks token auth prefix codec encryptor retry_policy registry dependencies "
    "on_nondeterminism poison_attempts cache_size autostart log_level",
    "Resonate.local": "server",
    "Resonate.remote": "url host store_port message_source_port",
    "Resonate.register": "func name version retry_policy non_retryable_exceptions timeout",
    "Resonate.run": "id func args kwargs",
    "Resonate.begin_run": "id func args kwargs",
    "Resonate.rpc": "id func args kwargs",
    "Resonate.begin_rpc": "id func args kwargs",
    "Resonate.get": "id type",
    "Resonate.schedule": "id cron func args kwargs",
    "Resonate.cancel": "id tree",
    "Resonate.set_dependency": "key obj",
    "Resonate.with_dependency": "obj",
    "Resonate.register_exception": "cls encode decode",
    "Resonate.on": "occasion hook",
    "Resonate.pending_versions": "name",
    "Resonate.start": "",
    "Resonate.serve": "",
    "Resonate.stop": "timeout",
    "Function.run": "id args kwargs",
    "Function.begin_run": "id args kwargs",
    "Function.rpc": "id args kwargs",
    "Function.begin_rpc": "id args kwargs",
    "Function.get": "id",
    "Function.schedule": "id cron args kwargs",
    "Handle.result": "timeout",
    "Handle.done": "",
    "Handle.created": "timeout",
    "Handle.cancel": "tree",
    "Handle.__await__": "",
    "Promise": "id",
    "Promise.done": "",
    "Promise.result": "",
    "Promise.cancel": "",
    "Context.run": "func args kwargs",
    "Context.begin_run": "func args kwargs",
    "Context.rpc": "func args kwargs",
    "Context.begin_rpc": "func args kwargs",
    "Context.detached": "func args kwargs",
    "Context.sleep": "secs until",
    "Context.promise": "id type timeout data tags idempotency_key",
    "Context.uuid": "",
    "Context.all": "ops",
    "Context.all_settled": "ops",
    "Context.race": "ops losers",
    "Context.any": "ops losers",
    "Context.get_dependency": "key default",
    "Context.typesafe": "op",
    "promises.Promises.create": "id timeout expires_in param data headers tags ikey strict",
    "promises.Promises.get": "id type",
    "promises.Promises.resolve": "id value data headers ikey strict",
    "promises.Promises.reject": "id error data headers ikey strict",
    "promises.Promises.cancel": "id value strict tree",
    "promises.Promises.search": "id state tags limit",
    "schedules.Schedules.create": "id cron promise_id promise_timeout param tags promise_tags "
    "timezone overlap missed description replace",
    "schedules.Schedules.get": "id",
    "schedules.Schedules.delete": "id",
    "schedules.Schedules.search": "tags limit",
    "schedules.Schedule.delete": "",
    "schedules.Schedule.runs": "",
    "RemoteStore": "url host port auth token timeout",
    "Poller": "url group id host port",
    "Amqp": "url group id prefetch",
    "Constant": "delay max_retries",
    "Linear": "delay max_retries",
    "Exponential": "delay factor max_delay max_retries jitter",
    "RetryAfter": "delay cause",
    "Codec.register": "cls encode decode",
    "testing.Environment": "seed start always_replay",
    "testing.Environment.worker": "group register keywords",
    "testing.Environment.client": "group",
    "testing.Environment.advance": "days",
    "testing.Environment.run_until_idle": "",
    "testing.Environment.crash": "process at step",
    "testing.Environment.restart": "process",
    "testing.Environment.drop": "probability",
    "testing.Environment.duplicate": "probability",
    "testing.Environment.delay": "seconds",
    "testing.Environment.partition": "process",
    "testing.Environment.tree": "id",
    "testing.Environment.history": "id",
    "testing.explore": "func args crashes",
    "testing.inline": "func args answers",
    "testing.fake": "func returns raises call",
    "debug.replay": "source id func break_at",
    "debug.explain": "client id",
}
HAS = {
    "Resonate": "aio options",
    "Function": "options __call__",
    "Call": "options",
    "Invocation": "options",
    "Op": "__iter__ __await__",
    "Context": "lfc lfi rfc rfi random time rng id info logger canceled options",
    "promises.PromiseRecord": "pending resolved rejected canceled timedout completed param value "
    "result",
    "testing.plugin": "env",
}
ATTRIBUTES = {
    "Info": "id parent_id origin_id branch_id func version attempt timeout tags idempotency_key "
    "replaying",
    "Settled": "value error",
    "Won": "index value",
}
CHANCE = (
    "random randint randrange choice choices sample getrandbits uniform triangular betavariate "
    "expovariate"
)
ASYNC = {
    "": "run rpc get cancel schedule pending_versions promises schedules stop",
    "promises": "create get resolve reject cancel search",
    "schedules": "create get delete search",
}


def found(path: str) -> Any:
    """What a path stands for, from `resonate_sdk` on."""
    value: Any = resonate_sdk
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            value = import_module(f"{value.__name__}.{name}")
    return value


@pytest.mark.parametrize("module", NAMES)
def test_a_name_is_where_it_is_looked_for(module):
    home = import_module(module)

    for name in NAMES[module].split():
        assert getattr(home, name, None) is not None, f"{module}.{name}"


def test_a_name_means_the_same_wherever_it_is_imported_from():
    homes: dict[str, set[int]] = {}
    for module, names in NAMES.items():
        for name in names.split():
            homes.setdefault(name, set()).add(id(getattr(import_module(module), name)))

    assert [name for name, objects in homes.items() if len(objects) > 1] == []


def test_no_name_of_the_package_is_hidden_by_a_module_of_it():
    """The module would take the place of the name as soon as somebody imports it."""
    script = (
        "import pkgutil, resonate_sdk as sdk\n"
        "print(set(sdk.__all__) & {found.name for found in pkgutil.iter_modules(sdk.__path__)})"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )

    assert printed.stdout == "set()\n"


@pytest.mark.parametrize("path", TAKES)
def test_it_takes_what_programs_give_it(path):
    parameters = inspect.signature(found(path)).parameters

    assert [name for name in TAKES[path].split() if name not in parameters] == []


@pytest.mark.parametrize("path", HAS)
def test_it_has_what_programs_use(path):
    assert [name for name in HAS[path].split() if not hasattr(found(path), name)] == []


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_it_tells_what_programs_read(path):
    assert get_type_hints(found(path)).keys() >= {*ATTRIBUTES[path].split()}


def test_chance_and_time_have_the_names_of_the_standard_library():
    assert [name for name in CHANCE.split() if not hasattr(RandomOps, name)] == []
    assert [name for name in ("time", "strftime", "now") if not hasattr(TimeOps, name)] == []


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (
            ClientOptions,
            "target send_to timeout tags version retry_policy non_retryable_exceptions "
            "idempotency_key encoder",
        ),
        (ContextOptions, "timeout target version retry_policy tags"),
        (
            TypedCommandOptions,
            "id timeout tags target send_to version retry_policy non_retryable_exceptions durable "
            "idempotency_key execute_here type",
        ),
    ],
)
def test_options_have_their_names(options, names):
    assert options.__optional_keys__ >= {*names.split()}


@pytest.mark.parametrize("part", ASYNC)
def test_coroutines_find_the_same_names(part):
    with resonate_sdk.Resonate.local(autostart=False) as client:
        view: Any = client.aio
        for name in part.split():
            view = getattr(view, name)

        assert [name for name in ASYNC[part].split() if not hasattr(view, name)] == []


def test_errors_are_caught_as_what_they_are():
    of = {
        resonate_sdk.UsageError: TypeError,
        resonate_sdk.RegistrationError: ValueError,
        resonate_sdk.FunctionNotFoundError: (ValueError, LookupError),
        resonate_sdk.DependencyNotFoundError: (resonate_sdk.UsageError, LookupError),
        resonate_sdk.TimedOutError: TimeoutError,
        resonate_sdk.HandleTimeout: TimeoutError,
    }
    for error, bases in of.items():
        for base in bases if isinstance(bases, tuple) else (bases,):
            assert issubclass(error, base)
    for refused in ("NotFound", "AlreadyExists", "AlreadySettled", "Conflict", "Invalid"):
        assert issubclass(getattr(resonate_sdk, f"{refused}Error"), resonate_sdk.StoreError)
