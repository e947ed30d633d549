"""Requests and answers as they travel: one envelope, or a JSON array of them.

An answer has the form of its request: one object for one object, an array for an array.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, field

from resonate_sdk.protocol import addresses, faults, limits, responses, tags
from resonate_sdk.protocol.faults import UNREADABLE
from resonate_sdk.protocol.requests import (
    KINDS,
    CreateAction,
    DebugTick,
    PromiseCreate,
    PromiseRegisterListener,
    Request,
    ScheduleCreate,
    TaskCreate,
    TaskFence,
)
from resonate_sdk.protocol.requests.base import Instant
from resonate_sdk.protocol.responses import Answer

UNKNOWN_KIND = "unknown"
UNKNOWN_CORRELATION_ID = "0"
DEBUG_PREFIX = "debug."


class RequestHead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The head of a request; keys that are not listed are ignored.

    Attributes:
        chain: items of one array with the same chain depend on each other: after the first that
            is not answered 200, the rest is answered 409 and not attempted.
    """

    correlation_id: str = field(name="corrId", default=UNKNOWN_CORRELATION_ID)
    version: str = ""
    chain: str | None = None


class ResponseHead(Struct, frozen=True, kw_only=True):
    """The head of an answer."""

    correlation_id: str = field(name="corrId")
    status: int
    version: str = limits.VERSION


class RequestEnvelope(Struct, frozen=True, kw_only=True):
    """A request on the wire, its data not yet read."""

    kind: str
    head: RequestHead
    data: Raw


class ResponseEnvelope(Struct, frozen=True, kw_only=True):
    """An answer on the wire."""

    kind: str
    head: ResponseHead
    data: responses.Data


class ReceivedResponse(Struct, frozen=True, kw_only=True):
    """An answer as a client receives it, its data not yet read."""

    kind: str
    head: ResponseHead
    data: Raw


class Decoded(Struct, frozen=True):
    """A request that is well formed and normalised; `raw` is what it was made of.

    Attributes:
        now_ms: the instant at which it wants to be carried out, if it may choose that.
    """

    kind: str
    head: RequestHead
    request: Request
    raw: bytes
    now_ms: int | None = None


class Malformed(Struct, frozen=True):
    """A request that cannot be carried out; `reason` is one sentence for its sender.

    Attributes:
        status: 400, or 403 for what its sender may not ask for.
    """

    kind: str
    correlation_id: str
    chain: str | None
    reason: str
    raw: bytes
    status: int = responses.MALFORMED


class _DebugHead(Struct, frozen=True, kw_only=True):
    debug_time_ms: Instant | None = field(name="resonate:debug_time", default=None)


class _DebugEnvelope(Struct, frozen=True, kw_only=True):
    """The part of a request that is read only where it may be used."""

    head: _DebugHead


class Body(Struct, frozen=True):
    """What one message held, in order.

    Attributes:
        is_array: whether the answer is an array, too.
    """

    is_array: bool
    items: tuple[Decoded | Malformed, ...]


_envelope_decoder = msgspec.json.Decoder(RequestEnvelope)
_debug_decoder = msgspec.json.Decoder(_DebugEnvelope)
_raws_decoder = msgspec.json.Decoder(list[Raw])
_responses_decoder = msgspec.json.Decoder(list[ReceivedResponse])
_response_decoder = msgspec.json.Decoder(ReceivedResponse)
_request_decoders = {kind: msgspec.json.Decoder(struct) for kind, struct in KINDS.items()}
_encoder = msgspec.json.Encoder()
_answer_decoders = {kind: msgspec.json.Decoder(struct) for kind, struct in responses.DATA.items()}
_redirect_decoder = msgspec.json.Decoder(responses.Redirected)
_text_decoder = msgspec.json.Decoder(str)


