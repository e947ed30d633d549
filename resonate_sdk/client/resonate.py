"""The client: registers functions, runs them here or elsewhere, waits for their results."""

import copy
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar, Unpack, get_args, overload

from resonate_sdk.ask import refusal
from resonate_sdk.client.aio import AsyncResonate
from resonate_sdk.client.asking import Asking
from resonate_sdk.client.broker_url import url_of
from resonate_sdk.client.configuration import (
    configure,
    either,
    environment_for,
    in_child,
    settings_of,
)
from resonate_sdk.client.connect import connect
from resonate_sdk.client.executions import Executions
from resonate_sdk.client.forks import Own
from resonate_sdk.client.handle import Handle, refuse_blocking
from resonate_sdk.client.host import Host, ThreadHost
from resonate_sdk.client.lifetime import Lifetime
from resonate_sdk.client.promises import Promises
from resonate_sdk.client.registration import Registration
from resonate_sdk.client.runtime import AUTOSTART_S, Runtime
from resonate_sdk.client.schedules import Schedules
from resonate_sdk.encoding.codec import Codec, Encryptor
from resonate_sdk.encoding.exceptions import ExceptionAdapter
from resonate_sdk.errors import TransportError, UsageError
from resonate_sdk.execution.environment import Environment, OnNondeterminism
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registry
from resonate_sdk.hooks import Hook, Hooks, Occasion
from resonate_sdk.local import LocalServer, LocalTransport
from resonate_sdk.options import (
    NO_OPTIONS,
    ClientOptions,
    Seconds,
    check_known,
    make_options,
    seconds,
)
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.addresses import Address
from resonate_sdk.protocol.requests import PromiseGet, Request
from resonate_sdk.protocol.responses import Answer, PromiseData
from resonate_sdk.retry import RetryPolicy
from resonate_sdk.stores.remote import RemoteStore
from resonate_sdk.task_sources.amqp import Amqp
from resonate_sdk.task_sources.poller import Poller
from resonate_sdk.tracing import Tracer
from resonate_sdk.transport import Transport

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Err = TypeVar("Err", bound=Exception)

CACHE_SIZE = 1_000


