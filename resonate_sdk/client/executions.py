"""What a client asks a server for: executions that are started or scheduled, promises to wait for."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from msgspec import UNSET, Struct

from resonate_sdk.client.handle import Handle
from resonate_sdk.client.result import Result
from resonate_sdk.client.roots import root_request
from resonate_sdk.client.runtime import Runtime
from resonate_sdk.client.schedules import scheduled_call
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.encoder import decoding_by, encode_by
from resonate_sdk.errors import UsageError
from resonate_sdk.functions.call_envelope import encode_call, retries_as_json
from resonate_sdk.options import Options
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import ScheduleCreate
from resonate_sdk.tracing import Tracer, with_headers


class Asked(Struct, frozen=True, kw_only=True):
    """A call that a program makes.

    Attributes:
        name: of the function.
        version: of the function.
        args: its arguments.
        kwargs: likewise.
        given: options of the call and of the function.
        result_type: what the result is decoded into.
    """

    name: str
    version: int
    args: Any
    kwargs: Any
    given: Options
    result_type: Any = Any

    @property
    def tag(self) -> str:
        """The function as promises name it."""
        return tag.function(self.name, self.version)


class Executions:
    """Makes requests of calls, and handles of what they make."""

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        codec: Codec,
        *,
        now_ms: Callable[[], int],
        default_target: str,
        prefix: str,
        tracer: Tracer | None,
        cancel: Callable[[str, bool], None],
    ) -> None:
        """Work for a client.

        Args:
            runtime: sends the requests; that of the process that asks.
            codec: encodes and decodes values.
            now_ms: the clock, epoch ms.
            default_target: who runs what names no target.
            prefix: put before the ids that the program chooses.
            tracer: makes spans of calls, if somebody wants them.
            cancel: cancels a promise, with its descendants or alone.
        """
        self._runtime = runtime
        self._codec = codec
        self._now_ms = now_ms
        self._default_target = default_target
        self._prefix = prefix
        self._tracer = tracer
        self._cancel = cancel

    def start(self, id: str, asked: Asked, *, here: bool) -> Handle[Any]:
        """Start an execution.

        Args:
            id: its name.
            asked: what it calls.
            here: whether it runs in this process, if nobody runs it.

        Raises:
            EncodeError: an argument cannot be stored.
            UsageError: the id is no text.
        """
        id = self.prefixed(id)
        call = self._call(asked)
        if self._tracer is not None:
            call = with_headers(call, self._tracer.call(id, asked.name))
        runtime = self._runtime()
        request = root_request(
            id,
            call,
            asked.tag,
            asked.given,
            default_target=self._default_target,
            now_ms=self._now_ms(),
            listener=UNSET if here else runtime.address,
        )
        result, created = runtime.promised(self._decoding(asked))
        runtime.create(request, here=here, result=result, created=created)
        return self._handle(id, result, created)

    def wait_for(self, id: str, type: Any) -> Handle[Any]:
        """Wait for a promise that exists."""
        runtime = self._runtime()
        result, created = runtime.promised(partial(self._codec.decode, type=type))
        created.set_result(None)
        runtime.watch(id, result)
        return self._handle(id, result, created)

    def scheduled(self, id: str, cron: str, asked: Asked) -> ScheduleCreate:
        """The schedule of a call.

        Raises:
            EncodeError: an argument cannot be stored.
        """
        return scheduled_call(
            self.prefixed(id),
            cron,
            self._call(asked),
            asked.tag,
            asked.given,
            self._default_target,
        )

    def prefixed(self, id: str) -> str:
        """An id that the program has chosen, as the server knows it.

        Raises:
            UsageError: it is no text.
        """
        if not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users do
            raise UsageError(f"the id of an execution is a string, found {id!r}")
        if not self._prefix or id.startswith(f"{self._prefix}:"):
            return id
        return f"{self._prefix}:{id}"

    def _call(self, asked: Asked) -> Value:
        name, given = asked.name, asked.given
        if given.encoder is None:
            return encode_call(self._codec, name, asked.version, asked.args, asked.kwargs, given)
        call = {
            "func": name,
            "args": list(asked.args),
            "kwargs": dict(asked.kwargs),
            "version": asked.version,
        }
        return encode_by(given.encoder, self._codec, call | retries_as_json(name, given))

    def _decoding(self, asked: Asked) -> Callable[[Value], Any]:
        if asked.given.encoder is not None:
            return decoding_by(asked.given.encoder, self._codec)
        return partial(self._codec.decode, type=asked.given.type or asked.result_type)

    def _handle(self, id: str, result: Result, created: "Future[None]") -> Handle[Any]:
        return Handle(id, result, created, partial(self._cancel, id))