def decode_body(body: bytes, *, may_debug: bool = False) -> Body:
    """Read the requests of one message; what is wrong with one spoils no other.

    Args:
        body: of the message.
        may_debug: whether its sender may ask for `debug.*`, and choose instants.
    """
    if len(body) > limits.MESSAGE_BYTES_MAX:
        reason = f"the message has {len(body)} bytes, the limit is {limits.MESSAGE_BYTES_MAX}"
        return _one_malformed(body, reason)
    if body.lstrip()[:1] != b"[":
        return Body(False, (_decode_item(body, may_debug=may_debug),))
    try:
        raws = _split(body)
    except (*UNREADABLE, ValueError) as error:
        return _one_malformed(body, f"the message is not JSON: {error}")
    if not raws:
        return _one_malformed(body, "the message is an empty array")
    if len(raws) > limits.ENVELOPES_PER_MESSAGE_MAX:
        return _one_malformed(
            body,
            f"the message has {len(raws)} envelopes, the limit is "
            f"{limits.ENVELOPES_PER_MESSAGE_MAX}",
        )
    return Body(True, tuple(_decode_item(bytes(raw), may_debug=may_debug) for raw in raws))


def _split(body: bytes) -> Sequence[Raw | bytes]:
    try:
        return _raws_decoder.decode(body)
    except UNREADABLE:
        # The decoder refuses an array for one bad string in it: look for what is good.
        return [json.dumps(item).encode() for item in json.loads(body)]


def _one_malformed(body: bytes, reason: str) -> Body:
    return Body(False, (Malformed(UNKNOWN_KIND, UNKNOWN_CORRELATION_ID, None, reason, body),))


def _decode_item(item: bytes, *, may_debug: bool) -> Decoded | Malformed:
    try:
        envelope = _envelope_decoder.decode(item)
    except UNREADABLE as error:
        return _malformed_item(item, error)
    fault, head = _fault(envelope), envelope.head
    if fault is not None:
        kind = envelope.kind or UNKNOWN_KIND
        return Malformed(kind, head.correlation_id, head.chain, fault, item)
    kind = envelope.kind
    if kind.startswith(DEBUG_PREFIX) and not may_debug:
        reason = f"{kind} is refused: debugging is not enabled on this server, or not for you"
        return Malformed(kind, head.correlation_id, head.chain, reason, item, responses.FORBIDDEN)
    decoder = _request_decoders.get(kind)
    if decoder is None:
        reason = f"Unknown operation: {kind}"
        return Malformed(kind, head.correlation_id, head.chain, reason, item)
    try:
        request = decoder.decode(envelope.data)
        now_ms = _debug_time_ms(item, request) if may_debug else None
    except UNREADABLE as error:
        reason = f"{kind}: {faults.explain(error, bytes(envelope.data))}"
        return Malformed(kind, head.correlation_id, head.chain, reason, item)
    except _DebugTimeError as error:
        return Malformed(kind, head.correlation_id, head.chain, str(error), item)
    return Decoded(kind, envelope.head, normalize(request), item, now_ms)


class _DebugTimeError(Exception):
    """The instant that a request wants to be carried out at is none; the message says why."""


def _debug_time_ms(item: bytes, request: Request) -> int | None:
    """The instant that a request chooses."""
    try:
        at_ms = _debug_decoder.decode(item).head.debug_time_ms
    except UNREADABLE as error:
        raise _DebugTimeError(faults.explain(error, item)) from error
    if not isinstance(request, DebugTick):
        return at_ms
    if at_ms not in (None, request.at_ms):
        raise _DebugTimeError(
            f"debug.tick: head resonate:debug_time is {at_ms}, but time is {request.at_ms}"
        )
    return request.at_ms


def _fault(envelope: RequestEnvelope) -> str | None:
    """What is wrong with an envelope before its kind is looked at."""
    if not envelope.kind:
        return "the kind is empty"
    if not bytes(envelope.data).startswith(b"{"):
        return "data is not an object"
    if envelope.head.version not in limits.VERSIONS_SERVED:
        served = ", ".join(sorted(limits.VERSIONS_SERVED))
        return f"head.version {envelope.head.version!r} is not served here, {served} is"
    return None


