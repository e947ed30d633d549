"""Telling the server why what runs here fails, for those who ask `resonate why`."""

import asyncio

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import ResonateError
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.requests import TaskReport
from resonate_sdk.transport import ReportingTransport
from resonate_sdk.worker.holder import Holder

INTERVAL_S_MIN = 1.0  # what fails more often is not told each time
ELLIPSIS = "…"


class Reports:
    """What the holder of one task tells. Nothing waits for it, and nothing depends on it."""

    def __init__(self, transport: ReportingTransport | None, holder: Holder, codec: Codec) -> None:
        """Tell whoever can be asked by others.

        Args:
            transport: the way to the server; None if that takes no reports.
            holder: of the task.
            codec: says whether the words of errors may be read by everybody.
        """
        self._transport = transport
        self._holder = holder
        self._codec = codec
        self._told_at_s: float | None = None

    def tell(
        self, error: Exception, attempts: int, again_s: float | None, id: str | None = None
    ) -> None:
        """Say that something has failed, unless something was said just now.

        Args:
            error: what was wrong.
            attempts: how often in a row.
            again_s: how long until the next attempt; None if there is none.
            id: of the promise whose function it was; by default that of the task.
        """
        holder, now_s = self._holder, asyncio.get_running_loop().time()
        is_early = self._told_at_s is not None and now_s - self._told_at_s < INTERVAL_S_MIN
        if self._transport is None or holder.version == 0 or (is_early and again_s is not None):
            return
        self._told_at_s = now_s
        again_ms = None if again_s is None else round(again_s * 1000)
        report = TaskReport(
            id=holder.id,
            version=holder.version,
            promise=id or holder.id,
            reason=reason_of(error, is_secret=self._codec.is_secret),
            attempts=min(attempts, limits.COUNT_MAX),
            again_ms=None if again_ms is None else min(again_ms, limits.PROMISE_TIMEOUT_MS_DEFAULT),
        )
        self._transport.report(report, origin=holder.origin)


def reason_of(error: Exception, *, is_secret: bool) -> str:
    """Say in a line what was wrong.

    Args:
        error: what was raised.
        is_secret: leave out what may tell of values: only the kind of error is said.
    """
    if is_secret:
        return type(error.__cause__ or error).__name__[: limits.TROUBLE_CHARS_MAX]
    text = str(error) if isinstance(error, ResonateError) else f"{type(error).__name__}: {error}"
    line = " ".join(text.encode(errors="replace").decode().replace("\0", " ").split())
    if len(line) > limits.TROUBLE_CHARS_MAX:
        return line[: limits.TROUBLE_CHARS_MAX - len(ELLIPSIS)] + ELLIPSIS
    return line or type(error).__name__
