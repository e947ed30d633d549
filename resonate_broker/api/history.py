"""Records what is decided, as one line of JSON each, for checkers of histories.

While a server runs the file has two kinds of lines: intents, written before the batch they belong
to is committed, and outcomes, written after it. `final_lines` makes the history out of both: what
was committed stays, what was aborted goes, and of what nobody can tell (the connection broke
during the commit, or the process died) the answer is 500 and never arrives.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from resonate_broker.api import strict
from resonate_broker.kernel.recording import Outcome, Run
from resonate_sdk.protocol import envelope, responses
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import TaskHeartbeat

NEVER_NS = 2**63 - 1
LEFT_OUT = ("hello", "schedule.", "debug.")  # and what strict mode does not serve
# In requests, where the protocol has none of these.
_OURS = ("preload", "settledSince", "details", "listener")
_encode = msgspec.json.Encoder().encode

Json = Any


class HistoryError(Exception):
    """A recording cannot be read; the message says which line."""


class Intent(Struct, frozen=True, kw_only=True, tag_field="record", tag="intent"):
    """A run that is about to be committed with its batch."""

    batch: str
    kind: str
    now: int
    req: Json
    res: Json
    call: int
    client: str


class End(Struct, frozen=True, kw_only=True, tag_field="record", tag="end"):
    """What became of a batch, and when that was known."""

    batch: str
    outcome: Outcome
    at: int


_decode = msgspec.json.Decoder(Intent | End).decode
_CUT_OFF = "truncated"  # in what msgspec says of it


class HistoryRecorder:
    """Appends to a file what one server decides. Servers of one host may share it."""

    def __init__(self, path: Path) -> None:
        """Append to a file; it is made if it is not there."""
        self._file = path.open("ab", buffering=0)
        self._life = f"{os.getpid()}-{time.monotonic_ns()}"
        self._number = 0
        self._open: str | None = None

    def intend(self, runs: Sequence[Run]) -> None:
        """These runs are about to be committed together."""
        assert self._open is None, "one batch at a time is committed"
        batch = self._next_batch()
        lines = [_encode(intent) for run in runs for intent in _intents(batch, run)]
        if lines:
            self._open = batch
            self._append(lines)

    def end(self, outcome: Outcome) -> None:
        """What has become of the runs that were intended last; nothing, if there are none."""
        if self._open is not None:
            end = End(batch=self._open, outcome=outcome, at=time.monotonic_ns())
            self._open = None
            self._append([_encode(end)])

    def refuse(self, run: Run) -> None:
        """This run has ended without a look at what is stored."""
        batch = self._next_batch()
        lines = [_encode(intent) for intent in _intents(batch, run)]
        if lines:
            end = End(batch=batch, outcome="committed", at=time.monotonic_ns())
            self._append([*lines, _encode(end)])

    def close(self) -> None:
        """Record nothing more."""
        self._file.close()

    def _next_batch(self) -> str:
        self._number += 1
        return f"{self._life}-{self._number}"

    def _append(self, lines: Sequence[bytes]) -> None:
        # In one call, so that what several servers write does not mix; on lines of their own also
        # behind one that a killed server has cut off.
        self._file.write(b"\n".join((b"", *lines, b"")))


def final_lines(recorded: Iterable[bytes]) -> Iterator[bytes]:
    """The history that a recording tells.

    Args:
        recorded: its lines, of all servers that there were.

    Raises:
        HistoryError: a line is no record, nor the beginning of one that a killed server left.
    """
    clients: dict[str, int] = {}
    intents: dict[str, list[Intent]] = {}
    for record in _records(recorded):
        match record:
            case Intent(batch=batch):
                intents.setdefault(batch, []).append(record)
            case End(outcome="unknown"):
                pass
            case End(batch=batch, outcome=outcome, at=at):
                ended = intents.pop(batch, ())
                if outcome == "committed":
                    yield from (_final(intent, intent.res, at, clients) for intent in ended)
    for left in intents.values():
        yield from (_final(intent, _lost(intent), NEVER_NS, clients) for intent in left)


def _records(recorded: Iterable[bytes]) -> Iterator[Intent | End]:
    for number, line in enumerate(recorded, start=1):
        if not line:
            continue
        try:
            record = _decode(line)
        except msgspec.DecodeError as error:
            # Who cut it off died before it went on: an intent was not committed, of an end the
            # intents are there.
            if _CUT_OFF in str(error):
                continue
            raise HistoryError(f"line {number} is no record of ours: {error}") from error
        yield record


def _final(intent: Intent, res: Json, at: int, clients: dict[str, int]) -> bytes:
    return _encode(
        {
            "kind": intent.kind,
            "now": intent.now,
            "req": intent.req,
            "res": res,
            "call": intent.call,
            "return": at,
            "client": clients.setdefault(intent.client, len(clients)),
        }
    )


def _lost(intent: Intent) -> Json:
    head = {**intent.res["head"], "status": responses.INTERNAL}
    return {**intent.res, "head": head, "data": "Internal error: fate unknown"}


def _intents(batch: str, run: Run) -> Iterator[Intent]:
    kind = run.request.kind
    if kind.startswith(LEFT_OUT) or strict.request(run.request) is None:
        return
    answer = strict.answer(run.answer)
    encoded = envelope.encode_answer(kind, run.caller.correlation_id, answer)
    res = _as_the_protocol_has_it(msgspec.json.decode(encoded))
    for req in _requests(run):
        yield Intent(
            batch=batch,
            kind=kind,
            now=run.now_ms,
            req=_as_the_protocol_has_it(_without(req, _OURS)),
            res=res,
            call=run.caller.called_ns,
            client=run.caller.client,
        )


def _requests(run: Run) -> Iterator[Json]:
    """The data of the request; of a heartbeat, what belongs to one origin at a time."""
    request = run.request
    if not isinstance(request, TaskHeartbeat):
        yield msgspec.to_builtins(request)
        return
    origins: dict[str, list[TaskRef]] = {}
    for ref in request.tasks:
        origins.setdefault(ref.id.partition(".")[0], []).append(ref)
    for refs in origins.values():
        yield msgspec.to_builtins(msgspec.structs.replace(request, tasks=tuple(refs)))


def _is_object(data: Json) -> TypeGuard[dict[str, Json]]:
    return isinstance(data, dict)


def _is_array(data: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(data, list | tuple)


def _without(data: Json, names: Sequence[str]) -> Json:
    if not _is_object(data):
        return data
    return {name: value for name, value in data.items() if name not in names}


def _as_the_protocol_has_it(data: Json) -> Json:
    """The same with addresses as checkers know them: `poll://` for `amqp://`."""
    if _is_array(data):
        return [_as_the_protocol_has_it(item) for item in data]
    if not _is_object(data):
        return data
    return {
        name: _address(value)
        if name in ("address", "resonate:target")
        else _as_the_protocol_has_it(value)
        for name, value in data.items()
    }


def _address(value: Json) -> Json:
    is_ours = isinstance(value, str) and value.startswith("amqp://")
    return f"poll://{value.removeprefix('amqp://')}" if is_ours else value