def _malformed_item(item: bytes, error: Exception) -> Malformed:
    """Name the request as well as its ruins allow, so that its sender can be answered."""
    surrogate = None
    try:
        ruin: Any = msgspec.json.decode(item)
    except UNREADABLE:
        surrogate = faults.find_surrogate(item)
        if surrogate is None:
            reason = f"the request is not JSON: {error}"
            return Malformed(UNKNOWN_KIND, UNKNOWN_CORRELATION_ID, None, reason, item)
        ruin = faults.loose(item)
    kind, correlation_id, chain = UNKNOWN_KIND, UNKNOWN_CORRELATION_ID, None
    match ruin:
        case {"kind": str(found)} if found and _is_text(found):
            kind = found
        case _:
            pass
    match ruin:
        case {"head": {"corrId": str(found)}} if _is_text(found):
            correlation_id = found
        case _:
            pass
    match ruin:
        case {"head": {"chain": str(found)}}:
            chain = found
        case _:
            pass
    reason = surrogate or f"the request is no envelope: {faults.explain(error, item)}"
    return Malformed(kind, correlation_id, chain, reason, item)


def _is_text(text: str) -> bool:
    """Whether it can be sent back: half a character cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def normalize(request: Request) -> Request:
    """Bring addresses into their stored form and mark promises that others settle as external.

    Applied once, before any rule sees the request.
    """
    match request:
        case PromiseCreate():
            return _normalize_create(request)
        case PromiseRegisterListener():
            address = addresses.normalize(request.address)
            return msgspec.structs.replace(request, address=address)
        case (
            TaskCreate(action=CreateAction() as action) | TaskFence(action=CreateAction() as action)
        ):
            create = _normalize_create(action.data)
            if create is action.data:
                return request
            action = msgspec.structs.replace(action, data=create)
            return msgspec.structs.replace(request, action=action)
        case ScheduleCreate(promise_tags=promise_tags) if tags.TARGET in promise_tags:
            return msgspec.structs.replace(request, promise_tags=_with_stored_target(promise_tags))
        case _:
            return request


def _with_stored_target(given: Mapping[str, str]) -> Mapping[str, str]:
    try:
        return {**given, tags.TARGET: addresses.normalize(given[tags.TARGET])}
    except addresses.AddressError:
        return given  # the rules of tags say so, at the place where it belongs


def _normalize_create(request: PromiseCreate) -> PromiseCreate:
    if request.listener is not UNSET:
        address = addresses.normalize(request.listener)
        if address != request.listener:
            request = msgspec.structs.replace(request, listener=address)
    target = request.tags.get(tags.TARGET)
    if target is not None:
        stored = _with_stored_target(request.tags)
        if stored[tags.TARGET] == target:
            return request
        return msgspec.structs.replace(request, tags=stored)
    if tags.TIMER in request.tags or request.tags.get(tags.SCOPE) == tags.SCOPE_LOCAL:
        return request
    if request.tags.get(tags.EXTERNAL) == tags.TRUE:
        return request
    return msgspec.structs.replace(request, tags={**request.tags, tags.EXTERNAL: tags.TRUE})


def encode_request(request: Request, correlation_id: str, chain: str | None = None) -> bytes:
    """Put a request into an envelope."""
    head = RequestHead(correlation_id=correlation_id, version=limits.VERSION, chain=chain)
    return _encoder.encode({"kind": request.kind, "head": head, "data": request})


def encode_answer(kind: str, correlation_id: str, answer: Answer) -> bytes:
    """Put an answer into an envelope."""
    head = ResponseHead(correlation_id=correlation_id, status=answer.status)
    return _encoder.encode(ResponseEnvelope(kind=kind, head=head, data=answer.data))


def join(encoded: Sequence[bytes]) -> bytes:
    """Make one array of encoded envelopes."""
    return b"[" + b",".join(encoded) + b"]"


def decode_responses(body: bytes) -> list[ReceivedResponse]:
    """Read the answers of one message.

    Raises:
        UNREADABLE: it is not an answer nor an array of answers.
    """
    if body.lstrip()[:1] == b"[":
        return _responses_decoder.decode(body)
    return [_response_decoder.decode(body)]


def decode_answer(response: ReceivedResponse) -> Answer:
    """Read the data of an answer, which depends on its kind and status.

    Raises:
        UNREADABLE: the data is not what the kind and the status promise.
    """
    status = response.head.status
    if status == responses.OK:
        decoder = _answer_decoders.get(response.kind)
        if decoder is None:
            raise msgspec.DecodeError(f"an answer to {response.kind!r}, which is no request")
        return Answer(status, decoder.decode(response.data))
    if status == responses.REDIRECT:
        return Answer(status, _redirect_decoder.decode(response.data))
    return Answer(status, _text_decoder.decode(response.data))