class Resonate(Registration, Asking, Lifetime):
    """A process's door to durable execution.

    Example:
        >>> resonate = Resonate.local()
        >>> @resonate.register
        ... def greet(ctx, name):
        ...     return f"Hello {name}"
        >>> greet.run("greeting-1", "World")
        'Hello World'
        >>> resonate.stop()
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        namespace: str | None = None,
        group: str | None = None,
        pid: str | None = None,
        store: RemoteStore | LocalServer | None = None,
        task_source: Poller | Amqp | None = None,
        message_source: Poller | Amqp | None = None,
        network: Transport | Amqp | None = None,
        server: LocalServer | None = None,
        host: Host | None = None,
        ttl: Seconds = limits.LEASE_MS_DEFAULT / 1000,
        workers: int | None = None,
        max_concurrent_tasks: int = 64,
        token: str | None = None,
        auth: tuple[str, str] | None = None,
        prefix: str | None = None,
        codec: Codec | None = None,
        encryptor: Encryptor | None = None,
        retry_policy: RetryPolicy | None = None,
        registry: Registry | None = None,
        dependencies: Mapping[str, Any] | None = None,
        on_nondeterminism: OnNondeterminism = "halt",
        poison_attempts: int = 10,
        cache_size: int = CACHE_SIZE,
        autostart: bool = True,
        overlap: bool = True,
        log_level: int | str | None = None,
        tracer: Tracer | None = None,
        signs: bool = False,
        listen: str | None = None,
    ) -> None:
        """Make a client; nothing is connected before it is needed.

        Args:
            url: `amqp://…` or `amqps://…` of the broker; else `RESONATE_URL`, or the content of the
                file that `RESONATE_URL_FILE` names; without any a server inside this process is
                used, which forgets everything when it ends.
            namespace: prefix of all queues; else `RESONATE_NAMESPACE`, else `resonate`.
            group: the worker group whose calls this process serves; else `RESONATE_GROUP`, else
                `default`.
            pid: the name of this process; unique by default, and must be.
            store: the broker, in the spelling of the first SDKs; or a server inside this process.
            task_source: broker and group, in the spelling of the first SDKs.
            message_source: the same as `task_source`.
            network: broker and group; or a way to a server that the program has made itself.
            server: a server inside this process, shared with other clients.
            host: runs the client; tests have one with a clock of its own.
            ttl: how long a task stays with a process that sends no heartbeat; 1 second or more.
            workers: how many functions run at a time; by default a few more than CPUs.
            max_concurrent_tasks: how many executions may be under way at a time.
            token: a token for a broker with OAuth 2, instead of the password in the URL.
            auth: user and password, instead of those in the URL.
            prefix: put before the ids that the program chooses; else `RESONATE_PREFIX`.
            codec: encodes and decodes values.
            encryptor: encrypts values, instead of `codec`.
            retry_policy: for functions that were given none.
            registry: functions, shared with other clients.
            dependencies: what functions get from `ctx.get_dependency`.
            on_nondeterminism: what becomes of an execution whose function does something else than
                what is recorded of it: its task is halted, so that a deployment of the right code
                can go on with it when it is continued; it is rejected; or one is warned.
            poison_attempts: after so many failures in a row that are not the function's, such as
                that nobody registered it, its task is halted.
            cache_size: how many suspended executions stay in memory, so that their functions go on
                where they stood; the others, and all with 0, run again from their first line,
                past what is recorded. A `with` or `finally` block around a call ends when its
                function is dropped from memory, or goes on to there.
            autostart: serve calls soon after the last registration, without `start()`.
            overlap: start fresh executions while their tasks are being acquired, which is faster.
                Now and then another worker gets the task: then what the function wrote elsewhere
                is written twice, as after a crash; its promise is settled once in any case.
            log_level: of the loggers of this package.
            tracer: makes spans of calls and executions: `resonate_sdk.otel.OpenTelemetry()`.
            signs: publish under the name of the user of the URL, which RabbitMQ verifies: the
                server records it with what is created and settled.
            listen: `host:port` where Prometheus and probes ask once this process serves, as
                `127.0.0.1:9465`; else `RESONATE_LISTEN`; empty for nowhere.

        Raises:
            UsageError: arguments contradict each other.
        """
        if isinstance(store, LocalServer):
            store, server = None, either(server, store, "server and store")
        if isinstance(network, Amqp):
            task_source, network = either(task_source, network, "task_source and network"), None
        if isinstance(host, str):
            raise UsageError(f"host= is for tests: write url='amqp://{host}:5672/'")
        configuration = configure(
            url=url,
            namespace=namespace,
            group=group,
            pid=pid,
            prefix=prefix,
            store=store,
            task_source=either(task_source, message_source, "task_source and message_source"),
            auth=auth,
            token=token,
            listen=listen,
            environment=environment_for(is_url_given=server is not None or network is not None),
        )
        settings = settings_of(
            ttl=ttl,
            workers=workers,
            max_concurrent_tasks=max_concurrent_tasks,
            overlap=overlap,
            poison_attempts=poison_attempts,
            cache_size=cache_size,
        )
        if on_nondeterminism not in (known := get_args(OnNondeterminism)):
            raise UsageError(f"on_nondeterminism= is one of {known}, found {on_nondeterminism!r}")
        self.group = configuration.group
        self.anycast = str(Address("any", self.group))
        if codec is not None and encryptor is not None:
            raise UsageError("give the encryptor to the codec: codec=Codec(encryptor)")
        self._codec = codec or Codec(encryptor)
        self._registry = registry or Registry()
        self._dependencies: dict[str | type, Any] = dict((dependencies or {}).items())
        self._autostart = autostart
        self._given = NO_OPTIONS
        self._hooks = Hooks()
        self._host = host or ThreadHost()
        if log_level is not None:
            logging.getLogger("resonate_sdk").setLevel(log_level)
        first = connect(configuration, network, server, signs=signs)
        self._server = first.server if isinstance(first, LocalTransport) else None

        def begin(parent: Runtime | None) -> Runtime:
            """What this client does in one process."""
            if parent is not None and parent.is_stopped:
                return parent
            if parent is not None and (network is not None or self._server is not None):
                raise UsageError(
                    "a server inside a process has no part in a fork of it: make the client in "
                    "the child, or give it url='amqp://...'"
                )
            own = configuration if parent is None else in_child(configuration)
            return Runtime(
                first if parent is None else connect(own, None, None, signs=signs),
                Environment(
                    registry=self._registry,
                    dependencies=self._dependencies,
                    codec=self._codec,
                    default_target=self.anycast,
                    own_target=str(Address("any", own.group, own.pid)),
                    retry_policy=retry_policy,
                    now_ms=self._host.now_ms,
                    on_nondeterminism=on_nondeterminism,
                    hooks=self._hooks,
                    tracer=tracer,
                ),
                self._host if parent is None else ThreadHost(),
                settings,
                pid=own.pid,
                address=str(Address("uni", own.group, own.pid)),
                listen=own.listen,
                labels={"namespace": own.namespace, "group": own.group, "pid": own.pid},
                answer_timeout_s=own.answer_timeout_s,
                serves=parent is not None and parent.serves,
            )

        self._own = Own(begin)
        self.promises = Promises(self._call, self._codec, self._host.now_ms)
        self.schedules = Schedules(self._call, self._codec, self.promises)
        self._executions = Executions(
            self._own.get,
            self._codec,
            now_ms=self._host.now_ms,
            default_target=self.anycast,
            prefix=configuration.prefix,
            tracer=tracer,
            cancel=lambda id, tree: self.cancel(id, tree=tree),
        )

    @classmethod
    def local(
        cls,
        *,
        path: Path | str | None = None,
        server: LocalServer | None = None,
        **keywords: Any,
    ) -> Self:
        """Make a client with a server inside this process: nothing to install or to start.

        Args:
            path: a file for the promises: a script that is killed goes on where it was when it
                is started again. Without it they are kept in memory.
            server: a server shared with other clients, instead.
            keywords: as for the constructor.

        Raises:
            ResonateError: another process has the file open.
            UsageError: both path and server are given.
        """
        if path is not None and server is not None:
            raise UsageError("path= opens a server of its own: give path= or server=, not both")
        return cls(server=server or LocalServer(path, closes_with_client=True), **keywords)

    @classmethod
    def remote(
        cls,
        url: str | None = None,
        *,
        host: str | None = None,
        store_port: int | None = None,
        message_source_port: int | None = None,
        **keywords: Any,
    ) -> Self:
        """Make a client of a server that is reached through RabbitMQ.

        Args:
            url: `amqp://…` or `amqps://…`; else `RESONATE_URL`.
            host: instead of the URL: the name of the broker's machine.
            store_port: with `host`; 5672 by default.
            message_source_port: in the spelling of the first SDKs; the same as `store_port`, since
                requests and messages go through one broker.
            keywords: as for the constructor.

        Raises:
            UsageError: there is no URL.
            ContradictionError: several are given.
        """
        port = either(store_port, message_source_port, "store_port and message_source_port")
        url = either(url, url_of(host, port), "url and host")
        if not (url or os.environ.get("RESONATE_URL") or os.environ.get("RESONATE_URL_FILE")):
            raise UsageError("Resonate.remote needs url='amqp://...', or RESONATE_URL")
        return cls(url=url, **keywords)

    @overload
    def get(self, id: str, *, type: type[T]) -> Handle[T]: ...
    @overload
    def get(self, id: str, *, type: Any = ...) -> Handle[Any]: ...
    def get(self, id: str, *, type: Any = Any) -> Handle[Any]:
        """Wait for a promise that exists.

        Args:
            id: its name.
            type: what its value is decoded into.

        Raises:
            NotFoundError: there is none.
        """
        id = self._executions.prefixed(id)
        answer = self._call(PromiseGet(id=id))
        if not isinstance(answer.data, PromiseData):
            raise refusal(answer)
        return self._executions.wait_for(id, type)

    def cancel(self, id: str, *, tree: bool = True) -> None:
        """Cancel an execution or another promise: whoever waits for it gets `CanceledError`.

        This process drops it at once if it runs it, another one at its next step or heartbeat,
        after a third of `ttl` at the latest: coroutines are cancelled, plain functions see
        `ctx.canceled`.

        Args:
            id: its name; what is settled stays as it is.
            tree: cancel also everything pending that was called for it.

        Raises:
            NotFoundError: there is none.
        """
        self.promises.cancel(self._executions.prefixed(id), tree=tree)

    def pending_versions(self, name: str) -> dict[int, int]:
        """Count the pending executions of a function by version.

        What has none can be registered no more: a report for the end of a deployment.

        Args:
            name: under which it is registered.
        """
        return self.promises.count_versions(name, self._registry.versions(name))

    @property
    def registry(self) -> Registry:
        """The functions of this client; another one may be given them."""
        return self._registry

    @property
    def codec(self) -> Codec:
        """What encodes and decodes values."""
        return self._codec

    @property
    def dependencies(self) -> Mapping[str | type, Any]:
        """What functions get from `ctx.get_dependency`."""
        return self._dependencies

    @property
    def aio(self) -> AsyncResonate:
        """The same client for coroutines: `await resonate.aio.run(...)`."""
        return AsyncResonate(self)

    def options(self, **given: Unpack[ClientOptions]) -> Self:
        """A view of this client whose calls begin with these options.

        Args:
            given: target, or send_to: group or address that runs the function;
                timeout: seconds until the deadline;
                tags: further tags of the promise;
                version: of functions that are called by name, 0 for the latest known here;
                retry_policy: when a failed attempt is repeated, by whoever runs the function: one
                of those of this package;
                non_retryable_exceptions: exceptions after which none is;
                idempotency_key: informative, the id makes a call idempotent;
                encoder: makes JSON text of calls and values of that of results.

        Raises:
            UsageError: options contradict each other, or one is not known.
        """
        check_known("resonate.options", given, ClientOptions)
        view = copy.copy(self)
        view._given = self._given.merged(make_options(**given))
        return view

    def set_dependency(self, key: str, obj: Any) -> None:
        """Let durable functions of this process get `obj` by `ctx.get_dependency(key)`."""
        self._dependencies[key] = obj

    def with_dependency(self, obj: Any) -> Self:
        """Let durable functions of this process get `obj` by `ctx.get_dependency(type(obj))`."""
        self._dependencies[type(obj)] = obj
        return self

    def register_exception(
        self,
        cls: type[Err],
        *,
        encode: Callable[[Err], Mapping[str, Any]] | None = None,
        decode: Callable[[dict[str, Any]], Err] | None = None,
    ) -> None:
        """Say how exceptions of a class cross processes.

        Without this they do so by their attributes, and come back in their class where a module
        that is imported already has it.

        Args:
            cls: the class.
            encode: makes data of an exception: what `decode` needs, storable as JSON.
            decode: makes the exception of that data.

        Example:
            >>> class Declined(Exception):
            ...     def __init__(self, card):
            ...         super().__init__(f"{card.number} was declined")
            ...         self.card = card
            >>> resonate = Resonate.local()
            >>> resonate.register_exception(
            ...     Declined,
            ...     encode=lambda error: {"number": error.card.number},
            ...     decode=lambda data: Declined(Card(data["number"])),
            ... )
            >>> resonate.stop()
        """
        self._codec.exceptions.add(ExceptionAdapter(cls, encode, decode))

    def on(self, occasion: Occasion, hook: Hook) -> None:
        """Be told what executions do in this process, for metrics, traces and alarms.

        Args:
            occasion: `pass_start`, `pass_end`, `suspend`, `child_create`, `child_settle`, `retry`,
                `fence_lost` or `poison`; see `Happening`.
            hook: called with a `Happening`, on the thread that runs the execution: be short. What
                it raises is logged and changes nothing.

        Raises:
            UsageError: there is no such occasion.

        Example:
            >>> resonate = Resonate.local()
            >>> created = []
            >>> resonate.on("child_create", lambda happening: created.append(happening.id))
            >>> @resonate.register
            ... def twice(ctx, n):
            ...     return (yield ctx.run(lambda ctx: 2 * n))
            >>> twice.run("four", 2), created
            (4, ['four.1'])
            >>> resonate.stop()
        """
        self._hooks.add(occasion, hook)

    def now_ms(self) -> int:
        """The clock of this process, epoch ms; that of a test in a test."""
        return self._host.now_ms()

    @property
    def pid(self) -> str:
        """The name of this process; after a fork the child has another one."""
        return self._runtime.pid

    @property
    def unicast(self) -> str:
        """The address of this process."""
        return self._runtime.address

    @property
    def _runtime(self) -> Runtime:
        return self._own.get()

    @property
    def is_busy(self) -> bool:
        """Whether an execution is under way in this process."""
        return self._runtime.is_busy

    @property
    def is_waiting(self) -> bool:
        """Whether a handle of this process waits."""
        return self._runtime.is_waiting

    def start(self) -> None:
        """Serve calls of the group; done by itself soon after the last registration."""
        self._runtime.subscribe()

    def stop(self, timeout: Seconds = 30.0) -> None:
        """Take no more work, give tasks back at their next checkpoint, and disconnect.

        Args:
            timeout: how long to wait for functions that are running.
        """
        if self._own.is_copied:
            return  # nothing has begun in this process
        self._runtime.stop(seconds(timeout))
        if self._server is not None and self._server.closes_with_client:
            self._server.close()

    def check_may_block(self, id: str) -> None:
        """Refuse a blocking call where it must not block."""
        refuse_blocking(id)

    def _add(self, func: Callable[..., Any], **how: Any) -> Any:
        registered = self._registry.add(func, **how)
        if self._autostart:
            self._runtime.subscribe(AUTOSTART_S)
        return Function[Any, Any](self, registered)

    def _call(self, request: Request) -> Answer:
        refuse_blocking(
            request.kind, "`await resonate.aio.get(...)`, `await resonate.aio.promises.get(...)` …"
        )
        try:
            return self._runtime.call(request)
        except FutureTimeoutError as error:
            if isinstance(error, TransportError):
                raise
            raise TransportError(
                f"{request.kind} was not answered in time",
                may_be_carried_out=True,
            ) from None
